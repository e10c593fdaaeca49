//! From counts to weights: the one function that the live engine and an offline audit both run.

use crate::best::p_best;
use crate::error::Error;
use crate::policy::{Policy, top_two};
use crate::posterior::{Beta, Counts, Prior};
use crate::weights::Weights;

/// What decides the weights, fixed when an experiment starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// How traffic follows the evidence.
    pub policy: Policy,
    /// Belief about every arm's rate before any data.
    pub prior: Prior,
    /// The least probability of any active arm; K active arms need `K * floor < 1`.
    pub floor: f64,
    /// Traffic is uniform until every active arm has this many assignments.
    pub warm_up: u64,
}

impl Default for Rule {
    /// Thompson sampling, prior Beta(1, 1), a floor of 1 %, a warm-up of 100 assignments.
    fn default() -> Self {
        Self {
            policy: Policy::Thompson,
            prior: Prior::default(),
            floor: 0.01,
            warm_up: 100,
        }
    }
}

/// One arm as the rule sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArmState {
    /// Visitors assigned.
    pub n: u64,
    /// Visitors that converted: `s <= n`.
    pub s: u64,
    /// Whether the arm may be played.
    pub active: bool,
}

/// Which rule made the weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Warm-up: equal weights for the active arms.
    Uniform,
    /// The probability of being best, with the floor mixed in.
    Thompson,
    /// Top-two sampling, with the floor mixed in.
    TopTwo,
    /// The shares given beforehand.
    Fixed,
}

/// Weights and everything they were made from.
#[derive(Debug, Clone, PartialEq)]
pub struct Allocation {
    /// Parts per billion for every arm; inactive arms have 0.
    pub weights: Weights,
    /// Which rule made the weights.
    pub method: Method,
    /// Posterior of every arm, inactive ones included.
    pub posteriors: Vec<Beta>,
    /// Probability of being the best of the active arms; inactive arms have 0.
    pub p_best: Vec<f64>,
}

/// The weights that `rule` gives to arms in this state.
///
/// Uniform until every active arm has `warm_up` assignments, then the policy with the floor mixed
/// in over the active arms. [`Policy::Fixed`] has neither: its shares hold from the first visitor.
/// One active arm alone gets everything. Deterministic: equal input, equal output.
///
/// ```
/// use samplit_bandit::{ArmState, Method, Rule, allocate, scale_to_ppb};
/// let arm = |n, s| ArmState { n, s, active: true };
/// let now = allocate(&Rule::default(), &[arm(1_000, 50), arm(1_000, 65)])?;
/// assert_eq!(now.method, Method::Thompson);
/// assert_eq!(now.weights.choose(scale_to_ppb(0x8000_0000_0000_0000)), 1);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When no arm is active, some `s > n`, the prior or the floor is out of range, or fixed shares do
/// not fit the arms.
pub fn allocate(rule: &Rule, arms: &[ArmState]) -> Result<Allocation, Error> {
    let posteriors = arms
        .iter()
        .map(|&ArmState { n, s, .. }| rule.prior.posterior(Counts { n, s }))
        .collect::<Result<Vec<_>, _>>()?;
    allocate_posteriors(rule, posteriors, arms)
}

/// The same from posteriors made elsewhere, such as those of discounted or matured counts.
///
/// Of `arms` only `n` (for the warm-up) and `active` count here; the rule's prior is not used.
///
/// # Errors
/// As [`allocate`], and when the numbers of posteriors and arms differ.
pub fn allocate_posteriors(
    rule: &Rule,
    posteriors: Vec<Beta>,
    arms: &[ArmState],
) -> Result<Allocation, Error> {
    if posteriors.len() != arms.len() {
        return Err(Error::new(
            "posteriors",
            format!("{} posteriors for {} arms", posteriors.len(), arms.len()),
        ));
    }
    let active: Vec<bool> = arms.iter().map(|arm| arm.active).collect();
    let playing: Vec<usize> = (0..arms.len()).filter(|&i| active[i]).collect();
    if playing.is_empty() {
        return Err(Error::new("arms", "no arm is active"));
    }
    let contenders: Vec<Beta> = playing.iter().map(|&i| posteriors[i]).collect();
    let p = p_best(&contenders)?;
    // Before the warm-up is decided, so that an impossible floor is refused at the start.
    let mixed = |p: &[f64]| Weights::from_probabilities(p, rule.floor);
    let thompson = mixed(&p)?;
    let warm = playing.iter().all(|&i| arms[i].n >= rule.warm_up);
    let (method, weights) = match &rule.policy {
        Policy::Fixed(shares) => (Method::Fixed, Weights::fixed(shares, &active)?),
        Policy::Thompson | Policy::TopTwo if !warm => (Method::Uniform, Weights::uniform(&active)?),
        Policy::Thompson => (Method::Thompson, thompson.spread(&playing, arms.len())),
        Policy::TopTwo => (
            Method::TopTwo,
            mixed(&top_two(&p)?)?.spread(&playing, arms.len()),
        ),
    };
    let mut p_best = vec![0.0; arms.len()];
    for (&i, p) in playing.iter().zip(p) {
        p_best[i] = p;
    }
    Ok(Allocation {
        weights,
        method,
        posteriors,
        p_best,
    })
}
