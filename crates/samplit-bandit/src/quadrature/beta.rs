//! The Beta density on the logit scale.
//!
//! With `y = ln(x / (1 - x))` a Beta(a, b) variable has density proportional to
//! `exp(a y) / (1 + exp(y))^(a + b)`: log-concave and smooth for every a, b > 0, with no end-point
//! singularity even at a = 0.01. Measured from its mode `ln(a / b)` by `d`, the log density is
//! `a d - (a + b) ln(1 + m (exp(d) - 1))` with `m = a / (a + b)`, which `exp_m1` and `ln_1p`
//! evaluate without cancellation. For a > b the same is done from the other end, in `-d`, so that
//! the first term stays small when b is.

use std::f64::consts::PI;

use super::{Curve, SUPPORT_DEPTH};

/// A Beta(a, b) density over the logit of the rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BetaCurve {
    total: f64,
    mean: f64,
    mode: f64,
    smaller: f64,
    /// 1, or -1 when the smaller parameter is b and the axis is turned round.
    direction: f64,
    low: f64,
    high: f64,
}

impl BetaCurve {
    /// The curve of Beta(a, b); both are finite and positive.
    pub(crate) fn new(a: f64, b: f64) -> Self {
        let mode = (a / b).ln();
        Self {
            total: a + b,
            mean: a / (a + b),
            mode,
            smaller: a.min(b),
            direction: if a <= b { 1.0 } else { -1.0 },
            low: mode - reach(a, b),
            high: mode + reach(b, a),
        }
    }

    fn log_density(&self, d: f64) -> f64 {
        let d = d * self.direction;
        let share = self.smaller / self.total;
        self.smaller * d - self.total * (share * d.exp_m1()).ln_1p()
    }
}

impl Curve for BetaCurve {
    fn density(&self, y: f64) -> f64 {
        self.log_density(y - self.mode).exp()
    }

    fn support(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn step(&self, y: f64) -> f64 {
        let x = logistic(y);
        // Near the peak the curve is a bell of this width ...
        let bell = 1.5 / (self.total * x * (1.0 - x)).sqrt();
        // ... far out an exponential, of which little needs to be resolved once it is low ...
        let slope = (self.total * (self.mean - x)).abs();
        let depth = -self.log_density(y - self.mode);
        let decay = (3.5 + 0.2 * depth) / slope;
        // ... and the change from one to the other has its complex singularities at +-i pi.
        let bend = 0.5 * y.hypot(PI);
        bell.min(decay).min(bend)
    }

    fn value(&self, y: f64) -> f64 {
        logistic(y)
    }
}

/// `1 / (1 + exp(-y))`, without loss of relative accuracy for very negative `y`.
pub(crate) fn logistic(y: f64) -> f64 {
    if y < 0.0 {
        let e = y.exp();
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + (-y).exp())
    }
}

/// How far to the left of its mode the logit of a Beta(a, b) variable reaches.
///
/// The log density is concave, so a Newton step from anywhere left of the mode lands outside the
/// crossing and later ones close in from there: every iterate after the first is a valid bound.
fn reach(a: f64, b: f64) -> f64 {
    let total = a + b;
    let mean = a / total;
    let mut d = -(2.0 * SUPPORT_DEPTH * total / (a * b)).sqrt();
    for _ in 0..100 {
        let grown = mean * d.exp_m1();
        let short = a * d - total * grown.ln_1p() + SUPPORT_DEPTH;
        if (-1.0..=0.0).contains(&short) {
            break;
        }
        // a - total * x, with x the rate at d, arranged so that nothing cancels at small d
        let slope = -total * (mean * (1.0 - mean) * d.exp_m1()) / (1.0 + grown);
        d -= short / slope;
    }
    -d
}
