//! One curve's distribution function, its inverse, and expectations under it.

use super::gauss::Series;
use super::{Curve, GAUSS, MAX_PANELS, step};
use crate::Error;

/// A curve integrated once, ready to answer probabilities and quantiles.
#[derive(Debug)]
pub(crate) struct Cumulative<C> {
    curve: C,
    panels: Vec<Panel>,
    total: f64,
}

#[derive(Debug)]
struct Panel {
    left: f64,
    half: f64,
    /// The mass to the left of the panel, relative to the curve's peak.
    before: f64,
    density: Series,
}

impl<C: Curve> Cumulative<C> {
    pub(crate) fn new(curve: C) -> Result<Self, Error> {
        let (low, high) = curve.support();
        let mut panels = Vec::new();
        let (mut left, mut before) = (low, 0.0);
        while left < high {
            let right = left + step(&curve, left);
            if panels.len() > MAX_PANELS || right <= left || right.is_nan() {
                return Err(Error::new("posterior", "too extreme to integrate"));
            }
            let half = 0.5 * (right - left);
            let values = GAUSS.nodes(left, half).map(|y| curve.density(y));
            panels.push(Panel {
                left,
                half,
                before,
                density: GAUSS.series(&values),
            });
            before += GAUSS.integral(half, &values);
            left = right;
        }
        Ok(Self {
            curve,
            panels,
            total: before,
        })
    }

    /// The probability of a coordinate of at most `y`. Accurate to 1e-11 absolute.
    pub(crate) fn below(&self, y: f64) -> f64 {
        let at = self.panels.partition_point(|panel| panel.left <= y);
        match at.checked_sub(1).and_then(|i| self.panels.get(i)) {
            None => 0.0,
            Some(panel) => (panel.mass_below(y) / self.total).min(1.0),
        }
    }

    /// The coordinate below which a share `q` (strictly between 0 and 1) of the mass lies.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let target = q * self.total;
        let at = self.panels.partition_point(|panel| panel.before <= target);
        let Some(panel) = at.checked_sub(1).and_then(|i| self.panels.get(i)) else {
            return self.curve.support().0;
        };
        let (mut low, mut high) = (panel.left, panel.left + 2.0 * panel.half);
        let mut y = panel.left + panel.half;
        for _ in 0..100 {
            let excess = panel.mass_below(y) - target;
            if excess > 0.0 {
                high = y;
            } else {
                low = y;
            }
            let newton = y - excess / self.curve.density(y);
            let next = if newton > low && newton < high {
                newton
            } else {
                0.5 * (low + high)
            };
            let moved = (next - y).abs();
            y = next;
            if moved <= 1e-15 * y.abs().max(panel.half) {
                break;
            }
        }
        y
    }

    /// The quantity (not the coordinate) below which a share `q` of the mass lies.
    pub(crate) fn value_at(&self, q: f64) -> f64 {
        self.curve.value(self.quantile(q))
    }

    /// Quantities and their probabilities: sums over them are expectations of smooth functions.
    pub(crate) fn nodes(&self) -> Vec<(f64, f64)> {
        let on_panel = |panel: &Panel| {
            let weights = GAUSS.weight.map(|w| w * panel.half / self.total);
            let nodes = GAUSS.nodes(panel.left, panel.half);
            let pairs: Vec<(f64, f64)> = nodes
                .iter()
                .zip(weights)
                .map(|(y, w)| (self.curve.value(*y), w * self.curve.density(*y)))
                .collect();
            pairs
        };
        self.panels.iter().flat_map(on_panel).collect()
    }
}

impl Panel {
    /// The relative mass below `y`, which lies on this panel or to its right.
    fn mass_below(&self, y: f64) -> f64 {
        let x = ((y - self.left) / self.half - 1.0).min(1.0);
        self.before + self.half * self.density.integral_to(x)
    }
}
