//! How shops prove who they are: HMAC-SHA-256, always compared in constant time.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use samplit_audit::Hash;

/// Whether `base64` is the MAC of `body`, byte by byte as it came.
pub(super) fn is_of_body(secret: &str, body: &[u8], base64: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = STANDARD.decode(base64.trim());
    mac.is_ok_and(|mac| hmac::verify(&key, body, &mac).is_ok())
}

/// Whether `hex` is the MAC of `parts`, one behind the other.
pub(super) fn is_of_parts(secret: &str, parts: &[&[u8]], hex: &str) -> bool {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hex.trim().parse::<Hash>();
    mac.is_ok_and(|mac| hmac::verify(&key, &parts.concat(), &mac.0).is_ok())
}

/// Whether a query says under `hmac` the MAC of the rest of it, sorted by name.
pub(super) fn is_of_query(secret: &str, query: &str) -> bool {
    let (mut macs, mut rest): (Vec<_>, Vec<_>) = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .partition(|pair| pair.starts_with("hmac="));
    let (Some(mac), true) = (macs.pop(), macs.is_empty()) else {
        return false;
    };
    rest.sort_unstable_by_key(|pair| pair.split('=').next());
    is_of_parts(secret, &[rest.join("&").as_bytes()], &mac["hmac=".len()..])
}

#[cfg(test)]
mod tests {
    use super::{is_of_body, is_of_parts, is_of_query};

    // Shopify's documentation shows this query with the secret `hush`.
    const QUERY: &str = "code=0907a61c0c8d55e99db179b68161bc00&hmac=700e2dadb827fcc8609e9d5ce208b2e9\
        cdaab9df07390d2cbca10d7c328fc4bf&shop=some-shop.myshopify.com&state=0.6784241404160823&\
        timestamp=1337178173";

    #[test]
    fn the_query_of_the_documentation_is_genuine_and_no_altered_one() {
        assert!(is_of_query("hush", QUERY));
        let turned = QUERY.split('&').rev().collect::<Vec<_>>().join("&");
        assert!(is_of_query("hush", &turned));
        for altered in [
            QUERY.replace("some-shop", "some-shoq"),
            QUERY.replace("hmac=700", "hmac=800"),
            QUERY.replace("hmac=", "h="),
            format!("{QUERY}&hmac=00"),
            format!("{QUERY}&a=b"),
            String::new(),
        ] {
            assert!(!is_of_query("hush", &altered), "{altered}");
        }
        assert!(!is_of_query("hash", QUERY));
    }

    #[test]
    fn a_mac_is_of_exactly_these_bytes() {
        // Computed by Python's hmac.
        let base64 = "UyiqmWOFQAUEx8xOe0Nv6ayHM5Qzz7DBObQ/hQ6GLNc=";
        assert!(is_of_body("key", b"{\"id\": 1}", base64));
        assert!(!is_of_body("key", b"{\"id\":1}", base64));
        assert!(!is_of_body("key", b"{\"id\": 1}", ""));
        let hex = "043e30e1e15664dc97494d18e4110984bcbd2c4e6f3e19de9569dc1ea6d9b03e";
        assert!(is_of_parts("key", &[b"12.", b"{}"], hex));
        assert!(!is_of_parts("key", &[b"13.", b"{}"], hex));
    }
}
