//! Was my split fair: sample ratio mismatch for fixed and adaptive weights, and leaks.
//!
//! `O_i - sum of e_t(i)`, the surplus of arm i over what the logged weights promised, is a
//! martingale with covariance `sum of (diag(e_t) - e_t e_t')`. Its quadratic form is chi-square at
//! **one** look. For many looks there is a Bayes factor: the multinomial with a Dirichlet prior
//! against the logged weights (Lindon & Malek, `NeurIPS` 2022), here as a product over snapshots
//! whose prior carries what earlier snapshots showed. It is a martingale under honest
//! weights, so by Ville's inequality it exceeds 1/alpha at **any** look with chance at most alpha.
//! With constant weights it is exactly Lindon and Malek's test.

use crate::error::Error;
use crate::number::{real, size};
use crate::snapshot::{Snapshot, check};
use crate::special::{chi_square_above, ln_gamma};

/// Visitors that the prior belief in the logged weights is worth.
const CONCENTRATION: f64 = 100.0;

/// Below this expected count the chi-square approximation is not to be trusted.
const LEAST_EXPECTED: f64 = 5.0;

/// The always-valid p-value below which the alarm should sound.
const ALARM: f64 = 0.001;

/// What the split looks like against the logged weights.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleRatio {
    /// Visitors per arm.
    pub observed: Vec<u64>,
    /// Visitors per arm that the weights promised.
    pub expected: Vec<f64>,
    /// The chi-square statistic, for one look.
    pub chi_square: f64,
    /// Its degrees of freedom: the arms that had weight, less one for each group of arms that
    /// shared traffic.
    pub degrees: usize,
    /// The p-value of the chi-square statistic, for one look.
    pub p_value: f64,
    /// The always-valid p-value: 1 over the largest Bayes factor at the end of any snapshot.
    pub always_valid_p: f64,
    /// Visitors given to an arm whose logged weight was 0. Each is a fault by itself.
    pub leaked: u64,
}

/// What to say about the split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// An arm's expected count is below 5.
    TooEarly,
    /// Nothing speaks against the logged weights.
    Sound,
    /// The split cannot be explained by the logged weights: results must not be trusted.
    Mismatch,
}

impl SampleRatio {
    /// The verdict, at whatever look: a leak, or an always-valid p-value below 0.001.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let scarce = |e: &f64| *e > 0.0 && *e < LEAST_EXPECTED;
        if self.leaked > 0 {
            Verdict::Mismatch
        } else if self.degrees == 0 || self.expected.iter().any(scarce) {
            Verdict::TooEarly
        } else if self.always_valid_p < ALARM {
            Verdict::Mismatch
        } else {
            Verdict::Sound
        }
    }
}

/// Compares the visitors of each arm with the logged weights.
///
/// ```
/// use samplit_bandit::{Counts, Snapshot, Verdict, Weights, sample_ratio};
/// let even = Weights::from_ppb(vec![500_000_000, 500_000_000])?;
/// let lost = [Counts { n: 10_000, s: 0 }, Counts { n: 9_300, s: 0 }];
/// let split = sample_ratio(&[Snapshot::of_counts(even, &lost)?])?;
/// assert_eq!(split.verdict(), Verdict::Mismatch);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When snapshots disagree on the number of arms, or there are no visitors.
pub fn sample_ratio(snapshots: &[Snapshot]) -> Result<SampleRatio, Error> {
    let arms = check(snapshots, &[])?;
    let mut observed = vec![0; arms];
    let mut expected = vec![0.0; arms];
    let mut surplus = vec![0.0; arms];
    let mut covariance = vec![vec![0.0; arms]; arms];
    let mut leaked = 0;
    let mut log_factor = 0.0;
    let mut largest: f64 = 0.0;
    for snapshot in snapshots {
        let e: Vec<f64> = (0..arms).map(|arm| snapshot.propensity(arm)).collect();
        // A leaked visitor is counted as such and kept out of the arithmetic.
        let honest: Vec<f64> = (0..arms)
            .map(|i| {
                if e[i] > 0.0 {
                    real(snapshot.arms()[i].n)
                } else {
                    0.0
                }
            })
            .collect();
        log_factor += log_bayes_factor(&e, &honest, &surplus, &expected);
        largest = largest.max(log_factor);
        let total: f64 = honest.iter().sum();
        for i in 0..arms {
            let n = snapshot.arms()[i].n;
            observed[i] += n;
            leaked += if e[i] > 0.0 { 0 } else { n };
            expected[i] += total * e[i];
            surplus[i] += honest[i] - total * e[i];
            for j in 0..arms {
                let own = if i == j { e[i] } else { 0.0 };
                covariance[i][j] += total * (own - e[i] * e[j]);
            }
        }
    }
    if observed.iter().all(|n| *n == 0) {
        return Err(Error::new("snapshots", "there are no visitors"));
    }
    let (chi_square, degrees) = quadratic_form(covariance, surplus);
    Ok(SampleRatio {
        observed,
        expected,
        chi_square,
        degrees,
        p_value: if degrees > 0 {
            chi_square_above(chi_square, size(degrees))
        } else {
            1.0
        },
        always_valid_p: (-largest).exp(),
        leaked,
    })
}

/// The log Bayes factor of one snapshot's counts, with a prior that earlier ones have taught.
fn log_bayes_factor(e: &[f64], counts: &[f64], surplus: &[f64], expected: &[f64]) -> f64 {
    let seen: f64 = expected.iter().sum();
    // By what factor each arm has come more often than promised, shrunk towards 1.
    let tilted: Vec<f64> = (0..e.len())
        .map(|i| {
            let prior = CONCENTRATION * e[i] + expected[i];
            if e[i] > 0.0 {
                e[i] * (1.0 + surplus[i] / prior)
            } else {
                0.0
            }
        })
        .collect();
    let tilt: f64 = tilted.iter().sum();
    let strength = CONCENTRATION + seen;
    let total: f64 = counts.iter().sum();
    let mut log_factor = ln_gamma(strength) - ln_gamma(strength + total);
    for i in (0..e.len()).filter(|&i| e[i] > 0.0) {
        let alpha = strength * tilted[i] / tilt;
        log_factor += ln_gamma(alpha + counts[i]) - ln_gamma(alpha) - counts[i] * e[i].ln();
    }
    log_factor
}

/// `x' V^+ x` and the rank of V, for x in the range of V, by elimination with diagonal pivots.
fn quadratic_form(mut v: Vec<Vec<f64>>, mut x: Vec<f64>) -> (f64, usize) {
    let arms = x.len();
    let scale: Vec<f64> = (0..arms).map(|i| v[i][i]).collect();
    let mut open: Vec<usize> = (0..arms).filter(|&i| scale[i] > 0.0).collect();
    let (mut form, mut rank) = (0.0, 0);
    // What is left of a diagonal, as a share of what it was: rounding leaves 1e-16 of nothing.
    let left = |v: &[Vec<f64>], i: usize| v[i][i] / scale[i];
    while let Some(at) = (0..open.len())
        .filter(|&at| left(&v, open[at]) > 1e-9)
        .max_by(|&a, &b| left(&v, open[a]).total_cmp(&left(&v, open[b])))
    {
        let pivot = open.swap_remove(at);
        form += x[pivot] * x[pivot] / v[pivot][pivot];
        rank += 1;
        for &i in &open {
            let factor = v[i][pivot] / v[pivot][pivot];
            x[i] -= factor * x[pivot];
            for &j in &open {
                let step = factor * v[pivot][j];
                v[i][j] -= step;
            }
        }
    }
    (form, rank)
}
