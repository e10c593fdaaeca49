//! How far the registered stopping rule is, and what is missing.

use samplit_bandit::{
    Beta, Contrast, Minimums, Missing, Prior, Sequence, Standing, StoppingReport,
    StoppingRule as Rule, expected_loss, may_stop, p_best,
};
use samplit_domain::{ArmSet, Experiment, Stopping, StoppingRule};
use serde::Serialize;
use time::OffsetDateTime;

use super::ArmResults;
use super::evidence::Evidence;
use crate::Error;
use crate::reallocation::count;

/// An arm that is this unlikely to be best no longer competes: nobody waits for its minimum of
/// visitors, which its small share of the traffic would take very long to bring. What
/// has to be proven of it, has to be proven all the same.
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
    /// Where it stands: visitors of the arm that has fewest of those that still compete, days,
    /// conversions per visitor, a probability, the least of the differences that have to be proven
    /// in half-widths of its interval, or visitors of all arms.
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
    let days = experiment
        .started_at
        .map_or(0.0, |start| (now - start).as_seconds_f64() / 86_400.0);
    let (stopping, control) = (&experiment.stopping, set.control());
    held_against(stopping, control, arms, evidence, days.max(0.0))
}

/// Holds the arms of a draw against what is registered, `days` after the start.
fn held_against(
    stopping: &Stopping,
    control: usize,
    arms: &[ArmResults],
    evidence: &Evidence,
    days: f64,
) -> Result<StoppingProgress, Error> {
    let visitors: u64 = arms.iter().map(|arm| arm.assignments).sum();
    let pace = if days > 0.0 {
        count(visitors) / days
    } else {
        0.0
    };
    let mut standings = Vec::with_capacity(arms.len());
    for (arm, found) in arms.iter().enumerate() {
        let is_compared = arm != control && found.is_active;
        let versus_control = is_compared
            .then(|| difference(evidence, stopping, (arm, control), arms.len() - 1))
            .transpose()?;
        standings.push(Standing {
            visitors: found.assignments,
            visitors_per_day: pace * found.weight,
            p_best: found.p_best,
            expected_loss: found.expected_loss.max(0.0),
            versus_control,
            competes: found.is_active && (arm == control || found.p_best >= COMPETES_FROM),
        });
    }
    let minimums = Minimums {
        visitors_per_arm: stopping.min_visitors_per_arm,
        days: stopping.min_days,
    };
    let report =
        may_stop(stopping_rule(stopping), minimums, &standings, days).map_err(Error::internal)?;
    let name = |arm: usize| arms[arm].name.as_str();
    let active = arms.iter().filter(|arm| arm.is_active).count();
    let conditions = conditions(stopping, &standings, active, &report, days);
    Ok(StoppingProgress {
        leader: report.leader,
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

/// How much an arm differs from control, at every look. Of one that nobody was assigned to, anything
/// may be so.
fn difference(
    evidence: &Evidence,
    stopping: &Stopping,
    (arm, control): (usize, usize),
    together: usize,
) -> Result<Sequence, Error> {
    if evidence.is_played(arm) && evidence.is_played(control) {
        let contrast = Contrast::Difference { arm, control };
        return evidence.sequence(contrast, stopping, together);
    }
    Ok(Sequence {
        estimate: 0.0,
        half_width: f64::INFINITY,
        variance: 0.0,
        eta: 1.0,
    })
}

/// Minimums and rule, each with what is missing of it; `active` arms can get new visitors.
fn conditions(
    stopping: &Stopping,
    standings: &[Standing],
    active: usize,
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
    let competing = standings.iter().filter(|arm| arm.competes);
    let fewest = competing.map(|arm| arm.visitors).min().unwrap_or(0);
    let (fewest, wanted) = (count(fewest), count(stopping.min_visitors_per_arm));
    let leader = &standings[report.leader];
    let threshold = stopping.threshold();
    let rule = match stopping.rule {
        StoppingRule::ExpectedLoss => {
            let now = leader.expected_loss;
            of("expected_loss", now, threshold, share(threshold, now))
        }
        StoppingRule::PBest => of("p_best", leader.p_best, threshold, {
            let even = 1.0 / count(active as u64);
            share(leader.p_best - even, threshold - even)
        }),
        StoppingRule::ConfidenceSequence => {
            // Of the differences that have to be proven, the one that is least.
            let control_leads = leader.versus_control.is_none();
            let is_decisive = |arm: usize| control_leads || arm == report.leader;
            let proofs = standings
                .iter()
                .enumerate()
                .filter(|(arm, _)| is_decisive(*arm))
                .filter_map(|(_, arm)| arm.proof(control_leads));
            let least = proofs.min_by(f64::total_cmp);
            let least = least.filter(|least| least.is_finite()).unwrap_or(0.0);
            let least = least.max(0.0);
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
    stopping: &Stopping,
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
    stopping: &Stopping,
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
pub(crate) fn stopping_rule(stopping: &Stopping) -> Rule {
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use samplit_bandit::Weights;
    use samplit_domain::{ExperimentId, Stopping, StoppingRule};
    use samplit_store::statistics::ArmStatistics;

    use super::{StoppingProgress, held_against};
    use crate::results::{ArmEvidence, ArmResults, Evidence};

    /// Visitors, conversions, probability of being best, and whether new visitors can get it.
    type Arm = (i64, i64, f64, bool);

    /// What is said of arms that got their visitors under even weights; the first one is control.
    fn progress(rule: StoppingRule, threshold: Option<f64>, arms: &[Arm]) -> StoppingProgress {
        let stopping = Stopping {
            rule,
            threshold,
            min_visitors_per_arm: 1_000,
            min_days: 7.0,
            ..Stopping::default()
        };
        let rows: Vec<ArmStatistics> = (0..)
            .zip(arms)
            .map(|(arm, &(assignments, conversions, ..))| ArmStatistics {
                experiment_id: ExperimentId(uuid::Uuid::nil()),
                snapshot_seq: 1,
                element: 0,
                arm,
                assignments,
                conversions,
                value_sum: 0.0,
                value_sum_squares: 0.0,
            })
            .collect();
        let weights = Weights::uniform(&vec![true; arms.len()]).unwrap();
        let weights = BTreeMap::from([(1, weights)]);
        let evidence = Evidence::new(&rows, &weights, (0, arms.len(), 0), false).unwrap();
        let results: Vec<ArmResults> = (0_usize..)
            .zip(arms)
            .map(
                |(arm, &(assignments, conversions, p_best, is_active))| ArmResults {
                    name: format!("arm {arm}"),
                    variants: Vec::new(),
                    is_control: arm == 0,
                    is_active,
                    assignments: assignments.unsigned_abs(),
                    exposures: 0,
                    conversions: conversions.unsigned_abs(),
                    rate: None,
                    value_sum: 0.0,
                    posterior_mean: 0.1,
                    posterior_sd: 0.01,
                    credible_interval: [0.0, 1.0],
                    p_best,
                    expected_loss: 0.0,
                    p_beats_control: None,
                    lift: None,
                    expected_gain_per_1000: None,
                    value: None,
                    evidence: ArmEvidence::default(),
                    weight: 0.5,
                },
            )
            .collect();
        held_against(&stopping, 0, &results, &evidence, 8.0).unwrap()
    }

    #[test]
    fn what_can_hardly_be_best_still_has_to_be_proven_worse() {
        let rule = StoppingRule::ConfidenceSequence;
        let close = [(20_000, 2_000, 0.995, true), (20_000, 1_880, 0.005, true)];
        let said = progress(rule, None, &close);
        assert!(!said.may_stop, "{said:?}");
        assert!(said.missing[0].starts_with("a proven difference of `arm 1`"));
        let proof = said.conditions[2];
        assert!(
            !proof.is_met && proof.now > 0.0 && proof.now < 1.0,
            "{proof:?}"
        );

        let far = [(20_000, 2_000, 1.0, true), (20_000, 1_000, 0.0, true)];
        let said = progress(rule, None, &far);
        assert!(said.may_stop && said.leader == 0, "{said:?}");
        // One that is turned off needs no proof, one that nobody has seen does.
        let off = [far[0], far[1], (20_000, 1_990, 0.0, false)];
        assert!(progress(rule, None, &off).may_stop);
        let unseen = [far[0], far[1], (0, 0, 0.0, true)];
        let said = progress(rule, None, &unseen);
        assert_eq!(
            said.missing,
            ["a proven difference of `arm 2` from control"]
        );
    }

    #[test]
    fn visitors_are_those_of_all_arms_and_the_minimum_is_of_those_that_compete() {
        let arms = [
            (3_000, 300, 0.895, true),
            (1_500, 140, 0.1, true),
            (400, 20, 0.005, true),
            (100, 9, 0.0, false),
        ];
        let said = progress(StoppingRule::Visitors, Some(5_000.0), &arms);
        assert!(said.may_stop, "{said:?}");
        assert_eq!(said.conditions[2].now.to_bits(), 5_000.0_f64.to_bits());
        assert_eq!(said.conditions[0].now.to_bits(), 1_500.0_f64.to_bits());
        assert!(!progress(StoppingRule::Visitors, Some(5_001.0), &arms).may_stop);
    }
}
