//! Which arm is best, and what choosing another would cost: exact, by quadrature.
//!
//! Thompson (1933) proposed to play an arm with the probability that it is the best; these are
//! those probabilities, not a Monte-Carlo estimate of them, so equal counts give equal numbers.
//! Assumes independent arms, each with the posterior given. Accuracy: 1e-9 absolute for up to 64
//! arms, up to 1e9 observations an arm and priors down to 0.01, identical arms included.

use crate::error::Error;
use crate::posterior::Beta;
use crate::quadrature::{BetaCurve, race};

/// The probability of each arm to have the highest rate. Sums to 1; one arm alone has 1.
///
/// ```
/// use samplit_bandit::{Beta, p_best};
/// let p = p_best(&[Beta::new(51.0, 951.0)?, Beta::new(66.0, 936.0)?])?;
/// assert!((p[1] - 0.92448).abs() < 1e-5);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When there is no arm.
pub fn p_best(arms: &[Beta]) -> Result<Vec<f64>, Error> {
    Ok(race(&curves(arms)?)?.p)
}

/// The expected loss of choosing each arm: the mean of (the best rate - this arm's rate).
///
/// In conversions per visitor; never negative. Small for every arm worth choosing.
///
/// ```
/// use samplit_bandit::{Beta, expected_loss};
/// let loss = expected_loss(&[Beta::new(51.0, 951.0)?, Beta::new(66.0, 936.0)?])?;
/// assert!((loss[0] - 0.015325).abs() < 1e-6 && (loss[1] - 0.000355).abs() < 1e-6);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When there is no arm.
pub fn expected_loss(arms: &[Beta]) -> Result<Vec<f64>, Error> {
    let best = race(&curves(arms)?)?.mean_of_best;
    let loss = |arm: &Beta| (best - arm.mean()).max(0.0);
    Ok(arms.iter().map(loss).collect())
}

/// The probability that the rate of `arm` exceeds the rate of `control`.
///
/// ```
/// use samplit_bandit::{Beta, prob_beats};
/// let p = prob_beats(&Beta::new(66.0, 936.0)?, &Beta::new(51.0, 951.0)?)?;
/// assert!((p - 0.92448).abs() < 1e-5);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When the quadrature cannot be certified, which no valid Beta is known to cause.
pub fn prob_beats(arm: &Beta, control: &Beta) -> Result<f64, Error> {
    Ok(race(&[arm.curve(), control.curve()])?.p[0])
}

fn curves(arms: &[Beta]) -> Result<Vec<BetaCurve>, Error> {
    if arms.is_empty() {
        return Err(Error::new("arms", "there is no arm"));
    }
    Ok(arms.iter().map(Beta::curve).collect())
}
