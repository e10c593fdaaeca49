//! What was asked about a key of the context with `?segment=`: the arms, segment by segment.

use samplit_engine::{ErrorKind, LiveResults, Segment, SegmentArm, SignedIn};

use super::whisker::{Scale, Whisker};
use crate::{
    call::Call,
    dashboard::{
        form::sentence,
        format::{self, change, percent, plural},
    },
    problem::Problem,
};

/// What was asked about a key of the context.
pub(crate) struct Segments {
    pub(crate) key: String,
    /// Per draw: its name, and a row per segment and arm.
    pub(crate) tables: Vec<(String, Vec<SegmentRow>)>,
    /// How many comparisons there are, and what that means.
    pub(crate) warning: String,
    pub(crate) error: Option<String>,
}

/// One arm within a segment.
pub(crate) struct SegmentRow {
    pub(crate) segment: String,
    /// Whether it is the first row of its segment.
    pub(crate) is_first: bool,
    pub(crate) colour: usize,
    pub(crate) arm: String,
    pub(crate) visitors: String,
    pub(crate) conversions: String,
    pub(crate) rate: String,
    pub(crate) interval: String,
    pub(crate) versus: Option<Versus>,
    pub(crate) stands_out: bool,
}

/// An arm against control.
pub(crate) struct Versus {
    pub(crate) median: String,
    pub(crate) interval: String,
    pub(crate) whisker: Whisker,
}

/// What was asked for; `None`: nothing.
pub(crate) async fn asked(
    call: &Call,
    who: &SignedIn,
    live: &LiveResults,
) -> Result<Option<Segments>, Problem> {
    let Some(key) = call.query().text("segment") else {
        return Ok(None);
    };
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let found = match engine.segments(&who.principal, id, &key).await {
        Ok(found) => found,
        Err(error) if matches!(error.kind(), ErrorKind::Invalid(_)) => {
            let problem = Problem::from(error);
            let said = problem.errors.first().map(|error| error.detail.clone());
            return Ok(Some(Segments {
                key,
                tables: Vec::new(),
                warning: String::new(),
                error: Some(sentence(&said.unwrap_or(problem.detail))),
            }));
        }
        Err(error) => return Err(error.into()),
    };
    let draws = live.results.elements.iter().enumerate();
    let tables = draws.map(|(index, draw)| (draw.name.clone(), rows(&found.data, index)));
    Ok(Some(Segments {
        key,
        tables: tables.collect(),
        warning: warning(found.comparisons, &found.data),
        error: None,
    }))
}

/// What so many comparisons mean, and whether any of them is to be taken seriously.
fn warning(comparisons: usize, segments: &[Segment]) -> String {
    let arms = segments
        .iter()
        .flat_map(|segment| segment.elements.iter().flatten());
    let marked = arms.filter(|arm| arm.stands_out).count();
    let many = format!(
        "{} with control, chosen after the fact. At 95 % about one in twenty would look special by chance, \
         so the intervals against control are wide enough for all of them together. Fewer than 100 visitors of \
         either, or 5 conversions of both together, are not compared.",
        plural(comparisons, "comparison")
    );
    let then = match marked {
        0 => "None stands out.",
        1 => {
            "One still stands out: an idea for an experiment of its own, not a result of this one."
        }
        _ => {
            "Those that still stand out are ideas for experiments of their own, not results of this one."
        }
    };
    format!("{many} {then}")
}

/// The arms of one draw by segment.
fn rows(segments: &[Segment], draw: usize) -> Vec<SegmentRow> {
    let arms_of = |segment: &'_ Segment| segment.elements.get(draw).cloned().unwrap_or_default();
    let intervals: Vec<[f64; 2]> = segments
        .iter()
        .flat_map(arms_of)
        .filter_map(|arm| arm.lift.map(|lift| lift.interval))
        .collect();
    let scale = Scale::of(&intervals);
    let mut rows = Vec::new();
    for segment in segments {
        let name = match (&segment.value, segment.is_rest) {
            (_, true) => "All others",
            (Some(value), _) => value.as_str(),
            (None, _) => "not known",
        };
        let arms = segment.elements.get(draw).into_iter().flatten();
        for (index, arm) in arms.enumerate() {
            rows.push(SegmentRow::new(name, index, arm, scale));
        }
    }
    rows
}

impl SegmentRow {
    fn new(segment: &str, index: usize, arm: &SegmentArm, scale: Scale) -> Self {
        let [low, high] = arm.credible_interval;
        Self {
            segment: segment.to_owned(),
            is_first: index == 0,
            colour: index % 8,
            arm: arm.name.clone(),
            visitors: format::count(arm.assignments),
            conversions: format::count(arm.conversions),
            rate: format::percent_or_nothing(arm.rate),
            interval: format!("{} to {}", percent(low), percent(high)),
            versus: arm.lift.map(|lift| {
                let [low, high] = lift.interval;
                Versus {
                    median: change(lift.median),
                    interval: format!("{} to {}", change(low), change(high)),
                    whisker: scale.whisker(lift.interval, lift.median),
                }
            }),
            stands_out: arm.stands_out,
        }
    }
}

#[cfg(test)]
mod tests {
    use samplit_engine::{LiftResults, Segment, SegmentArm};

    use super::{rows, warning};

    fn arm(name: &str, lift: Option<[f64; 2]>) -> SegmentArm {
        SegmentArm {
            name: name.to_owned(),
            assignments: 1_000,
            conversions: 100,
            rate: Some(0.1),
            credible_interval: [0.08, 0.12],
            p_best: 0.5,
            lift: lift.map(|interval| LiftResults {
                median: 0.5 * (interval[0] + interval[1]),
                interval,
            }),
            stands_out: lift.is_some_and(|[low, high]| low > 0.0 || high < 0.0),
        }
    }

    fn segment(value: &str, lift: [f64; 2]) -> Segment {
        Segment {
            value: Some(value.to_owned()),
            is_rest: false,
            elements: vec![vec![arm("A", None), arm("B", Some(lift))]],
        }
    }

    #[test]
    fn the_number_of_comparisons_is_said_and_what_is_left_of_them() {
        let open = [segment("phone", [-0.1, 0.2]), segment("desk", [-0.2, 0.1])];
        let said = warning(2, &open);
        assert!(said.starts_with("2 comparisons with control"), "{said}");
        assert!(said.ends_with("None stands out."), "{said}");
        let one = [segment("phone", [0.1, 0.2]), segment("desk", [-0.2, 0.1])];
        assert!(warning(2, &one).contains("One still stands out"));

        let rows = rows(&one, 0);
        let marked: Vec<(&str, bool)> = rows
            .iter()
            .map(|row| (row.segment.as_str(), row.stands_out))
            .collect();
        assert_eq!(
            marked,
            [
                ("phone", false),
                ("phone", true),
                ("desk", false),
                ("desk", false)
            ]
        );
        assert!(rows[0].is_first && rows[0].versus.is_none() && !rows[1].is_first);
        let versus = rows[1].versus.as_ref().unwrap();
        assert_eq!(versus.interval.replace('\u{202f}', " "), "+10 % to +20 %");
    }
}
