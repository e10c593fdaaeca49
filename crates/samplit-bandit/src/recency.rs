//! Old and young visitors: discounting for drifting rates, maturation for slow conversions.
//!
//! Ages are in any unit, the same for all arguments of one call, measured at the moment of
//! reallocation.

use crate::error::{Error, within};
use crate::number::real;
use crate::posterior::Counts;

/// Visitors of one arm assigned at about the same time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cohort {
    /// Time since their assignment; not negative.
    pub age: f64,
    /// What they showed so far.
    pub counts: Counts,
}

/// Counts that fade with age, and so are no whole numbers: `s <= n`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FadedCounts {
    /// Visitors' worth of assignments.
    pub n: f64,
    /// Visitors' worth of conversions.
    pub s: f64,
}

/// Counts in which a cohort loses half its weight with every `half_life` of age.
///
/// Discounted Thompson sampling (Raj & Kalyani 2017) for rates that drift. The posterior of the
/// result is [`Prior::posterior_faded`](crate::Prior::posterior_faded).
///
/// ```
/// use samplit_bandit::{Cohort, Counts, discounted};
/// let cohort = |age, n, s| Cohort { age, counts: Counts { n, s } };
/// let faded = discounted(&[cohort(0.0, 100, 4), cohort(7.0, 100, 10)], 7.0)?;
/// assert_eq!((faded.n, faded.s), (150.0, 9.0));
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `half_life` is not positive, an age is negative or some `s > n`.
pub fn discounted(cohorts: &[Cohort], half_life: f64) -> Result<FadedCounts, Error> {
    within("half_life", half_life, f64::MIN_POSITIVE, f64::MAX)?;
    let mut sum = FadedCounts::default();
    for cohort in cohorts {
        let Counts { n, s } = cohort.counts.check()?;
        let weight = (-within("age", cohort.age, 0.0, f64::MAX)? / half_life).exp2();
        sum.n += weight * real(n);
        sum.s += weight * real(s);
    }
    Ok(sum)
}

/// The counts of the cohorts that have had `maturation` to convert.
///
/// Without this an arm is punished for visitors who just arrived, the more the more traffic it
/// gets.
///
/// ```
/// use samplit_bandit::{Cohort, Counts, matured};
/// let cohort = |age, n, s| Cohort { age, counts: Counts { n, s } };
/// let counts = matured(&[cohort(0.5, 100, 1), cohort(3.0, 100, 10)], 2.0)?;
/// assert_eq!(counts, Counts { n: 100, s: 10 });
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `maturation` or an age is negative or NaN, or some `s > n`.
pub fn matured(cohorts: &[Cohort], maturation: f64) -> Result<Counts, Error> {
    within("maturation", maturation, 0.0, f64::MAX)?;
    let mut sum = Counts::default();
    for cohort in cohorts {
        let Counts { n, s } = cohort.counts.check()?;
        if within("age", cohort.age, 0.0, f64::MAX)? >= maturation {
            sum.n = sum.n.saturating_add(n);
            sum.s = sum.s.saturating_add(s);
        }
    }
    Ok(sum)
}
