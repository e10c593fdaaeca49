//! What is simulated: which policy plays, and what is true.

use samplit_bandit::{Policy, Rule};
use serde::Serialize;

/// Looks at the data, at each of which the weights are renewed and everything is computed anew.
pub(crate) const LOOKS: u32 = 40;

/// Visitors between two looks.
pub(crate) const VISITORS_PER_LOOK: u32 = 500;

/// An experiment and the truth behind it. The last arm is the best one, the first is control.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Scenario {
    pub(crate) policy: Play,
    pub(crate) floor: f64,
    pub(crate) rates: &'static [f64],
}

/// Who decides the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Play {
    Thompson,
    TopTwo,
    Fixed,
}

impl Play {
    /// Such as `thompson 1 %`, with the floor.
    pub(crate) fn name(self, floor: f64) -> String {
        match self {
            Self::Thompson => format!("thompson {} %", 100.0 * floor),
            Self::TopTwo => format!("top_two {} %", 100.0 * floor),
            Self::Fixed => "fixed".to_owned(),
        }
    }

    /// The default rule with this policy; `fixed` is the even split.
    pub(crate) fn rule(self, arms: usize, floor: f64) -> Rule {
        let policy = match self {
            Self::Thompson => Policy::Thompson,
            Self::TopTwo => Policy::TopTwo,
            Self::Fixed => Policy::Fixed(samplit_bandit::even_split(arms)),
        };
        Rule {
            policy,
            floor,
            ..Rule::default()
        }
    }
}

/// Policies and floors; the first is the default.
const PLAYS: [(Play, f64); 4] = [
    (Play::Thompson, 0.01),
    (Play::Thompson, 0.05),
    (Play::TopTwo, 0.01),
    (Play::Fixed, 0.01),
];

/// Without and with a difference, from rare to frequent conversions, two arms and five.
const RATES: [&[f64]; 7] = [
    &[0.01, 0.01],
    &[0.01, 0.015],
    &[0.05, 0.05],
    &[0.05, 0.06],
    &[0.10, 0.13],
    &[0.05, 0.05, 0.05, 0.05, 0.05],
    &[0.05, 0.05, 0.055, 0.06, 0.07],
];

/// Every policy on every set of rates.
pub(crate) fn all() -> Vec<Scenario> {
    let of = |(policy, floor)| {
        RATES.map(|rates| Scenario {
            policy,
            floor,
            rates,
        })
    };
    PLAYS.into_iter().flat_map(of).collect()
}

impl Scenario {
    pub(crate) fn arms(&self) -> usize {
        self.rates.len()
    }

    pub(crate) fn control(&self) -> f64 {
        self.rates[0]
    }

    pub(crate) fn best(&self) -> f64 {
        self.rates[self.arms() - 1]
    }

    /// Whether no arm is better than another.
    pub(crate) fn is_null(&self) -> bool {
        self.best() <= self.control()
    }

    pub(crate) fn rule(&self) -> Rule {
        self.policy.rule(self.arms(), self.floor)
    }

    /// Such as `thompson 1 %: 2 arms, 5 to 6 %`.
    pub(crate) fn name(&self) -> String {
        format!("{}: {}", self.policy.name(self.floor), self.truth())
    }

    /// Such as `2 arms, 5 to 6 %`.
    pub(crate) fn truth(&self) -> String {
        let percent = |rate: f64| format!("{}", (rate * 1_000.0).round() / 10.0);
        let arms = self.arms();
        if self.is_null() {
            format!("{arms} arms, all {} %", percent(self.control()))
        } else {
            format!(
                "{arms} arms, {} to {} %",
                percent(self.control()),
                percent(self.best())
            )
        }
    }
}
