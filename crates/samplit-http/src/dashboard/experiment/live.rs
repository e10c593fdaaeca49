//! The part of the page that changes by itself: verdict, figures, and per draw its arms, stopping rule,
//! charts and checks. Rendered for the page, and again for whoever watches.

use askama::Template;
use bytes::Bytes;
use samplit_engine::{
    ArmResults, DrawCourse, ElementResults, Experiment, GoalKind, LiveResults, StoppingCondition,
};
use time::OffsetDateTime;

use super::{
    effects::{Effects, in_words},
    facts::Facts,
    moves::{Move, moves},
    values::Values,
    verdict::{Verdict, verdict},
};
use crate::{
    chart::{Measure, Size, periods_svg, posterior_svg, rates_svg, weights_svg},
    dashboard::{
        format::{
            Moment, NOTHING, chance, change, count, days, percent, percent_or_nothing, plural,
            share, value,
        },
        layout::rendered,
    },
    sse,
};

#[derive(Template)]
#[template(path = "dashboard/experiment/live.html")]
struct LivePart {
    status: &'static str,
    visitors: String,
    conversions: String,
    rate: String,
    running: String,
    value: Option<String>,
    as_of: Moment,
    draws: Vec<Draw>,
}

impl LivePart {
    /// Whether there are several elements, each of them drawn and judged for itself.
    fn has_several(&self) -> bool {
        self.draws.len() > 1
    }
}

/// One draw, ready to be shown.
struct Draw {
    /// Its place, for ids.
    index: usize,
    /// What it is called, where there are several.
    name: Option<String>,
    verdict: Verdict,
    arms: Vec<Arm>,
    leader: usize,
    conditions: Vec<Condition>,
    charts: Vec<Chart>,
    ratio: Option<Ratio>,
    values: Option<Values>,
    effects: Option<Effects>,
    moves: Vec<(Move, Moment)>,
}

struct Arm {
    colour: usize,
    name: String,
    /// Of a combination, what it shows, element by element; else empty.
    shows: Vec<String>,
    notes: Vec<&'static str>,
    visitors: String,
    exposures: String,
    conversions: String,
    rate: String,
    interval: String,
    always_valid: String,
    lift: String,
    best: String,
    loss: String,
    weight: String,
    weight_percent: String,
}

struct Condition {
    what: String,
    now: String,
    note: String,
    is_met: bool,
    percent: String,
}

struct Chart {
    id: &'static str,
    title: String,
    note: String,
    alt: String,
    wide: String,
    narrow: String,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

struct Ratio {
    kind: &'static str,
    said: String,
    p: String,
    rows: Vec<[String; 3]>,
}

/// The HTML of the part.
pub(crate) fn part(live: &LiveResults) -> String {
    rendered(&LivePart::new(live))
}

/// The same as an event for those who watch.
pub(crate) fn event(live: &LiveResults) -> Bytes {
    sse::event("part", live.results.snapshot_seq, &part(live))
}

impl LivePart {
    fn new(live: &LiveResults) -> Self {
        let results = &live.results;
        let experiment = &results.experiment;
        let rate = real(results.conversions) / real(results.visitors.max(1));
        let running = results
            .elements
            .first()
            .map_or(0.0, |draw| draw.stopping.days);
        let measures_value = measure(experiment) == Measure::Value;
        let total = results.elements.first().map(|draw| {
            let values = draw.arms.iter().map(|arm| arm.value_sum);
            value(values.sum::<f64>())
        });
        Self {
            status: experiment.status.as_str(),
            visitors: count(results.visitors),
            conversions: count(results.conversions),
            rate: if results.visitors == 0 {
                NOTHING.to_owned()
            } else {
                percent(rate)
            },
            running: running_for(experiment, results.as_of, running),
            value: total.filter(|_| measures_value),
            as_of: Moment::new(results.as_of, results.as_of),
            draws: (0..results.elements.len())
                .filter_map(|index| Draw::new(live, index))
                .collect(),
        }
    }
}

/// From the start to the end, or until now.
fn running_for(experiment: &Experiment, now: OffsetDateTime, otherwise: f64) -> String {
    let end = experiment.completed_at.unwrap_or(now);
    let span = experiment
        .started_at
        .map(|start| (end - start).as_seconds_f64() / 86_400.0);
    days(span.unwrap_or(otherwise).max(0.0))
}

impl Draw {
    fn new(live: &LiveResults, index: usize) -> Option<Self> {
        let results = &live.results;
        let draw = results.elements.get(index)?;
        let facts = Facts::of(live, index)?;
        let names: Vec<&str> = draw.arms.iter().map(|arm| arm.name.as_str()).collect();
        let experiment = &results.experiment;
        let moves = moves(&live.course.weights, index, &names, &experiment.allocation);
        let moves = moves.into_iter().map(|told| {
            let at = Moment::new(told.at, results.as_of);
            (told, at)
        });
        Some(Self {
            index,
            name: (results.elements.len() > 1).then(|| draw.name.clone()),
            verdict: verdict(&facts),
            arms: draw
                .arms
                .iter()
                .enumerate()
                .map(|arm| Arm::new(experiment, arm))
                .collect(),
            leader: draw.stopping.leader,
            conditions: draw
                .stopping
                .conditions
                .iter()
                .map(Condition::new)
                .collect(),
            charts: charts(live, index, draw),
            ratio: Ratio::new(draw),
            values: Values::of(draw),
            effects: Effects::of(experiment, &draw.effects),
            moves: moves.collect(),
        })
    }

    fn is_met(&self) -> bool {
        self.conditions.iter().all(|condition| condition.is_met)
    }
}

impl Arm {
    fn new(experiment: &Experiment, (index, arm): (usize, &ArmResults)) -> Self {
        let mut notes = Vec::new();
        if arm.is_control {
            notes.push("control");
        }
        if !arm.is_active {
            notes.push("turned off");
        }
        let always_valid = arm.evidence.always_valid;
        Self {
            colour: index % 8,
            name: arm.name.clone(),
            shows: if arm.variants.len() > 1 {
                in_words(experiment, &arm.variants)
            } else {
                Vec::new()
            },
            notes,
            visitors: count(arm.assignments),
            exposures: count(arm.exposures),
            conversions: count(arm.conversions),
            rate: percent_or_nothing(arm.rate),
            interval: between(arm.credible_interval),
            always_valid: always_valid.map_or_else(nothing, |known| between(known.interval)),
            lift: arm.lift.map_or_else(nothing, |lift| change(lift.median)),
            best: chance(arm.p_best),
            loss: value(1_000.0 * arm.expected_loss),
            weight: percent(arm.weight),
            weight_percent: format!("{:.2}", 100.0 * arm.weight),
        }
    }
}

impl Condition {
    fn new(condition: &StoppingCondition) -> Self {
        let StoppingCondition { now, goal, .. } = *condition;
        let (what, stands) = match condition.code {
            "visitors_per_arm" => (
                format!(
                    "At least {} for every variant that still competes",
                    plural(whole(goal), "visitor")
                ),
                plural(whole(now), "visitor"),
            ),
            "days" => (
                format!("At least {}", plural(whole(goal), "whole day")),
                days(now),
            ),
            "expected_loss" => (
                format!(
                    "Choosing the leader loses fewer than {} conversions per 1000 visitors",
                    small(1_000.0 * goal)
                ),
                format!("{} now", small(1_000.0 * now)),
            ),
            "p_best" => (
                format!(
                    "The leader is at least {} likely to be the best",
                    share(goal)
                ),
                format!("{} now", chance(now)),
            ),
            "confidence_sequence" => (
                "The leader is proven better than control; or, if control leads, every variant worse"
                    .to_owned(),
                if condition.is_met {
                    "proven".to_owned()
                } else {
                    format!("{} of the way", share((now * 100.0).round() / 100.0))
                },
            ),
            _ => (
                format!("{} in all", plural(whole(goal), "visitor")),
                plural(whole(now), "visitor"),
            ),
        };
        let note = match condition.days.filter(|_| !condition.is_met) {
            Some(left) => format!("about {} to go", plural(whole(left.ceil().max(1.0)), "day")),
            None => String::new(),
        };
        Self {
            what,
            now: stands,
            note,
            is_met: condition.is_met,
            percent: format!("{:.1}", 100.0 * condition.progress),
        }
    }
}

impl Ratio {
    fn new(draw: &ElementResults) -> Option<Self> {
        let ratio = draw.sample_ratio.as_ref()?;
        let (kind, said) = match ratio.verdict {
            "sound" => ("good", "Visitors were split as planned."),
            "mismatch" => ("bad", "Visitors were not split as planned."),
            _ => (
                "info",
                "Too early to tell whether visitors are split as planned.",
            ),
        };
        let mut said = said.to_owned();
        if ratio.leaked > 0 {
            said += &format!(
                " {} came to a variant that was turned off.",
                plural(ratio.leaked, "visitor")
            );
        }
        let rows = draw.arms.iter().zip(&ratio.observed).zip(&ratio.expected);
        let rows = rows.map(|((arm, seen), expected)| {
            [
                arm.name.clone(),
                count(*seen),
                value((expected * 10.0).round() / 10.0),
            ]
        });
        Some(Self {
            kind,
            said,
            p: small(ratio.always_valid_p),
            rows: rows.collect(),
        })
    }
}

fn charts(live: &LiveResults, index: usize, draw: &ElementResults) -> Vec<Chart> {
    let results = &live.results;
    let experiment = &results.experiment;
    let until = experiment.completed_at.unwrap_or(results.as_of);
    let start = live.course.weights.first().map_or(until, |point| point.at);
    let names = || draw.arms.iter().map(|arm| arm.name.clone());
    let mut charts = Vec::new();

    let (wide, narrow) = inline(|size| posterior_svg(&draw.arms, size));
    let rates: Vec<Vec<String>> = draw
        .arms
        .iter()
        .map(|arm| {
            let [low, high] = arm.credible_interval;
            vec![
                arm.name.clone(),
                percent(arm.posterior_mean),
                percent(low),
                percent(high),
                chance(arm.p_best),
            ]
        })
        .collect();
    charts.push(Chart {
        id: "plausible",
        title: "How good each variant plausibly is".to_owned(),
        note: "The higher a hill, the more plausible the conversion rate below it. Where hills overlap, it is open which is better.".to_owned(),
        alt: format!(
            "Plausible conversion rates: {}.",
            rates.iter().map(|row| format!("{} about {}, between {} and {}", row[0], row[1], row[2], row[3])).collect::<Vec<_>>().join("; ")
        ),
        wide,
        narrow,
        columns: ["Variant", "Mean", "95 % from", "to", "Best"].map(str::to_owned).to_vec(),
        rows: rates,
    });

    let course = live.course.draws.get(index);
    if let Some(course) = course.filter(|course| !course.points.is_empty()) {
        charts.push(rates_chart(course, start, draw, results.as_of));
    }
    let (wide, narrow) = inline(|size| weights_svg(&live.course.weights, index, until, size));
    let shares = live.course.weights.iter().rev().take(20).map(|point| {
        let weights = point.weights_ppb.get(index).into_iter().flatten();
        let weights = weights.map(|ppb| percent(f64::from(*ppb) / 1e9));
        [utc(point.at)].into_iter().chain(weights).collect()
    });
    charts.push(Chart {
        id: "traffic",
        title: "Who gets the new visitors".to_owned(),
        note: "The share of new visitors that each variant got, since the start.".to_owned(),
        alt: format!(
            "Share of new visitors now: {}.",
            draw.arms
                .iter()
                .map(|arm| format!("{} {}", arm.name, percent(arm.weight)))
                .collect::<Vec<_>>()
                .join(", ")
        ),
        wide,
        narrow,
        columns: ["From (UTC)".to_owned()]
            .into_iter()
            .chain(names())
            .collect(),
        rows: shares.collect(),
    });
    if let Some(course) = course.filter(|course| !course.periods.is_empty()) {
        charts.push(periods_chart(course, measure(experiment), draw));
    }
    charts
}

/// A chart for wide screens and for narrow ones. Within HTML it needs no name of its language.
fn inline(svg: impl Fn(Size) -> String) -> (String, String) {
    let of = |size| svg(size).replace(" xmlns=\"http://www.w3.org/2000/svg\"", "");
    (of(Size::Wide), of(Size::Narrow))
}

fn rates_chart(
    course: &DrawCourse,
    start: OffsetDateTime,
    draw: &ElementResults,
    now: OffsetDateTime,
) -> Chart {
    let names = || draw.arms.iter().map(|arm| arm.name.clone());
    let known = |point: &samplit_engine::CoursePoint| -> Vec<String> {
        let rate = |rate: &Option<samplit_engine::IntervalEstimate>| match rate {
            Some(rate) => format!("{} ({})", percent(rate.estimate), between(rate.interval)),
            None => nothing(),
        };
        point.rates.iter().map(rate).collect()
    };
    let (wide, narrow) = inline(|size| rates_svg(&course.points, start, size));
    let last = course.points.last().map(known).unwrap_or_default();
    let last: Vec<String> = names()
        .zip(last)
        .map(|(name, rate)| format!("{name} {rate}"))
        .collect();
    let rows = course.points.iter().rev().map(|point| {
        let at = point.at.min(now);
        [utc(at)].into_iter().chain(known(point)).collect()
    });
    Chart {
        id: "rates",
        title: "What was known when".to_owned(),
        note: "Conversion rates with intervals that hold however often you look. A difference whose bands have parted is real.".to_owned(),
        alt: format!("Conversion rates with always-valid intervals, now: {}.", last.join(", ")),
        wide,
        narrow,
        columns: ["Until (UTC)".to_owned()].into_iter().chain(names()).collect(),
        rows: rows.collect(),
    }
}

fn periods_chart(course: &DrawCourse, measure: Measure, draw: &ElementResults) -> Chart {
    let (noun, what) = match measure {
        Measure::Conversions => ("Conversions", "conversions"),
        Measure::Value => ("Value", "value"),
    };
    let span = match course.period_days {
        1 => "day".to_owned(),
        7 => "week".to_owned(),
        days => format!("{days} days"),
    };
    let (wide, narrow) = inline(|size| periods_svg(course, measure, size));
    let highest = course
        .periods
        .iter()
        .max_by(|one, two| sum(measure, &one.arms).total_cmp(&sum(measure, &two.arms)));
    let rows = course.periods.iter().rev().map(|period| {
        let arms = period.arms.iter().map(|arm| value(measure.of(arm)));
        [period.first.to_string(), value(sum(measure, &period.arms))]
            .into_iter()
            .chain(arms)
            .collect()
    });
    Chart {
        id: "periods",
        title: format!("{noun} per {span}"),
        note: format!(
            "Counted for the {span} in which the visitor was assigned; later {what} are added to it."
        ),
        alt: highest.map_or_else(String::new, |period| {
            format!(
                "{noun} per {span}; most in that of {}: {}.",
                period.first,
                value(sum(measure, &period.arms))
            )
        }),
        wide,
        narrow,
        columns: ["From".to_owned(), "All".to_owned()]
            .into_iter()
            .chain(draw.arms.iter().map(|arm| arm.name.clone()))
            .collect(),
        rows: rows.collect(),
    }
}

fn sum(measure: Measure, arms: &[samplit_engine::CourseArm]) -> f64 {
    arms.iter().map(|arm| measure.of(arm)).sum()
}

fn measure(experiment: &Experiment) -> Measure {
    match experiment.goals.first().map(|goal| goal.kind) {
        Some(GoalKind::Value) => Measure::Value,
        _ => Measure::Conversions,
    }
}

fn between([low, high]: [f64; 2]) -> String {
    format!("{} to {}", percent(low), percent(high))
}

fn nothing() -> String {
    NOTHING.to_owned()
}

/// A number below 1 with two digits that say something.
fn small(number: f64) -> String {
    if number >= 0.01 || number <= 0.0 {
        value(number)
    } else if number < 0.000_01 {
        "less than 0.00001".to_owned()
    } else {
        let text = format!("{number:.5}");
        text.trim_end_matches('0').to_owned()
    }
}

fn utc(at: OffsetDateTime) -> String {
    let at = at.to_offset(time::UtcOffset::UTC);
    format!("{} {:02}:{:02}", at.date(), at.hour(), at.minute())
}

#[expect(clippy::cast_precision_loss, reason = "a count for people")]
fn real(number: u64) -> f64 {
    number as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a count for people; out of range it saturates"
)]
fn whole(number: f64) -> u64 {
    number.round() as u64
}
