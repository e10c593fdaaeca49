//! Where a distribution function that is only known point by point reaches a share.

/// The place at which `below`, a distribution function, is `q`: by bracketing from `guess`, then false
/// position with the Illinois rule. `spread` is about how wide the distribution is; the answer is good to
/// 1e-11 of it, or of probability. `None` where no place within `farthest` of the guess brackets `q`.
pub(crate) fn invert(
    below: impl Fn(f64) -> f64,
    q: f64,
    (guess, spread): (f64, f64),
    farthest: f64,
) -> Option<f64> {
    let excess = |u: f64| below(u) - q;
    let (mut low, mut high) = (guess, guess);
    let mut reach = 0.02 * spread;
    let (mut at_low, mut at_high) = (excess(low), excess(high));
    while at_low > 0.0 || at_high < 0.0 {
        reach *= 2.0;
        if reach > farthest || reach.is_nan() {
            return None;
        }
        if at_low > 0.0 {
            (high, at_high) = (low, at_low);
            low -= reach;
            at_low = excess(low);
        } else {
            (low, at_low) = (high, at_high);
            high += reach;
            at_high = excess(high);
        }
    }
    for _ in 0..200 {
        let u = (low * at_high - high * at_low) / (at_high - at_low);
        let u = if u > low && u < high {
            u
        } else {
            0.5 * (low + high)
        };
        let at_u = excess(u);
        if at_u > 0.0 {
            (high, at_high) = (u, at_u);
            at_low *= 0.5;
        } else {
            (low, at_low) = (u, at_u);
            at_high *= 0.5;
        }
        if at_u.abs() < 1e-11 || high - low < 1e-11 * spread {
            return Some(u);
        }
    }
    Some(0.5 * (low + high))
}
