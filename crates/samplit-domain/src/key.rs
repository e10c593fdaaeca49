//! The name by which programs call an experiment.

use crate::Violations;

/// The longest key, in characters (`VARCHAR(100)`).
pub const MAX_KEY: usize = 100;

impl Violations {
    /// Checks the key of an experiment: 1 to 100 of `a-z 0-9 _ . -`, beginning with a letter or a
    /// digit. It stands in URLs and in the code of callers, so nothing in it needs an escape.
    pub fn key(&mut self, pointer: &str, key: &str) {
        self.text(pointer, key, MAX_KEY);
        let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let is_symbol = |b: u8| is_alphanumeric(b) || matches!(b, b'_' | b'.' | b'-');
        let begins = key.bytes().next().is_none_or(is_alphanumeric);
        if !(begins && key.bytes().all(is_symbol)) {
            self.add(
                pointer,
                "malformed",
                "may hold a-z, 0-9, `_`, `.` and `-`, and begins with a letter or a digit",
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEY, Violations};

    #[test]
    fn a_key_needs_no_escape_anywhere() {
        let codes = |key: &str| {
            let mut violations = Violations::default();
            violations.key("/key", key);
            violations.0.iter().map(|v| v.code).collect::<Vec<_>>()
        };
        for good in ["a", "0", "checkout-button_2.b", &"x".repeat(MAX_KEY)] {
            assert_eq!(codes(good), [""; 0], "{good}");
        }
        for bad in ["-a", "_a", ".a", "A", "a b", "a/b", "ñ", "a\n"] {
            assert_eq!(codes(bad), ["malformed"], "{bad}");
        }
        assert_eq!(codes(""), ["required"]);
        assert_eq!(codes(&"x".repeat(MAX_KEY + 1)), ["too_long"]);
    }
}
