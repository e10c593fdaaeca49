//! SJ1, the JSON profile of `decision_data`, and its one canonical form.
//!
//! JSONB keeps the value and not the text, so what is hashed is a canonical form of the value:
//! RFC 8785 restricted to a profile in which that form is easy to write in any language.
//!
//! * The top level is an object; at most [`MAX_DEPTH`] containers inside one another; the canonical
//!   form has at most [`MAX_BYTES`] bytes.
//! * Keys match `^[a-z][a-z0-9_]{0,63}$` and are unique. `payload_sha256` is reserved for the stub
//!   of a redacted payload: the only key of the top level, or nowhere.
//! * Strings hold no U+0000. Integers satisfy |n| < 2^53. There is no null and no other number.
//! * Reals travel as scaled integers with the unit in the key (`weights_ppb`) or as IEEE-754 bits,
//!   16 lower-case hexadecimal digits, big-endian (`alpha_f64`).
//! * Canonical: keys sorted by byte, no white space, `\" \\ \b \t \n \f \r`, other controls
//!   `\u00xx` in lower case, everything else raw UTF-8.
//!
//! The code is its own on purpose: a dependency's JSON writer can change with a feature flag.
//!
//! [`parse`] reads any JSON text of the profile, [`check`] accepts canonical bytes only and builds
//! nothing. Typed payloads write and read canonical bytes directly, through `write` and `cursor`.

pub(crate) mod cursor;
mod parse;
mod value;
pub(crate) mod write;

pub use cursor::check;
pub use parse::parse;
pub use value::Value;

/// The largest canonical form, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;
/// The deepest nesting of containers; the top-level object counts as one.
pub const MAX_DEPTH: usize = 8;
/// Integers are smaller than this in absolute value.
pub const MAX_INT: i64 = 1 << 53;
/// The key of the stub that stands for a redacted payload.
pub const REDACTED_KEY: &str = "payload_sha256";

/// The text is not what the profile allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {what}")]
pub struct Error {
    /// Offset in the text that was read; 0 where the fault is in the value as a whole.
    pub at: usize,
    /// What is wrong, for a person.
    pub what: &'static str,
}

/// Whether `key` matches `^[a-z][a-z0-9_]{0,63}$`.
fn is_key(key: &[u8]) -> bool {
    key.len() <= 64
        && key.first().is_some_and(u8::is_ascii_lowercase)
        && key
            .iter()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

#[cfg(test)]
mod tests;
