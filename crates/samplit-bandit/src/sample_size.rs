//! How many visitors a fixed comparison of two rates needs.

use crate::error::{Error, between, within};
use crate::number::{real, whole};
use crate::special::normal_quantile_above;

/// A planned comparison of two rates at one look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Comparison {
    /// The control's rate, strictly between 0 and 1.
    pub rate: f64,
    /// The smallest absolute difference worth finding; `rate + effect` is between 0 and 1 too.
    pub effect: f64,
    /// The two-sided error rate, such as 0.05.
    pub alpha: f64,
    /// The chance to find the effect if it is there, such as 0.8.
    pub power: f64,
}

/// Visitors per arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SampleSize {
    /// By the normal approximation.
    pub per_arm: u64,
    /// With the continuity correction of Fleiss, Tytun & Ury (1980).
    pub per_arm_corrected: u64,
}

/// The visitors per arm that a two-sided z test of two rates needs (Fleiss 1981), arms of equal
/// size.
///
/// ```
/// use samplit_bandit::{Comparison, sample_size};
/// let plan = Comparison { rate: 0.05, effect: 0.01, alpha: 0.05, power: 0.8 };
/// assert_eq!(sample_size(plan)?.per_arm, 8_158);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When a rate, `alpha` or `power` is not strictly between 0 and 1, or the effect is below 1e-9.
pub fn sample_size(comparison: Comparison) -> Result<SampleSize, Error> {
    let Comparison {
        rate,
        effect,
        alpha,
        power,
    } = comparison;
    let p = between("rate", rate, 0.0, 1.0)?;
    let size = within("effect", effect.abs(), 1e-9, 1.0)?;
    let q = between("effect", p + effect, 0.0, 1.0)?;
    let mean = 0.5 * (p + q);
    let z_alpha = normal_quantile_above(0.5 * between("alpha", alpha, 0.0, 1.0)?);
    let z_beta = normal_quantile_above(1.0 - between("power", power, 0.0, 1.0)?);
    let root = z_alpha * (2.0 * mean * (1.0 - mean)).sqrt()
        + z_beta * (p * (1.0 - p) + q * (1.0 - q)).sqrt();
    let n = (root.max(0.0) / size).powi(2).max(1.0);
    let corrected = 0.25 * n * (1.0 + (1.0 + 4.0 / (n * size)).sqrt()).powi(2);
    Ok(SampleSize {
        per_arm: whole(n.ceil()),
        per_arm_corrected: whole(corrected.ceil()),
    })
}

/// The days that `visitors` take at `visitors_per_day`.
///
/// ```
/// # use samplit_bandit::days_needed;
/// assert_eq!(days_needed(16_000, 2_000.0)?, 8.0);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `visitors_per_day` is not positive.
pub fn days_needed(visitors: u64, visitors_per_day: f64) -> Result<f64, Error> {
    Ok(real(visitors) / within("visitors_per_day", visitors_per_day, 1e-9, f64::MAX)?)
}
