//! Bad input: every broken rule, with the field it stands in.

use std::borrow::Cow;

use serde_json::Value as Json;

/// The longest JSON value of an experiment, in bytes of text.
const MAX_JSON_BYTES: usize = 64 * 1024;

/// One rule that one field breaks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
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

/// The rules of an experiment's own fields, shared by drafts and by changes.
impl Violations {
    /// Checks a name: 1 to 255 characters.
    pub fn name(&mut self, pointer: &str, name: &str) {
        self.text(pointer, name, 255);
    }

    /// Checks a description: at most 10,000 characters.
    pub fn description(&mut self, pointer: &str, description: &str) {
        self.length(pointer, description, 10_000);
    }

    /// Checks the address of a page: `http` or `https`, at most 2,048 characters, no white space.
    pub fn url(&mut self, pointer: &str, url: &str) {
        self.length(pointer, url, 2_048);
        let rest = url
            .strip_prefix("https://")
            .or_else(|| url.strip_prefix("http://"));
        if rest.is_none_or(|rest| rest.is_empty() || rest.contains(char::is_whitespace)) {
            self.add(
                pointer,
                "malformed",
                "must be an http or https URL without spaces",
            );
        }
    }

    /// Checks a share: between 0 and 1.
    pub fn share(&mut self, pointer: &str, share: f64) {
        if !(0.0..=1.0).contains(&share) {
            self.add(pointer, "out_of_range", "must be between 0 and 1");
        }
    }

    /// Checks what is free to the user: a JSON object of at most 64 KiB.
    pub fn metadata(&mut self, pointer: &str, metadata: &Json) {
        if !metadata.is_object() {
            self.add(pointer, "wrong_type", "must be an object");
        }
        self.json(pointer, metadata);
    }

    /// Checks any JSON that is stored: at most 64 KiB as text, no U+0000 anywhere.
    pub fn json(&mut self, pointer: &str, json: &Json) {
        let bytes = json.to_string().len();
        if bytes > MAX_JSON_BYTES {
            self.add(
                pointer,
                "too_long",
                format!("has {bytes} bytes of JSON, at most {MAX_JSON_BYTES} are allowed"),
            );
        }
        if has_nul(json) {
            self.add(pointer, "nul_character", "must not contain U+0000");
        }
    }
}

/// Whether a text anywhere in `json` has U+0000, which PostgreSQL cannot store.
fn has_nul(json: &Json) -> bool {
    match json {
        Json::String(text) => text.contains('\0'),
        Json::Array(items) => items.iter().any(has_nul),
        Json::Object(map) => map
            .iter()
            .any(|(key, value)| key.contains('\0') || has_nul(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) => false,
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
