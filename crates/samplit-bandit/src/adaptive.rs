//! Means and differences that stay unbiased when the weights followed the data.
//!
//! The score of visitor t for arm a, `G = m + 1{A = a} (Y - m) / e`, has expectation "mean of
//! arm a" whatever the weights e were, as long as they were logged and m was known beforehand
//! (augmented inverse propensity weighting). Averaged with weights h, chosen before the outcome to
//! even the scores' variances out, the estimate is asymptotically normal even under a bandit:
//! Hadad, Hirshberg, Zhan, Wager & Athey, PNAS 118(15), 2021, e2014602118.
//!
//! Here m is the arm's mean over *earlier* snapshots, shrunk: `(sum + 0.5) / (n + 1)`; h is
//! `sqrt(e)` for one arm ("constant allocation rate") and `sqrt(e f / (e + f))` for the
//! difference of two with propensities e and f. Snapshots where an arm had weight 0 tell nothing
//! about it and are left out. For **one** look; see [`crate::confidence_sequence`] for many.

use crate::error::Error;
use crate::estimate::Estimate;
use crate::number::real;
use crate::snapshot::{Snapshot, check};
use crate::value::ValueSums;

/// The mean outcome per visitor of `arm`: a conversion rate or a value.
///
/// ```
/// use samplit_bandit::{Counts, Snapshot, Weights, adaptive_mean};
/// let even = Weights::from_ppb(vec![500_000_000, 500_000_000])?;
/// let shifted = Weights::from_ppb(vec![200_000_000, 800_000_000])?;
/// let count = |n, s| Counts { n, s };
/// let snapshots = [
///     Snapshot::of_counts(even, &[count(1_000, 50), count(1_000, 70)])?,
///     Snapshot::of_counts(shifted, &[count(400, 22), count(1_600, 104)])?,
/// ];
/// let rate = adaptive_mean(&snapshots, 1)?;
/// let (low, high) = rate.interval(0.95)?;
/// assert!(low < 0.067 && 0.067 < high);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When snapshots disagree on the number of arms, lack `arm`, or none gave it visitors to be.
pub fn adaptive_mean(snapshots: &[Snapshot], arm: usize) -> Result<Estimate, Error> {
    check(snapshots, &[arm])?;
    let mut earlier = Earlier::default();
    let mut scores = Vec::new();
    for snapshot in snapshots {
        let (e, m, sums) = (
            snapshot.propensity(arm),
            earlier.mean(0.5),
            snapshot.arms()[arm],
        );
        if e > 0.0 {
            scores.push(Group {
                h: e.sqrt(),
                plain: m,
                others: real(snapshot.visitors() - sums.n),
                moved: vec![Residuals::new(&sums, m, 1.0 / e)],
            });
        }
        earlier.add(&sums);
    }
    weighted(&scores)
}

/// The difference of mean outcomes, `arm` minus `control`.
///
/// ```
/// use samplit_bandit::{Counts, Snapshot, Weights, adaptive_difference};
/// let weights = Weights::from_ppb(vec![200_000_000, 800_000_000])?;
/// let counts = [Counts { n: 2_000, s: 100 }, Counts { n: 8_000, s: 560 }];
/// let difference = adaptive_difference(&[Snapshot::of_counts(weights, &counts)?], 1, 0)?;
/// assert!((difference.value - 0.02).abs() < 1e-9);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// As [`adaptive_mean`], for both arms; and when they are the same.
pub fn adaptive_difference(
    snapshots: &[Snapshot],
    arm: usize,
    control: usize,
) -> Result<Estimate, Error> {
    check(snapshots, &[arm, control])?;
    if arm == control {
        return Err(Error::new("control", "it is the arm itself"));
    }
    let mut earlier = [Earlier::default(), Earlier::default()];
    let mut scores = Vec::new();
    for snapshot in snapshots {
        let (a, c) = (snapshot.arms()[arm], snapshot.arms()[control]);
        let (e, f) = (snapshot.propensity(arm), snapshot.propensity(control));
        let (m, k) = (earlier[0].mean(0.5), earlier[1].mean(0.5));
        if e > 0.0 && f > 0.0 {
            scores.push(Group {
                h: (e * f / (e + f)).sqrt(),
                plain: m - k,
                others: real(snapshot.visitors() - a.n - c.n),
                moved: vec![
                    Residuals::new(&a, m, 1.0 / e),
                    Residuals::new(&c, k, -1.0 / f),
                ],
            });
        }
        earlier[0].add(&a);
        earlier[1].add(&c);
    }
    weighted(&scores)
}

/// The running mean of one arm: known before the next snapshot begins.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Earlier {
    n: f64,
    sum: f64,
}

impl Earlier {
    /// The mean, with one more visitor of value `start`.
    pub(crate) fn mean(self, start: f64) -> f64 {
        (self.sum + start) / (self.n + 1.0)
    }

    pub(crate) fn add(&mut self, sums: &ValueSums) {
        self.n += real(sums.n);
        self.sum += sums.sum;
    }
}

/// The scaled residuals `(Y - m) * scale` of one arm's visitors: number, sum, sum of squares.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Residuals {
    pub(crate) n: f64,
    pub(crate) sum: f64,
    pub(crate) sum_squares: f64,
}

impl Residuals {
    pub(crate) fn new(sums: &ValueSums, m: f64, scale: f64) -> Self {
        let n = real(sums.n);
        let squares = sums.sum_squares - 2.0 * m * sums.sum + n * m * m;
        Self {
            n,
            sum: (sums.sum - n * m) * scale,
            sum_squares: squares.max(0.0) * scale * scale,
        }
    }
}

/// The scores of one snapshot: `plain` for visitors of other arms, `plain + residual` for these.
struct Group {
    h: f64,
    plain: f64,
    others: f64,
    moved: Vec<Residuals>,
}

/// The h-weighted mean of the scores and its standard error, `sqrt(sum h^2 (G - Q)^2) / sum h`.
fn weighted(groups: &[Group]) -> Result<Estimate, Error> {
    let (mut total, mut sum) = (0.0, 0.0);
    for group in groups {
        let n = group.others + group.moved.iter().map(|r| r.n).sum::<f64>();
        total += group.h * n;
        sum += group.h * (n * group.plain + group.moved.iter().map(|r| r.sum).sum::<f64>());
    }
    if total <= 0.0 {
        return Err(Error::new("snapshots", "no visitor could have had the arm"));
    }
    let value = sum / total;
    let mut squares = 0.0;
    for group in groups {
        let gap = group.plain - value;
        let mut spread = group.others * gap * gap;
        for r in &group.moved {
            spread += r.n * gap * gap + 2.0 * gap * r.sum + r.sum_squares;
        }
        squares += group.h * group.h * spread;
    }
    Ok(Estimate {
        value,
        standard_error: squares.max(0.0).sqrt() / total,
    })
}
