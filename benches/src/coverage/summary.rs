//! From the outcomes of all runs to shares and means with their Monte-Carlo errors.

use serde::Serialize;

use crate::number::size;
use crate::scenario::{Scenario, VISITORS_PER_LOOK};
use crate::simulate::{ALPHA, Outcome};

/// The always-valid p-value below which the alarm sounds.
const ALARM: f64 = 0.001;

/// A share or a mean over the runs, and its Monte-Carlo standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Measured {
    pub(crate) value: f64,
    pub(crate) error: f64,
}

impl Measured {
    pub(crate) fn share<T>(of: &[T], is: impl Fn(&T) -> bool) -> Self {
        Self::mean(of, |item| f64::from(u8::from(is(item))))
    }

    pub(crate) fn mean<T>(of: &[T], what: impl Fn(&T) -> f64) -> Self {
        let value = of.iter().map(&what).sum::<f64>() / size(of);
        let squares: f64 = of.iter().map(|item| (what(item) - value).powi(2)).sum();
        Self {
            value,
            error: squares.sqrt() / size(of),
        }
    }
}

/// One scenario's share of everything, `per arm` in the order of the arms.
#[derive(Debug, Serialize)]
pub(crate) struct Summary {
    pub(crate) scenario: Scenario,
    pub(crate) runs: usize,
    /// Coverage at the end, per arm.
    pub(crate) wilson: Vec<Measured>,
    pub(crate) credible: Vec<Measured>,
    pub(crate) aipw: Vec<Measured>,
    /// Coverage at the end, of the best arm's difference from control.
    pub(crate) newcombe: Measured,
    pub(crate) aipw_difference: Measured,
    /// Relative bias at the end, per arm.
    pub(crate) mean_bias: Vec<Measured>,
    pub(crate) aipw_bias: Vec<Measured>,
    /// Coverage of all differences from control at all looks.
    pub(crate) newcombe_always: Measured,
    pub(crate) plain_always: Measured,
    pub(crate) weighted_always: Measured,
    /// Coverage of the rate at all looks, per arm.
    pub(crate) mean_always: Vec<Measured>,
    /// Runs whose best arm's sequence excludes zero at some look.
    pub(crate) plain_proved: Measured,
    pub(crate) weighted_proved: Measured,
    /// Visitors by when half of all runs had been proved; none if fewer ever were.
    pub(crate) weighted_proved_by_half: Option<u32>,
    /// False alarms of the sample ratio: at the end at 0.05, at any look at 0.001.
    pub(crate) split_alarm: Measured,
    pub(crate) split_alarm_always: Measured,
    /// Runs whose leader is the best arm.
    pub(crate) right: Measured,
    /// Conversions won over an even split.
    pub(crate) gained: Measured,
    /// Share of runs that have missed by each look: the curves of the plot.
    pub(crate) missed_by_look: Curves,
    /// Share of runs that have been proved by each look.
    pub(crate) proved_by_look: Vec<f64>,
}

/// Share of runs that have missed some difference by each look.
#[derive(Debug, Serialize)]
pub(crate) struct Curves {
    pub(crate) newcombe: Vec<f64>,
    pub(crate) plain: Vec<f64>,
    pub(crate) weighted: Vec<f64>,
}

impl Summary {
    pub(crate) fn new(scenario: Scenario, outcomes: &[Outcome]) -> Self {
        let arms = 0..scenario.arms();
        let share = |is: &dyn Fn(&Outcome) -> bool| Measured::share(outcomes, is);
        let per_arm = |of: &dyn Fn(&Outcome, usize) -> bool| {
            arms.clone()
                .map(|arm| Measured::share(outcomes, |outcome| of(outcome, arm)))
                .collect::<Vec<_>>()
        };
        let bias = |of: &dyn Fn(&Outcome) -> &[f64]| {
            arms.clone()
                .map(|arm| Measured::mean(outcomes, |o| of(o)[arm] / scenario.rates[arm]))
                .collect::<Vec<_>>()
        };
        let by_look = |of: &dyn Fn(&Outcome) -> Option<u32>| by_look(outcomes, of);
        Self {
            scenario,
            runs: outcomes.len(),
            wilson: per_arm(&|outcome, arm| outcome.wilson[arm]),
            credible: per_arm(&|outcome, arm| outcome.credible[arm]),
            aipw: per_arm(&|outcome, arm| outcome.aipw[arm]),
            newcombe: share(&|outcome| outcome.newcombe),
            aipw_difference: share(&|outcome| outcome.aipw_difference),
            mean_bias: bias(&|outcome| &outcome.mean_error),
            aipw_bias: bias(&|outcome| &outcome.aipw_error),
            newcombe_always: share(&|outcome| outcome.newcombe_missed.is_none()),
            plain_always: share(&|outcome| outcome.plain_missed.is_none()),
            weighted_always: share(&|outcome| outcome.weighted_missed.is_none()),
            mean_always: per_arm(&|outcome, arm| outcome.mean_missed[arm].is_none()),
            plain_proved: share(&|outcome| outcome.plain_proved.is_some()),
            weighted_proved: share(&|outcome| outcome.weighted_proved.is_some()),
            weighted_proved_by_half: half(&by_look(&|outcome| outcome.weighted_proved)),
            split_alarm: share(&|outcome| outcome.split_p < ALPHA),
            split_alarm_always: share(&|outcome| outcome.split_always_valid_p < ALARM),
            right: share(&|outcome| outcome.right),
            gained: Measured::mean(outcomes, |outcome| outcome.gained),
            missed_by_look: Curves {
                newcombe: by_look(&|outcome| outcome.newcombe_missed),
                plain: by_look(&|outcome| outcome.plain_missed),
                weighted: by_look(&|outcome| outcome.weighted_missed),
            },
            proved_by_look: by_look(&|outcome| outcome.weighted_proved),
        }
    }
}

/// The arm that fares worst.
pub(crate) fn worst(arms: &[Measured]) -> Measured {
    let least = |a: &&Measured, b: &&Measured| a.value.total_cmp(&b.value);
    *arms
        .iter()
        .min_by(least)
        .expect("there are at least 2 arms")
}

/// The arm whose estimate is furthest off.
pub(crate) fn furthest(arms: &[Measured]) -> Measured {
    let furthest = |a: &&Measured, b: &&Measured| a.value.abs().total_cmp(&b.value.abs());
    *arms
        .iter()
        .max_by(furthest)
        .expect("there are at least 2 arms")
}

fn by_look(outcomes: &[Outcome], of: &dyn Fn(&Outcome) -> Option<u32>) -> Vec<f64> {
    (0..crate::scenario::LOOKS)
        .map(|look| Measured::share(outcomes, |outcome| of(outcome).is_some_and(|at| at <= look)))
        .map(|share| share.value)
        .collect()
}

fn half(proved: &[f64]) -> Option<u32> {
    (1..)
        .zip(proved)
        .find(|(_, share)| **share >= 0.5)
        .map(|(looks, _)| looks * VISITORS_PER_LOOK)
}
