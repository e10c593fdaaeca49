//! Rates under **fixed** weights and one look: Wilson, Newcombe, the two-proportion z test.
//!
//! Under adaptive weights these are biased (Nie et al. 2018); see [`crate::adaptive_mean`].

use crate::error::{Error, between};
use crate::number::real;
use crate::posterior::Counts;
use crate::special::{critical_value, normal_above};

/// Wilson's score interval (1927) for one rate, as (low, high); (0, 1) without visitors.
///
/// ```
/// use samplit_bandit::{Counts, wilson};
/// let (low, high) = wilson(Counts::new(431, 13)?, 0.95)?;
/// assert!((low - 0.01772).abs() < 1e-5 && (high - 0.05092).abs() < 1e-5);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `s > n` or `level` is not strictly between 0 and 1.
pub fn wilson(counts: Counts, level: f64) -> Result<(f64, f64), Error> {
    let Counts { n, s } = counts.check()?;
    let z = critical_value(between("level", level, 0.0, 1.0)?);
    let (n, s) = (real(n), real(s));
    let z2 = z * z;
    let centre = (s + 0.5 * z2) / (n + z2);
    let half = z / (n + z2) * (s * (1.0 - s / n.max(1.0)) + 0.25 * z2).sqrt();
    Ok(((centre - half).max(0.0), (centre + half).min(1.0)))
}

/// Newcombe's hybrid score interval (1998, method 10) for `rate(arm) - rate(control)`.
///
/// ```
/// use samplit_bandit::{Counts, newcombe};
/// let (low, high) = newcombe(Counts::new(56, 5)?, Counts::new(29, 0)?, 0.95)?;
/// assert!((low + 0.0381).abs() < 1e-4 && (high - 0.1926).abs() < 1e-4);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `s > n`, an arm has no visitors, or `level` is not strictly between 0 and 1.
pub fn newcombe(arm: Counts, control: Counts, level: f64) -> Result<(f64, f64), Error> {
    let (p, q) = (rate("arm", arm)?, rate("control", control)?);
    let ((p_low, p_high), (q_low, q_high)) = (wilson(arm, level)?, wilson(control, level)?);
    Ok((
        p - q - (p - p_low).hypot(q_high - q),
        p - q + (p_high - p).hypot(q - q_low),
    ))
}

/// The result of a two-proportion z test.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ZTest {
    /// The difference of the rates in pooled standard errors; positive when the arm is ahead.
    pub z: f64,
    /// The two-sided p-value, for **one** look at the data.
    pub p_value: f64,
}

/// Tests `rate(arm) = rate(control)` with the pooled variance, without continuity correction.
///
/// Equal rates of exactly 0 or 1 give z = 0.
///
/// ```
/// use samplit_bandit::{Counts, two_proportion_z};
/// let test = two_proportion_z(Counts::new(1_000, 66)?, Counts::new(1_000, 51)?)?;
/// assert!((test.z - 1.429).abs() < 1e-3 && (test.p_value - 0.153).abs() < 1e-3);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `s > n` or an arm has no visitors.
pub fn two_proportion_z(arm: Counts, control: Counts) -> Result<ZTest, Error> {
    let (p, q) = (rate("arm", arm)?, rate("control", control)?);
    let (n, m) = (real(arm.n), real(control.n));
    let pooled = (real(arm.s) + real(control.s)) / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    let z = if error > 0.0 { (p - q) / error } else { 0.0 };
    Ok(ZTest {
        z,
        p_value: 2.0 * normal_above(z.abs()),
    })
}

fn rate(argument: &'static str, counts: Counts) -> Result<f64, Error> {
    let Counts { n, s } = counts.check()?;
    if n == 0 {
        return Err(Error::new(argument, "no visitors"));
    }
    Ok(real(s) / real(n))
}
