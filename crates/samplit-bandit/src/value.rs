//! Value per visitor: the Normal-inverse-gamma model and its Student t posterior of the mean.
//!
//! For goals with an amount (revenue, minutes), zero for visitors that did not convert. The mean
//! of many visitors is nearly normal even when single values are not, which is all that the model
//! needs; below some hundred visitors an arm, or with amounts whose variance hangs on a few
//! visitors, read it with care.
//! Source: Gelman et al., Bayesian Data Analysis (2013), section 3.3.

use crate::error::{Error, between, within};
use crate::number::real;
use crate::quadrature::{Cumulative, StudentCurve, race};

/// Sums over one arm's visitors: all that the normal model needs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct ValueSums {
    /// Visitors assigned.
    pub n: u64,
    /// Sum of their values.
    pub sum: f64,
    /// Sum of the squares of their values: at least `sum^2 / n`.
    pub sum_squares: f64,
}

impl ValueSums {
    /// The sums of these values.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        Self {
            n: values.len() as u64,
            sum: values.iter().sum(),
            sum_squares: values.iter().map(|v| v * v).sum(),
        }
    }

    /// Refuses sums that no values have; forgives the rounding of a long sum.
    pub(crate) fn check(self) -> Result<Self, Error> {
        let Self {
            n,
            sum,
            sum_squares,
        } = self;
        within("sum", sum, -1e150, 1e150)?;
        within("sum_squares", sum_squares, 0.0, 1e300)?;
        let least = if n == 0 {
            sum.abs()
        } else {
            sum * sum / real(n)
        };
        if sum_squares + 1e-6 * least + f64::MIN_POSITIVE < least {
            return Err(Error::new(
                "sum_squares",
                format!("{sum_squares} is less than sum^2 / n = {least}"),
            ));
        }
        Ok(self)
    }
}

/// A Normal-inverse-gamma prior for mean and variance of an arm's values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ValuePrior {
    /// Expected value per visitor.
    pub mean: f64,
    /// How many visitors that expectation is worth; positive.
    pub visitors: f64,
    /// Shape of the variance's inverse-gamma distribution; positive.
    pub shape: f64,
    /// Scale of the variance's inverse-gamma distribution; positive.
    pub scale: f64,
}

impl Default for ValuePrior {
    /// Worth a hundredth of a visitor, so that the data speak; shape and scale 1.
    fn default() -> Self {
        Self {
            mean: 0.0,
            visitors: 0.01,
            shape: 1.0,
            scale: 1.0,
        }
    }
}

impl ValuePrior {
    /// The marginal posterior of the mean value per visitor.
    ///
    /// # Errors
    /// When a parameter of the prior is out of range or the sums contradict each other.
    pub fn posterior(&self, sums: ValueSums) -> Result<StudentT, Error> {
        within("mean", self.mean, -1e100, 1e100)?;
        for (name, value) in [
            ("visitors", self.visitors),
            ("shape", self.shape),
            ("scale", self.scale),
        ] {
            within(name, value, 1e-12, 1e100)?;
        }
        let ValueSums {
            n,
            sum,
            sum_squares,
        } = sums.check()?;
        let n = real(n);
        let visitors = self.visitors + n;
        let (average, scatter) = if n > 0.0 {
            (sum / n, (sum_squares - sum * sum / n).max(0.0))
        } else {
            (0.0, 0.0)
        };
        let surprise = self.visitors * n * (average - self.mean).powi(2) / visitors;
        let shape = self.shape + 0.5 * n;
        let scale = self.scale + 0.5 * (scatter + surprise);
        StudentT::new(
            (self.visitors * self.mean + sum) / visitors,
            (scale / (shape * visitors)).sqrt(),
            2.0 * shape,
        )
    }
}

/// A Student t distribution with location and scale.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StudentT {
    location: f64,
    scale: f64,
    degrees: f64,
}

impl StudentT {
    /// Student's t with `degrees` of freedom (within 1.1 to 1e12), moved and scaled.
    ///
    /// # Errors
    /// When a parameter is out of range, or the scale is below 1e-12 of the location.
    pub fn new(location: f64, scale: f64, degrees: f64) -> Result<Self, Error> {
        let location = within("location", location, -1e100, 1e100)?;
        Ok(Self {
            location,
            scale: within("scale", scale, (1e-12 * location.abs()).max(1e-100), 1e100)?,
            degrees: within("degrees", degrees, 1.1, 1e12)?,
        })
    }

    /// The mean, which is also the median.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.location
    }

    /// The scale: about the standard deviation when there are many degrees of freedom.
    #[must_use]
    pub fn scale(&self) -> f64 {
        self.scale
    }

    /// The degrees of freedom.
    #[must_use]
    pub fn degrees(&self) -> f64 {
        self.degrees
    }

    /// The probability of a mean of at most `x`.
    ///
    /// # Errors
    /// When `x` is NaN.
    pub fn cdf(&self, x: f64) -> Result<f64, Error> {
        if x.is_nan() {
            return Err(Error::new("x", "it is not a number"));
        }
        Ok(self.standard()?.below((x - self.location) / self.scale))
    }

    /// The value below which lies a share `q` of the probability. Accurate to 1e-9 of the scale.
    ///
    /// # Errors
    /// When `q` is not strictly between 0 and 1.
    pub fn quantile(&self, q: f64) -> Result<f64, Error> {
        let q = between("q", q, 0.0, 1.0)?;
        Ok(self.location + self.scale * self.standard()?.quantile(q))
    }

    /// The equal-tailed credible interval of probability `level`, such as 0.95.
    ///
    /// # Errors
    /// When `level` is not strictly between 0 and 1.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        let tail = 0.5 * (1.0 - between("level", level, 0.0, 1.0)?);
        let high = self.quantile(1.0 - tail)?;
        Ok((2.0 * self.location - high, high))
    }

    /// The distribution with location 0 and scale 1.
    fn standard(&self) -> Result<Cumulative<StudentCurve>, Error> {
        Cumulative::new(StudentCurve::new(0.0, 1.0, self.degrees))
    }

    /// The curve as seen from `origin`.
    pub(crate) fn curve(&self, origin: f64) -> StudentCurve {
        StudentCurve::new(self.location - origin, self.scale, self.degrees)
    }
}

/// The probability of each arm to have the highest mean value per visitor. Sums to 1.
///
/// Accurate to 1e-9 from 10 degrees of freedom on, to 1e-6 below, where tails are heavy.
///
/// ```
/// use samplit_bandit::{ValuePrior, ValueSums, p_best_value};
/// let plain = ValueSums { n: 5_000, sum: 6_000.0, sum_squares: 240_000.0 };
/// let fancy = ValueSums { n: 5_000, sum: 7_000.0, sum_squares: 300_000.0 };
/// let prior = ValuePrior::default();
/// let p = p_best_value(&[prior.posterior(plain)?, prior.posterior(fancy)?])?;
/// assert!(p[1] > 0.9);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When there is no arm, or scales differ so much that no quadrature spans them.
pub fn p_best_value(arms: &[StudentT]) -> Result<Vec<f64>, Error> {
    Ok(race(&curves(arms)?.0)?.p)
}

/// The expected loss of choosing each arm: the mean of (the best mean value - this arm's).
///
/// ```
/// use samplit_bandit::{StudentT, expected_loss_value};
/// let loss = expected_loss_value(&[StudentT::new(1.0, 0.1, 90.0)?, StudentT::new(1.2, 0.1, 90.0)?])?;
/// assert!(loss[1] < 0.01 && (loss[0] - loss[1] - 0.2).abs() < 1e-9);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// As [`p_best_value`].
pub fn expected_loss_value(arms: &[StudentT]) -> Result<Vec<f64>, Error> {
    let (curves, origin) = curves(arms)?;
    let best = race(&curves)?.mean_of_best;
    let loss = |arm: &StudentT| (best - (arm.mean() - origin)).max(0.0);
    Ok(arms.iter().map(loss).collect())
}

/// The curves and the origin they are seen from, so that large values keep their differences.
fn curves(arms: &[StudentT]) -> Result<(Vec<StudentCurve>, f64), Error> {
    let Some(first) = arms.first() else {
        return Err(Error::new("arms", "there is no arm"));
    };
    let origin = first.location;
    Ok((arms.iter().map(|arm| arm.curve(origin)).collect(), origin))
}
