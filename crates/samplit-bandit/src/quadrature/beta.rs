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
    /// The smaller parameter, the sum of both, and the ratio of the two.
    smaller: f64,
    total: f64,
    share: f64,
    mode: f64,
    /// 1, or -1 when the smaller parameter is b and the axis is turned round.
    direction: f64,
    low: f64,
    high: f64,
}

impl BetaCurve {
    /// The curve of Beta(a, b); both are finite and positive.
    pub(crate) fn new(a: f64, b: f64) -> Self {
        let smaller = a.min(b);
        let mode = (a / b).ln();
        let mut curve = Self {
            smaller,
            total: a + b,
            share: smaller / (a + b),
            mode,
            direction: if a <= b { 1.0 } else { -1.0 },
            low: mode,
            high: mode,
        };
        let reaches = (curve.reach(-1.0), curve.reach(1.0));
        let (below, above) = if a <= b {
            reaches
        } else {
            (reaches.1, reaches.0)
        };
        curve.low -= below;
        curve.high += above;
        curve
    }

    /// The directed distance of `y` from the mode.
    fn distance(&self, y: f64) -> f64 {
        (y - self.mode) * self.direction
    }

    fn log_density(&self, d: f64) -> f64 {
        let grown = if d < 30.0 {
            (self.share * d.exp_m1()).ln_1p()
        } else {
            // The same, where the exponential might overflow.
            d + (self.share + (1.0 - self.share) * (-d).exp()).ln()
        };
        self.smaller * d - self.total * grown
    }

    /// The derivative of the log density, arranged so that nothing cancels near the mode.
    fn slope(&self, d: f64) -> f64 {
        let rest = 1.0 - self.share;
        let fall = (-d).min(700.0);
        self.smaller * rest * fall.exp_m1() / (self.share + rest * fall.exp())
    }

    /// How far from the mode the support reaches on one side, `sign` -1 or 1.
    ///
    /// The log density is concave, so a Newton step from anywhere on that side lands outside the
    /// crossing and later ones close in from there: every iterate after the first is a bound.
    fn reach(&self, sign: f64) -> f64 {
        let curvature = self.smaller * (1.0 - self.share);
        let mut d = sign * (2.0 * SUPPORT_DEPTH / curvature).sqrt();
        for _ in 0..100 {
            let short = self.log_density(d) + SUPPORT_DEPTH;
            if (-1.0..=0.0).contains(&short) {
                break;
            }
            d -= short / self.slope(d);
        }
        d.abs()
    }
}

impl Curve for BetaCurve {
    fn density(&self, y: f64) -> f64 {
        self.log_density(self.distance(y)).exp()
    }

    fn support(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    fn step(&self, y: f64) -> f64 {
        let d = self.distance(y);
        // Near the peak the curve is a bell of this width ...
        let e = (-y.abs()).exp();
        let bell = 1.5 * (1.0 + e) / (self.total * e).sqrt();
        // ... far out an exponential, of which little needs to be resolved once it is low ...
        let decay = (3.5 - 0.2 * self.log_density(d)) / self.slope(d).abs();
        // ... and the change from one to the other has its complex singularities at +-i pi.
        let bend = 0.5 * y.hypot(PI);
        bell.min(decay).min(bend)
    }

    fn value(&self, y: f64) -> f64 {
        logistic(y)
    }
}

/// `1 / (1 + exp(-y))`, without loss of relative accuracy for very negative `y`.
fn logistic(y: f64) -> f64 {
    if y < 0.0 {
        let e = y.exp();
        e / (1.0 + e)
    } else {
        1.0 / (1.0 + (-y).exp())
    }
}
