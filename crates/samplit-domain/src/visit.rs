//! What a visitor's request says: an assignment asked for, a conversion reported.

use serde_json::{Map, Value as Json};

use crate::Violations;

/// The longest visitor, session, goal or event identifier, in characters (`VARCHAR(255)`).
pub const MAX_IDENTIFIER: usize = 255;

/// The value of a conversion that names none, as in the original schema.
pub const DEFAULT_CONVERSION_VALUE: f64 = 1.0;

/// The largest value of a conversion. Far above any price, and far enough below the largest `f64`
/// that the sum of squares of all conversions of an experiment stays finite: one request must not
/// be able to spoil the statistics of everybody.
pub const MAX_CONVERSION_VALUE: f64 = 1e12;

/// The longest context, in bytes of JSON text.
const MAX_CONTEXT_BYTES: usize = 8 * 1024;

/// What stands before the id of the row in place of the identifier of a visitor who was erased.
pub const ERASED_PREFIX: &str = "erased:";

/// A visitor asks for a variant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assign {
    /// The visitor, 1 to 255 characters; what makes two requests the same person.
    pub visitor: String,
    /// The visit, for joining with other systems.
    pub session: Option<String>,
    /// What is known of the visitor: device, browser, place. At most 8 KiB as JSON.
    pub context: Map<String, Json>,
}

/// A visitor did what the experiment is about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Convert {
    /// The visitor, as given to the assignment.
    pub visitor: String,
    /// The goal; none: the primary one.
    pub goal: Option<String>,
    /// What it was worth, 0 to 10^12; none: the goal's default.
    pub value: Option<f64>,
    /// The caller's own id of this event; a retry with the same id gets the same answer.
    pub event_id: Option<String>,
}

impl Assign {
    /// Checks every rule.
    ///
    /// # Errors
    /// All the rules that are broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.visitor("/visitor_id", &self.visitor);
        if let Some(session) = &self.session {
            violations.length("/session_id", session, MAX_IDENTIFIER);
        }
        if !self.context.is_empty() {
            check_context(&self.context, &mut violations);
        }
        violations.into_result(())
    }
}

fn check_context(context: &Map<String, Json>, violations: &mut Violations) {
    let text = serde_json::to_string(context).unwrap_or_default();
    if text.len() > MAX_CONTEXT_BYTES {
        violations.add(
            "/context",
            "too_long",
            format!(
                "has {} bytes of JSON, at most {MAX_CONTEXT_BYTES} are allowed",
                text.len()
            ),
        );
    }
    // serde_json writes U+0000 as this escape; a literal backslash is written twice before it.
    if text.replace("\\\\", "").contains("\\u0000") {
        violations.add("/context", "nul_character", "must not contain U+0000");
    }
}

/// Whether a conversion may be worth this much. -0.0 may not: the trail knows no negative number.
pub(crate) fn is_conversion_value(value: f64) -> bool {
    value.is_sign_positive() && value <= MAX_CONVERSION_VALUE
}

impl Violations {
    /// Checks the identifier of a visitor: 1 to 255 characters, and none that stands for somebody
    /// who was erased.
    pub fn visitor(&mut self, pointer: &str, visitor: &str) {
        self.text(pointer, visitor, MAX_IDENTIFIER);
        if visitor.starts_with(ERASED_PREFIX) {
            let detail = format!("must not start with `{ERASED_PREFIX}`");
            self.add(pointer, "reserved", detail);
        }
    }
}

impl Convert {
    /// Checks every rule.
    ///
    /// # Errors
    /// All the rules that are broken.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.visitor("/visitor_id", &self.visitor);
        if let Some(goal) = &self.goal {
            violations.text("/goal", goal, MAX_IDENTIFIER);
        }
        if let Some(event) = &self.event_id {
            violations.text("/event_id", event, MAX_IDENTIFIER);
        }
        if let Some(value) = self.value
            && !is_conversion_value(value)
        {
            violations.add("/value", "out_of_range", "must be between 0 and 10^12");
        }
        violations.into_result(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Assign, Convert};

    #[test]
    fn every_bad_field_is_named_at_once() {
        let long = "x".repeat(256);
        let mut context = serde_json::Map::new();
        context.insert("device".to_owned(), "a\0b".into());
        let assign = Assign {
            visitor: String::new(),
            session: Some(long.clone()),
            context,
        };
        let pointers = |violations: crate::Violations| {
            violations
                .0
                .iter()
                .map(|v| format!("{} {}", v.pointer, v.code))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            pointers(assign.check().unwrap_err()),
            [
                "/visitor_id required",
                "/session_id too_long",
                "/context nul_character"
            ]
        );

        let convert = Convert {
            visitor: long,
            goal: Some(" ".to_owned()),
            value: Some(f64::NAN),
            event_id: Some("a\0".to_owned()),
        };
        assert_eq!(
            pointers(convert.check().unwrap_err()),
            [
                "/visitor_id too_long",
                "/goal required",
                "/event_id nul_character",
                "/value out_of_range"
            ]
        );
    }

    #[test]
    fn nobody_is_called_like_somebody_erased() {
        for (visitor, code) in [
            ("erased:1", Some("reserved")),
            ("erased:", Some("reserved")),
            ("Erased:1", None),
            ("not erased:1", None),
        ] {
            let visitor = visitor.to_owned();
            let convert = Convert {
                visitor: visitor.clone(),
                ..Convert::default()
            };
            let assign = Assign {
                visitor,
                ..Assign::default()
            };
            for checked in [assign.check(), convert.check()] {
                let found = checked.err().map(|violations| violations.0[0].code);
                assert_eq!(found, code);
            }
        }
    }

    #[test]
    fn a_value_has_no_sign_and_a_bound() {
        let check = |value| {
            Convert {
                visitor: "v".to_owned(),
                value: Some(value),
                ..Convert::default()
            }
            .check()
        };
        for good in [0.0, 5e-324, 1.0, 1e12] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [-0.0, -1.0, 1.1e12, f64::INFINITY, f64::NAN] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let assign = Assign {
            visitor: "ñ".repeat(255),
            ..Assign::default()
        };
        assert_eq!(assign.check(), Ok(()));
    }

    #[test]
    fn an_escaped_backslash_before_u0000_is_no_nul() {
        let mut context = serde_json::Map::new();
        context.insert("path".to_owned(), "\\u0000".into());
        let assign = Assign {
            visitor: "v".to_owned(),
            context,
            ..Assign::default()
        };
        assert_eq!(assign.check(), Ok(()));
    }
}
