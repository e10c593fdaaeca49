//! How Stripe proves that a message is its own: HMAC-SHA-256 over time and body, by the scheme `v1` of
//! <https://docs.stripe.com/webhooks#verify-manually>.
//!
//! While a secret is being rotated there is a signature by each, so that one that holds is enough. Other
//! schemes are not looked at. The time is signed, too, and has to be about now: who has caught a message
//! cannot send it again later.

use ring::hmac;
use samplit_audit::Hash;
use time::{Duration, OffsetDateTime};

/// How far the clock of Stripe and ours may be apart, and how long a message may be on its way.
const TOLERANCE: Duration = Duration::minutes(5);

/// Whether `header`, the `Stripe-Signature` of a message, says that `body` is Stripe's, and of about `now`.
pub(super) fn holds(secret: &str, header: &str, body: &[u8], now: OffsetDateTime) -> bool {
    let parts = || {
        header
            .split(',')
            .filter_map(|part| part.trim().split_once('='))
    };
    let mut times = parts().filter(|(name, _)| *name == "t");
    // With two times it would not be known which one is signed.
    let (Some((_, time)), None) = (times.next(), times.next()) else {
        return false;
    };
    let sent_at = time.parse().ok();
    let sent_at = sent_at.and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    if sent_at.is_none_or(|sent_at| (now - sent_at).abs() > TOLERANCE) {
        return false;
    }
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signed = [time.as_bytes(), b".", body].concat();
    parts().filter(|(name, _)| *name == "v1").any(|(_, mac)| {
        let mac = mac.parse::<Hash>();
        mac.is_ok_and(|mac| hmac::verify(&key, &signed, &mac.0).is_ok())
    })
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::holds;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] = b"{\"id\": \"evt_1\"}";
    const AT: i64 = 1_790_000_000;
    // Computed by Python's hmac over "1790000000." and the body.
    const MAC: &str = "7360fed1c5795a40804887e3d5689f0edcbd19c2e46ef58014807825cf89ef7c";
    const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    fn at(seconds: i64) -> OffsetDateTime {
        OffsetDateTime::UNIX_EPOCH + Duration::seconds(AT + seconds)
    }

    #[test]
    fn one_signature_that_holds_is_enough() {
        for header in [
            format!("t={AT},v1={MAC}"),
            format!("t={AT},v1={OTHER},v1={MAC},v0={OTHER}"),
            format!("v1={MAC}, t={AT}"),
        ] {
            assert!(holds(SECRET, &header, BODY, at(0)), "{header}");
        }
        for header in [
            String::new(),
            format!("t={AT}"),
            format!("v1={MAC}"),
            format!("t={AT},v1={OTHER}"),
            format!("t={AT},v0={MAC}"),
            format!("t={AT},v1={}", &MAC[1..]),
            format!("t={},v1={MAC}", AT + 1),
            format!("t={AT},t={AT},v1={MAC}"),
            format!("t=now,v1={MAC}"),
            format!("t={},v1={MAC}", i64::MAX),
        ] {
            assert!(!holds(SECRET, &header, BODY, at(0)), "{header}");
        }
    }

    #[test]
    fn another_secret_and_any_other_byte_break_it() {
        let header = format!("t={AT},v1={MAC}");
        assert!(!holds("whsec_another", &header, BODY, at(0)));
        for index in 0..BODY.len() {
            let mut body = BODY.to_vec();
            body[index] ^= 1;
            assert!(!holds(SECRET, &header, &body, at(0)), "byte {index}");
        }
    }

    #[test]
    fn five_minutes_are_tolerated_both_ways() {
        let header = format!("t={AT},v1={MAC}");
        for (seconds, expected) in [(300, true), (-300, true), (301, false), (-301, false)] {
            let holds = holds(SECRET, &header, BODY, at(seconds));
            assert_eq!(holds, expected, "{seconds}");
        }
    }
}
