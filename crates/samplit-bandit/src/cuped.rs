//! CUPED: less noise by what was known before the experiment (Deng, Xu, Kohavi & Walker 2013).
//!
//! With a covariate X measured before assignment, `Y - theta (X - mean X)` has the same
//! expectation as Y and a variance smaller by the squared correlation. Fixed weights.

use crate::error::{Error, within};
use crate::estimate::Estimate;
use crate::number::real;

/// Sums over the visitors of one arm, `y` the outcome and `x` the pre-experiment covariate.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CovariateSums {
    /// Visitors.
    pub n: u64,
    /// Sum of outcomes.
    pub y: f64,
    /// Sum of squared outcomes.
    pub yy: f64,
    /// Sum of the covariate.
    pub x: f64,
    /// Sum of the squared covariate.
    pub xx: f64,
    /// Sum of products.
    pub xy: f64,
}

impl CovariateSums {
    /// Adds one visitor.
    pub fn add(&mut self, outcome: f64, covariate: f64) {
        self.n += 1;
        self.y += outcome;
        self.yy += outcome * outcome;
        self.x += covariate;
        self.xx += covariate * covariate;
        self.xy += outcome * covariate;
    }

    /// Centred sums of squares and products: (yy, xx, xy).
    fn centred(&self, argument: &'static str) -> Result<(f64, f64, f64), Error> {
        for sum in [self.y, self.x, self.xy] {
            within(argument, sum, -1e150, 1e150)?;
        }
        for square in [self.yy, self.xx] {
            within(argument, square, 0.0, 1e150)?;
        }
        if self.n < 2 {
            return Err(Error::new(argument, "fewer than 2 visitors"));
        }
        let n = real(self.n);
        let yy = (self.yy - self.y * self.y / n).max(0.0);
        let xx = (self.xx - self.x * self.x / n).max(0.0);
        let xy = self.xy - self.x * self.y / n;
        // Cauchy and Schwarz, with room for the rounding of long sums.
        let room = 1e-6 * self.xx.sqrt() * self.yy.sqrt();
        if xy.abs() > xx.sqrt() * yy.sqrt() + room {
            return Err(Error::new(argument, "its sums contradict each other"));
        }
        Ok((yy, xx, xy))
    }
}

/// A difference of means, adjusted by a covariate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cuped {
    /// The adjusted difference, arm minus control.
    pub difference: Estimate,
    /// The coefficient of the covariate, pooled over both arms.
    pub theta: f64,
    /// The share of the difference's variance that the covariate removed, 0 to 1.
    pub variance_removed: f64,
}

/// The difference of means of `arm` and `control`, adjusted by the covariate.
///
/// A covariate without variance leaves the plain difference.
///
/// ```
/// use samplit_bandit::{CovariateSums, cuped};
/// let (mut arm, mut control) = (CovariateSums::default(), CovariateSums::default());
/// for (before, after) in [(1.0, 3.0), (2.0, 5.1), (3.0, 6.9)] {
///     arm.add(after, before);
///     control.add(after - 1.0, before);
/// }
/// let adjusted = cuped(&arm, &control)?;
/// assert!((adjusted.difference.value - 1.0).abs() < 1e-9);
/// assert!(adjusted.variance_removed > 0.9);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When an arm has fewer than 2 visitors or a sum is not finite.
pub fn cuped(arm: &CovariateSums, control: &CovariateSums) -> Result<Cuped, Error> {
    let (a, c) = (arm.centred("arm")?, control.centred("control")?);
    let xx = a.1 + c.1;
    // Less than rounding leaves of a constant covariate is no variance.
    let theta = if xx > 1e-12 * (arm.xx + control.xx) {
        (a.2 + c.2) / xx
    } else {
        0.0
    };
    let (n, m) = (real(arm.n), real(control.n));
    let variance = |theta: f64| {
        let one = |(yy, xx, xy): (f64, f64, f64), n: f64| {
            (yy - 2.0 * theta * xy + theta * theta * xx).max(0.0) / ((n - 1.0) * n)
        };
        one(a, n) + one(c, m)
    };
    let (plain, adjusted) = (variance(0.0), variance(theta));
    Ok(Cuped {
        difference: Estimate {
            value: arm.y / n - control.y / m - theta * (arm.x / n - control.x / m),
            standard_error: adjusted.sqrt(),
        },
        theta,
        variance_removed: if plain > 0.0 {
            (1.0 - adjusted / plain).max(0.0)
        } else {
            0.0
        },
    })
}
