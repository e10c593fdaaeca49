//! How far the registered stopping rule is, and what is missing.

use samplit_bandit::{
    Beta, Contrast, Minimums, Missing, Prior, Standing, StoppingReport, StoppingRule as Rule,
    expected_loss, may_stop, p_best,
};
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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoppingProgress {
    /// The arm most likely to be best, by position.
    pub leader: usize,
    /// Whether rule and minimums are met.
    pub may_stop: bool,
    /// What is missing, in sentences.
    pub missing: Vec<String>,
    /// Days since the start.
    pub days: f64,
    /// Minimums and rule one by one, met or not.
    pub conditions: Vec<StoppingCondition>,
}

/// One thing that has to be so before an experiment may stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StoppingCondition {
    /// `visitors_per_arm`, `days`, or the rule: `expected_loss`, `p_best`, `confidence_sequence`,
    /// `visitors`.
    pub code: &'static str,
    /// Where it stands: visitors of the arm that has fewest, days, conversions per visitor, a
    /// probability, the difference in half-widths of its interval, or visitors of all arms.
    pub now: f64,
    /// Where it has to be; of `expected_loss` below, of all others at least.
    pub goal: f64,
    /// How much of the way is done, in `[0, 1]`; 1 if it is met.
    pub progress: f64,
    /// Whether it is met.
    pub is_met: bool,
    /// How long it takes at the present pace, where that can be said.
    pub days: Option<f64>,
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
    let conditions = conditions(stopping, &standings, &report, days);
    Ok(StoppingProgress {
        leader: competing[report.leader],
        may_stop: report.may_stop(),
        missing: report
            .missing
            .iter()
            .map(|missing| sentence(missing, name))
            .collect(),
        days,
        conditions,
    })
}

/// Minimums and rule, each with what is missing of it.
fn conditions(
    stopping: &samplit_domain::Stopping,
    standings: &[Standing],
    report: &StoppingReport,
    days: f64,
) -> Vec<StoppingCondition> {
    let of = |code, now: f64, goal: f64, progress: f64| {
        let missing = report.missing.iter().filter(|m| code_of(m) == code);
        let (mut is_met, mut waits) = (true, Some(0.0_f64));
        for missing in missing {
            is_met = false;
            waits = waits.zip(days_of(missing)).map(|(one, two)| one.max(two));
        }
        StoppingCondition {
            code,
            now,
            goal,
            progress: if is_met {
                1.0
            } else {
                progress.clamp(0.0, 0.99)
            },
            is_met,
            days: waits,
        }
    };
    let share = |now: f64, goal: f64| if goal > 0.0 { now / goal } else { 1.0 };
    let fewest = standings.iter().map(|arm| arm.visitors).min().unwrap_or(0);
    let (fewest, wanted) = (count(fewest), count(stopping.min_visitors_per_arm));
    let leader = &standings[report.leader];
    let threshold = stopping.threshold();
    let rule = match stopping.rule {
        StoppingRule::ExpectedLoss => {
            let now = leader.expected_loss;
            of("expected_loss", now, threshold, share(threshold, now))
        }
        StoppingRule::PBest => of("p_best", leader.p_best, threshold, {
            let even = 1.0 / count(standings.len() as u64);
            share(leader.p_best - even, threshold - even)
        }),
        StoppingRule::ConfidenceSequence => {
            // Of the differences that have to be proven, the one that is least.
            let is_decisive = |arm: usize| leader.versus_control.is_none() || arm == report.leader;
            let sequences = standings
                .iter()
                .enumerate()
                .filter(|(arm, _)| is_decisive(*arm));
            let least = sequences
                .filter_map(|(_, arm)| arm.versus_control)
                .map(|sequence| sequence.estimate.abs() / sequence.half_width)
                .min_by(f64::total_cmp);
            let least = least.filter(|least| least.is_finite()).unwrap_or(0.0);
            of("confidence_sequence", least, 1.0, least)
        }
        StoppingRule::Visitors => {
            let all = count(standings.iter().map(|arm| arm.visitors).sum());
            of("visitors", all, threshold, share(all, threshold))
        }
    };
    vec![
        of("visitors_per_arm", fewest, wanted, share(fewest, wanted)),
        of(
            "days",
            days,
            stopping.min_days.ceil(),
            share(days, stopping.min_days.ceil()),
        ),
        rule,
    ]
}

fn code_of(missing: &Missing) -> &'static str {
    match missing {
        Missing::ArmVisitors { .. } => "visitors_per_arm",
        Missing::Visitors { .. } => "visitors",
        Missing::Days { .. } => "days",
        Missing::ExpectedLoss { .. } => "expected_loss",
        Missing::ProbabilityBest { .. } => "p_best",
        Missing::Difference { .. } => "confidence_sequence",
        _ => "",
    }
}

fn days_of(missing: &Missing) -> Option<f64> {
    match *missing {
        Missing::ArmVisitors { days, .. }
        | Missing::Visitors { days, .. }
        | Missing::Difference { days, .. } => days,
        Missing::Days { more } => Some(more),
        _ => None,
    }
}

/// Nobody plans further ahead than that.
const MAX_DAYS: f64 = 366.0;

/// With more arms it takes too long to look ahead.
const MAX_ARMS: usize = 16;

/// Days until the stopping rule is met if visitors come, are split and convert as they do now; 0 if it
/// is, `None` where that cannot be said or takes more than a year.
pub(crate) fn days_to_go(
    stopping: &samplit_domain::Stopping,
    progress: &StoppingProgress,
    arms: &[ArmResults],
    prior: Prior,
) -> Result<Option<f64>, Error> {
    let mut longest = 0.0_f64;
    for condition in &progress.conditions {
        let days = match condition.days {
            Some(days) => days,
            None => match evidence_to_go(stopping, progress, arms, prior)? {
                Some(days) => days,
                None => return Ok(None),
            },
        };
        longest = longest.max(days);
    }
    Ok((longest <= MAX_DAYS).then_some(longest))
}

/// Days until the posteriors are as narrow as the rule wants them, if their means stay.
fn evidence_to_go(
    stopping: &samplit_domain::Stopping,
    progress: &StoppingProgress,
    arms: &[ArmResults],
    prior: Prior,
) -> Result<Option<f64>, Error> {
    let visitors = count(arms.iter().map(|arm| arm.assignments).sum());
    let playing: Vec<usize> = (0..arms.len()).filter(|&arm| arms[arm].is_active).collect();
    let leader = playing.iter().position(|&arm| arm == progress.leader);
    let is_of_posteriors = matches!(
        stopping.rule,
        StoppingRule::ExpectedLoss | StoppingRule::PBest
    );
    let has_pace = visitors > 0.0 && progress.days > 0.0;
    let (Some(leader), true) = (
        leader,
        is_of_posteriors && has_pace && playing.len() <= MAX_ARMS,
    ) else {
        return Ok(None);
    };
    let pace = visitors / progress.days;
    let threshold = stopping.threshold();
    let is_met = |days: f64| -> Result<bool, Error> {
        let mut posteriors = Vec::with_capacity(playing.len());
        for &arm in &playing {
            let arm = &arms[arm];
            let more = pace * arm.weight * days;
            let (s, f) = (
                count(arm.conversions),
                count(arm.assignments - arm.conversions),
            );
            let rate = arm.posterior_mean;
            let posterior = Beta::new(
                prior.alpha + s + more * rate,
                prior.beta + f + more * (1.0 - rate),
            );
            posteriors.push(posterior.map_err(Error::internal)?);
        }
        Ok(match stopping.rule {
            StoppingRule::PBest => {
                p_best(&posteriors).map_err(Error::internal)?[leader] >= threshold
            }
            _ => expected_loss(&posteriors).map_err(Error::internal)?[leader] < threshold,
        })
    };
    let (mut low, mut high) = (0.0, 0.25);
    while !is_met(high)? {
        if high > MAX_DAYS {
            return Ok(None);
        }
        (low, high) = (high, 2.0 * high);
    }
    for _ in 0..6 {
        let middle = 0.5 * (low + high);
        if is_met(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(high))
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
