//! The three steps of the form: what belongs to which, and the buttons that change its shape.

use samplit_domain::Violation;
use serde_json::Value as Json;

use super::fields;

/// What a button of the form asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Keep it.
    Save,
    /// Say what is wrong up to this step.
    Check(usize),
    /// Forecast anew.
    Forecast,
    AddElement,
    RemoveElement(usize),
    AddVariant(usize),
    RemoveVariant(usize, usize),
}

impl Wish {
    /// What the button `do` says: a word, perhaps with places behind it. Whatever else it says means
    /// that the form is to be kept.
    pub(super) fn of(button: Option<&str>) -> Self {
        let mut words = button.unwrap_or_default().split(' ');
        let word = words.next().unwrap_or_default();
        let mut place = || words.next().and_then(|text| text.parse().ok());
        let wish = match word {
            "check" => place().map(Self::Check),
            "forecast" => Some(Self::Forecast),
            "add_element" => Some(Self::AddElement),
            "remove_element" => place().map(Self::RemoveElement),
            "add_variant" => place().map(Self::AddVariant),
            "remove_variant" => match (place(), place()) {
                (Some(element), Some(variant)) => Some(Self::RemoveVariant(element, variant)),
                _ => None,
            },
            _ => None,
        };
        wish.unwrap_or(Self::Save)
    }

    /// Changes the shape of the form as far as it asks for that, and says whether it does.
    pub(super) fn reshape(self, form: &mut Json) -> bool {
        match self {
            Self::Save | Self::Check(_) | Self::Forecast => false,
            Self::AddElement => {
                let elements = list(&mut form["elements"]);
                elements.push(fields::element(elements.len() + 1));
                true
            }
            Self::RemoveElement(element) => {
                remove(list(&mut form["elements"]), element);
                true
            }
            Self::AddVariant(element) => {
                if let Some(element) = list(&mut form["elements"]).get_mut(element) {
                    let variants = list(&mut element["variants"]);
                    variants.push(fields::variant(variants.len()));
                    // Shares that were given are not of these variants any more.
                    share_anew(variants);
                }
                true
            }
            Self::RemoveVariant(element, variant) => {
                if let Some(element) = list(&mut form["elements"]).get_mut(element) {
                    let variants = list(&mut element["variants"]);
                    remove(variants, variant);
                    share_anew(variants);
                }
                true
            }
        }
    }

    /// The step whose part of the form changes shape, or that is looked at.
    pub(super) fn step(self) -> Option<usize> {
        match self {
            Self::Save | Self::Forecast => None,
            Self::Check(step) => Some(step),
            Self::AddElement | Self::RemoveElement(_) => Some(1),
            Self::AddVariant(_) | Self::RemoveVariant(..) => Some(2),
        }
    }
}

/// What is no list becomes an empty one.
fn list(json: &mut Json) -> &mut Vec<Json> {
    if !json.is_array() {
        *json = Json::Array(Vec::new());
    }
    json.as_array_mut().expect("it was made one above")
}

fn remove(list: &mut Vec<Json>, index: usize) {
    if index < list.len() {
        list.remove(index);
    }
}

fn share_anew(variants: &mut [Json]) {
    for variant in variants.iter_mut().filter_map(Json::as_object_mut) {
        variant.remove("weight");
    }
}

/// In which step the field of a violation stands: 1, 2 or 3.
pub(super) fn step_of(violation: &Violation) -> usize {
    let mut tokens = violation.pointer.split('/').skip(1);
    match tokens.next().unwrap_or_default() {
        "elements" if tokens.nth(1) == Some("variants") => 2,
        "allocation" if tokens.next() == Some("mode") => 2,
        "elements" | "name" | "key" | "description" | "target_url" | "traffic_allocation"
        | "metadata" => 1,
        _ => 3,
    }
}

#[cfg(test)]
mod tests {
    use samplit_domain::{Violation, Violations};
    use serde_json::json;

    use super::{Wish, step_of};
    use crate::dashboard::experiments::fields::blank;

    #[test]
    fn buttons_say_what_they_want() {
        for (button, wish) in [
            (None, Wish::Save),
            (Some("save"), Wish::Save),
            (Some("check 2"), Wish::Check(2)),
            (Some("check"), Wish::Save),
            (Some("forecast"), Wish::Forecast),
            (Some("add_element"), Wish::AddElement),
            (Some("remove_element 0"), Wish::RemoveElement(0)),
            (Some("add_variant 3"), Wish::AddVariant(3)),
            (Some("remove_variant 1 2"), Wish::RemoveVariant(1, 2)),
            (Some("remove_variant 1"), Wish::Save),
        ] {
            assert_eq!(Wish::of(button), wish, "{button:?}");
        }
    }

    #[test]
    fn the_form_grows_and_shrinks() {
        let mut form = blank();
        form["elements"][0]["variants"][0]["weight"] = json!(0.5);
        assert!(Wish::AddElement.reshape(&mut form));
        assert!(Wish::AddVariant(0).reshape(&mut form));
        let names = |form: &serde_json::Value, element: usize| {
            let variants = form["elements"][element]["variants"].as_array().unwrap();
            let names = variants
                .iter()
                .map(|v| v["name"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&form, 0), ["Original", "Variant B", "Variant C"]);
        assert_eq!(names(&form, 1), ["Original", "Variant B"]);
        assert!(form["elements"][0]["variants"][0].get("weight").is_none());
        Wish::RemoveVariant(0, 1).reshape(&mut form);
        assert_eq!(names(&form, 0), ["Original", "Variant C"]);
        Wish::RemoveElement(0).reshape(&mut form);
        assert_eq!(names(&form, 0), ["Original", "Variant B"]);
        // A page that is out of date asks for what is not there.
        for wish in [
            Wish::RemoveElement(9),
            Wish::AddVariant(9),
            Wish::RemoveVariant(9, 9),
        ] {
            let before = form.clone();
            wish.reshape(&mut form);
            assert_eq!(form, before);
        }
        assert!(!Wish::Check(1).reshape(&mut form));
        let mut empty = json!({});
        Wish::AddElement.reshape(&mut empty);
        assert_eq!(empty["elements"][0]["name"], "Element 1");
    }

    #[test]
    fn every_field_has_its_step() {
        let violation = |pointer: &str| {
            let mut violations = Violations::default();
            violations.add(pointer, "x", "x");
            let [violation]: [Violation; 1] = violations.0.try_into().unwrap();
            step_of(&violation)
        };
        for (pointer, step) in [
            ("/name", 1),
            ("/elements", 1),
            ("/elements/0/selector/value", 1),
            ("/elements/12/variants", 2),
            ("/elements/0/variants/1/content/text", 2),
            ("/allocation/mode", 2),
            ("/allocation/floor", 3),
            ("/goals/0/name", 3),
            ("/stopping/threshold", 3),
        ] {
            assert_eq!(violation(pointer), step, "{pointer}");
        }
    }
}
