//! The secret of the server: seals what platforms entrust to it, and signs what it hands out and wants
//! to recognise.
//!
//! One secret of 32 bytes or more; each use has a key of its own, derived from it by HKDF-SHA256 under
//! a label that names the use. So a token of one kind is never one of another, and no key says
//! anything about the rest. A signed token reads `base64url(JSON) "." base64url(HMAC-SHA-256)`, both
//! without padding; the MAC covers the text before the dot, and the JSON holds under `x` the Unix
//! second in which it ends. Anybody can read a token, nobody can make one.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::{hkdf, hmac, rand::SystemRandom};
use samplit_audit::{KeyRing, Place, SealError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

/// The fewest bytes of a secret.
const MIN_BYTES: usize = 32;

/// The longest token that is looked at, in bytes; ours are far shorter.
const MAX_TOKEN: usize = 8 * 1024;

/// What a signed token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Shows chosen variants of an experiment on a page.
    Preview,
    /// Opens the editor on a page.
    Edit,
    /// Binds a grant of OAuth under way to whoever asked for it.
    OauthState,
}

impl Purpose {
    const fn label(self) -> &'static [u8] {
        match self {
            Self::Preview => b"samplit/preview/v1",
            Self::Edit => b"samplit/edit/v1",
            Self::OauthState => b"samplit/oauth-state/v1",
        }
    }
}

const SEAL_LABEL: &[u8] = b"samplit/seal/v1";

/// The secrets cannot be used. What was given is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// There is none.
    Empty,
    /// The one at this position, from 1, is neither hexadecimal nor base64.
    Malformed(usize),
    /// The one at this position, from 1, is shorter than 32 bytes.
    TooShort(usize),
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no secret given"),
            Self::Malformed(position) => {
                write!(f, "secret {position} is neither hexadecimal nor base64")
            }
            Self::TooShort(position) => {
                write!(f, "secret {position} is shorter than {MIN_BYTES} bytes")
            }
        }
    }
}

impl std::error::Error for SecretError {}

/// Why a token is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// It was not signed here, not for this purpose, or it was altered.
    NotOurs,
    /// It was good once.
    Expired,
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotOurs => "the token was not made here, or it was altered",
            Self::Expired => "the token has expired",
        })
    }
}

impl std::error::Error for TokenError {}

/// What a token says, and until when.
#[derive(Debug, Serialize, Deserialize)]
struct Signed<T> {
    #[serde(flatten)]
    payload: T,
    /// Unix second in which it ends.
    x: i64,
}

/// The keys of one secret that sign.
struct SigningKeys {
    preview: hmac::Key,
    edit: hmac::Key,
    oauth_state: hmac::Key,
}

impl SigningKeys {
    fn of(&self, purpose: Purpose) -> &hmac::Key {
        match purpose {
            Purpose::Preview => &self.preview,
            Purpose::Edit => &self.edit,
            Purpose::OauthState => &self.oauth_state,
        }
    }
}

/// The secrets of a server. The first seals and signs, every one opens and verifies: to rotate, put a
/// new one in front, and take the old one out when what it sealed has been sealed again.
#[derive(Clone)]
pub struct Secret(Arc<Keys>);

struct Keys {
    seal: KeyRing,
    signing: Vec<SigningKeys>,
    random: SystemRandom,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl Secret {
    /// From raw bytes; the first one seals and signs.
    ///
    /// # Errors
    /// There is none, or one is shorter than 32 bytes; it is named by its position from 1.
    pub fn new(secrets: &[impl AsRef<[u8]>]) -> Result<Self, SecretError> {
        let long_enough = |secret: &&[u8]| secret.len() >= MIN_BYTES;
        let secrets: Vec<_> = secrets.iter().map(AsRef::as_ref).collect();
        if let Some(index) = secrets.iter().position(|secret| !long_enough(secret)) {
            return Err(SecretError::TooShort(index + 1));
        }
        let sealing: Vec<_> = secrets.iter().map(|s| derive(s, SEAL_LABEL)).collect();
        let signing = secrets.iter().map(|secret| {
            let key = |purpose: Purpose| {
                hmac::Key::new(hmac::HMAC_SHA256, &derive(secret, purpose.label()))
            };
            SigningKeys {
                preview: key(Purpose::Preview),
                edit: key(Purpose::Edit),
                oauth_state: key(Purpose::OauthState),
            }
        });
        Ok(Self(Arc::new(Keys {
            signing: signing.collect(),
            seal: KeyRing::new(&sealing).map_err(|_| SecretError::Empty)?,
            random: SystemRandom::new(),
        })))
    }

    /// From text: secrets of 64 or more hexadecimal digits or base64, set apart by commas or white
    /// space.
    ///
    /// # Errors
    /// As [`Self::new`], and where one is neither.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let secrets = text
            .split(|char: char| char == ',' || char.is_whitespace())
            .filter(|word| !word.is_empty())
            .enumerate()
            .map(|(index, word)| decode(word).ok_or(SecretError::Malformed(index + 1)))
            .collect::<Result<Vec<_>, _>>()?;
        Self::new(&secrets)
    }

    /// Seals what must not be readable in the database, bound to its place there.
    ///
    /// # Errors
    /// The random source failed.
    pub(crate) fn seal(&self, place: Place<'_>, plain: &str) -> Result<String, SealError> {
        let Keys { seal, random, .. } = &*self.0;
        seal.seal_text(place, plain.as_bytes(), random)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// It was altered or moved, or the secret that sealed it is not here any more.
    pub(crate) fn open(&self, place: Place<'_>, sealed: &str) -> Result<String, SealError> {
        let plain = self.0.seal.open_text(place, sealed)?;
        String::from_utf8(plain).map_err(|_| SealError::Malformed)
    }

    /// A token that says `payload` until `expires_at`, to the second.
    ///
    /// # Panics
    /// Where `payload` is not an object of JSON, which is a fault of the caller.
    #[must_use]
    pub fn sign<T: Serialize>(
        &self,
        purpose: Purpose,
        payload: &T,
        expires_at: OffsetDateTime,
    ) -> String {
        let signed = Signed {
            payload,
            x: expires_at.unix_timestamp(),
        };
        let json = serde_json::to_vec(&signed).expect("payloads are structs of strings and ids");
        let mut token = URL_SAFE_NO_PAD.encode(json);
        let mac = hmac::sign(self.0.signing[0].of(purpose), token.as_bytes());
        token.push('.');
        token.push_str(&URL_SAFE_NO_PAD.encode(mac));
        token
    }

    /// What a token says, if it was made here for this purpose and has not ended by `now`.
    ///
    /// # Errors
    /// It was made elsewhere, for another purpose, altered, or it has ended.
    pub fn verify<T: DeserializeOwned>(
        &self,
        purpose: Purpose,
        token: &str,
        now: OffsetDateTime,
    ) -> Result<T, TokenError> {
        let (text, mac) = token.rsplit_once('.').ok_or(TokenError::NotOurs)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok();
        let mac = mac.filter(|_| token.len() <= MAX_TOKEN);
        let mac = mac.ok_or(TokenError::NotOurs)?;
        let is_signed = |keys: &SigningKeys| {
            // In constant time.
            hmac::verify(keys.of(purpose), text.as_bytes(), &mac).is_ok()
        };
        if !self.0.signing.iter().any(is_signed) {
            return Err(TokenError::NotOurs);
        }
        let json = URL_SAFE_NO_PAD.decode(text).ok();
        let signed: Option<Signed<T>> = json.and_then(|json| serde_json::from_slice(&json).ok());
        let signed = signed.ok_or(TokenError::NotOurs)?;
        if signed.x <= now.unix_timestamp() {
            return Err(TokenError::Expired);
        }
        Ok(signed.payload)
    }
}

/// The key for the use that `label` names. The secrets are random, so the salt may be empty.
fn derive(secret: &[u8], label: &[u8]) -> [u8; 32] {
    let mut key = [0; 32];
    let pseudorandom = hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(secret);
    pseudorandom
        .expand(&[label], hkdf::HKDF_SHA256)
        .and_then(|material| material.fill(&mut key))
        .expect("HKDF gives up to 255 times what is asked for");
    key
}

/// Hexadecimal where it can be, else base64.
fn decode(word: &str) -> Option<Vec<u8>> {
    let is_hex = word.len().is_multiple_of(2) && word.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && word.len() >= 2 * MIN_BYTES {
        let pair = |at: usize| u8::from_str_radix(&word[at..at + 2], 16).ok();
        return (0..word.len()).step_by(2).map(pair).collect();
    }
    STANDARD.decode(word).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};
    use time::{Duration, OffsetDateTime};

    use super::{Place, Purpose, Secret, SecretError, TokenError, derive};

    const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const HERE: Place<'_> = Place {
        table: "platform_installations",
        row: "7",
        column: "oauth_data.access_token",
    };

    fn secret(byte: u8) -> Secret {
        Secret::new(&[[byte; 32]]).unwrap()
    }

    fn soon() -> OffsetDateTime {
        NOW + Duration::MINUTE
    }

    #[test]
    fn the_derivation_is_hkdf_sha256_as_others_compute_it() {
        // Python: HKDF-SHA256, empty salt, secret of 32 times 0x01, 32 bytes.
        let hex = |bytes: [u8; 32]| bytes.map(|byte| format!("{byte:02x}")).concat();
        assert_eq!(hex(derive(&[1; 32], b"samplit/seal/v1")), SEAL_KEY);
        assert_eq!(hex(derive(&[1; 32], b"samplit/preview/v1")), PREVIEW_KEY);
    }

    const SEAL_KEY: &str = "5db9266530531ec06cbd0110f1a6bad2c37f4b42a77bef06b31b7d92666ef583";
    const PREVIEW_KEY: &str = "ec6b3fbff2789d1f78864a10ec19776e0195afa5b2ddb17bdcb60e2f917a31fe";

    #[test]
    fn a_token_says_what_was_signed_to_its_own_purpose_until_it_ends() {
        let secret = secret(1);
        let payload = json!({"e": "1", "v": {"a": "b"}});
        let token = secret.sign(Purpose::Preview, &payload, soon());
        let read = |purpose, now| secret.verify::<Json>(purpose, &token, now);
        assert_eq!(read(Purpose::Preview, NOW), Ok(payload));
        assert_eq!(read(Purpose::Preview, soon()), Err(TokenError::Expired));
        let last = soon() - Duration::SECOND;
        assert!(read(Purpose::Preview, last).is_ok());
        for other in [Purpose::Edit, Purpose::OauthState] {
            assert_eq!(read(other, NOW), Err(TokenError::NotOurs), "{other:?}");
        }
    }

    #[test]
    fn whatever_was_altered_or_made_elsewhere_is_refused() {
        let token = secret(1).sign(Purpose::Edit, &json!({"i": "1"}), soon());
        let verify =
            |secret: &Secret, token: &str| secret.verify::<Json>(Purpose::Edit, token, NOW);
        assert!(verify(&secret(1), &token).is_ok());
        assert_eq!(verify(&secret(2), &token), Err(TokenError::NotOurs));
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] ^= 1;
            let altered = String::from_utf8(altered).unwrap();
            let verdict = verify(&secret(1), &altered);
            assert_eq!(verdict, Err(TokenError::NotOurs), "byte {at}");
            let cut = verify(&secret(1), &token[..at]);
            assert_eq!(cut, Err(TokenError::NotOurs), "cut at {at}");
        }
        for bad in ["", ".", "a.b", "é.é", &"a".repeat(10_000)] {
            assert_eq!(verify(&secret(1), bad), Err(TokenError::NotOurs), "{bad}");
        }
    }

    #[test]
    fn a_new_secret_in_front_leaves_the_old_ones_good() {
        let old = secret(1);
        let token = old.sign(Purpose::OauthState, &json!({}), soon());
        let sealed = old.seal(HERE, "shpat_1").unwrap();
        let both = Secret::new(&[[2; 32], [1; 32]]).unwrap();
        assert!(
            both.verify::<Json>(Purpose::OauthState, &token, NOW)
                .is_ok()
        );
        assert_eq!(both.open(HERE, &sealed).unwrap(), "shpat_1");
        let sealed = both.seal(HERE, "shpat_2").unwrap();
        assert!(old.open(HERE, &sealed).is_err());
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_only() {
        let secret = secret(1);
        let sealed = secret.seal(HERE, "shpat_1").unwrap();
        assert!(!sealed.contains("shpat_1"));
        let elsewhere = Place { row: "8", ..HERE };
        assert!(secret.open(elsewhere, &sealed).is_err());
        assert_eq!(secret.open(HERE, &sealed).unwrap(), "shpat_1");
    }

    #[test]
    fn secrets_are_read_as_hexadecimal_or_base64_and_are_long_enough() {
        let hex = "01".repeat(32);
        let base64 = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
        let token = secret(1).sign(Purpose::Edit, &json!({}), soon());
        for good in [&hex, base64, &format!("{hex},\n{base64}")] {
            let read = Secret::parse(good).unwrap();
            assert!(read.verify::<Json>(Purpose::Edit, &token, NOW).is_ok());
        }
        for (bad, expected) in [
            ("", SecretError::Empty),
            (" , ", SecretError::Empty),
            ("AQEB", SecretError::TooShort(1)),
            (&format!("{hex} hunter2!"), SecretError::Malformed(2)),
        ] {
            let error = Secret::parse(bad).unwrap_err();
            assert_eq!(error, expected);
            assert!(!error.to_string().contains("hunter2"));
        }
        assert_eq!(format!("{:?}", secret(1)), "Secret(***)");
    }
}
