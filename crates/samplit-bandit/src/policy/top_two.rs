//! Top-two Thompson sampling (Russo 2016; Operations Research 68(6), 2020).

use crate::error::Error;
use crate::weights::check_probabilities;

/// The chance that the leader is kept; the rest goes to the best of the others.
const BETA: f64 = 0.5;

/// The probability of being played under top-two sampling with beta = 1/2, given `p_best`.
///
/// The sampler draws a leader from `p`, and with chance 1/2 plays it, else draws again until
/// another arm comes: `w_i = p_i (1/2 + 1/2 * sum over j != i of p_j / (1 - p_j))`. As `p_j -> 1`
/// the challengers' share of the leader's half tends to their share of what is left, and exactly
/// at 1 (nothing is left to tell challengers apart) that half is split evenly among them.
///
/// ```
/// # use samplit_bandit::top_two;
/// let w = top_two(&[0.25, 0.0, 0.75])?;
/// assert_eq!(w, [0.5, 0.0, 0.5]);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `p` is empty, holds a negative number or NaN, or does not sum to 1 (within 1e-6).
pub fn top_two(p: &[f64]) -> Result<Vec<f64>, Error> {
    check_probabilities("p", p)?;
    if p.len() == 1 {
        return Ok(vec![1.0]);
    }
    let mut w: Vec<f64> = p.iter().map(|p| BETA * p).collect();
    for (leader, p_leader) in p.iter().enumerate() {
        // Near 1 the difference from 1 has lost its digits; the others still have theirs.
        let rest = match 1.0 - p_leader {
            rest if rest > 1e-8 => rest,
            _ => others(p, leader).map(|(_, p)| p).sum(),
        };
        for (i, p_i) in others(p, leader) {
            let share = if rest > 0.0 {
                p_i / rest
            } else {
                1.0 / crate::number::size(p.len() - 1)
            };
            w[i] += (1.0 - BETA) * p_leader * share;
        }
    }
    Ok(w)
}

fn others(p: &[f64], but: usize) -> impl Iterator<Item = (usize, f64)> {
    p.iter()
        .copied()
        .enumerate()
        .filter(move |(i, _)| *i != but)
}
