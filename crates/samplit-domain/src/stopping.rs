//! When an experiment may stop: registered before it starts, so that nobody chooses the moment.

use crate::{Violations, words};

words! {
    /// The evidence that ends an experiment.
    StoppingRule {
        /// Choosing the leader loses less than `threshold` conversions per visitor on average.
        ExpectedLoss => "expected_loss",
        /// The leader is the best arm with at least probability `threshold`.
        PBest => "p_best",
        /// The leader is proven better than control, by an interval that is valid at every look; where
        /// control leads, every other active arm is proven worse.
        ConfidenceSequence => "confidence_sequence",
        /// `threshold` visitors have been assigned.
        Visitors => "visitors",
    }
}

/// A registered stopping rule, kept in `experiments.stopping_rule` and hashed into the genesis.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Stopping {
    /// The evidence.
    pub rule: StoppingRule,
    /// What the rule compares with; `None`: its default (see [`Stopping::threshold`]).
    pub threshold: Option<f64>,
    /// Visitors that every arm needs which still competes.
    pub min_visitors_per_arm: u64,
    /// Days since the start, so that every weekday is in.
    pub min_days: f64,
    /// Visitors at which the always-valid intervals are to be tightest.
    pub planned_visitors: u64,
    /// The conversion rate that was expected when this was written, in (0, 1).
    pub planned_rate: f64,
    /// Whether the experiment completes by itself, with the leader as winner, once it may stop.
    pub auto_complete: bool,
}

impl Default for Stopping {
    fn default() -> Self {
        Self {
            rule: StoppingRule::ExpectedLoss,
            threshold: None,
            min_visitors_per_arm: 1_000,
            min_days: 7.0,
            planned_visitors: 20_000,
            planned_rate: 0.05,
            auto_complete: false,
        }
    }
}

impl Stopping {
    /// What the rule compares with: as given, or 0.1 % of the planned rate for `expected_loss`,
    /// 0.95 for `p_best`, the planned visitors for `visitors`; 0 for `confidence_sequence`, which
    /// compares with nothing.
    #[must_use]
    pub fn threshold(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a number of visitors")]
        let planned = self.planned_visitors as f64;
        self.threshold.unwrap_or(match self.rule {
            StoppingRule::ExpectedLoss => 0.001 * self.planned_rate,
            StoppingRule::PBest => 0.95,
            StoppingRule::ConfidenceSequence => 0.0,
            StoppingRule::Visitors => planned,
        })
    }

    /// Checks the rule.
    pub fn check(&self, pointer: &str, violations: &mut Violations) {
        let threshold = self.threshold();
        let (fits, range) = match self.rule {
            StoppingRule::ExpectedLoss => (threshold > 0.0 && threshold < 1.0, "between 0 and 1"),
            StoppingRule::PBest => (threshold > 0.5 && threshold < 1.0, "between 0.5 and 1"),
            StoppingRule::ConfidenceSequence => (
                self.threshold.is_none(),
                "left out for `confidence_sequence`",
            ),
            StoppingRule::Visitors => ((1.0..1e12).contains(&threshold), "at least 1"),
        };
        if !fits {
            let detail = format!("must be {range}");
            violations.add(format!("{pointer}/threshold"), "out_of_range", detail);
        }
        if !(0.0..=3_650.0).contains(&self.min_days) {
            let detail = "must be between 0 and 3,650";
            violations.add(format!("{pointer}/min_days"), "out_of_range", detail);
        }
        if self.min_visitors_per_arm > 1_000_000_000_000 {
            let detail = "must be at most 10^12";
            violations.add(
                format!("{pointer}/min_visitors_per_arm"),
                "out_of_range",
                detail,
            );
        }
        if !(1..=1_000_000_000_000).contains(&self.planned_visitors) {
            let detail = "must be between 1 and 10^12";
            violations.add(
                format!("{pointer}/planned_visitors"),
                "out_of_range",
                detail,
            );
        }
        if !(self.planned_rate > 0.0 && self.planned_rate < 1.0) {
            let detail = "must be between 0 and 1, both excluded";
            violations.add(format!("{pointer}/planned_rate"), "out_of_range", detail);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Stopping, StoppingRule};
    use crate::Violations;

    #[track_caller]
    fn check(stopping: &Stopping, expected: &[&str]) {
        let mut violations = Violations::default();
        stopping.check("/stopping", &mut violations);
        let found: Vec<_> = violations.0.iter().map(|v| v.pointer.as_str()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn thresholds_have_defaults_and_ranges() {
        for &rule in StoppingRule::ALL {
            check(
                &Stopping {
                    rule,
                    ..Stopping::default()
                },
                &[],
            );
            let threshold = Some(f64::NAN);
            check(
                &Stopping {
                    rule,
                    threshold,
                    ..Stopping::default()
                },
                &["/stopping/threshold"],
            );
        }
        let bad = Stopping {
            min_visitors_per_arm: u64::MAX,
            min_days: -1.0,
            planned_visitors: 0,
            planned_rate: 1.0,
            ..Stopping::default()
        };
        check(
            &bad,
            &[
                "/stopping/min_days",
                "/stopping/min_visitors_per_arm",
                "/stopping/planned_visitors",
                "/stopping/planned_rate",
            ],
        );
    }
}
