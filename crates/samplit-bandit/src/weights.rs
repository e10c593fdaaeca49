//! Probabilities as integers, and the draw against them.
//!
//! Weights are parts per billion that sum to exactly [`SCALE`], so the propensity of an assignment
//! is a number that any language reproduces, and the choice is one integer comparison. Rounding is
//! by largest remainder, ties to the lower index.

use crate::error::{Error, between};
use crate::number::{real, size, whole};

/// The sum of all weights: a billion parts.
pub const SCALE: u64 = 1_000_000_000;

/// The same, in the type of one weight.
const SCALE_PPB: u32 = 1_000_000_000;

/// How far given probabilities may be from summing to 1 before they are refused.
const SUM_TOLERANCE: f64 = 1e-6;

/// One weight per arm in parts per billion, with sum exactly [`SCALE`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Weights(Vec<u32>);

impl Weights {
    /// Equal weights for the active arms, 0 for the others.
    ///
    /// # Errors
    /// When no arm is active.
    pub fn uniform(active: &[bool]) -> Result<Self, Error> {
        let shares: Vec<f64> = active.iter().map(|a| f64::from(u8::from(*a))).collect();
        if shares.iter().sum::<f64>() > 0.0 {
            Ok(Self(apportion(SCALE, &shares)))
        } else {
            Err(Error::new("active", "no arm is active"))
        }
    }

    /// Weights `floor + (1 - K floor) p` of K arms: each gets at least `floor`, after rounding too.
    ///
    /// An additive mix, so every arm's propensity is known and bounded below; clipping and
    /// renormalising would distort `p`. A floor that is no whole number of parts per billion is
    /// rounded up to one.
    ///
    /// ```
    /// # use samplit_bandit::Weights;
    /// let weights = Weights::from_probabilities(&[0.0, 1.0], 0.01)?;
    /// assert_eq!(weights.as_slice(), &[10_000_000, 990_000_000]);
    /// # Ok::<(), samplit_bandit::Error>(())
    /// ```
    ///
    /// # Errors
    /// When `p` is empty, holds a negative number or NaN, or does not sum to 1 (within 1e-6);
    /// when `floor` is negative or not below 1 / K.
    pub fn from_probabilities(p: &[f64], floor: f64) -> Result<Self, Error> {
        check_probabilities("p", p)?;
        let arms = size(p.len());
        if !(floor >= 0.0 && floor * arms < 1.0) {
            return Err(Error::new(
                "floor",
                format!("{floor} is not within 0 to 1 / {arms}, 1 / {arms} excluded"),
            ));
        }
        // The thousandth forgives the representation error of floors such as 0.07.
        let floor = whole((floor * real(SCALE) - 1e-3).ceil()).min(SCALE / p.len() as u64);
        let mut ppb = apportion(SCALE - floor * p.len() as u64, p);
        for weight in &mut ppb {
            *weight += u32::try_from(floor).unwrap_or(SCALE_PPB);
        }
        Ok(Self(ppb))
    }

    /// The given shares, with inactive arms removed and the rest scaled up to take their place.
    ///
    /// # Errors
    /// When the lengths differ, a share is negative or NaN, the shares of all arms do not sum to 1
    /// (within 1e-6), or no active arm has a share.
    pub fn fixed(shares: &[f64], active: &[bool]) -> Result<Self, Error> {
        check_probabilities("shares", shares)?;
        if shares.len() != active.len() {
            return Err(Error::new(
                "shares",
                format!("{} shares for {} arms", shares.len(), active.len()),
            ));
        }
        let kept: Vec<f64> = shares
            .iter()
            .zip(active)
            .map(|(share, active)| if *active { *share } else { 0.0 })
            .collect();
        if kept.iter().sum::<f64>() > 0.0 {
            Ok(Self(apportion(SCALE, &kept)))
        } else {
            Err(Error::new("active", "no active arm has a share"))
        }
    }

    /// Weights that were rounded before, such as those of a log.
    ///
    /// # Errors
    /// When they do not sum to exactly [`SCALE`].
    pub fn from_ppb(ppb: Vec<u32>) -> Result<Self, Error> {
        let sum: u64 = ppb.iter().copied().map(u64::from).sum();
        if sum == SCALE {
            Ok(Self(ppb))
        } else {
            Err(Error::new(
                "ppb",
                format!("the weights sum to {sum}, not {SCALE}"),
            ))
        }
    }

    /// The weights in parts per billion, one per arm.
    #[must_use]
    pub fn as_slice(&self) -> &[u32] {
        &self.0
    }

    /// The weights as probabilities, one per arm.
    #[must_use]
    pub fn to_probabilities(&self) -> Vec<f64> {
        let p = |ppb: &u32| f64::from(*ppb) / real(SCALE);
        self.0.iter().map(p).collect()
    }

    /// The arm that a uniform number in `0..SCALE` chooses: the first whose cumulative weight
    /// exceeds it. Never an arm of weight 0; numbers from `SCALE` up choose the last arm with one.
    #[must_use]
    pub fn choose(&self, r_ppb: u32) -> usize {
        let r = r_ppb.min(SCALE_PPB - 1);
        let mut end = 0;
        // Always found: the weights sum to SCALE, which exceeds r.
        self.0
            .iter()
            .position(|weight| {
                end += weight;
                r < end
            })
            .unwrap_or_default()
    }

    /// The largest change of one arm's weight between the two, in parts per billion.
    ///
    /// An arm that only one of them has counts as weight 0 in the other.
    #[must_use]
    pub fn max_move(&self, other: &Self) -> u32 {
        let at = |weights: &Self, i: usize| weights.0.get(i).copied().unwrap_or(0);
        (0..self.0.len().max(other.0.len()))
            .map(|i| at(self, i).abs_diff(at(other, i)))
            .max()
            .unwrap_or(0)
    }
}

impl Weights {
    /// These weights at the given positions among `arms`, all others 0.
    pub(crate) fn spread(&self, positions: &[usize], arms: usize) -> Self {
        let mut ppb = vec![0; arms];
        for (&i, weight) in positions.iter().zip(&self.0) {
            ppb[i] = *weight;
        }
        Self(ppb)
    }
}

/// A uniform 64-bit number as parts per billion: `floor(u * 10^9 / 2^64)`.
#[must_use]
pub fn scale_to_ppb(u: u64) -> u32 {
    let scaled = (u128::from(u) * u128::from(SCALE)) >> 64;
    u32::try_from(scaled).unwrap_or(SCALE_PPB - 1)
}

/// Refuses anything but non-negative numbers that sum to 1.
pub(crate) fn check_probabilities(argument: &'static str, p: &[f64]) -> Result<(), Error> {
    if p.is_empty() {
        return Err(Error::new(argument, "there is no arm"));
    }
    for value in p {
        if !(*value >= 0.0 && value.is_finite()) {
            return Err(Error::new(
                argument,
                format!("{value} is not a probability"),
            ));
        }
    }
    let sum: f64 = p.iter().sum();
    between("", sum, 1.0 - SUM_TOLERANCE, 1.0 + SUM_TOLERANCE)
        .map_err(|_| Error::new(argument, format!("they sum to {sum}, not 1")))?;
    Ok(())
}

/// Splits `parts` in proportion to `shares` by largest remainder; shares have a positive sum.
fn apportion(parts: u64, shares: &[f64]) -> Vec<u32> {
    let sum: f64 = shares.iter().sum();
    let quota: Vec<f64> = shares.iter().map(|s| s / sum * real(parts)).collect();
    let mut out: Vec<u32> = quota
        .iter()
        .map(|q| u32::try_from(whole(*q)).unwrap_or(SCALE_PPB))
        .collect();
    let given: u64 = out.iter().copied().map(u64::from).sum();
    let mut order: Vec<usize> = (0..shares.len()).filter(|&i| shares[i] > 0.0).collect();
    // Stable, so equal remainders keep the order of the arms.
    order.sort_by(|&i, &j| quota[j].fract().total_cmp(&quota[i].fract()));
    // Rounding down leaves fewer parts than arms; float error can at most make it one too many.
    for &i in order.iter().cycle().take(missing(parts, given)) {
        out[i] += 1;
    }
    for &i in order.iter().rev().take(missing(given, parts)) {
        out[i] -= 1;
    }
    out
}

fn missing(wanted: u64, given: u64) -> usize {
    usize::try_from(wanted.saturating_sub(given)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_lower_index() {
        let thirds = Weights::uniform(&[true, false, true, true]).unwrap();
        assert_eq!(
            thirds.as_slice(),
            &[333_333_334, 0, 333_333_333, 333_333_333]
        );
    }

    #[test]
    fn the_draw_skips_arms_without_weight() {
        let weights = Weights::from_ppb(vec![0, 1, 0, SCALE_PPB - 1, 0]).unwrap();
        assert_eq!(weights.choose(0), 1);
        assert_eq!(weights.choose(1), 3);
        assert_eq!(weights.choose(SCALE_PPB - 1), 3);
        assert_eq!(weights.choose(u32::MAX), 3);
    }

    #[test]
    fn the_draw_scales_the_whole_range() {
        assert_eq!(scale_to_ppb(0), 0);
        assert_eq!(scale_to_ppb(u64::MAX), SCALE_PPB - 1);
        assert_eq!(scale_to_ppb(1 << 63), SCALE_PPB / 2);
    }

    #[test]
    fn a_floor_is_held_to_the_last_part() {
        for floor in [0.0, 0.01, 0.07, 0.1, 0.249_999_999_9, 1.0 / 7.0] {
            let weights = Weights::from_probabilities(&[1.0, 0.0, 0.0, 0.0], floor).unwrap();
            assert!(f64::from(weights.as_slice()[1]) >= floor * 1e9 - 1e-3);
        }
    }

    #[test]
    fn refuses_what_cannot_be_weights() {
        for p in [&[] as &[f64], &[0.5, 0.4], &[1.5, -0.5], &[f64::NAN, 1.0]] {
            assert_eq!(
                Weights::from_probabilities(p, 0.0).unwrap_err().argument(),
                "p"
            );
        }
        for floor in [0.5, 1.0, -0.01, f64::NAN, f64::INFINITY] {
            let refused = Weights::from_probabilities(&[0.5, 0.5], floor).unwrap_err();
            assert_eq!(refused.argument(), "floor");
        }
        assert!(Weights::uniform(&[false, false]).is_err());
        assert!(Weights::uniform(&[]).is_err());
        assert!(Weights::fixed(&[1.0, 0.0], &[false, true]).is_err());
        assert!(Weights::fixed(&[1.0], &[true, true]).is_err());
        assert!(Weights::from_ppb(vec![1, 2]).is_err());
    }

    #[test]
    fn a_move_is_the_largest_change() {
        let a = Weights::uniform(&[true, true]).unwrap();
        let b = Weights::from_ppb(vec![200_000_000, 300_000_000, 500_000_000]).unwrap();
        assert_eq!(a.max_move(&b), 500_000_000);
        assert_eq!(a.max_move(&a), 0);
    }
}
