//! Patterns of `LIKE`.

/// The pattern of texts that have `text` in them. In `LIKE` a backslash, a percent sign and an underscore are
/// special.
pub(crate) fn containing(text: &str) -> String {
    let plain = text
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{plain}%")
}
