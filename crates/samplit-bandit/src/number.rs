//! The crate's only conversions between counts and reals.

/// A count as a real. Exact below 2^53, nearest above.
#[expect(
    clippy::cast_precision_loss,
    reason = "the nearest real to a count is what every formula wants"
)]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// A number of items as a real.
pub(crate) fn size(items: usize) -> f64 {
    real(items as u64)
}

/// A non-negative real below 2^64, rounded down to a count. Saturates; NaN is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rounding down is the purpose, and `as` saturates"
)]
pub(crate) fn whole(value: f64) -> u64 {
    value as u64
}
