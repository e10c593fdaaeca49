//! What came of a funnel, in words and numbers for its page: a sentence, figures, ways, steps, variants.

use std::collections::BTreeMap;

use samplit_domain::{ExperimentId, Funnel, FunnelNode, FunnelNodeId, FunnelStatus, FunnelStep};
use samplit_engine::{FunnelResults, FunnelStepResults};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    stream::{self, Flow},
    words,
};
use crate::dashboard::format::{NOTHING, count, plural, rate};

/// Of fewer visitors nothing is said about where most are lost.
const FEW: u64 = 30;

/// All of it.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) kind: &'static str,
    pub(super) headline: String,
    pub(super) sentences: Vec<String>,
    /// What is counted, the number, and what it is of.
    pub(super) figures: Vec<(&'static str, String, String)>,
    pub(super) as_of: OffsetDateTime,
    pub(super) picture: Option<Picture>,
    /// From, to, visitors, share of those who came from there.
    pub(super) flows: Vec<[String; 4]>,
    pub(super) steps: Vec<StepRow>,
    pub(super) experiments: Vec<ExperimentTable>,
}

/// Who went where.
#[derive(Debug)]
pub(super) struct Picture {
    /// The same in words.
    pub(super) alt: String,
    pub(super) wide: String,
    pub(super) narrow: String,
}

/// A row of the table of steps.
#[derive(Debug)]
pub(super) struct StepRow {
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) what: String,
    pub(super) reached: String,
    pub(super) rate: String,
    pub(super) dropped: String,
    pub(super) dropped_rate: String,
    pub(super) in_progress: String,
    pub(super) median: String,
    /// Whether more are lost here than anywhere else.
    pub(super) is_worst: bool,
}

/// The steps by the variants of one experiment.
#[derive(Debug)]
pub(super) struct ExperimentTable {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) is_shown: bool,
    pub(super) variants: Vec<String>,
    pub(super) rows: Vec<VariantRow>,
}

#[derive(Debug)]
pub(super) struct VariantRow {
    pub(super) step: String,
    /// How many, and what share of those who came in with the variant.
    pub(super) cells: Vec<(String, String)>,
}

/// Tells what came of `funnel`. `shown` is the experiment whose variants are told apart, `names` are those of
/// experiments.
pub(super) fn told(
    funnel: &Funnel,
    results: &FunnelResults,
    shown: Option<ExperimentId>,
    names: &BTreeMap<Uuid, String>,
) -> Told {
    let steps = in_order(funnel, results);
    let worst = worst(&steps);
    let (kind, headline) = headline(funnel, results);
    Told {
        kind,
        headline,
        sentences: sentences(results, worst),
        figures: figures(results),
        as_of: results.as_of,
        picture: picture(&steps, results),
        flows: flows(funnel, results),
        steps: steps
            .iter()
            .map(|&(node, step)| {
                let is_worst = worst.is_some_and(|(_, worst)| worst.node_id == step.node_id);
                step_row(node, step, is_worst)
            })
            .collect(),
        experiments: results
            .experiments
            .iter()
            .map(|experiment| {
                let id = experiment.experiment_id;
                let is_shown = Some(id) == shown;
                let name = names.get(&id.0).cloned();
                ExperimentTable {
                    id: id.to_string(),
                    name: name.unwrap_or_else(|| "An experiment".to_owned()),
                    is_shown,
                    variants: experiment.variants.iter().map(|v| v.name.clone()).collect(),
                    rows: if is_shown {
                        variant_rows(experiment, &steps)
                    } else {
                        Vec::new()
                    },
                }
            })
            .collect(),
    }
}

/// A node with what came of it.
type Step<'s> = (&'s FunnelNode, &'s FunnelStepResults);

/// The steps as visitors come to them: those that more have reached first, and of those as they are drawn.
fn in_order<'s>(funnel: &'s Funnel, results: &'s FunnelResults) -> Vec<Step<'s>> {
    let known = results.steps.iter();
    let mut steps: Vec<Step<'s>> = known
        .filter_map(|step| Some((funnel.canvas.node(step.node_id)?, step)))
        .collect();
    let depth = depths(funnel);
    let depth = |id: FunnelNodeId| depth.get(&id).copied().unwrap_or(usize::MAX);
    steps.sort_by_key(|(node, step)| (depth(node.id), std::cmp::Reverse(step.reached)));
    steps
}

/// How many ways each node is from the entry, at most.
fn depths(funnel: &Funnel) -> BTreeMap<FunnelNodeId, usize> {
    let mut depths = BTreeMap::new();
    if let Some(entry) = funnel.canvas.entry() {
        depths.insert(entry.id, 0);
    }
    // A funnel that was active has no cycle, so that this comes to an end by itself as well.
    for _ in &funnel.canvas.nodes {
        for edge in &funnel.canvas.edges {
            if let Some(&before) = depths.get(&edge.source) {
                let depth = depths.entry(edge.target).or_insert(before + 1);
                *depth = (*depth).max(before + 1);
            }
        }
    }
    depths
}

/// The step after which most went no further, if that can be said yet.
fn worst<'s>(steps: &[Step<'s>]) -> Option<Step<'s>> {
    let most = steps.iter().max_by_key(|(_, step)| step.dropped)?;
    (most.1.dropped >= FEW).then_some(*most)
}

fn headline(funnel: &Funnel, results: &FunnelResults) -> (&'static str, String) {
    let FunnelResults {
        entered, converted, ..
    } = *results;
    if entered == 0 {
        let said = match funnel.status {
            FunnelStatus::Active => "Nobody has come in yet",
            _ => "Nobody came in",
        };
        return ("info", said.to_owned());
    }
    let of = plural(entered, "visitor");
    if converted == 0 {
        return ("info", format!("None of {of} has converted so far"));
    }
    let verb = if converted == 1 { "has" } else { "have" };
    let said = format!(
        "{} of {of} {verb} converted: {}",
        count(converted),
        rate(converted, entered)
    );
    ("good", said)
}

fn sentences(results: &FunnelResults, worst: Option<Step<'_>>) -> Vec<String> {
    let mut said = Vec::new();
    if results.entered == 0 {
        said.push(
            "A visitor comes in by reaching the first step: on a page with the snippet.".to_owned(),
        );
        return said;
    }
    if let Some((node, step)) = worst {
        said.push(format!(
            "Most are lost at “{}”: {} of the {} who reached it went no further ({}).",
            node.name,
            count(step.dropped),
            count(step.reached),
            rate(step.dropped, step.reached)
        ));
    }
    if results.in_progress > 0 {
        let verb = if results.in_progress == 1 {
            "is"
        } else {
            "are"
        };
        said.push(format!(
            "{} {verb} still on the way, so the share may rise.",
            plural(results.in_progress, "visitor")
        ));
    }
    said
}

fn figures(results: &FunnelResults) -> Vec<(&'static str, String, String)> {
    let of_all = |number: u64| rate(number, results.entered);
    vec![
        ("Came in", count(results.entered), String::new()),
        (
            "Converted",
            count(results.converted),
            of_all(results.converted),
        ),
        (
            "On their way",
            count(results.in_progress),
            of_all(results.in_progress),
        ),
        (
            "Gave up",
            count(results.abandoned),
            of_all(results.abandoned),
        ),
    ]
}

fn picture(steps: &[Step<'_>], results: &FunnelResults) -> Option<Picture> {
    let drawn: Vec<stream::Step> = steps
        .iter()
        .map(|(node, step)| stream::Step {
            name: node.name.clone(),
            kind: words::kind(&node.step).0,
            reached: step.reached,
            dropped: step.dropped,
        })
        .collect();
    let place = |id: FunnelNodeId| steps.iter().position(|(node, _)| node.id == id);
    let flows = results.flows.iter().filter_map(|flow| {
        Some(Flow {
            from: place(flow.source)?,
            to: place(flow.target)?,
            visitors: flow.visitors,
        })
    });
    let flows: Vec<Flow> = flows.collect();
    let pictures = stream::pictures(&drawn, &flows, results.entered)?;
    let reached = drawn.iter().map(|step| {
        let share = rate(step.reached, results.entered);
        format!("“{}” by {} ({share})", step.name, count(step.reached))
    });
    Some(Picture {
        alt: format!("Reached: {}.", reached.collect::<Vec<_>>().join(", ")),
        wide: pictures.wide,
        narrow: pictures.narrow,
    })
}

fn flows(funnel: &Funnel, results: &FunnelResults) -> Vec<[String; 4]> {
    let reached = |id: FunnelNodeId| {
        let step = results.steps.iter().find(|step| step.node_id == id);
        step.map_or(0, |step| step.reached)
    };
    let row = |flow: &samplit_engine::FunnelFlow| {
        [
            words::name(&funnel.canvas, flow.source).to_owned(),
            words::name(&funnel.canvas, flow.target).to_owned(),
            count(flow.visitors),
            rate(flow.visitors, reached(flow.source)),
        ]
    };
    results.flows.iter().map(row).collect()
}

fn step_row(node: &FunnelNode, step: &FunnelStepResults, is_worst: bool) -> StepRow {
    // Whoever came to a conversion is not lost there.
    let is_end = matches!(node.step, FunnelStep::Conversion { .. });
    let or_nothing = |text: String| if is_end { NOTHING.to_owned() } else { text };
    StepRow {
        name: node.name.clone(),
        kind: words::kind(&node.step).0,
        what: words::what(&node.step),
        reached: count(step.reached),
        rate: step
            .rate_of_entered
            .map_or_else(|| NOTHING.to_owned(), crate::dashboard::format::percent),
        dropped: or_nothing(count(step.dropped)),
        dropped_rate: if step.dropped > 0 {
            rate(step.dropped, step.reached)
        } else {
            String::new()
        },
        in_progress: or_nothing(count(step.in_progress)),
        median: step.median_seconds.map_or_else(|| NOTHING.to_owned(), span),
        is_worst,
    }
}

/// A span in seconds, in the unit of which there are two at least.
fn span(seconds: f64) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "days"), (3_600.0, "h"), (60.0, "min")];
    let fits = |(unit, _): &(f64, &str)| seconds >= 2.0 * unit;
    let (unit, name) = UNITS.into_iter().find(fits).unwrap_or((1.0, "s"));
    let number = seconds / unit;
    let digits = usize::from(number < 9.95 && name != "s");
    format!("{number:.digits$}\u{202f}{name}")
}

fn variant_rows(
    experiment: &samplit_engine::FunnelExperimentResults,
    steps: &[Step<'_>],
) -> Vec<VariantRow> {
    let variants = &experiment.variants;
    let row = |(node, step): &Step<'_>| {
        let cell = |variant: &samplit_engine::FunnelVariantResults| {
            let mut known = step.by_variant.iter();
            let found = known.find(|reach| reach.variant_id == variant.variant_id);
            let reached = found.map_or(0, |reach| reach.reached);
            (count(reached), rate(reached, variant.entered))
        };
        VariantRow {
            step: node.name.clone(),
            cells: variants.iter().map(cell).collect(),
        }
    };
    // Where one step is the conversion, its row says it already.
    let is_end = |(node, _): &&Step<'_>| matches!(node.step, FunnelStep::Conversion { .. });
    let has_several_ends = steps.iter().filter(is_end).count() > 1;
    let converted = VariantRow {
        step: "Converted".to_owned(),
        cells: variants
            .iter()
            .map(|variant| {
                (
                    count(variant.converted),
                    rate(variant.converted, variant.entered),
                )
            })
            .collect(),
    };
    let converted = has_several_ends.then_some(converted);
    steps.iter().map(row).chain(converted).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use samplit_domain::{Funnel, FunnelId, FunnelStatus, from_micros};
    use samplit_engine::{FunnelFlow, FunnelResults, FunnelStepResults};

    use super::{span, told};
    use crate::dashboard::funnels::template::canvas;

    fn funnel() -> Funnel {
        let at = from_micros(1_767_323_045_000_000);
        Funnel {
            id: FunnelId::from(uuid::Uuid::nil()),
            user_id: None,
            name: "Sign-ups".to_owned(),
            description: None,
            status: FunnelStatus::Active,
            window_hours: 168,
            canvas: canvas("signup"),
            version: 2,
            created_at: at,
            updated_at: at,
            activated_at: Some(at),
        }
    }

    /// Per step: reached, dropped, still on the way.
    fn results(funnel: &Funnel, counts: [[u64; 3]; 3]) -> FunnelResults {
        let entered = counts[0][0];
        let nodes = funnel.canvas.nodes.iter().zip(counts);
        let steps = nodes.map(
            |(node, [reached, dropped, in_progress])| FunnelStepResults {
                node_id: node.id,
                reached,
                dropped,
                in_progress,
                median_seconds: None,
                rate_of_entered: None,
                by_variant: Vec::new(),
            },
        );
        let flows = funnel.canvas.edges.iter().zip(&counts[1..]);
        let flows = flows.map(|(edge, [visitors, ..])| FunnelFlow {
            source: edge.source,
            target: edge.target,
            visitors: *visitors,
        });
        FunnelResults {
            funnel_id: funnel.id,
            as_of: funnel.created_at,
            entered,
            converted: counts[2][0],
            in_progress: counts.iter().map(|[_, _, open]| open).sum(),
            abandoned: counts.iter().map(|[_, dropped, _]| dropped).sum(),
            steps: steps.collect(),
            flows: flows.collect(),
            experiments: Vec::new(),
        }
    }

    #[track_caller]
    fn check(counts: [[u64; 3]; 3], headline: &str, sentences: &[&str]) {
        let funnel = funnel();
        let told = told(&funnel, &results(&funnel, counts), None, &BTreeMap::new());
        let plain = |text: &str| text.replace('\u{202f}', " ");
        assert_eq!(plain(&told.headline), headline);
        let said: Vec<String> = told.sentences.iter().map(|said| plain(said)).collect();
        assert_eq!(said, sentences);
    }

    #[test]
    fn what_came_of_it_is_said_in_sentences() {
        check(
            [[0; 3]; 3],
            "Nobody has come in yet",
            &["A visitor comes in by reaching the first step: on a page with the snippet."],
        );
        check(
            [[12, 0, 9], [3, 0, 3], [0, 0, 0]],
            "None of 12 visitors has converted so far",
            &["12 visitors are still on the way, so the share may rise."],
        );
        check(
            [[1_000, 600, 0], [400, 149, 1], [250, 0, 0]],
            "250 of 1000 visitors have converted: 25.0 %",
            &[
                "Most are lost at “Landing page”: 600 of the 1000 who reached it went no further (60.0 %).",
                "1 visitor is still on the way, so the share may rise.",
            ],
        );
    }

    #[test]
    fn spans_are_told_in_a_fitting_unit() {
        for (seconds, expected) in [
            (0.4, "0 s"),
            (90.0, "90 s"),
            (150.0, "2.5 min"),
            (3_600.0, "60 min"),
            (7_200.0, "2.0 h"),
            (259_200.0, "3.0 days"),
        ] {
            assert_eq!(span(seconds).replace('\u{202f}', " "), expected);
        }
    }
}
