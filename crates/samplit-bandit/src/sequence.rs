//! Confidence sequences: intervals that hold at **every** look, under any logged weights.
//!
//! Design-based (Ham, Bojinov, Lindon & Tingley 2022, arXiv:2210.08639): outcomes are taken as
//! fixed, only the assignment is random, with the logged propensities. The sum of inverse
//! propensity scores minus its target is a martingale whose conditional variance is bounded by
//! `S = sum of ((Y - m) / e)^2` over the arms compared; the asymptotic Gaussian mixture gives
//! the half-width `(1 / T) sqrt((S eta^2 + 1) / eta^2 * ln((S eta^2 + 1) / alpha^2))`.
//! With [`Centring::None`] m is 0, the paper's plain form. With [`Centring::Earlier`] m is the
//! arm's mean over earlier snapshots: as valid, since m is known beforehand, and narrower.
//!
//! Asymptotic: the first dozens of conversions are not covered by the theorem.

use crate::adaptive::{Earlier, Residuals};
use crate::error::{Error, between, within};
use crate::number::real;
use crate::snapshot::{Snapshot, check};

/// What outcomes are measured from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Centring {
    /// From zero.
    None,
    /// From the arm's mean over earlier snapshots, `(sum + 0.5) / (n + 1)`.
    #[default]
    Earlier,
}

/// What is estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Contrast {
    /// The mean outcome of this arm.
    Mean(usize),
    /// The mean outcome of `arm` minus that of `control`.
    Difference {
        /// The arm.
        arm: usize,
        /// What it is compared with.
        control: usize,
    },
}

/// Where a confidence sequence stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sequence {
    /// The estimate.
    pub estimate: f64,
    /// Half the width of the interval at this look; infinite before there is an outcome to judge.
    pub half_width: f64,
    /// The variance bound S so far; what [`tune`] wants to know of the planned end.
    pub variance: f64,
    /// The tuning parameter in force.
    pub eta: f64,
}

impl Sequence {
    /// The interval as (low, high).
    #[must_use]
    pub fn interval(&self) -> (f64, f64) {
        (
            self.estimate - self.half_width,
            self.estimate + self.half_width,
        )
    }

    /// Whether the interval lies on one side of zero: a difference proved at any look.
    #[must_use]
    pub fn excludes_zero(&self) -> bool {
        self.estimate.abs() > self.half_width
    }
}

/// The confidence sequence of `contrast` after these snapshots, with error rate `alpha`.
///
/// `eta` must be fixed before the data; see [`tune`]. Snapshots in which an arm of the contrast
/// had weight 0 are left out. For several contrasts divide `alpha` by their number
/// ([`crate::bonferroni`]).
///
/// ```
/// use samplit_bandit::*;
/// let even = Weights::from_ppb(vec![500_000_000, 500_000_000])?;
/// let counts = [Counts { n: 5_000, s: 250 }, Counts { n: 5_000, s: 400 }];
/// let snapshots = [Snapshot::of_counts(even, &counts)?];
/// let eta = tune(planned_variance(10_000, 0.05, &[0.5, 0.5])?, 0.05)?;
/// let contrast = Contrast::Difference { arm: 1, control: 0 };
/// let now = confidence_sequence(&snapshots, contrast, Centring::None, eta, 0.05)?;
/// assert!(now.excludes_zero());
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// When snapshots disagree on the number of arms, lack one of the contrast or compare an arm with
/// itself; when `eta` is not within 1e-9 to 1e9 or `alpha` not strictly between 0 and 1.
pub fn confidence_sequence(
    snapshots: &[Snapshot],
    contrast: Contrast,
    centring: Centring,
    eta: f64,
    alpha: f64,
) -> Result<Sequence, Error> {
    let eta = within("eta", eta, 1e-9, 1e9)?;
    between("alpha", alpha, 0.0, 1.0)?;
    let terms: Vec<(usize, f64)> = match contrast {
        Contrast::Mean(arm) => vec![(arm, 1.0)],
        Contrast::Difference { arm, control } if arm == control => {
            return Err(Error::new("control", "it is the arm itself"));
        }
        Contrast::Difference { arm, control } => vec![(arm, 1.0), (control, -1.0)],
    };
    check(
        snapshots,
        &terms.iter().map(|term| term.0).collect::<Vec<_>>(),
    )?;
    let mut earlier = vec![Earlier::default(); terms.len()];
    let (mut visitors, mut total, mut variance) = (0.0, 0.0, 0.0);
    for snapshot in snapshots {
        let told = terms.iter().all(|(arm, _)| snapshot.propensity(*arm) > 0.0);
        let all = real(snapshot.visitors());
        for ((arm, sign), earlier) in terms.iter().zip(&mut earlier) {
            let sums = snapshot.arms()[*arm];
            if told {
                let m = match centring {
                    Centring::None => 0.0,
                    Centring::Earlier => earlier.mean(),
                };
                let r = Residuals::new(&sums, m, sign / snapshot.propensity(*arm));
                total += sign * m * all + r.sum;
                variance += r.sum_squares;
            }
            earlier.add(&sums);
        }
        if told {
            visitors += all;
        }
    }
    let started = visitors > 0.0;
    Ok(Sequence {
        estimate: if started { total / visitors } else { 0.0 },
        half_width: if started && variance > 0.0 {
            half_width(variance, eta, alpha) / visitors
        } else {
            f64::INFINITY
        },
        variance,
        eta,
    })
}

/// Half the width of the sum's interval at variance `s`.
pub(crate) fn half_width(s: f64, eta: f64, alpha: f64) -> f64 {
    let eta2 = eta * eta;
    let grown = s * eta2 + 1.0;
    (grown / eta2 * (grown.ln() - 2.0 * alpha.ln())).sqrt()
}

/// The `eta` that makes the sequence narrowest when its variance bound reaches `variance`.
///
/// Narrowest there, valid everywhere. It must not depend on the data.
///
/// # Errors
/// When `variance` is not within 1e-6 to 1e15 or `alpha` not strictly between 0 and 1.
pub fn tune(variance: f64, alpha: f64) -> Result<f64, Error> {
    within("variance", variance, 1e-6, 1e15)?;
    let cost = -2.0 * between("alpha", alpha, 0.0, 1.0)?.ln();
    // The derivative vanishes at x = S eta^2 = cost + ln(1 + x); the map contracts.
    let mut x = cost + 1.0;
    for _ in 0..60 {
        x = cost + x.ln_1p();
    }
    Ok((x / variance).sqrt())
}

/// The variance bound to expect after `visitors` in all, when outcomes have the mean square
/// `mean_square` (for conversions: the rate) and the compared arms have these `weights`.
///
/// # Errors
/// When `mean_square` is not positive, or a weight not within 0 (excluded) to 1.
pub fn planned_variance(visitors: u64, mean_square: f64, weights: &[f64]) -> Result<f64, Error> {
    within("mean_square", mean_square, 1e-12, 1e12)?;
    let mut sum = 0.0;
    for weight in weights {
        sum += 1.0 / within("weights", *weight, 1e-9, 1.0)?;
    }
    Ok(real(visitors) * mean_square * sum)
}
