//! Beta-Bernoulli: from counts of visitors and conversions to a distribution over the rate.

use crate::error::{Error, between, within};
use crate::number::real;
use crate::quadrature::{BetaCurve, Cumulative};
use crate::recency::FadedCounts;

/// What one arm has shown: visitors assigned to it and how many of them converted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Visitors assigned.
    pub n: u64,
    /// Visitors that converted, each at most once: `s <= n`.
    pub s: u64,
}

impl Counts {
    /// Counts that are known to make sense.
    ///
    /// # Errors
    /// When `s > n`.
    pub fn new(n: u64, s: u64) -> Result<Self, Error> {
        Self { n, s }.check()
    }

    pub(crate) fn check(self) -> Result<Self, Error> {
        if self.s <= self.n {
            Ok(self)
        } else {
            Err(Error::new(
                "s",
                format!("{} conversions exceed {} assignments", self.s, self.n),
            ))
        }
    }
}

/// The Beta distribution that an arm's rate is believed to follow before any data.
///
/// The default, Beta(1, 1), calls all rates equally likely. Validated where it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prior {
    /// Pseudo-visitors that converted: within 1e-6 to 1e12.
    pub alpha: f64,
    /// Pseudo-visitors that did not: within 1e-6 to 1e12.
    pub beta: f64,
}

impl Default for Prior {
    fn default() -> Self {
        Self {
            alpha: 1.0,
            beta: 1.0,
        }
    }
}

impl Prior {
    /// The posterior after `counts`: Beta(alpha + s, beta + n - s).
    ///
    /// # Errors
    /// When `s > n` or a parameter of the prior is out of range.
    pub fn posterior(&self, counts: Counts) -> Result<Beta, Error> {
        let Counts { n, s } = counts.check()?;
        let prior = Beta::new(self.alpha, self.beta)?;
        Beta::new(prior.alpha + real(s), prior.beta + real(n - s))
    }

    /// The posterior after counts that fade with age.
    ///
    /// # Errors
    /// When `s > n`, either is negative or NaN, or a parameter of the prior is out of range.
    pub fn posterior_faded(&self, counts: FadedCounts) -> Result<Beta, Error> {
        let n = within("n", counts.n, 0.0, 1e12)?;
        let s = within("s", counts.s, 0.0, n)?;
        let prior = Beta::new(self.alpha, self.beta)?;
        Beta::new(prior.alpha + s, prior.beta + (n - s))
    }
}

/// A Beta distribution over a conversion rate.
///
/// ```
/// use samplit_bandit::{Counts, Prior};
/// let rate = Prior::default().posterior(Counts::new(1_000, 50)?)?;
/// let (low, high) = rate.interval(0.95)?;
/// assert!(low < 0.05 && 0.05 < high);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Beta {
    alpha: f64,
    beta: f64,
}

impl Beta {
    /// Beta(`alpha`, `beta`), each within 1e-6 to 1e12.
    ///
    /// # Errors
    /// When a parameter is out of range or not a number.
    pub fn new(alpha: f64, beta: f64) -> Result<Self, Error> {
        Ok(Self {
            alpha: within("alpha", alpha, 1e-6, 1e12)?,
            beta: within("beta", beta, 1e-6, 1e12)?,
        })
    }

    /// The first parameter.
    #[must_use]
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// The second parameter.
    #[must_use]
    pub fn beta(&self) -> f64 {
        self.beta
    }

    /// The mean, alpha / (alpha + beta).
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.alpha / (self.alpha + self.beta)
    }

    /// The standard deviation.
    #[must_use]
    pub fn standard_deviation(&self) -> f64 {
        let total = self.alpha + self.beta;
        (self.mean() * (self.beta / total) / (total + 1.0)).sqrt()
    }

    /// The probability of a rate of at most `x`. Accurate to 1e-9 absolute.
    ///
    /// # Errors
    /// When `x` is outside 0 to 1.
    pub fn cdf(&self, x: f64) -> Result<f64, Error> {
        let x = within("x", x, 0.0, 1.0)?;
        Ok(self.cumulative()?.below(x.ln() - (-x).ln_1p()))
    }

    /// The rate below which lies a share `q` of the probability. Accurate to 1e-9 relative.
    ///
    /// # Errors
    /// When `q` is not strictly between 0 and 1.
    pub fn quantile(&self, q: f64) -> Result<f64, Error> {
        let q = between("q", q, 0.0, 1.0)?;
        Ok(self.cumulative()?.value_at(q))
    }

    /// The equal-tailed credible interval of probability `level`, such as 0.95.
    ///
    /// # Errors
    /// When `level` is not strictly between 0 and 1.
    pub fn interval(&self, level: f64) -> Result<(f64, f64), Error> {
        let tail = 0.5 * (1.0 - between("level", level, 0.0, 1.0)?);
        let cumulative = self.cumulative()?;
        Ok((cumulative.value_at(tail), cumulative.value_at(1.0 - tail)))
    }

    pub(crate) fn curve(&self) -> BetaCurve {
        BetaCurve::new(self.alpha, self.beta)
    }

    fn cumulative(&self) -> Result<Cumulative<BetaCurve>, Error> {
        Cumulative::new(self.curve())
    }
}
