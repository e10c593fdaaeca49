//! The whole experiment, simulated many times before it starts.
//!
//! Visitors come in batches; weights are renewed between batches as the live system renews them,
//! except that the posteriors' races use a normal approximation of the log odds (see
//! `approximate`), because a forecast needs thousands of runs and not nine digits. Randomness is
//! an argument: the same seeded source gives the same forecast.

mod approximate;
mod run;

use rand::Rng;

use crate::allocation::Rule;
use crate::error::{Error, between, within};
use crate::number::{real, size, whole};
use crate::policy::Policy;
use crate::posterior::Beta;
use crate::stopping::{Minimums, StoppingRule};
use crate::weights::Weights;

/// An experiment as it might go.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The true conversion rate of each arm, control first, each strictly between 0 and 1.
    pub rates: Vec<f64>,
    /// Visitors a day, all arms together.
    pub visitors_per_day: u64,
    /// The day on which the experiment ends in any case.
    pub days: u32,
    /// How often a day the weights are renewed and the stopping rule is asked.
    pub batches_per_day: u32,
    /// Policy, prior, floor, warm-up.
    pub rule: Rule,
    /// What ends it before.
    pub stopping: StoppingRule,
    /// What must be there before it may end.
    pub minimums: Minimums,
}

/// One quantity over all runs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The mean.
    pub mean: f64,
    /// One run in ten is below.
    pub p10: f64,
    /// Half the runs are below.
    pub p50: f64,
    /// Nine runs in ten are below.
    pub p90: f64,
}

/// What a scenario leads to.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// The day on which the experiment ends.
    pub days: Spread,
    /// The share of runs that the stopping rule ended before the last day.
    pub stopped: f64,
    /// The share of runs whose final leader is the best arm, or as good as it.
    pub right_choice: f64,
    /// The mean share of visitors that each arm received.
    pub shares: Vec<f64>,
    /// Conversions lost against giving everybody the best arm.
    pub regret: Spread,
    /// Conversions gained against an even split for as long; negative is a loss.
    pub gained: Spread,
}

/// Simulates `runs` experiments.
///
/// ```
/// use rand::{SeedableRng, rngs::ChaCha12Rng};
/// use samplit_bandit::{Minimums, Rule, Scenario, StoppingRule, forecast};
/// let scenario = Scenario {
///     rates: vec![0.05, 0.06],
///     visitors_per_day: 2_000,
///     days: 14,
///     batches_per_day: 2,
///     rule: Rule { floor: 0.05, ..Rule::default() },
///     stopping: StoppingRule::ProbabilityBest { at_least: 0.95 },
///     minimums: Minimums::default(),
/// };
/// let told = forecast(&scenario, 200, &mut ChaCha12Rng::seed_from_u64(1))?;
/// assert!(told.right_choice > 0.9 && told.shares[1] > told.shares[0]);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When there are fewer than 2 arms, a rate is out of range, a count is 0 or the rule does not fit
/// the arms.
pub fn forecast<R: Rng + ?Sized>(
    scenario: &Scenario,
    runs: u32,
    random: &mut R,
) -> Result<Forecast, Error> {
    check(scenario, runs)?;
    let outcomes = (0..runs)
        .map(|_| run::run(scenario, random))
        .collect::<Result<Vec<_>, _>>()?;
    let count = f64::from(runs);
    let share = |of: &dyn Fn(&run::Outcome) -> bool| {
        size(outcomes.iter().filter(|outcome| of(outcome)).count()) / count
    };
    let mean_share = |arm: usize| {
        let sum: f64 = outcomes
            .iter()
            .map(|outcome| real(outcome.visitors[arm]) / real(outcome.visitors.iter().sum()))
            .sum();
        sum / count
    };
    Ok(Forecast {
        days: spread(outcomes.iter().map(|outcome| outcome.days).collect()),
        stopped: share(&|outcome| outcome.stopped),
        right_choice: share(&|outcome| outcome.right),
        shares: (0..scenario.rates.len()).map(mean_share).collect(),
        regret: spread(outcomes.iter().map(|outcome| outcome.regret).collect()),
        gained: spread(outcomes.iter().map(|outcome| outcome.gained).collect()),
    })
}

fn check(scenario: &Scenario, runs: u32) -> Result<(), Error> {
    let arms = scenario.rates.len();
    if arms < 2 {
        return Err(Error::new("rates", "fewer than 2 arms"));
    }
    for rate in &scenario.rates {
        between("rates", *rate, 0.0, 1.0)?;
    }
    for (name, value) in [
        ("visitors_per_day", scenario.visitors_per_day),
        ("days", u64::from(scenario.days)),
        ("batches_per_day", u64::from(scenario.batches_per_day)),
        ("runs", u64::from(runs)),
    ] {
        within(name, real(value), 1.0, 1e12)?;
    }
    if scenario.visitors_per_day < u64::from(scenario.batches_per_day) {
        return Err(Error::new("batches_per_day", "more than visitors_per_day"));
    }
    Beta::new(scenario.rule.prior.alpha, scenario.rule.prior.beta)?;
    let even = vec![1.0 / size(arms); arms];
    Weights::from_probabilities(&even, scenario.rule.floor)?;
    if let Policy::Fixed(shares) = &scenario.rule.policy {
        Weights::fixed(shares, &vec![true; arms])?;
    }
    Ok(())
}

fn spread(mut values: Vec<f64>) -> Spread {
    values.sort_by(f64::total_cmp);
    let at = |q: f64| {
        let index = usize::try_from(whole(q * size(values.len()))).unwrap_or(0);
        values[index.min(values.len() - 1)]
    };
    Spread {
        mean: values.iter().sum::<f64>() / size(values.len()),
        p10: at(0.1),
        p50: at(0.5),
        p90: at(0.9),
    }
}
