//! Numerical integration of smooth, single-peaked densities, alone and racing each other.
//!
//! Everything Bayesian in this crate is one-dimensional, so nothing is simulated: densities are
//! integrated on panels that follow their shape ([`Curve::step`]), 16 Gauss-Legendre nodes each.
//! Distribution functions come from the *same* density values through a spectral integration
//! matrix, so a race of K arms costs K density evaluations a node and no special functions.
//! Densities are relative to their own peak and normalised by their own integral: no gamma
//! functions, and nothing to cancel at a billion observations.

mod beta;
mod cumulative;
mod gauss;
mod invert;
mod race;
mod student;

pub(crate) use beta::BetaCurve;
pub(crate) use cumulative::Cumulative;
use gauss::{GAUSS, NODES};
pub(crate) use invert::invert;
pub(crate) use race::race;
pub(crate) use student::StudentCurve;

/// `-ln` of the density, relative to its peak, at which a support ends: 1e-18.
const SUPPORT_DEPTH: f64 = 41.5;

/// More panels than any permitted input can need; a guard against an endless march.
const MAX_PANELS: usize = 100_000;

/// A density on some coordinate `y`, up to a constant.
pub(crate) trait Curve {
    /// The density with respect to `y`, relative to its peak (so 1 at the mode).
    fn density(&self, y: f64) -> f64;
    /// Where the density exceeds about 1e-18 of its peak.
    fn support(&self) -> (f64, f64);
    /// A panel width, starting at `y`, on which 16 nodes resolve the density.
    fn step(&self, y: f64) -> f64;
    /// The quantity itself at coordinate `y`. Non-decreasing.
    fn value(&self, y: f64) -> f64;
}

/// The step at `y`, reduced when the far end of the panel needs a finer one.
fn step<C: Curve>(curve: &C, y: f64) -> f64 {
    let (_, end) = curve.support();
    let mut width = curve.step(y);
    let mut there = curve.step((y + width).min(end));
    // Not straight to `there`: a far end that is much finer than here is too far.
    while there < 0.5 * width {
        width *= 0.5;
        there = curve.step((y + width).min(end));
    }
    width.min(there)
}
