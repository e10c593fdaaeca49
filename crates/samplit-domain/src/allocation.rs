//! How traffic is allocated: the strategy, the policy and its parameters.

use crate::{Violations, words};

words! {
    /// The column `experiments.allocation_strategy`.
    Strategy {
        /// The weights follow the evidence.
        Adaptive => "adaptive",
        /// The weights stay as configured.
        Fixed => "fixed",
    }
}

words! {
    /// What an adaptive experiment optimises.
    PolicyKind {
        /// Thompson sampling: each arm as often as it is likely to be the best.
        Thompson => "thompson",
        /// Top-two Thompson sampling: finds the best arm sooner, earns a little less meanwhile.
        TopTwo => "top_two",
    }
}

words! {
    /// How several elements are drawn.
    Mode {
        /// One draw per element.
        Independent => "independent",
        /// One draw among all combinations of variants.
        Factorial => "factorial",
    }
}

/// The parameters of allocation, kept in `experiments.allocation_config`.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Allocation {
    /// What an adaptive experiment optimises.
    pub policy: PolicyKind,
    /// How several elements are drawn.
    pub mode: Mode,
    /// Assignments that every arm gets under uniform weights before the policy takes over.
    pub warm_up: u64,
    /// The least share of an arm, in `[0, 1)`; times the number of arms it stays below 1.
    pub floor: f64,
    /// First parameter of the Beta prior, > 0.
    pub prior_alpha: f64,
    /// Second parameter of the Beta prior, > 0.
    pub prior_beta: f64,
    /// Configured shares per element and variant (strategy `fixed`); empty: even shares.
    pub weights: Vec<Vec<f64>>,
    /// For how long after completion a conversion of an earlier assignment counts, in seconds.
    pub attribution_window_seconds: u64,
}

impl Default for Allocation {
    fn default() -> Self {
        Self {
            policy: PolicyKind::Thompson,
            mode: Mode::Independent,
            warm_up: 100,
            floor: 0.01,
            prior_alpha: 1.0,
            prior_beta: 1.0,
            weights: Vec::new(),
            attribution_window_seconds: 7 * 24 * 3600,
        }
    }
}

impl Allocation {
    /// Checks the parameters for an experiment whose largest draw has `arms` arms.
    pub fn check(&self, pointer: &str, arms: usize, violations: &mut Violations) {
        #[expect(clippy::cast_precision_loss, reason = "an arm count is below 2^53")]
        let total_floor = self.floor * arms as f64;
        if !(self.floor >= 0.0 && total_floor < 1.0) {
            violations.add(
                format!("{pointer}/floor"),
                "out_of_range",
                format!("must be at least 0, and times {arms} arms below 1"),
            );
        }
        for (name, value) in [
            ("prior_alpha", self.prior_alpha),
            ("prior_beta", self.prior_beta),
        ] {
            if !(0.01..=1e6).contains(&value) {
                violations.add(
                    format!("{pointer}/{name}"),
                    "out_of_range",
                    "must be between 0.01 and 1,000,000",
                );
            }
        }
        if self.warm_up > 1_000_000_000 {
            violations.add(
                format!("{pointer}/warm_up"),
                "out_of_range",
                "must be at most 1,000,000,000 assignments per arm",
            );
        }
    }
}
