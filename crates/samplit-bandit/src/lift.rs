//! How much better an arm is than control: the posterior of the ratio of two rates, by quadrature.

use crate::error::{Error, between};
use crate::posterior::Beta;
use crate::quadrature::{Cumulative, invert};
use crate::special::normal_quantile_above;

/// The relative lift of an arm over control, `theta_arm / theta_control - 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lift {
    /// Lower end of the equal-tailed credible interval.
    pub low: f64,
    /// Posterior median.
    pub median: f64,
    /// Upper end of the equal-tailed credible interval.
    pub high: f64,
}

/// The posterior lift of `arm` over `control`, with a credible interval of probability `level`.
///
/// Assumes independent posteriors. Accurate to 1e-7 for rates that are not squeezed against 1.
///
/// ```
/// use samplit_bandit::{Beta, lift};
/// let lift = lift(&Beta::new(66.0, 936.0)?, &Beta::new(51.0, 951.0)?, 0.95)?;
/// assert!((lift.median - 0.296).abs() < 1e-3);
/// assert!(lift.low < 0.0 && lift.high > 0.0); // not yet certain to be better
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `level` is not strictly between 0 and 1.
pub fn lift(arm: &Beta, control: &Beta, level: f64) -> Result<Lift, Error> {
    let tail = 0.5 * (1.0 - between("level", level, 0.0, 1.0)?);
    let ratio = Ratio::new(arm, control)?;
    let median = ratio.quantile(0.5)?.exp_m1();
    Ok(Lift {
        // Rates squeezed against 1 can tell the three apart no more than f64 can.
        low: ratio.quantile(tail)?.exp_m1().min(median),
        median,
        high: ratio.quantile(1.0 - tail)?.exp_m1().max(median),
    })
}

/// What serving `arm` instead of `control` gains, in conversions per 1,000 visitors.
///
/// ```
/// use samplit_bandit::{Beta, expected_gain};
/// let gain = expected_gain(&Beta::new(66.0, 934.0)?, &Beta::new(51.0, 949.0)?);
/// assert!((gain - 15.0).abs() < 1e-9);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
#[must_use]
pub fn expected_gain(arm: &Beta, control: &Beta) -> f64 {
    1_000.0 * (arm.mean() - control.mean())
}

/// The logarithm of a ratio of rates.
struct Ratio {
    /// Logs and probabilities of the sharper rate, which is integrated over ...
    nodes: Vec<(f64, f64)>,
    /// ... and the other, which is smooth on those nodes.
    other: Cumulative<crate::quadrature::BetaCurve>,
    arm_is_sharper: bool,
    centre: f64,
    spread: f64,
}

impl Ratio {
    fn new(arm: &Beta, control: &Beta) -> Result<Self, Error> {
        let spread = |beta: &Beta| beta.standard_deviation() / beta.mean();
        let arm_is_sharper = spread(arm) < spread(control);
        let (sharp, other) = if arm_is_sharper {
            (arm, control)
        } else {
            (control, arm)
        };
        let mut nodes = Cumulative::new(sharp.curve())?.nodes();
        // A rate below the smallest real has no logarithm, and most of the support no weight.
        nodes.retain(|(x, weight)| *x > 0.0 && *weight > 1e-16);
        for (x, _) in &mut nodes {
            *x = x.ln();
        }
        Ok(Self {
            nodes,
            other: Cumulative::new(other.curve())?,
            arm_is_sharper,
            centre: (arm.mean() / control.mean()).ln(),
            spread: spread(arm).hypot(spread(control)),
        })
    }

    /// The probability that the log ratio is at most `u`.
    fn below(&self, u: f64) -> f64 {
        let shift = if self.arm_is_sharper { -u } else { u };
        let sum: f64 = self
            .nodes
            .iter()
            .map(|(ln_x, weight)| {
                let ln_x = ln_x + shift;
                let below = if ln_x < 0.0 {
                    self.other.below(ln_x - (-ln_x.exp_m1()).ln())
                } else {
                    1.0
                };
                weight * below
            })
            .sum();
        if self.arm_is_sharper { 1.0 - sum } else { sum }
    }

    fn quantile(&self, q: f64) -> Result<f64, Error> {
        let guess = self.centre + self.spread * normal_quantile_above(1.0 - q);
        let found = invert(|u| self.below(u), q, (guess, self.spread), 1e6);
        found.ok_or_else(|| Error::new("arm", "the lift's posterior is too wide to bound"))
    }
}
