//! One simulated experiment.

use rand::Rng;
use rand_distr::{Binomial, Distribution};

use super::{Scenario, approximate};
use crate::adaptive::{Earlier, Residuals};
use crate::error::Error;
use crate::number::{real, size};
use crate::policy::{Policy, top_two};
use crate::sequence::{Scores, half_width, planned_variance, tune};
use crate::stopping::StoppingRule;
use crate::value::ValueSums;

/// The error rate of the confidence sequences that a forecast may stop on, all arms together.
const ALPHA: f64 = 0.05;

/// How one run went.
pub(super) struct Outcome {
    pub(super) visitors: Vec<u64>,
    pub(super) days: f64,
    pub(super) stopped: bool,
    pub(super) right: bool,
    pub(super) regret: f64,
    pub(super) gained: f64,
}

/// Running sums of the weighted confidence sequences against control.
struct Sequences {
    earlier: Vec<Earlier>,
    total: Vec<f64>,
    variance: Vec<f64>,
    /// The greatest score that one conversion has had, per arm.
    heaviest: Vec<f64>,
    eta: f64,
    alpha: f64,
}

pub(super) fn run<R: Rng + ?Sized>(scenario: &Scenario, random: &mut R) -> Result<Outcome, Error> {
    let arms = scenario.rates.len();
    let batches = u64::from(scenario.batches_per_day);
    let last = u64::from(scenario.days) * batches;
    let (mut n, mut s) = (vec![0; arms], vec![0; arms]);
    let mut p = vec![1.0 / size(arms); arms];
    let mut odds = vec![(0.0, 0.0); arms];
    let mut converted = vec![0; arms];
    let mut sequences = Sequences::new(scenario)?;
    let (mut batch, mut stopped) = (0, false);
    while batch < last && !stopped {
        let weights = weights(scenario, &n, &p)?;
        // Spread what does not divide evenly over the day.
        let per_day = scenario.visitors_per_day;
        let within_day = batch % batches;
        let visitors = per_day * (within_day + 1) / batches - per_day * within_day / batches;
        let assigned = split(visitors, &weights, random)?;
        for arm in 0..arms {
            converted[arm] = binomial(assigned[arm], scenario.rates[arm], random)?;
            n[arm] += assigned[arm];
            s[arm] += converted[arm];
        }
        if scenario.stopping == StoppingRule::ConfidenceSequence {
            sequences.add(&weights, &assigned, &converted);
        }
        for (arm, odds) in odds.iter_mut().enumerate() {
            let prior = scenario.rule.prior;
            *odds = approximate::log_odds(
                prior.alpha + real(s[arm]),
                prior.beta + real(n[arm] - s[arm]),
            );
        }
        approximate::p_best(&odds, &mut p);
        batch += 1;
        stopped = enough(scenario, &n, real(batch) / real(batches))
            && met(scenario, &n, &s, &p, &odds, &sequences);
    }
    let best = scenario.rates.iter().copied().fold(0.0, f64::max);
    let mean = scenario.rates.iter().sum::<f64>() / size(arms);
    let visitors = real(n.iter().sum());
    let expected: f64 = n
        .iter()
        .zip(&scenario.rates)
        .map(|(n, r)| real(*n) * r)
        .sum();
    Ok(Outcome {
        days: real(batch) / real(batches),
        stopped,
        right: scenario.rates[leader(&p)] >= best,
        regret: visitors * best - expected,
        gained: expected - visitors * mean,
        visitors: n,
    })
}

/// The weights for the next batch, as [`crate::allocate`] would set them.
fn weights(scenario: &Scenario, n: &[u64], p: &[f64]) -> Result<Vec<f64>, Error> {
    let rule = &scenario.rule;
    let rest = 1.0 - size(n.len()) * rule.floor;
    let mix = |p: &[f64]| p.iter().map(|p| rule.floor + rest * p).collect();
    Ok(match &rule.policy {
        Policy::Fixed(shares) => shares.clone(),
        _ if n.iter().any(|n| *n < rule.warm_up) => vec![1.0 / size(n.len()); n.len()],
        Policy::Thompson => mix(p),
        Policy::TopTwo => mix(&top_two(p)?),
    })
}

/// A multinomial draw, as binomials of what is left.
fn split<R: Rng + ?Sized>(
    visitors: u64,
    weights: &[f64],
    random: &mut R,
) -> Result<Vec<u64>, Error> {
    let (mut left, mut weight_left) = (visitors, 1.0);
    let mut assigned = vec![0; weights.len()];
    for (assigned, weight) in assigned.iter_mut().zip(weights) {
        let share = if weight_left > 1e-12 {
            weight / weight_left
        } else {
            0.0
        };
        *assigned = binomial(left, share.min(1.0), random)?;
        left -= *assigned;
        weight_left -= weight;
    }
    // Rounding may leave a visitor over; the largest weight takes it.
    assigned[leader(weights)] += left;
    Ok(assigned)
}

fn binomial<R: Rng + ?Sized>(n: u64, p: f64, random: &mut R) -> Result<u64, Error> {
    let distribution =
        Binomial::new(n, p).map_err(|refused| Error::new("rates", refused.to_string()))?;
    Ok(distribution.sample(random))
}

fn leader(p: &[f64]) -> usize {
    (0..p.len()).fold(0, |best, i| if p[i] > p[best] { i } else { best })
}

fn enough(scenario: &Scenario, n: &[u64], days: f64) -> bool {
    days >= scenario.minimums.days && n.iter().all(|n| *n >= scenario.minimums.visitors_per_arm)
}

/// Whether the evidence that the rule asks for is there.
fn met(
    scenario: &Scenario,
    n: &[u64],
    s: &[u64],
    p: &[f64],
    odds: &[(f64, f64)],
    sequences: &Sequences,
) -> bool {
    let leader = leader(p);
    let visitors: u64 = n.iter().sum();
    match scenario.stopping {
        StoppingRule::ExpectedLoss { below } => {
            let prior = scenario.rule.prior;
            let a = prior.alpha + real(s[leader]);
            let mean = a / (prior.alpha + prior.beta + real(n[leader]));
            approximate::mean_of_best(odds) - mean < below
        }
        StoppingRule::ProbabilityBest { at_least } => p[leader] >= at_least,
        StoppingRule::Visitors { total } => visitors >= total,
        // As `Standing::proof` has it: a difference that is proven the other way proves nothing.
        StoppingRule::ConfidenceSequence if leader == 0 => {
            (1..p.len()).all(|arm| sequences.proof(arm) < -1.0)
        }
        StoppingRule::ConfidenceSequence => sequences.proof(leader) > 1.0,
    }
}

impl Sequences {
    fn new(scenario: &Scenario) -> Result<Self, Error> {
        let arms = scenario.rates.len();
        let alpha = ALPHA / size(arms - 1);
        let visitors = scenario.visitors_per_day * u64::from(scenario.days);
        let rate = scenario.rates[0];
        let planned = planned_variance(Scores::Weighted, visitors, rate * (1.0 - rate), &[])?;
        Ok(Self {
            earlier: vec![Earlier::default(); arms],
            total: vec![0.0; arms],
            variance: vec![0.0; arms],
            heaviest: vec![0.0; arms],
            eta: tune(planned, alpha)?,
            alpha,
        })
    }

    /// Adds a batch, as [`crate::confidence_sequence`] adds a snapshot.
    fn add(&mut self, weights: &[f64], assigned: &[u64], converted: &[u64]) {
        let visitors = real(assigned.iter().sum());
        let scored: Vec<(f64, Residuals)> = (0..weights.len())
            .map(|arm| {
                let sums = ValueSums {
                    n: assigned[arm],
                    sum: real(converted[arm]),
                    sum_squares: real(converted[arm]),
                };
                let m = self.earlier[arm].mean(0.0);
                self.earlier[arm].add(&sums);
                (m, Residuals::new(&sums, m, 1.0 / weights[arm]))
            })
            .collect();
        let (m_control, control) = scored[0];
        for arm in (1..weights.len()).filter(|&arm| weights[arm] > 0.0 && weights[0] > 0.0) {
            let (m, residuals) = scored[arm];
            let h2 = 1.0 / (1.0 / weights[arm] + 1.0 / weights[0]);
            let sum = visitors * (m - m_control) + residuals.sum - control.sum;
            self.total[arm] += h2.sqrt() * sum;
            let heaviest = h2.sqrt() / weights[arm].min(weights[0]);
            self.heaviest[arm] = self.heaviest[arm].max(heaviest);
            self.variance[arm] += h2 * (residuals.sum_squares + control.sum_squares);
        }
    }

    /// The difference of an arm from control in half-widths of its interval: proven better above 1,
    /// proven worse below -1.
    fn proof(&self, arm: usize) -> f64 {
        let variance = self.variance[arm] + self.heaviest[arm] * self.heaviest[arm];
        self.total[arm] / half_width(variance, self.eta, self.alpha)
    }
}
