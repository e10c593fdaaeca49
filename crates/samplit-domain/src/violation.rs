//! Bad input: every broken rule, with the field it stands in.

use std::borrow::Cow;

/// One rule that one field breaks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// Where, as a JSON pointer (RFC 6901) into the request body: `/elements/0/variants`.
    pub pointer: String,
    /// The rule as a stable word: `required`, `too_long`, `out_of_range`, ...
    pub code: &'static str,
    /// The rule in a sentence for people.
    pub detail: String,
}

/// All the rules that an input breaks. Empty while none is.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("{} field(s) break a rule, first {}", .0.len(), .0.first().map_or("none", |v| v.pointer.as_str()))]
pub struct Violations(pub Vec<Violation>);

impl Violations {
    /// Notes that the field at `pointer` breaks the rule `code`.
    pub fn add(
        &mut self,
        pointer: impl Into<String>,
        code: &'static str,
        detail: impl Into<String>,
    ) {
        self.0.push(Violation {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        });
    }

    /// `value` if nothing was noted.
    ///
    /// # Errors
    /// The violations, if there are any.
    pub fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() {
            Ok(value)
        } else {
            Err(self)
        }
    }

    /// Checks a text that has to be there: not blank, at most `max` characters, no U+0000.
    pub fn text(&mut self, pointer: &str, text: &str, max: usize) {
        if text.trim().is_empty() {
            self.add(pointer, "required", "must not be empty");
        }
        self.length(pointer, text, max);
    }

    /// Checks a text that may be empty: at most `max` characters, no U+0000.
    pub fn length(&mut self, pointer: &str, text: &str, max: usize) {
        let chars = text.chars().count();
        if chars > max {
            self.add(
                pointer,
                "too_long",
                format!("has {chars} characters, at most {max} are allowed"),
            );
        }
        // PostgreSQL cannot store it in any text or jsonb value.
        if text.contains('\0') {
            self.add(pointer, "nul_character", "must not contain U+0000");
        }
    }
}

/// Appends `key` to a JSON pointer, escaped as RFC 6901 says.
#[must_use]
pub fn json_pointer(base: &str, key: &str) -> String {
    let escaped: Cow<'_, str> = if key.contains(['~', '/']) {
        key.replace('~', "~0").replace('/', "~1").into()
    } else {
        key.into()
    };
    format!("{base}/{escaped}")
}
