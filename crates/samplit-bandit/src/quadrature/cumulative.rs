//! One curve's distribution function and its inverse.

use super::{Curve, GAUSS, MAX_PANELS, NODES, step};
use crate::Error;

/// A curve integrated once, ready to answer probabilities and quantiles.
#[derive(Debug)]
pub(crate) struct Cumulative<C> {
    curve: C,
    /// Left end of each panel and the mass before it, relative; the last entry is the right end.
    mass: Vec<(f64, f64)>,
}

impl<C: Curve> Cumulative<C> {
    pub(crate) fn new(curve: C) -> Result<Self, Error> {
        let (low, high) = curve.support();
        let mut mass = vec![(low, 0.0)];
        let (mut y, mut before) = (low, 0.0);
        while y < high {
            let right = y + step(&curve, y);
            if mass.len() > MAX_PANELS || right <= y || right.is_nan() {
                return Err(Error::new("posterior", "too extreme to integrate"));
            }
            before += integrate(&curve, y, right);
            mass.push((right, before));
            y = right;
        }
        Ok(Self { curve, mass })
    }

    fn total(&self) -> f64 {
        self.mass.last().map_or(1.0, |end| end.1)
    }

    /// The probability of a coordinate of at most `y`. Accurate to 1e-12 absolute.
    pub(crate) fn below(&self, y: f64) -> f64 {
        let at = self.mass.partition_point(|(left, _)| *left <= y);
        let Some(&(left, before)) = at.checked_sub(1).and_then(|i| self.mass.get(i)) else {
            return 0.0;
        };
        if at == self.mass.len() {
            return 1.0;
        }
        (before + integrate(&self.curve, left, y)) / self.total()
    }

    /// The coordinate below which a share `q` (strictly between 0 and 1) of the mass lies.
    pub(crate) fn quantile(&self, q: f64) -> f64 {
        let target = q * self.total();
        let at = self
            .mass
            .partition_point(|(_, before)| *before <= target)
            .clamp(1, self.mass.len() - 1);
        let (left, before) = self.mass[at - 1];
        let (mut low, mut high) = (left, self.mass[at].0);
        let mut y = 0.5 * (low + high);
        for _ in 0..100 {
            let excess = before + integrate(&self.curve, left, y) - target;
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
            if moved <= 1e-15 * y.abs().max(high - left) {
                break;
            }
        }
        y
    }

    /// The quantity (not the coordinate) below which a share `q` of the mass lies.
    pub(crate) fn value_at(&self, q: f64) -> f64 {
        self.curve.value(self.quantile(q))
    }
}

fn integrate<C: Curve>(curve: &C, left: f64, right: f64) -> f64 {
    let half = 0.5 * (right - left);
    let values: [f64; NODES] = GAUSS.nodes(left, half).map(|y| curve.density(y));
    GAUSS.integral(half, &values)
}
