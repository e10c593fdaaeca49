//! Which of several independent quantities is the largest.
//!
//! `P(i largest) = integral of f_i * product over j != i of F_j`, on panels shared by all curves.
//! A curve takes part only in the panels that its support touches: left of it F = 0, right of it
//! F = 1, so curves that do not overlap cost nothing together.

use super::{Curve, GAUSS, MAX_PANELS, NODES, step};
use crate::Error;

/// The result of a race.
#[derive(Debug)]
pub(crate) struct Race {
    /// Probability of being the largest, per curve; sums to 1.
    pub(crate) p: Vec<f64>,
    /// Mean of the largest value.
    pub(crate) mean_of_best: f64,
}

struct Panel {
    left: f64,
    half: f64,
    /// Whether every curve has begun; before that the product of the F is zero.
    all_begun: bool,
    cells: Vec<Cell>,
}

/// One curve on one panel.
struct Cell {
    curve: usize,
    density: [f64; NODES],
    below: [f64; NODES],
}

/// Races the curves. All of them must share one coordinate and one meaning of `value`.
///
/// Accurate to 1e-9 absolute for up to 64 curves; checked by the sum of the probabilities.
pub(crate) fn race<C: Curve>(curves: &[C]) -> Result<Race, Error> {
    let (panels, totals) = integrate_each(curves)?;
    let mut p = vec![0.0; curves.len()];
    let mut mean_of_best = 0.0;
    let Some(first) = curves.first() else {
        return Ok(Race { p, mean_of_best });
    };
    let mut others: Vec<[f64; NODES]> = Vec::with_capacity(curves.len());
    for panel in panels.iter().filter(|panel| panel.all_begun) {
        // others[i] = product of F_j over j < i, then also over j > i.
        others.clear();
        let mut product = [1.0; NODES];
        for cell in &panel.cells {
            others.push(product);
            multiply(&mut product, &cell.below, totals[cell.curve]);
        }
        product = [1.0; NODES];
        let mut best = [0.0; NODES];
        for (cell, before) in panel.cells.iter().zip(&others).rev() {
            let total = totals[cell.curve];
            let mut integrand = [0.0; NODES];
            for k in 0..NODES {
                integrand[k] = cell.density[k] / total * before[k] * product[k];
                best[k] += integrand[k];
            }
            p[cell.curve] += GAUSS.integral(panel.half, &integrand);
            multiply(&mut product, &cell.below, total);
        }
        for (b, y) in best.iter_mut().zip(GAUSS.nodes(panel.left, panel.half)) {
            *b *= first.value(y);
        }
        mean_of_best += GAUSS.integral(panel.half, &best);
    }
    let sum: f64 = p.iter().sum();
    if (sum - 1.0).abs() < 1e-9 {
        p.iter_mut().for_each(|p| *p /= sum);
        mean_of_best /= sum;
        Ok(Race { p, mean_of_best })
    } else {
        Err(Error::new(
            "posteriors",
            format!("too extreme to integrate: the probabilities sum to {sum}"),
        ))
    }
}

fn multiply(product: &mut [f64; NODES], below: &[f64; NODES], total: f64) {
    for (p, b) in product.iter_mut().zip(below) {
        *p *= b / total;
    }
}

/// Densities and running integrals of every curve on common panels, and the curves' totals.
fn integrate_each<C: Curve>(curves: &[C]) -> Result<(Vec<Panel>, Vec<f64>), Error> {
    let supports: Vec<(f64, f64)> = curves.iter().map(Curve::support).collect();
    let mut order: Vec<usize> = (0..curves.len()).collect();
    order.sort_by(|&i, &j| supports[i].0.total_cmp(&supports[j].0));
    let mut totals = vec![0.0; curves.len()];
    let mut begun = vec![false; curves.len()];
    let mut panels = Vec::new();
    let mut y = f64::NEG_INFINITY;
    loop {
        // `order` stays sorted by where a curve begins, and forgets those that have ended.
        order.retain(|&i| supports[i].1 > y);
        let Some(&next) = order.first() else {
            return Ok((panels, totals));
        };
        let left = y.max(supports[next].0);
        let mut width = f64::INFINITY;
        for &i in &order {
            let ahead = supports[i].0 - left;
            if ahead >= width {
                break;
            }
            // A curve that begins inside the panel either suits its width or cuts it short.
            width = width.min(ahead.max(step(&curves[i], left + ahead.max(0.0))));
        }
        let right = left + width;
        if panels.len() > MAX_PANELS || right <= left || right.is_nan() {
            return Err(Error::new("posteriors", "too extreme to integrate"));
        }
        let half = 0.5 * width;
        let nodes = GAUSS.nodes(left, half);
        let mut cells = Vec::with_capacity(order.len());
        for &i in order.iter().take_while(|&&i| supports[i].0 < right) {
            begun[i] = true;
            let density = nodes.map(|y| curves[i].density(y));
            let below = GAUSS.running(half, &density).map(|part| totals[i] + part);
            totals[i] += GAUSS.integral(half, &density);
            cells.push(Cell {
                curve: i,
                density,
                below,
            });
        }
        panels.push(Panel {
            left,
            half,
            all_begun: begun.iter().all(|b| *b),
            cells,
        });
        y = right;
    }
}
