//! A race of Beta posteriors in half a microsecond: normal log odds, tabulated.
//!
//! The log odds of a Beta(a, b) variable have mean about `ln((a - 1/2) / (b - 1/2))` and variance
//! about `1 / (a - 1/2) + 1 / (b - 1/2)`; with a dozen conversions an arm the probability of being
//! best is right to two percentage points, which is all that a forecast of weights can use.

use std::sync::LazyLock;

use crate::number::{real, size, whole};
use crate::special::normal_above;

/// Steps of the trapezoidal rule over -4.8 to 4.8 standard deviations.
const POINTS: usize = 33;
const POINT_STEP: f64 = 0.3;

/// Entries of the table of the normal distribution function over -6 to 6.
const ENTRIES: usize = 1_201;
const ENTRIES_PER_UNIT: f64 = 100.0;
const TABLE_END: f64 = 6.0;

static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let at = |i: usize| 1.0 - normal_above(size(i) / ENTRIES_PER_UNIT - TABLE_END);
    (0..ENTRIES).map(at).collect()
});

/// Abscissas and weights of the standard normal density; the weights sum to 1.
static NORMAL: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    let at = |i: usize| (size(i) - 0.5 * size(POINTS - 1)) * POINT_STEP;
    let density = |z: f64| (-0.5 * z * z).exp();
    let total: f64 = (0..POINTS).map(|i| density(at(i))).sum();
    (0..POINTS)
        .map(|i| (at(i), density(at(i)) / total))
        .collect()
});

/// Mean and standard deviation of the log odds of a Beta(a, b) variable.
pub(super) fn log_odds(a: f64, b: f64) -> (f64, f64) {
    // Half an observation is taken away, but never all: with a flat prior 1 becomes 1/2.
    let (a, b) = ((a - 0.5).max(0.5 * a), (b - 0.5).max(0.5 * b));
    ((a / b).ln(), (1.0 / a + 1.0 / b).sqrt())
}

/// The probability of each arm to be the largest, written to `p`.
pub(super) fn p_best(arms: &[(f64, f64)], p: &mut [f64]) {
    for (i, p) in p.iter_mut().enumerate() {
        *p = expect(arms, i, |_| 1.0);
    }
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
}

/// The mean of the largest rate.
pub(super) fn mean_of_best(arms: &[(f64, f64)]) -> f64 {
    let (mut mean, mut sum) = (0.0, 0.0);
    for i in 0..arms.len() {
        mean += expect(arms, i, |y| 1.0 / (1.0 + (-y).exp()));
        sum += expect(arms, i, |_| 1.0);
    }
    mean / sum
}

/// The expectation of `f` where arm `i` is the largest.
fn expect(arms: &[(f64, f64)], i: usize, f: impl Fn(f64) -> f64) -> f64 {
    let (mean, deviation) = arms[i];
    NORMAL
        .iter()
        .map(|(z, weight)| {
            let y = mean + z * deviation;
            let mut product = weight * f(y);
            for (j, (mean, deviation)) in arms.iter().enumerate() {
                if j != i {
                    product *= below((y - mean) / deviation);
                }
            }
            product
        })
        .sum()
}

/// The normal distribution function, by linear interpolation.
fn below(z: f64) -> f64 {
    let place = (z + TABLE_END) * ENTRIES_PER_UNIT;
    let index = whole(place);
    let at = usize::try_from(index).unwrap_or(ENTRIES);
    match TABLE.get(at..at.saturating_add(2)) {
        Some([low, high]) => low + (place.max(0.0) - real(index)) * (high - low),
        _ => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Beta, expected_loss};

    #[test]
    fn follows_the_exact_race() {
        for counts in [
            vec![(20.0, 380.0), (31.0, 400.0)],
            vec![(50.0, 950.0), (60.0, 900.0), (20.0, 300.0)],
            vec![
                (12.0, 300.0),
                (400.0, 7_000.0),
                (15.0, 260.0),
                (900.0, 15_000.0),
            ],
        ] {
            let betas: Vec<Beta> = counts
                .iter()
                .map(|(a, b)| Beta::new(*a, *b).unwrap())
                .collect();
            let odds: Vec<(f64, f64)> = counts.iter().map(|(a, b)| log_odds(*a, *b)).collect();
            let mut p = vec![0.0; counts.len()];
            p_best(&odds, &mut p);
            for (p, exact) in p.iter().zip(crate::p_best(&betas).unwrap()) {
                assert!((p - exact).abs() < 0.02, "{p} {exact} {counts:?}");
            }
            let exact = expected_loss(&betas).unwrap()[0] + betas[0].mean();
            assert!((mean_of_best(&odds) / exact - 1.0).abs() < 0.01);
        }
    }
}
