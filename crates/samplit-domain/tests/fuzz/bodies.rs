//! What must hold of any bytes: the body of a fuzz target and of a property test.
//!
//! It panics on a fault and returns otherwise.

use samplit_domain::{ElementDraft, ExperimentDraft, Selector, SelectorDraft, VariantDraft};
use serde_json::json;

/// The kind up to the first line feed, the selector after it: whatever passes the check can be
/// kept, and is read back as it was.
pub(crate) fn selector(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (kind, value) = text.split_once('\n').unwrap_or((text, ""));
    let drafted = SelectorDraft {
        kind: kind.to_owned(),
        value: value.to_owned(),
    };
    let kept = drafted.to_selector();
    let json = json!({"type": kind, "value": value});
    let read = serde_json::from_value::<Selector>(json).ok();
    assert_eq!(kept, read, "drafted and read otherwise");

    let mut element = ElementDraft::new(
        "buy",
        vec![
            VariantDraft::control("grey", json!(null)),
            VariantDraft::new("green", json!(null)),
        ],
    );
    element.selector = Some(drafted.clone());
    element.fallback_selectors = vec![drafted];
    let fits = !value.trim().is_empty() && value.chars().count() <= 1_024 && !value.contains('\0');
    let checked = ExperimentDraft::new("Button", vec![element]).check();
    assert_eq!(checked.is_ok(), kept.is_some() && fits, "{checked:?}");
}
