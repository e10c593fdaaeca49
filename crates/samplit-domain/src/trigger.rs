//! What on a page reaches a goal.

use serde::{Deserialize, Serialize};

use crate::{MAX_IDENTIFIER, MAX_SELECTOR, Selector, Violations};

/// What a page watches for. A goal without one is reached only when a caller says so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum GoalTrigger {
    /// A click on an element, or on anything inside it.
    Click {
        /// Which element.
        selector: Selector,
    },
    /// A form is sent.
    Submit {
        /// Which form.
        selector: Selector,
    },
    /// A page is seen.
    PageView {
        /// Which page, as a [`PagePattern`](crate::PagePattern).
        url: String,
    },
    /// The page's own code says that something happened.
    Event {
        /// What it calls it, 1 to 255 characters.
        name: String,
    },
    /// The visitor leaves contact details. The server sees it, and the page watches for nothing.
    Lead {
        /// In which form, 1 to 255 characters; none: in any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        form: Option<String>,
    },
}

impl GoalTrigger {
    /// Every word that `type` may be, for messages.
    pub const TYPES: &'static str = "`click` `submit` `page_view` `event` `lead`";

    pub(crate) fn check(&self, pointer: &str, violations: &mut Violations) {
        match self {
            Self::Click { selector } | Self::Submit { selector } => {
                let pointer = format!("{pointer}/selector/value");
                violations.text(&pointer, &selector.value, MAX_SELECTOR);
            }
            Self::PageView { url } => violations.url(&format!("{pointer}/url"), url),
            Self::Event { name } => {
                violations.text(&format!("{pointer}/name"), name, MAX_IDENTIFIER);
            }
            Self::Lead { form: Some(form) } => {
                violations.text(&format!("{pointer}/form"), form, MAX_IDENTIFIER);
            }
            Self::Lead { form: None } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{GoalTrigger, Violations};

    #[test]
    fn the_json_of_a_trigger_is_the_documented_one_and_its_rules_hold() {
        let long = "x".repeat(256);
        let cases = [
            (
                json!({"type": "click", "selector": {"type": "css", "value": "#buy"}}),
                "",
            ),
            (
                json!({"type": "submit", "selector": {"type": "id", "value": " "}}),
                "/t/selector/value required",
            ),
            (
                json!({"type": "page_view", "url": "https://example.com/thanks*"}),
                "",
            ),
            (
                json!({"type": "page_view", "url": "/thanks"}),
                "/t/url malformed",
            ),
            (json!({"type": "event", "name": "signed up"}), ""),
            (json!({"type": "event", "name": long}), "/t/name too_long"),
        ];
        for (json, expected) in cases {
            let trigger: GoalTrigger = serde_json::from_value(json.clone()).unwrap();
            assert_eq!(serde_json::json!(trigger), json);
            let mut violations = Violations::default();
            trigger.check("/t", &mut violations);
            let found = violations.0.first();
            let found = found.map_or_else(String::new, |v| format!("{} {}", v.pointer, v.code));
            assert_eq!(found, expected, "{json}");
        }
    }
}
