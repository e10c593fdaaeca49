//! When the weights moved notably, and why: what stands beside the chart of the traffic.

use samplit_engine::{Allocation, PolicyKind, TimelinePoint};
use time::OffsetDateTime;

use crate::dashboard::format::{chance, share};

/// A weight that has moved so far since the last time it was told is told again.
const NOTABLE: f64 = 0.1;

/// The most that are told; the newest.
const MOST: usize = 8;

/// Of what happens within so long a part of the whole course, only how it ends is told.
const MOMENT: f64 = 1.0 / 40.0;

/// Weights that came into force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Move {
    /// The trail entry that says so.
    pub(crate) seq: u64,
    pub(crate) at: OffsetDateTime,
    /// What changed.
    pub(crate) what: String,
    /// Why.
    pub(crate) why: String,
}

/// The notable moves of the draw `element`, newest first.
pub(crate) fn moves(
    timeline: &[TimelinePoint],
    element: usize,
    arms: &[&str],
    allocation: &Allocation,
) -> Vec<Move> {
    let mut told: Option<(Vec<f64>, &'static str)> = None;
    let mut moves = Vec::new();
    let passing = passing(timeline, element);
    for (point, is_passing) in timeline.iter().zip(passing) {
        if is_passing {
            continue;
        }
        let weights = point.weights_ppb.get(element);
        let weights: Vec<f64> = weights
            .into_iter()
            .flatten()
            .map(|ppb| f64::from(*ppb) / 1e9)
            .collect();
        let change = match &told {
            None => Some((
                begin(point.method, &weights),
                reason(point.method, &weights, arms, allocation),
            )),
            Some((before, method)) => {
                let off_or_on = off_or_on(before, &weights, arms);
                let largest = largest(before, &weights);
                let is_notable = largest.is_some_and(|(_, by)| by.abs() >= NOTABLE);
                if let Some(what) = off_or_on {
                    let why = "Somebody turned a variant off or on.".to_owned();
                    Some((what, why))
                } else if *method != point.method || is_notable {
                    let what = largest.and_then(|(arm, by)| went(arms, arm, before[arm], by));
                    let what = what.unwrap_or_else(|| "New rule for the split".to_owned());
                    Some((what, reason(point.method, &weights, arms, allocation)))
                } else {
                    None
                }
            }
        };
        if let Some((what, why)) = change {
            told = Some((weights, point.method));
            moves.push(Move {
                seq: point.snapshot_seq,
                at: point.at,
                what,
                why,
            });
        }
    }
    moves.reverse();
    moves.truncate(MOST);
    moves
}

/// Which points are soon followed by others of their kind.
fn passing(timeline: &[TimelinePoint], element: usize) -> Vec<bool> {
    let (Some(first), Some(last)) = (timeline.first(), timeline.last()) else {
        return Vec::new();
    };
    let moment = (MOMENT * (last.at - first.at).as_seconds_f64()).max(1e-6);
    let moment_of = |at: OffsetDateTime| ((at - first.at).as_seconds_f64() / moment).floor();
    let kind = |point: &TimelinePoint| {
        let weights = point.weights_ppb.get(element).into_iter().flatten();
        let off: Vec<bool> = weights.map(|weight| *weight == 0).collect();
        (point.method, off)
    };
    let mut passing = vec![false; timeline.len()];
    for (index, pair) in timeline.windows(2).enumerate().skip(1) {
        let is_soon = moment_of(pair[0].at)
            .total_cmp(&moment_of(pair[1].at))
            .is_eq();
        passing[index] = is_soon && kind(&pair[0]) == kind(&pair[1]);
    }
    passing
}

fn begin(method: &str, weights: &[f64]) -> String {
    match method {
        "fixed" => {
            let shares: Vec<String> = weights.iter().map(|weight| share(*weight)).collect();
            format!("Fixed split: {}", shares.join(", "))
        }
        _ => "Even split".to_owned(),
    }
}

/// The arm that moved furthest, and how far; of two that moved as far the one that rose.
fn largest(before: &[f64], now: &[f64]) -> Option<(usize, f64)> {
    let by = before.iter().zip(now).map(|(before, now)| now - before);
    let far = |by: f64| (by.abs() * 1e6).round();
    by.enumerate().max_by(|(_, one), (_, two)| {
        let further = far(*one).total_cmp(&far(*two));
        further.then(one.total_cmp(two))
    })
}

fn went(arms: &[&str], arm: usize, before: f64, by: f64) -> Option<String> {
    let name = arms.get(arm)?;
    let verb = if by < 0.0 { "fell" } else { "rose" };
    let round = |share: f64| (share * 100.0).round() / 100.0;
    Some(format!(
        "“{name}” {verb} from {} to {} of new visitors",
        share(round(before)),
        share(round(before + by))
    ))
}

/// An arm whose weight became zero, or is no longer.
fn off_or_on(before: &[f64], now: &[f64], arms: &[&str]) -> Option<String> {
    let is_off = |weight: f64| weight <= 0.0;
    let mut arms = before.iter().zip(now).zip(arms);
    let ((_, now), name) = arms.find(|((before, now), _)| is_off(**before) != is_off(**now))?;
    let word = if is_off(*now) { "off" } else { "on again" };
    Some(format!("“{name}” was turned {word}"))
}

/// What the weights follow from.
fn reason(method: &str, weights: &[f64], arms: &[&str], allocation: &Allocation) -> String {
    let best = weights
        .iter()
        .enumerate()
        .max_by(|(_, one), (_, two)| one.total_cmp(two));
    match (method, best) {
        ("fixed", _) => "The shares were fixed before the start.".to_owned(),
        ("uniform", _) => format!(
            "Every variant gets as many visitors until each has {}.",
            allocation.warm_up
        ),
        (_, Some((arm, weight))) if allocation.policy == PolicyKind::Thompson => {
            // A weight is the floor and a share of the rest: its probability of being the best.
            let floor = allocation.floor;
            let playing = weights.iter().filter(|weight| **weight > 0.0).count();
            let playing = f64::from(u32::try_from(playing).unwrap_or(u32::MAX));
            let rest = (1.0 - playing * floor).max(1e-9);
            let p = ((weight - floor) / rest).clamp(0.0, 1.0);
            let name = arms.get(arm).copied().unwrap_or_default();
            format!(
                "Traffic follows the probability of being the best: {} for “{name}” then.",
                chance(p)
            )
        }
        _ => "The leader gets about half, and the rest those who might still beat it.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use samplit_engine::{Allocation, TimelinePoint};
    use time::{Duration, OffsetDateTime};

    use super::moves;

    /// Shares are in thousandths.
    #[track_caller]
    fn check(course: &[(&'static str, [u32; 2])], expected: &[&str]) {
        let points: Vec<TimelinePoint> = (0_u32..)
            .zip(course)
            .map(|(seq, (method, weights))| TimelinePoint {
                snapshot_seq: u64::from(seq) + 1,
                at: OffsetDateTime::UNIX_EPOCH + Duration::hours(i64::from(seq)),
                method,
                weights_ppb: vec![weights.map(|weight| weight * 1_000_000).to_vec()],
                arms: Vec::new(),
            })
            .collect();
        let allocation = Allocation {
            floor: 0.01,
            warm_up: 100,
            ..Allocation::default()
        };
        let told = moves(&points, 0, &["grey", "green"], &allocation);
        let told: Vec<String> = told
            .iter()
            .map(|told| {
                format!("{}: {}. {}", told.seq, told.what, told.why).replace('\u{202f}', " ")
            })
            .collect();
        assert_eq!(told, expected);
    }

    #[test]
    fn notable_moves_are_told_with_their_reason() {
        let even = "1: Even split. Every variant gets as many visitors until each has 100.";
        check(&[("uniform", [500, 500]), ("uniform", [500, 500])], &[even]);
        check(
            &[
                ("uniform", [500, 500]),
                ("thompson", [480, 520]),
                ("thompson", [440, 560]),
                ("thompson", [304, 696]),
                ("thompson", [0, 1000]),
                ("thompson", [304, 696]),
            ],
            &[
                "6: “grey” was turned on again. Somebody turned a variant off or on.",
                "5: “grey” was turned off. Somebody turned a variant off or on.",
                "4: “green” rose from 52 % to 70 % of new visitors. Traffic follows the probability of \
                 being the best: 70.0 % for “green” then.",
                "2: “green” rose from 50 % to 52 % of new visitors. Traffic follows the probability of \
                 being the best: 52.0 % for “green” then.",
                even,
            ],
        );
        check(
            &[("fixed", [900, 100])],
            &["1: Fixed split: 90 %, 10 %. The shares were fixed before the start."],
        );
        check(&[], &[]);
    }
}
