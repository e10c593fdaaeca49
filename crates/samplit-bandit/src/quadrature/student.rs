//! The density of Student's t with a location and a scale.

use super::{Curve, SUPPORT_DEPTH};

/// Student's t over the quantity itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StudentCurve {
    location: f64,
    scale: f64,
    degrees: f64,
    reach: f64,
}

impl StudentCurve {
    pub(crate) fn new(location: f64, scale: f64, degrees: f64) -> Self {
        // (1 + z^2 / v)^(-(v + 1) / 2) = exp(-depth), solved for z.
        let reach = (degrees * (2.0 * SUPPORT_DEPTH / (degrees + 1.0)).exp_m1()).sqrt();
        Self {
            location,
            scale,
            degrees,
            reach: reach * scale,
        }
    }

    fn standard(&self, y: f64) -> f64 {
        (y - self.location) / self.scale
    }

    fn depth(&self, z: f64) -> f64 {
        0.5 * (self.degrees + 1.0) * (z * z / self.degrees).ln_1p()
    }
}

impl Curve for StudentCurve {
    fn density(&self, y: f64) -> f64 {
        (-self.depth(self.standard(y))).exp()
    }

    fn support(&self) -> (f64, f64) {
        (self.location - self.reach, self.location + self.reach)
    }

    fn step(&self, y: f64) -> f64 {
        let z = self.standard(y);
        let spread = self.degrees + z * z;
        let bell = 1.5 * (spread / (self.degrees + 1.0)).sqrt();
        let slope = (self.degrees + 1.0) * z.abs() / spread;
        let decay = (3.5 + 0.2 * self.depth(z)) / slope;
        // Singular at z = +-i sqrt(v): the tail is algebraic, so panels grow in proportion.
        let bend = 0.5 * spread.sqrt();
        self.scale * bell.min(decay).min(bend)
    }

    fn value(&self, y: f64) -> f64 {
        y
    }
}
