//! An estimate with its standard error, and the normal interval around it.

use crate::error::{Error, between};
use crate::special::{critical_value, normal_above};

/// A number and how far it may be off.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The estimate.
    pub value: f64,
    /// Its standard error, never negative.
    pub standard_error: f64,
}

impl Estimate {
    /// The normal confidence interval (low, high) of level `level`, for **one** look at the data.
    ///
    /// # Errors
    /// When `level` is not strictly between 0 and 1.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        let half = critical_value(between("level", level, 0.0, 1.0)?) * self.standard_error;
        Ok((self.value - half, self.value + half))
    }

    /// The two-sided p-value against a true value of 0, for **one** look at the data.
    ///
    /// 1 when both the estimate and its error are 0.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        if self.standard_error > 0.0 {
            2.0 * normal_above((self.value / self.standard_error).abs())
        } else {
            f64::from(u8::from(self.value.abs() <= 0.0))
        }
    }
}
