//! Between the fields of the form of an experiment and the JSON that the API reads. The form says a few
//! things in another way: the content of variants, selectors that may stay empty, a trigger of a goal
//! with the fields of all kinds of triggers; and it asks for the traffic, which a forecast needs and no
//! experiment has.

use samplit_domain::{Experiment, SelectorType, Violations};
use serde_json::{Map, Value as Json, json};

use super::content;
use crate::api::experiment_json::ExperimentJson;

/// What a new experiment begins with.
pub(super) fn blank() -> Json {
    let mut form = json!({
        "traffic_allocation": 1.0,
        "allocation_strategy": "adaptive",
        "allocation": samplit_domain::Allocation::default(),
        "stopping": samplit_domain::Stopping::default(),
        "hypothesis": { "minimum_effect": 0.1 },
        "elements": [element(1)],
        "goals": [{ "name": "conversion", "kind": "conversion", "default_value": 1.0 }],
        "forecast": { "visitors_per_day": 1_000 },
    });
    allocation_to_fields(&mut form);
    form
}

/// Puts what was planned in a forecast into the form.
pub(super) fn plan(form: &mut Json, planned: &Json) {
    for part in ["stopping", "hypothesis", "forecast"] {
        let planned = planned.get(part).and_then(Json::as_object);
        if let (Some(part), Some(planned)) = (form[part].as_object_mut(), planned) {
            part.extend(planned.clone());
        }
    }
    if let Some(strategy) = planned.get("allocation_strategy") {
        form["allocation_strategy"] = strategy.clone();
    }
}

/// A new element with what stands there and one variant.
pub(super) fn element(number: usize) -> Json {
    let control = json!({ "name": "Original", "is_control": true });
    json!({
        "name": format!("Element {number}"),
        "selector": { "type": "css" },
        "variants": [control, variant(1)],
    })
}

/// A new variant at a position among the others.
pub(super) fn variant(position: usize) -> Json {
    json!({ "name": variant_name(position), "is_control": false })
}

/// By letters, as long as there are some.
pub(super) fn variant_name(position: usize) -> String {
    let letter = u8::try_from(position)
        .ok()
        .filter(|position| *position < 26);
    match letter {
        Some(position) => format!("Variant {}", char::from(b'A' + position)),
        None => format!("Variant {}", position + 1),
    }
}

/// An experiment in the fields of the form.
pub(super) fn of(experiment: &Experiment) -> Json {
    let shown = json!(ExperimentJson::from(experiment));
    let kept = [
        "name",
        "key",
        "description",
        "target_url",
        "traffic_allocation",
        "allocation_strategy",
        "hypothesis",
    ];
    let mut form: Map<String, Json> = kept
        .iter()
        .map(|&name| (name.to_owned(), shown[name].clone()))
        .collect();
    if experiment.metadata != json!({}) {
        form.insert("metadata".to_owned(), experiment.metadata.clone());
    }
    let elements = shown["elements"].as_array().into_iter().flatten();
    let goals = shown["goals"].as_array().into_iter().flatten();
    let goal = |goal: &Json| kept_of(goal, &["name", "kind", "default_value", "trigger"]);
    let parts = [
        ("elements", elements.map(element_to_fields).collect()),
        ("goals", goals.map(goal).collect()),
        ("allocation", json!(experiment.allocation)),
        // As it was given: the API shows the threshold of the rule where none was.
        ("stopping", json!(experiment.stopping)),
        ("forecast", json!({ "visitors_per_day": 1_000 })),
    ];
    form.extend(parts.map(|(name, part)| (name.to_owned(), part)));
    let mut form = Json::Object(form);
    allocation_to_fields(&mut form);
    form
}

fn kept_of(json: &Json, names: &[&str]) -> Json {
    let kept = names.iter().filter(|name| !json[name].is_null());
    let kept: Map<String, Json> = kept
        .map(|&name| (name.to_owned(), json[name].clone()))
        .collect();
    kept.into()
}

fn element_to_fields(element: &Json) -> Json {
    let kept = ["name", "selector", "element_type", "original_content"];
    let mut form = kept_of(element, &kept);
    let fallbacks = element["fallback_selectors"].as_array();
    let fallbacks = fallbacks.into_iter().flatten().map(selector_line);
    let fallbacks: Vec<String> = fallbacks.collect();
    if !fallbacks.is_empty() {
        form["fallback_selectors"] = fallbacks.into();
    }
    let variants = element["variants"].as_array().into_iter().flatten();
    let variants = variants.map(|variant| {
        let mut form = kept_of(variant, &["name", "is_control", "weight"]);
        if let Json::Object(form) = &mut form {
            content::to_fields(variant["content"].clone(), form);
        }
        form
    });
    form["variants"] = variants.collect();
    form
}

fn allocation_to_fields(form: &mut Json) {
    if let Some(allocation) = form["allocation"].as_object_mut() {
        // The shares stand with the variants.
        allocation.remove("weights");
        let seconds = allocation.remove("attribution_window_seconds");
        let days = seconds.and_then(|seconds| seconds.as_f64()).unwrap_or(0.0) / DAY;
        allocation.insert("attribution_window_days".to_owned(), days.into());
    }
}

const DAY: f64 = 86_400.0;

/// `xpath: //h1`; without a word in front it is CSS.
fn selector_line(selector: &Json) -> String {
    let kind = selector["type"].as_str().unwrap_or_default();
    let value = selector["value"].as_str().unwrap_or_default();
    let value = value.replace(['\r', '\n'], " ");
    let value = value.trim();
    if kind == "css" && selector_of_line(value)["type"] == "css" {
        value.to_owned()
    } else {
        format!("{kind}: {value}")
    }
}

fn selector_of_line(line: &str) -> Json {
    let known = line.split_once(':').and_then(|(kind, value)| {
        let kind: SelectorType = kind.trim().parse().ok()?;
        Some((kind, value.trim()))
    });
    let (kind, value) = known.unwrap_or(match line.as_bytes().first() {
        Some(b'/' | b'(') => (SelectorType::XPath, line),
        _ => (SelectorType::Css, line),
    });
    json!({ "type": kind, "value": value })
}

/// What the API reads.
///
/// # Errors
/// What the API would not understand as it stands in its field.
pub(super) fn to_api(mut form: Json) -> Result<Json, Violations> {
    let mut violations = Violations::default();
    let is_fixed = form["allocation_strategy"] == "fixed";
    if let Some(form) = form.as_object_mut() {
        form.remove("forecast");
        let statement = form.get("hypothesis").and_then(|h| h.get("statement"));
        if statement.is_none_or(Json::is_null) {
            form.insert("hypothesis".to_owned(), Json::Null);
        }
        if form.get("metadata").is_some_and(Json::is_null) {
            form.insert("metadata".to_owned(), json!({}));
        }
    }
    if let Some(allocation) = form.get_mut("allocation").and_then(Json::as_object_mut)
        && let Some(days) = allocation.remove("attribution_window_days")
    {
        allocation.insert(
            "attribution_window_seconds".to_owned(),
            seconds(&days, &mut violations),
        );
    }
    for (index, element) in list(&mut form, "elements").enumerate() {
        element_to_api(element, index, is_fixed, &mut violations);
    }
    list(&mut form, "goals").for_each(goal_to_api);
    violations.into_result(form)
}

fn list<'j>(json: &'j mut Json, name: &str) -> impl Iterator<Item = &'j mut Map<String, Json>> {
    let items = json.get_mut(name).and_then(Json::as_array_mut);
    items.into_iter().flatten().filter_map(Json::as_object_mut)
}

fn seconds(days: &Json, violations: &mut Violations) -> Json {
    let days = days.as_f64().filter(|days| (0.0..=3_650.0).contains(days));
    let Some(days) = days else {
        let detail = "must be a number of days, 0 to 3,650";
        violations.add(
            "/allocation/attribution_window_days",
            "out_of_range",
            detail,
        );
        return Json::Null;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "at most 315,360,000, at least 0"
    )]
    let seconds = (days * DAY).round() as u64;
    seconds.into()
}

fn element_to_api(
    element: &mut Map<String, Json>,
    index: usize,
    is_fixed: bool,
    violations: &mut Violations,
) {
    // The kind of selector is always sent.
    let selector = element.get("selector").and_then(|s| s.get("value"));
    if selector.is_none() {
        element.remove("selector");
    }
    if let Some(fallbacks) = element
        .get_mut("fallback_selectors")
        .and_then(Json::as_array_mut)
    {
        for fallback in fallbacks {
            *fallback = selector_of_line(fallback.as_str().unwrap_or_default());
        }
    }
    let variants = element.get_mut("variants").and_then(Json::as_array_mut);
    let variants = variants.into_iter().flatten().enumerate();
    for (position, variant) in variants {
        if let Some(variant) = variant.as_object_mut() {
            let pointer = format!("/elements/{index}/variants/{position}");
            content::from_fields(variant, &pointer, violations);
            if !is_fixed {
                variant.remove("weight");
            }
        }
    }
}

/// A trigger has the fields of its kind only.
fn goal_to_api(goal: &mut Map<String, Json>) {
    let Some(trigger) = goal.get_mut("trigger").and_then(Json::as_object_mut) else {
        return;
    };
    let field = match trigger.get("type").and_then(Json::as_str) {
        Some("click" | "submit") => "selector",
        Some("page_view") => "url",
        Some("event") => "name",
        Some("lead") => "form",
        _ => {
            goal.remove("trigger");
            return;
        }
    };
    trigger.retain(|name, _| name == "type" || name == field);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use samplit_domain::{
        Element, ElementId, Experiment, ExperimentDraft, ExperimentId, ExperimentType, Goal,
        GoalId, Status, Variant, VariantId,
    };
    use serde_json::{Value as Json, json};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{blank, element, of, selector_line, selector_of_line, to_api, variant};
    use crate::api::draft::{read_new, to_draft};

    fn refused(form: Json) -> Vec<String> {
        let told = match to_api(form).map(read_new) {
            Ok(Ok(_)) => Vec::new(),
            Ok(Err(problem)) => problem.errors,
            Err(violations) => violations.0,
        };
        told.iter()
            .map(|v| format!("{} {}", v.pointer, v.code))
            .collect()
    }

    /// The experiment that a draft would become.
    fn made_of(draft: &ExperimentDraft) -> Experiment {
        let draft = draft.clone();
        let id = Uuid::nil();
        let variant = |variant: samplit_domain::VariantDraft| Variant {
            id: VariantId(id),
            name: variant.name,
            content: variant.content,
            is_control: variant.is_control,
            is_active: true,
            total_allocations: 0,
            total_conversions: 0,
        };
        let element = |element: samplit_domain::ElementDraft| Element {
            id: ElementId(id),
            name: element.name,
            selector: element.selector.and_then(|selector| selector.to_selector()),
            fallback_selectors: element
                .fallback_selectors
                .iter()
                .filter_map(|selector| selector.to_selector())
                .collect(),
            element_type: element.element_type,
            original_content: element.original_content,
            variants: element.variants.into_iter().map(variant).collect(),
        };
        let goal = |goal: samplit_domain::GoalDraft| Goal {
            id: GoalId(id),
            name: goal.name,
            is_primary: true,
            kind: goal.kind,
            default_value: goal.default_value,
            trigger: goal.trigger,
        };
        Experiment {
            id: ExperimentId(id),
            user_id: None,
            name: draft.name,
            key: draft.key,
            description: draft.description,
            target_url: draft.target_url,
            status: Status::Draft,
            experiment_type: ExperimentType::MultiElement,
            traffic_allocation: draft.traffic_allocation,
            strategy: draft.strategy,
            allocation: draft.allocation,
            stopping: draft.stopping,
            hypothesis: draft.hypothesis,
            registration: None,
            elements: draft.elements.into_iter().map(element).collect(),
            goals: draft.goals.into_iter().map(goal).collect(),
            declared_winner: BTreeMap::new(),
            metadata: draft.metadata,
            version: 1,
            created_at: OffsetDateTime::UNIX_EPOCH,
            updated_at: OffsetDateTime::UNIX_EPOCH,
            started_at: None,
            completed_at: None,
            archived_at: None,
        }
    }

    fn read(form: Json) -> ExperimentDraft {
        read_new(to_api(form).unwrap()).unwrap()
    }

    #[test]
    fn a_blank_form_lacks_a_name_and_nothing_else() {
        assert_eq!(refused(blank()), ["/name required"]);
        let mut named = blank();
        named["name"] = json!("Headline");
        let draft = read(named);
        let expected = ExperimentDraft::new("Headline", draft.elements.clone());
        let expected = ExperimentDraft {
            goals: draft.goals.clone(),
            ..expected
        };
        assert_eq!(draft, expected);
        assert!(draft.elements[0].selector.is_none());
    }

    #[test]
    fn more_elements_and_variants_fit_in() {
        let mut form = blank();
        form["name"] = json!("Headline");
        form["elements"].as_array_mut().unwrap().push(element(2));
        form["elements"][1]["variants"]
            .as_array_mut()
            .unwrap()
            .push(variant(2));
        let draft = read(form);
        let names = draft.elements[1].variants.iter().map(|v| v.name.as_str());
        assert_eq!(
            names.collect::<Vec<_>>(),
            ["Original", "Variant B", "Variant C"]
        );
        assert_eq!(variant(30)["name"], "Variant 31");
    }

    #[test]
    fn what_stands_in_the_fields_becomes_what_the_api_reads() {
        let form = json!({
            "name": "n", "allocation_strategy": "fixed",
            "allocation": { "attribution_window_days": 1.5 },
            "hypothesis": { "minimum_effect": 0.1 },
            "elements": [{
                "name": "h1", "selector": { "type": "css" },
                "fallback_selectors": ["h1.big", "//h1", "id: top"],
                "variants": [
                    { "name": "a", "is_control": true, "weight": 0.3 },
                    { "name": "b", "weight": 0.7, "content": { "style": ["color: red"] } },
                ],
            }],
            "goals": [{
                "name": "buy",
                "trigger": { "type": "page_view", "url": "https://a.test/b", "selector": {"type": "css"} },
            }],
            "forecast": { "visitors_per_day": 5 },
        });
        let expected = json!({
            "name": "n", "allocation_strategy": "fixed",
            "allocation": { "attribution_window_seconds": 129_600 },
            "hypothesis": null,
            "elements": [{
                "name": "h1",
                "fallback_selectors": [
                    { "type": "css", "value": "h1.big" }, { "type": "xpath", "value": "//h1" },
                    { "type": "id", "value": "top" },
                ],
                "variants": [
                    { "name": "a", "is_control": true, "weight": 0.3, "content": {} },
                    { "name": "b", "weight": 0.7, "content": { "style": { "color": "red" } } },
                ],
            }],
            "goals": [{ "name": "buy", "trigger": { "type": "page_view", "url": "https://a.test/b" } }],
        });
        assert_eq!(to_api(form).unwrap(), expected);
    }

    #[test]
    fn a_trigger_keeps_the_fields_of_its_kind() {
        let mut form = json!({ "goals": [{
            "name": "contact",
            "trigger": { "type": "lead", "form": "contact", "url": "x", "selector": {"type": "css"} },
        }] });
        let expected = json!({ "type": "lead", "form": "contact" });
        let sent = to_api(form.clone()).unwrap();
        assert_eq!(sent["goals"][0]["trigger"], expected);
        form["goals"][0]["trigger"]["type"] = json!("");
        let sent = to_api(form).unwrap();
        assert_eq!(sent["goals"][0].get("trigger"), None);
    }

    #[test]
    fn what_is_wrong_is_said_where_it_stands() {
        let mut form = blank();
        form["allocation"]["attribution_window_days"] = json!("a week");
        form["elements"][0]["variants"][1]["content"] = json!({ "style": ["red"] });
        assert_eq!(
            refused(form),
            [
                "/allocation/attribution_window_days out_of_range",
                "/elements/0/variants/1/content/style/0 malformed",
            ]
        );
    }

    #[test]
    fn an_experiment_comes_back_from_its_form() {
        let body = json!({
            "name": "Everything", "key": "all", "description": "d", "target_url": "https://a.test/*",
            "traffic_allocation": 0.5, "allocation_strategy": "fixed",
            "allocation": { "mode": "factorial", "floor": 0.02, "warm_up": 7 },
            "stopping": { "rule": "p_best", "threshold": 0.9, "min_days": 3.5 },
            "hypothesis": { "statement": "s", "minimum_effect": 0.05 },
            "metadata": { "team": "blue" },
            "elements": [
                {
                    "name": "h1", "selector": { "type": "css", "value": "h1" },
                    "fallback_selectors": [
                        { "type": "xpath", "value": "//h1" }, { "type": "css", "value": "id: x" },
                    ],
                    "element_type": "headline", "original_content": { "text": "old" },
                    "variants": [
                        { "name": "a", "is_control": true, "weight": 0.25, "content": "as it is" },
                        { "name": "b", "weight": 0.75, "content": {
                            "text": "new", "class": { "add": ["x"] }, "style": { "color": null },
                            "other": [1],
                        } },
                    ],
                },
                { "name": "server", "variants": [
                    { "name": "a", "weight": 0.5, "content": 1 },
                    { "name": "b", "weight": 0.5, "is_control": true, "content": null },
                ] },
            ],
            "goals": [{
                "name": "sold", "kind": "value", "default_value": 2.5,
                "trigger": { "type": "click", "selector": { "type": "id", "value": "buy" } },
            }],
        });
        let draft = read_new(body).unwrap();
        let experiment = made_of(&draft);
        assert_eq!(read(of(&experiment)), draft);
        assert_eq!(to_draft(&experiment), draft);
    }

    #[test]
    fn selectors_on_a_line_are_told_apart() {
        for (kind, value) in [
            ("css", "h1 > a:hover"),
            ("css", "id: x"),
            ("css", "/odd"),
            ("xpath", "//a[@id='x']"),
            ("id", "x"),
            ("class", "y"),
        ] {
            let selector = json!({ "type": kind, "value": value });
            assert_eq!(selector_of_line(&selector_line(&selector)), selector);
        }
    }
}
