//! Reads an experiment from a request body.

use std::collections::BTreeSet;

use samplit_domain::{
    Allocation, Element, ElementDraft, Experiment, ExperimentDraft, ExperimentType, GoalDraft,
    GoalKind, GoalTrigger, Hypothesis, Selector, SelectorDraft, SelectorType, Stopping,
    VariantDraft, Violations,
};
use samplit_engine::ExperimentChange;
use serde_json::{Map, Value as Json};

use crate::{
    fields::{Fields, merge},
    problem::Problem,
};

/// The fields that may change at any time; any other one replaces the tree of a draft.
const LIGHT: [&str; 5] = [
    "name",
    "description",
    "target_url",
    "traffic_allocation",
    "metadata",
];

/// A whole new experiment.
///
/// # Errors
/// 422 with every bad field.
pub(crate) fn read_new(body: Json) -> Result<ExperimentDraft, Problem> {
    let base = ExperimentDraft::new("", Vec::new());
    let mut violations = Violations::default();
    let draft = Fields::read(body, String::new(), &mut violations, |fields| {
        for name in ["name", "elements"] {
            fields.require(name);
        }
        experiment(fields, base)
    });
    match draft.clone().check() {
        Ok(checked) => violations.into_result(checked),
        Err(rules) => {
            merge(&mut violations, rules);
            Err(violations)
        }
    }
    .map_err(Problem::invalid)
}

/// A change of `current`: the fields that the body names, over what is there.
///
/// # Errors
/// 422 with every bad field among those that the body names.
pub(crate) fn read_change(body: Json, current: &Experiment) -> Result<ExperimentChange, Problem> {
    let given: BTreeSet<String> = match &body {
        Json::Object(map) => map.keys().cloned().collect(),
        _ => BTreeSet::new(),
    };
    let (draft, mut violations) = read_over(body, to_draft(current));
    if let Err(rules) = draft.clone().check() {
        // Rows older than a rule may break it; a change of another field is not the place to say so.
        let named = rules.0.into_iter().filter(|rule| {
            let field = rule.pointer.split('/').nth(1).unwrap_or_default();
            given.contains(field)
        });
        merge(&mut violations, Violations(named.collect()));
    }
    violations.into_result(()).map_err(Problem::invalid)?;

    let is_given = |name: &str| given.contains(name);
    if given.iter().any(|name| !LIGHT.contains(&name.as_str())) {
        return Ok(ExperimentChange {
            replace: Some(draft),
            ..ExperimentChange::default()
        });
    }
    Ok(ExperimentChange {
        name: is_given("name").then_some(draft.name),
        description: is_given("description").then_some(draft.description),
        target_url: is_given("target_url").then_some(draft.target_url),
        traffic_allocation: is_given("traffic_allocation").then_some(draft.traffic_allocation),
        metadata: is_given("metadata").then_some(draft.metadata),
        replace: None,
    })
}

/// What a body makes of `base`, and every field that is of the wrong type.
pub(crate) fn read_over(body: Json, base: ExperimentDraft) -> (ExperimentDraft, Violations) {
    let mut violations = Violations::default();
    let draft = Fields::read(body, String::new(), &mut violations, |fields| {
        experiment(fields, base)
    });
    (draft, violations)
}

/// The fields of the body over those of `base`.
fn experiment(fields: &mut Fields<'_>, base: ExperimentDraft) -> ExperimentDraft {
    let draft = ExperimentDraft {
        hypothesis: fields
            .patch_object("hypothesis", hypothesis)
            .unwrap_or(base.hypothesis),
        name: fields.optional("name").unwrap_or(base.name),
        key: fields.patch("key").unwrap_or(base.key),
        description: fields.patch("description").unwrap_or(base.description),
        target_url: fields.patch("target_url").unwrap_or(base.target_url),
        traffic_allocation: fields
            .optional("traffic_allocation")
            .unwrap_or(base.traffic_allocation),
        strategy: fields.word("allocation_strategy").unwrap_or(base.strategy),
        allocation: fields
            .object("allocation", |fields| {
                allocation(fields, base.allocation.clone())
            })
            .unwrap_or(base.allocation),
        stopping: fields
            .object("stopping", |fields| stopping(fields, &base.stopping))
            .unwrap_or(base.stopping),
        elements: fields.list("elements", element).unwrap_or(base.elements),
        goals: fields.list("goals", goal).unwrap_or(base.goals),
        metadata: fields
            .optional::<Map<String, Json>>("metadata")
            .map_or(base.metadata, Json::Object),
    };
    let derived = match draft.elements.len() {
        0 | 1 => ExperimentType::AbTest,
        _ => ExperimentType::MultiElement,
    };
    if let Some(given) = fields.word::<ExperimentType>("experiment_type")
        && given != derived
    {
        let detail = format!("the elements make it `{derived}`; leave it out, or say so");
        fields.refuse("experiment_type", "conflict", detail);
    }
    draft
}

/// The `allocation` object over `base`.
pub(crate) fn allocation(fields: &mut Fields<'_>, base: Allocation) -> Allocation {
    Allocation {
        policy: fields.word("policy").unwrap_or(base.policy),
        mode: fields.word("mode").unwrap_or(base.mode),
        warm_up: fields.optional("warm_up").unwrap_or(base.warm_up),
        floor: fields.optional("floor").unwrap_or(base.floor),
        prior_alpha: fields.optional("prior_alpha").unwrap_or(base.prior_alpha),
        prior_beta: fields.optional("prior_beta").unwrap_or(base.prior_beta),
        attribution_window_seconds: fields
            .optional("attribution_window_seconds")
            .unwrap_or(base.attribution_window_seconds),
        weights: base.weights,
    }
}

fn hypothesis(fields: &mut Fields<'_>) -> Hypothesis {
    Hypothesis {
        statement: fields.required("statement"),
        minimum_effect: fields.optional("minimum_effect"),
    }
}

fn stopping(fields: &mut Fields<'_>, base: &Stopping) -> Stopping {
    Stopping {
        rule: fields.word("rule").unwrap_or(base.rule),
        threshold: fields.patch("threshold").unwrap_or(base.threshold),
        min_visitors_per_arm: fields
            .optional("min_visitors_per_arm")
            .unwrap_or(base.min_visitors_per_arm),
        min_days: fields.optional("min_days").unwrap_or(base.min_days),
        planned_visitors: fields
            .optional("planned_visitors")
            .unwrap_or(base.planned_visitors),
        planned_rate: fields.optional("planned_rate").unwrap_or(base.planned_rate),
        auto_complete: fields
            .optional("auto_complete")
            .unwrap_or(base.auto_complete),
    }
}

fn element(fields: &mut Fields<'_>) -> ElementDraft {
    ElementDraft {
        name: fields.required("name"),
        selector: fields.object("selector", selector),
        fallback_selectors: fields
            .list("fallback_selectors", selector)
            .unwrap_or_default(),
        element_type: fields.word("element_type"),
        original_content: fields.optional("original_content"),
        variants: fields.required_list("variants", variant),
    }
}

pub(super) fn selector(fields: &mut Fields<'_>) -> SelectorDraft {
    SelectorDraft {
        kind: fields.required("type"),
        value: fields.required("value"),
    }
}

fn variant(fields: &mut Fields<'_>) -> VariantDraft {
    VariantDraft {
        name: fields.required("name"),
        content: fields.optional("content").unwrap_or_default(),
        is_control: fields.optional("is_control").unwrap_or_default(),
        weight: fields.optional("weight"),
    }
}

fn goal(fields: &mut Fields<'_>) -> GoalDraft {
    GoalDraft {
        name: fields.required("name"),
        kind: fields.word("kind").unwrap_or(GoalKind::Conversion),
        default_value: fields.optional("default_value").unwrap_or(1.0),
        trigger: fields.object("trigger", trigger).flatten(),
    }
}

/// What on a page reaches a goal; none where the body does not say it rightly, which is noted then.
pub(super) fn trigger(fields: &mut Fields<'_>) -> Option<GoalTrigger> {
    let kind: String = fields.required("type");
    let trigger = match kind.as_str() {
        "click" => GoalTrigger::Click {
            selector: trigger_selector(fields),
        },
        "submit" => GoalTrigger::Submit {
            selector: trigger_selector(fields),
        },
        "page_view" => GoalTrigger::PageView {
            url: fields.required("url"),
        },
        "event" => GoalTrigger::Event {
            name: fields.required("name"),
        },
        "lead" => GoalTrigger::Lead {
            form: fields.optional("form"),
        },
        "" => return None,
        _ => {
            let detail = format!("`{kind}` is not one of {}", GoalTrigger::TYPES);
            fields.refuse("type", "unknown_value", detail);
            return None;
        }
    };
    Some(trigger)
}

fn trigger_selector(fields: &mut Fields<'_>) -> Selector {
    fields.require("selector");
    let read = |fields: &mut Fields<'_>| {
        fields.require("type");
        Selector {
            kind: fields.word("type").unwrap_or(SelectorType::Css),
            value: fields.required("value"),
        }
    };
    fields.object("selector", read).unwrap_or(Selector {
        kind: SelectorType::Css,
        value: String::new(),
    })
}

/// An experiment as the draft that would make it again.
pub(crate) fn to_draft(experiment: &Experiment) -> ExperimentDraft {
    let weights = &experiment.allocation.weights;
    let weight = |element: usize, variant: usize| weights.get(element)?.get(variant).copied();
    let elements = experiment.elements.iter().enumerate();
    ExperimentDraft {
        hypothesis: experiment.hypothesis.clone(),
        name: experiment.name.clone(),
        key: experiment.key.clone(),
        description: experiment.description.clone(),
        target_url: experiment.target_url.clone(),
        traffic_allocation: experiment.traffic_allocation,
        strategy: experiment.strategy,
        allocation: experiment.allocation.clone(),
        stopping: experiment.stopping.clone(),
        elements: elements
            .map(|(index, element)| to_element_draft(element, |variant| weight(index, variant)))
            .collect(),
        goals: experiment
            .goals
            .iter()
            .map(|goal| GoalDraft {
                name: goal.name.clone(),
                kind: goal.kind,
                default_value: goal.default_value,
                trigger: goal.trigger.clone(),
            })
            .collect(),
        metadata: experiment.metadata.clone(),
    }
}

fn to_element_draft(element: &Element, weight: impl Fn(usize) -> Option<f64>) -> ElementDraft {
    let selector = |selector: &Selector| SelectorDraft {
        kind: selector.kind.to_string(),
        value: selector.value.clone(),
    };
    let variants = element.variants.iter().enumerate();
    ElementDraft {
        name: element.name.clone(),
        selector: element.selector.as_ref().map(selector),
        fallback_selectors: element.fallback_selectors.iter().map(selector).collect(),
        element_type: element.element_type,
        original_content: element.original_content.clone(),
        variants: variants
            .map(|(index, variant)| VariantDraft {
                name: variant.name.clone(),
                content: variant.content.clone(),
                is_control: variant.is_control,
                weight: weight(index),
            })
            .collect(),
    }
}
