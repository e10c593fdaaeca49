//! The only conversions between counts and reals.

/// A count as a real; exact for everything that is counted here.
#[expect(
    clippy::cast_precision_loss,
    reason = "simulated counts are far below 2^53"
)]
pub(crate) fn real(count: u64) -> f64 {
    count as f64
}

/// The number of items as a real.
pub(crate) fn size<T>(items: &[T]) -> f64 {
    real(items.len() as u64)
}
