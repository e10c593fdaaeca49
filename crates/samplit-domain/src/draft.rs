//! An experiment as somebody asks for it, and the rules it has to keep.

use std::collections::HashSet;

use serde_json::Value as Json;

use crate::visit::is_conversion_value;
use crate::{
    Allocation, ElementType, GoalKind, GoalTrigger, Hypothesis, MAX_ARMS, MAX_SELECTOR, Mode,
    Selector, SelectorType, Stopping, Strategy, Violations,
};

const MAX_ELEMENTS: usize = 20;
const MAX_FALLBACKS: usize = 10;

/// A whole experiment, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentDraft {
    /// 1 to 255 characters.
    pub name: String,
    /// What programs call it: 1 to 100 of `a-z 0-9 _ . -`; unique among those of its owner.
    pub key: Option<String>,
    /// At most 10,000 characters.
    pub description: Option<String>,
    /// The pages under test, a [`PagePattern`](crate::PagePattern): `http` or `https`, at most 2,048
    /// characters. None: every page.
    pub target_url: Option<String>,
    /// Share of visitors who take part, in `[0, 1]`.
    pub traffic_allocation: f64,
    /// Adaptive or fixed weights.
    pub strategy: Strategy,
    /// The parameters of the strategy; `weights` are taken from the variants.
    pub allocation: Allocation,
    /// When it may stop.
    pub stopping: Stopping,
    /// What is expected of it; with one, hypothesis, primary goal and stopping rule are registered.
    pub hypothesis: Option<Hypothesis>,
    /// 1 to 20 elements with distinct names.
    pub elements: Vec<ElementDraft>,
    /// What counts as success; empty: one goal named `conversion`. At most one so far.
    pub goals: Vec<GoalDraft>,
    /// Free to the user; a JSON object.
    pub metadata: Json,
}

/// An element, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementDraft {
    /// 1 to 255 characters.
    pub name: String,
    /// How it is found; none for experiments decided on a server.
    pub selector: Option<SelectorDraft>,
    /// At most 10, tried in order.
    pub fallback_selectors: Vec<SelectorDraft>,
    /// What kind of thing it is.
    pub element_type: Option<ElementType>,
    /// What stands there without the experiment.
    pub original_content: Option<Json>,
    /// 2 to 64 variants with distinct names, exactly one of them the control.
    pub variants: Vec<VariantDraft>,
}

/// A selector, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorDraft {
    /// `css`, `xpath`, `id` or `class`.
    pub kind: String,
    /// 1 to 1,024 characters.
    pub value: String,
}

/// A variant, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct VariantDraft {
    /// 1 to 255 characters.
    pub name: String,
    /// Any JSON, at most 64 KiB.
    pub content: Json,
    /// Whether it is the one the others are compared with.
    pub is_control: bool,
    /// Its share under strategy `fixed`: all of an element's sum to 1, or none is given.
    pub weight: Option<f64>,
}

/// A goal, not yet checked.
#[derive(Clone, Debug, PartialEq)]
pub struct GoalDraft {
    /// 1 to 255 characters.
    pub name: String,
    /// What it measures.
    pub kind: GoalKind,
    /// The value of a conversion that names none, 0 to 10^12.
    pub default_value: f64,
    /// What on a page reaches it; none: only callers say so.
    pub trigger: Option<GoalTrigger>,
}

impl VariantDraft {
    /// A variant to compare with the control.
    #[must_use]
    pub fn new(name: impl Into<String>, content: Json) -> Self {
        Self {
            name: name.into(),
            content,
            is_control: false,
            weight: None,
        }
    }

    /// The variant that the others are compared with.
    #[must_use]
    pub fn control(name: impl Into<String>, content: Json) -> Self {
        Self {
            is_control: true,
            ..Self::new(name, content)
        }
    }
}

impl ElementDraft {
    /// An element decided on a server: no selector.
    #[must_use]
    pub fn new(name: impl Into<String>, variants: Vec<VariantDraft>) -> Self {
        Self {
            name: name.into(),
            selector: None,
            fallback_selectors: Vec::new(),
            element_type: None,
            original_content: None,
            variants,
        }
    }
}

impl SelectorDraft {
    fn check(&self, pointer: &str, violations: &mut Violations) {
        if self.kind.parse::<SelectorType>().is_err() {
            violations.add(
                format!("{pointer}/type"),
                "unknown_value",
                format!(
                    "`{}` is not one of `css`, `xpath`, `id`, `class`",
                    self.kind
                ),
            );
        }
        violations.text(&format!("{pointer}/value"), &self.value, MAX_SELECTOR);
    }

    /// The selector, if its kind is known.
    #[must_use]
    pub fn to_selector(&self) -> Option<Selector> {
        let kind = self.kind.parse().ok()?;
        Some(Selector {
            kind,
            value: self.value.clone(),
        })
    }
}

impl ExperimentDraft {
    /// An adaptive experiment with the defaults: everybody takes part, Thompson sampling, one goal.
    #[must_use]
    pub fn new(name: impl Into<String>, elements: Vec<ElementDraft>) -> Self {
        Self {
            name: name.into(),
            key: None,
            description: None,
            target_url: None,
            traffic_allocation: 1.0,
            strategy: Strategy::Adaptive,
            allocation: Allocation::default(),
            stopping: Stopping::default(),
            hypothesis: None,
            elements,
            goals: Vec::new(),
            metadata: Json::Object(serde_json::Map::new()),
        }
    }

    /// Checks every rule, and puts the variants' weights into `allocation`.
    ///
    /// # Errors
    /// All the rules that are broken, each with its field.
    pub fn check(mut self) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        violations.name("/name", &self.name);
        if let Some(key) = &self.key {
            violations.key("/key", key);
        }
        if let Some(description) = &self.description {
            violations.description("/description", description);
        }
        if let Some(url) = &self.target_url {
            violations.url("/target_url", url);
        }
        violations.share("/traffic_allocation", self.traffic_allocation);
        violations.metadata("/metadata", &self.metadata);
        if let Some(hypothesis) = &self.hypothesis {
            hypothesis.check("/hypothesis", &mut violations);
        }
        self.check_elements(&mut violations);
        self.check_goals(&mut violations);
        self.allocation
            .check("/allocation", self.most_arms(), &mut violations);
        self.allocation.weights = self.check_weights(&mut violations);
        violations.into_result(self)
    }

    /// The number of arms of the largest draw.
    fn most_arms(&self) -> usize {
        let sizes = self.elements.iter().map(|element| element.variants.len());
        match self.allocation.mode {
            Mode::Factorial => sizes.fold(1, usize::saturating_mul),
            Mode::Independent => sizes.max().unwrap_or(0),
        }
    }

    fn check_elements(&self, violations: &mut Violations) {
        if self.elements.is_empty() || self.elements.len() > MAX_ELEMENTS {
            violations.add(
                "/elements",
                "out_of_range",
                format!(
                    "has {} elements, 1 to {MAX_ELEMENTS} are allowed",
                    self.elements.len()
                ),
            );
        }
        let arms = self.most_arms();
        if arms > MAX_ARMS {
            violations.add(
                "/elements",
                "too_many_arms",
                format!("makes {arms} arms in one draw, at most {MAX_ARMS} are allowed"),
            );
        }
        let mut names = HashSet::new();
        for (index, element) in self.elements.iter().enumerate() {
            let pointer = format!("/elements/{index}");
            if !names.insert(element.name.as_str()) {
                violations.add(
                    format!("{pointer}/name"),
                    "duplicate",
                    "another element has this name",
                );
            }
            element.check(&pointer, violations);
        }
    }

    fn check_goals(&self, violations: &mut Violations) {
        if self.goals.len() > 1 {
            violations.add(
                "/goals",
                "out_of_range",
                "a visitor's row holds one conversion, so there is one goal",
            );
        }
        let mut names = HashSet::new();
        for (index, goal) in self.goals.iter().enumerate() {
            let pointer = format!("/goals/{index}");
            violations.name(&format!("{pointer}/name"), &goal.name);
            if !names.insert(goal.name.as_str()) {
                violations.add(
                    format!("{pointer}/name"),
                    "duplicate",
                    "another goal has this name",
                );
            }
            if !is_conversion_value(goal.default_value) {
                violations.add(
                    format!("{pointer}/default_value"),
                    "out_of_range",
                    "must be between 0 and 10^12",
                );
            }
            if let Some(trigger) = &goal.trigger {
                trigger.check(&format!("{pointer}/trigger"), violations);
            }
        }
    }

    fn check_weights(&self, violations: &mut Violations) -> Vec<Vec<f64>> {
        let given = self.elements.iter().flat_map(|element| &element.variants);
        if given.clone().all(|variant| variant.weight.is_none()) {
            return Vec::new();
        }
        if self.strategy == Strategy::Adaptive {
            violations.add(
                "/allocation_strategy",
                "conflict",
                "an adaptive experiment finds its weights itself; use `fixed` to give them",
            );
        }
        let mut weights = Vec::new();
        for (index, element) in self.elements.iter().enumerate() {
            let shares: Vec<f64> = element
                .variants
                .iter()
                .map(|variant| variant.weight.unwrap_or(0.0))
                .collect();
            let valid = shares
                .iter()
                .all(|share| share.is_finite() && *share >= 0.0);
            let sum: f64 = shares.iter().sum();
            if !(valid && (sum - 1.0).abs() <= 1e-9) {
                violations.add(
                    format!("/elements/{index}/variants"),
                    "weights_do_not_sum",
                    format!("weights must be 0 or more and sum to 1, they sum to {sum}"),
                );
            }
            weights.push(shares);
        }
        weights
    }
}

impl ElementDraft {
    fn check(&self, pointer: &str, violations: &mut Violations) {
        violations.name(&format!("{pointer}/name"), &self.name);
        if let Some(selector) = &self.selector {
            selector.check(&format!("{pointer}/selector"), violations);
        }
        let fallbacks = format!("{pointer}/fallback_selectors");
        if self.fallback_selectors.len() > MAX_FALLBACKS {
            violations.add(
                &fallbacks,
                "out_of_range",
                format!("at most {MAX_FALLBACKS} are allowed"),
            );
        }
        for (index, selector) in self.fallback_selectors.iter().enumerate() {
            selector.check(&format!("{fallbacks}/{index}"), violations);
        }
        if let Some(content) = &self.original_content {
            violations.json(&format!("{pointer}/original_content"), content);
        }
        self.check_variants(&format!("{pointer}/variants"), violations);
    }

    fn check_variants(&self, pointer: &str, violations: &mut Violations) {
        let count = self.variants.len();
        if !(2..=MAX_ARMS).contains(&count) {
            violations.add(
                pointer,
                "out_of_range",
                format!("has {count} variants, 2 to {MAX_ARMS} are allowed"),
            );
        }
        let controls = self
            .variants
            .iter()
            .filter(|variant| variant.is_control)
            .count();
        if controls != 1 {
            violations.add(
                pointer,
                "one_control",
                format!("{controls} variants are marked `is_control`, exactly one has to be"),
            );
        }
        let mut names = HashSet::new();
        for (index, variant) in self.variants.iter().enumerate() {
            let at = format!("{pointer}/{index}");
            violations.name(&format!("{at}/name"), &variant.name);
            if !names.insert(variant.name.as_str()) {
                violations.add(
                    format!("{at}/name"),
                    "duplicate",
                    "another variant has this name",
                );
            }
            violations.json(&format!("{at}/content"), &variant.content);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ElementDraft, ExperimentDraft, SelectorDraft, VariantDraft};
    use crate::{Mode, Strategy};

    fn variant(name: &str, is_control: bool) -> VariantDraft {
        VariantDraft {
            is_control,
            ..VariantDraft::new(name, json!({}))
        }
    }

    fn draft(elements: Vec<ElementDraft>) -> ExperimentDraft {
        let target_url = Some("https://example.com/".to_owned());
        ExperimentDraft {
            target_url,
            ..ExperimentDraft::new("headline", elements)
        }
    }

    #[track_caller]
    fn check(draft: ExperimentDraft, expected: &[&str]) {
        let found = match draft.check() {
            Ok(_) => Vec::new(),
            Err(violations) => violations
                .0
                .iter()
                .map(|v| format!("{} {}", v.pointer, v.code))
                .collect(),
        };
        assert_eq!(found, expected);
    }

    fn pair() -> Vec<VariantDraft> {
        vec![variant("a", true), variant("b", false)]
    }

    #[test]
    fn a_sound_draft_passes() {
        check(draft(vec![ElementDraft::new("h1", pair())]), &[]);
    }

    #[test]
    fn bad_fields_are_all_named() {
        let mut bad = draft(vec![
            ElementDraft::new("h1", vec![variant("a", true)]),
            ElementDraft::new("h1", vec![variant("a", true), variant("a", true)]),
            ElementDraft::new("h3", Vec::new()),
        ]);
        bad.name = " ".to_owned();
        bad.traffic_allocation = f64::NAN;
        bad.target_url = Some("ftp://x".to_owned());
        bad.elements[0].selector = Some(SelectorDraft {
            kind: "jquery".to_owned(),
            value: String::new(),
        });
        check(
            bad,
            &[
                "/name required",
                "/target_url malformed",
                "/traffic_allocation out_of_range",
                "/elements/0/selector/type unknown_value",
                "/elements/0/selector/value required",
                "/elements/0/variants out_of_range",
                "/elements/1/name duplicate",
                "/elements/1/variants one_control",
                "/elements/1/variants/1/name duplicate",
                "/elements/2/variants out_of_range",
                "/elements/2/variants one_control",
            ],
        );
    }

    #[test]
    fn weights_have_to_sum_and_belong_to_fixed() {
        let mut weighted = draft(vec![ElementDraft::new("h1", pair())]);
        weighted.elements[0].variants[0].weight = Some(0.7);
        weighted.elements[0].variants[1].weight = Some(0.2);
        check(
            weighted.clone(),
            &[
                "/allocation_strategy conflict",
                "/elements/0/variants weights_do_not_sum",
            ],
        );
        weighted.strategy = Strategy::Fixed;
        weighted.elements[0].variants[1].weight = Some(0.3);
        assert_eq!(weighted.check().unwrap().allocation.weights, [[0.7, 0.3]]);
    }

    #[test]
    fn too_many_combinations_are_refused_not_truncated() {
        let many = |n: usize| {
            (0..n)
                .map(|i| variant(&i.to_string(), i == 0))
                .collect::<Vec<_>>()
        };
        let mut factorial = draft(vec![
            ElementDraft::new("a", many(9)),
            ElementDraft::new("b", many(8)),
        ]);
        check(factorial.clone(), &[]);
        factorial.allocation.mode = Mode::Factorial;
        factorial.allocation.floor = 0.001;
        check(factorial, &["/elements too_many_arms"]);
    }

    #[test]
    fn the_floor_has_to_leave_room() {
        let mut tight = draft(vec![ElementDraft::new("h1", pair())]);
        tight.allocation.floor = 0.5;
        check(tight, &["/allocation/floor out_of_range"]);
    }
}
