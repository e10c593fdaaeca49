//! What messages are signed with, as [Standard Webhooks](https://www.standardwebhooks.com) has it.
//!
//! HMAC-SHA-256 over `id.timestamp.body` with the bytes behind `whsec_`, as `v1,` and Base64. While a
//! secret is being rotated there are two signatures with a space between them, and a receiver who
//! knows either secret finds the one that is meant for it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;

use crate::source::Entropy;

/// What every secret begins with.
const PREFIX: &str = "whsec_";

/// A new secret: 32 random bytes.
pub(super) fn new_secret(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    format!("{PREFIX}{}", STANDARD.encode(bytes))
}

/// The header `webhook-signature` of a message, one signature for each secret; `None` where one is no
/// secret.
pub(super) fn sign(secrets: &[String], id: &str, timestamp: i64, body: &str) -> Option<String> {
    let signed = format!("{id}.{timestamp}.{body}");
    let signatures = secrets.iter().map(|secret| {
        let key = STANDARD.decode(secret.strip_prefix(PREFIX)?).ok()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let mac = hmac::sign(&key, signed.as_bytes());
        Some(format!("v1,{}", STANDARD.encode(mac)))
    });
    let signatures: Option<Vec<String>> = signatures.collect();
    signatures.map(|signatures| signatures.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{new_secret, sign};
    use crate::source::SeededEntropy;

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &str = r#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn the_signature_is_that_of_the_specification() {
        let secrets = [SECRET.to_owned()];
        let signed = sign(&secrets, ID, 1_614_265_330, BODY);
        assert_eq!(signed.as_deref(), Some(SIGNATURE));
        for other in [
            sign(&secrets, "msg_x", 1_614_265_330, BODY),
            sign(&secrets, ID, 1_614_265_331, BODY),
            sign(&secrets, ID, 1_614_265_330, r#"{"test":2432232314}"#),
            sign(
                &[new_secret(&SeededEntropy::new(1))],
                ID,
                1_614_265_330,
                BODY,
            ),
        ] {
            assert_ne!(other.unwrap(), SIGNATURE);
        }
    }

    #[test]
    fn two_secrets_sign_side_by_side() {
        let new = new_secret(&SeededEntropy::new(1));
        assert_eq!(new.len(), "whsec_".len() + 44);
        let both = sign(&[new.clone(), SECRET.to_owned()], ID, 1_614_265_330, BODY);
        let alone = sign(&[new], ID, 1_614_265_330, BODY).unwrap();
        assert_eq!(both.unwrap(), format!("{alone} {SIGNATURE}"));
        for bad in ["", "whsec_%", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert_eq!(sign(&[bad.to_owned()], ID, 0, BODY), None, "{bad}");
        }
    }
}
