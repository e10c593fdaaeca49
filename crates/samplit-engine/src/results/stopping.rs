//! How far the registered stopping rule is, and what is missing.

use samplit_bandit::{Contrast, Minimums, Missing, Standing, StoppingRule as Rule, may_stop};
use samplit_domain::{ArmSet, Experiment, StoppingRule};
use serde::Serialize;
use time::OffsetDateTime;

use super::ArmResults;
use super::evidence::Evidence;
use crate::Error;
use crate::reallocation::count;

/// An arm that is this unlikely to be best no longer competes: nobody waits for its minimum of
/// visitors, which its small share of the traffic would take very long to bring.
const COMPETES_FROM: f64 = 0.01;

/// How far the registered stopping rule is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StoppingProgress {
    /// The arm most likely to be best, by position.
    pub leader: usize,
    /// Whether rule and minimums are met.
    pub may_stop: bool,
    /// What is missing, in sentences.
    pub missing: Vec<String>,
    /// Days since the start.
    pub days: f64,
}

pub(super) fn progress(
    experiment: &Experiment,
    set: &ArmSet,
    arms: &[ArmResults],
    evidence: &Evidence,
    now: OffsetDateTime,
) -> Result<StoppingProgress, Error> {
    let stopping = &experiment.stopping;
    let days = experiment
        .started_at
        .map_or(0.0, |start| (now - start).as_seconds_f64() / 86_400.0);
    let days = days.max(0.0);
    let visitors: u64 = arms.iter().map(|arm| arm.assignments).sum();
    let pace = if days > 0.0 {
        count(visitors) / days
    } else {
        0.0
    };
    let control = set.control();
    let competing: Vec<usize> = (0..arms.len())
        .filter(|&arm| arms[arm].is_active)
        .filter(|&arm| arm == control || arms[arm].p_best >= COMPETES_FROM)
        .collect();
    let mut standings = Vec::with_capacity(competing.len());
    for &arm in &competing {
        let compared = arm != control && evidence.is_played(arm) && evidence.is_played(control);
        let contrast = Contrast::Difference { arm, control };
        let versus_control = compared
            .then(|| evidence.sequence(contrast, stopping, arms.len() - 1))
            .transpose()?;
        standings.push(Standing {
            visitors: arms[arm].assignments,
            visitors_per_day: pace * arms[arm].weight,
            p_best: arms[arm].p_best,
            expected_loss: arms[arm].expected_loss.max(0.0),
            versus_control,
        });
    }
    let minimums = Minimums {
        visitors_per_arm: stopping.min_visitors_per_arm,
        days: stopping.min_days,
    };
    let report =
        may_stop(stopping_rule(stopping), minimums, &standings, days).map_err(Error::internal)?;
    let name = |arm: usize| arms[competing[arm]].name.as_str();
    Ok(StoppingProgress {
        leader: competing[report.leader],
        may_stop: report.may_stop(),
        missing: report
            .missing
            .iter()
            .map(|missing| sentence(missing, name))
            .collect(),
        days,
    })
}

/// What is registered, as the statistics crate understands it.
pub(crate) fn stopping_rule(stopping: &samplit_domain::Stopping) -> Rule {
    let threshold = stopping.threshold();
    match stopping.rule {
        StoppingRule::ExpectedLoss => Rule::ExpectedLoss { below: threshold },
        StoppingRule::PBest => Rule::ProbabilityBest {
            at_least: threshold,
        },
        StoppingRule::ConfidenceSequence => Rule::ConfidenceSequence,
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a checked threshold is between 1 and 10^12"
        )]
        StoppingRule::Visitors => Rule::Visitors {
            total: threshold as u64,
        },
    }
}

/// What is missing, with the arms by their names.
fn sentence<'a>(missing: &Missing, name: impl Fn(usize) -> &'a str) -> String {
    let at_this_pace = |days: Option<f64>| match days.map(f64::ceil) {
        None => String::new(),
        Some(days) if days <= 1.0 => ", about a day at this pace".to_owned(),
        Some(days) => format!(", about {days:.0} days at this pace"),
    };
    match *missing {
        Missing::ArmVisitors { arm, more, days } => {
            format!(
                "{more} more visitors for `{}`{}",
                name(arm),
                at_this_pace(days)
            )
        }
        Missing::Difference { arm, days } => {
            let days = at_this_pace(days);
            format!("a proven difference of `{}` from control{days}", name(arm))
        }
        Missing::ExpectedLoss { now, below } => {
            let (now, below) = (now * 1_000.0, below * 1_000.0);
            format!("an expected loss below {below} conversions per 1,000 visitors, now {now:.3}")
        }
        ref other => other.to_string(),
    }
}
