//! What the parts of a funnel are called. The canvas calls them the same (`canvas/words.js`).

use std::collections::BTreeMap;

use samplit_domain::{
    FunnelCanvas, FunnelCondition, FunnelFault, FunnelNodeId, FunnelStatus, FunnelStep, GoalTrigger,
};
use uuid::Uuid;

use crate::dashboard::form::sentence;

/// A status for its badge, and in words.
pub(super) const fn status(status: FunnelStatus) -> (&'static str, &'static str) {
    let word = status.as_str();
    (word, word)
}

/// A kind of step: its word, and what people call it.
pub(super) const fn kind(step: &FunnelStep) -> (&'static str, &'static str) {
    match step {
        FunnelStep::Page { .. } => ("page", "Page"),
        FunnelStep::Action { .. } => ("action", "Action"),
        FunnelStep::Decision {} => ("decision", "Decision"),
        FunnelStep::Wait { .. } => ("wait", "Wait"),
        FunnelStep::Conversion { .. } => ("conversion", "Conversion"),
    }
}

/// What a step waits for, in a few words.
pub(super) fn what(step: &FunnelStep) -> String {
    let open = || "Not set up yet".to_owned();
    match step {
        FunnelStep::Page { url } => url.as_deref().map_or_else(open, shortened),
        FunnelStep::Action { trigger } | FunnelStep::Conversion { trigger } => {
            trigger.as_ref().map_or_else(open, told)
        }
        FunnelStep::Decision {} => "Goes on at once".to_owned(),
        FunnelStep::Wait { hours } => hours.map_or_else(open, |hours| {
            if hours % 24 == 0 && hours > 24 {
                format!("At least {} days", hours / 24)
            } else {
                format!("At least {hours} h")
            }
        }),
    }
}

fn told(trigger: &GoalTrigger) -> String {
    match trigger {
        GoalTrigger::Click { selector } => format!("Clicks {}", selector.value),
        GoalTrigger::Submit { selector } => format!("Sends {}", selector.value),
        GoalTrigger::PageView { url } => format!("Sees {}", shortened(url)),
        GoalTrigger::Event { name } => format!("Event “{name}”"),
        GoalTrigger::Lead { form: Some(form) } => format!("Lead by “{form}”"),
        GoalTrigger::Lead { form: None } => "Becomes a lead".to_owned(),
    }
}

/// An address without what says nothing.
fn shortened(url: &str) -> String {
    let bare = url.split_once("://").map_or(url, |(_, rest)| rest);
    bare.strip_prefix("www.").unwrap_or(bare).to_owned()
}

/// A condition; empty where there is none. `names` are those of variants.
pub(super) fn condition(condition: &FunnelCondition, names: &BTreeMap<Uuid, String>) -> String {
    match condition {
        FunnelCondition::Always => String::new(),
        FunnelCondition::Variant { variant_id, .. } => {
            let name = variant_id.and_then(|id| names.get(&id.0));
            name.map_or_else(|| "saw a variant".to_owned(), |name| format!("saw {name}"))
        }
        FunnelCondition::Segment { key, value } => format!("{key} = {value}"),
        FunnelCondition::Event { name } => format!("after “{name}”"),
    }
}

/// The name of a step.
pub(super) fn name(canvas: &FunnelCanvas, id: FunnelNodeId) -> &str {
    match canvas.node(id) {
        Some(node) if !node.name.is_empty() => &node.name,
        Some(_) => "A step without a name",
        None => "A step that is gone",
    }
}

/// What a rule is about, by the end of its pointer.
const SUBJECTS: &[(&str, &str)] = &[
    ("name", "The name"),
    ("config/url", "The address"),
    ("config/hours", "The time"),
    ("config/trigger", "The step"),
    ("config/trigger/type", "What it waits for"),
    ("config/trigger/selector/value", "The selector"),
    ("config/trigger/url", "The page"),
    ("config/trigger/name", "The event"),
    ("config/trigger/form", "The form"),
    ("experiment_id", "The experiment"),
    ("condition/experiment_id", "The experiment"),
    ("condition/variant_id", "The variant"),
    ("condition/key", "The key"),
    ("condition/value", "The value"),
    ("condition/name", "The event"),
];

/// A fault: where it is, which is nothing for the whole funnel, and what it is.
pub(super) fn fault(canvas: &FunnelCanvas, fault: &FunnelFault) -> (String, String) {
    let place = if let Some(id) = fault.node_id {
        name(canvas, id).to_owned()
    } else if let Some(edge) = canvas
        .edges
        .iter()
        .find(|edge| Some(edge.id) == fault.edge_id)
    {
        let (from, to) = (name(canvas, edge.source), name(canvas, edge.target));
        format!("Way from “{from}” to “{to}”")
    } else {
        String::new()
    };
    // `/nodes/3/config/url` is about `config/url`.
    let about = fault.pointer.splitn(4, '/').nth(3).unwrap_or_default();
    let subject = SUBJECTS.iter().find(|(end, _)| *end == about);
    let said = match subject {
        Some((_, subject)) => format!("{subject} {}", fault.detail),
        None => fault.detail.clone(),
    };
    (place, sentence(&said))
}

/// A row of the table of steps.
#[derive(Debug)]
pub(super) struct StepRow {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) kind_name: &'static str,
    pub(super) what: String,
    pub(super) experiment: Option<String>,
    pub(super) ways: String,
}

/// The steps as a table says them. `names` are those of experiments and variants.
pub(super) fn steps(canvas: &FunnelCanvas, names: &BTreeMap<Uuid, String>) -> Vec<StepRow> {
    let row = |node: &samplit_domain::FunnelNode| {
        let ways = canvas.edges.iter().filter(|edge| edge.source == node.id);
        let ways = ways.map(|edge| {
            let only = condition(&edge.condition, names);
            let only = if only.is_empty() {
                only
            } else {
                format!(" ({only})")
            };
            format!("{}{only}", name(canvas, edge.target))
        });
        let (kind, kind_name) = kind(&node.step);
        StepRow {
            name: name(canvas, node.id).to_owned(),
            kind,
            kind_name,
            what: what(&node.step),
            experiment: node.experiment_id.map(|id| {
                names
                    .get(&id.0)
                    .cloned()
                    .unwrap_or_else(|| "An experiment".to_owned())
            }),
            ways: ways.collect::<Vec<_>>().join(", "),
        }
    };
    canvas.nodes.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use samplit_domain::{FunnelStep, GoalTrigger};

    use super::{SUBJECTS, what};

    #[test]
    fn the_canvas_calls_everything_the_same() {
        let script = include_str!("../../../assets/dashboard/canvas/words.js");
        for (pointer, subject) in SUBJECTS {
            let line = format!("\"{pointer}\": \"{subject}\",");
            assert!(script.contains(&line), "{line}");
        }
        let lines = script.matches("\": \"").count();
        assert_eq!(lines, SUBJECTS.len(), "and no other");
    }

    #[test]
    fn what_a_step_waits_for_is_told_in_a_few_words() {
        let event = GoalTrigger::Event {
            name: "signup".to_owned(),
        };
        for (step, expected) in [
            (
                FunnelStep::Page {
                    url: Some("https://www.example.com/a*".to_owned()),
                },
                "example.com/a*",
            ),
            (FunnelStep::Page { url: None }, "Not set up yet"),
            (FunnelStep::Wait { hours: Some(24) }, "At least 24 h"),
            (FunnelStep::Wait { hours: Some(72) }, "At least 3 days"),
            (
                FunnelStep::Conversion {
                    trigger: Some(event),
                },
                "Event “signup”",
            ),
        ] {
            assert_eq!(what(&step), expected);
        }
    }
}
