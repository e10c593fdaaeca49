//! What another policy would have earned, from a log with known propensities.
//!
//! The target policy chooses arm a with probability `target[a]`, whatever the visitor. Three
//! estimates of its mean reward: inverse propensity scoring (Horvitz & Thompson 1952), its
//! self-normalised form (Swaminathan & Joachims 2015), and the doubly robust one (Dudik,
//! Langford & Li 2011) with each arm's shrunk mean as its model. Intervals are normal, for
//! **one** look, and only as good as the effective sample size is large.

use crate::error::{Error, within};
use crate::estimate::Estimate;
use crate::number::{real, size};
use crate::snapshot::{Snapshot, check};
use crate::value::ValueSums;
use crate::weights::check_probabilities;

/// Logged visitors who got the same arm with the same propensity; one visitor is a group too.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Logged {
    /// The arm they got.
    pub arm: usize,
    /// The probability with which they got it; positive.
    pub propensity: f64,
    /// Their rewards.
    pub rewards: ValueSums,
}

impl Logged {
    /// One visitor.
    #[must_use]
    pub fn one(arm: usize, propensity: f64, reward: f64) -> Self {
        Self {
            arm,
            propensity,
            rewards: ValueSums {
                n: 1,
                sum: reward,
                sum_squares: reward * reward,
            },
        }
    }
}

/// The log that snapshots stand for. Visitors of arms with weight 0 (leaks) are left out.
///
/// ```
/// use samplit_bandit::{Counts, Snapshot, Weights, logged, off_policy};
/// let weights = Weights::from_ppb(vec![250_000_000, 750_000_000])?;
/// let counts = [Counts { n: 250, s: 10 }, Counts { n: 750, s: 60 }];
/// let log = logged(&[Snapshot::of_counts(weights, &counts)?])?;
/// assert!((off_policy(&log, &[1.0, 0.0])?.snips.value - 0.04).abs() < 1e-12);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When snapshots disagree on the number of arms.
pub fn logged(snapshots: &[Snapshot]) -> Result<Vec<Logged>, Error> {
    let arms = check(snapshots, &[])?;
    let group = |snapshot: &Snapshot, arm: usize| Logged {
        arm,
        propensity: snapshot.propensity(arm),
        rewards: snapshot.arms()[arm],
    };
    Ok(snapshots
        .iter()
        .flat_map(|snapshot| (0..arms).map(move |arm| group(snapshot, arm)))
        .filter(|group| group.propensity > 0.0 && group.rewards.n > 0)
        .collect())
}

/// Estimates of a policy's mean reward per visitor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OffPolicy {
    /// Inverse propensity scoring: unbiased, noisy.
    pub ips: Estimate,
    /// Self-normalised: slightly biased, less noisy. The one to show.
    pub snips: Estimate,
    /// Doubly robust: IPS of what the arms' means do not explain.
    pub doubly_robust: Estimate,
    /// How many visitors of its own the target policy could have learnt as much from.
    pub effective_sample_size: f64,
}

/// Estimates what choosing arm a with probability `target[a]` would have earned per visitor.
///
/// ```
/// use samplit_bandit::{Logged, off_policy};
/// let log: Vec<Logged> = (0..1_000)
///     .map(|i| Logged::one(i % 2, 0.5, if i % 20 == 1 { 1.0 } else { 0.0 }))
///     .collect();
/// let always_second = off_policy(&log, &[0.0, 1.0])?;
/// assert!((always_second.snips.value - 0.1).abs() < 1e-12);
/// assert_eq!(always_second.effective_sample_size, 500.0);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `target` is no distribution, a group names an arm it lacks or has a propensity outside
/// 0 (excluded) to 1, fewer than 2 visitors are logged, or none got an arm that the target plays.
pub fn off_policy(log: &[Logged], target: &[f64]) -> Result<OffPolicy, Error> {
    check_probabilities("target", target)?;
    let mut means = vec![(0.0, 0.0); target.len()];
    let (mut n, mut w1, mut w2, mut wr) = (0.0, 0.0, 0.0, 0.0);
    for group in log {
        within("propensity", group.propensity, 1e-12, 1.0)?;
        let ValueSums {
            n: visitors, sum, ..
        } = group.rewards.check()?;
        let visitors = real(visitors);
        let Some(mean) = means.get_mut(group.arm) else {
            let arms = target.len();
            return Err(Error::new("log", format!("arm {} of {arms}", group.arm)));
        };
        *mean = (mean.0 + visitors, mean.1 + sum);
        let w = target[group.arm] / group.propensity;
        n += visitors;
        w1 += w * visitors;
        w2 += w * w * visitors;
        wr += w * sum;
    }
    if n < 2.0 {
        return Err(Error::new("log", "fewer than 2 visitors"));
    }
    if w1 <= 0.0 {
        return Err(Error::new("log", "nobody got an arm that the target plays"));
    }
    let models: Vec<f64> = means
        .iter()
        .map(|(n, sum)| (sum + 0.5) / (n + 1.0))
        .collect();
    let base: f64 = target.iter().zip(&models).map(|(p, q)| p * q).sum();
    // Sum and sum of squares of w (r - q), with q the model or 0.
    let corrections = |model: &dyn Fn(usize) -> f64| {
        log.iter().fold((0.0, 0.0), |(sum, squares), group| {
            let w = target[group.arm] / group.propensity;
            let q = model(group.arm);
            let r = group.rewards;
            let residual = r.sum - real(r.n) * q;
            let square = r.sum_squares - 2.0 * q * r.sum + real(r.n) * q * q;
            (sum + w * residual, squares + w * w * square.max(0.0))
        })
    };
    let mean = |(sum, squares): (f64, f64), base: f64| Estimate {
        value: base + sum / n,
        standard_error: ((squares - sum * sum / n).max(0.0) / (n * (n - 1.0))).sqrt(),
    };
    let ratio = wr / w1;
    Ok(OffPolicy {
        ips: mean(corrections(&|_| 0.0), 0.0),
        snips: Estimate {
            value: ratio,
            standard_error: corrections(&|_| ratio).1.sqrt() / w1,
        },
        doubly_robust: mean(corrections(&|arm| models[arm]), base),
        effective_sample_size: w1 * w1 / w2,
    })
}

/// The equal split over `arms` arms, as a target for [`off_policy`].
#[must_use]
pub fn even_split(arms: usize) -> Vec<f64> {
    vec![1.0 / size(arms).max(1.0); arms]
}
