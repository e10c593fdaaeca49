//! Several comparisons at once: how to keep the chance of **any** false claim at alpha.

use crate::error::{Error, between, within};
use crate::number::size;

/// The error rate left for each of `comparisons` (Bonferroni): holds at every look.
///
/// ```
/// # use samplit_bandit::bonferroni;
/// assert_eq!(bonferroni(0.05, 4)?, 0.0125);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When `alpha` is not strictly between 0 and 1 or there is no comparison.
pub fn bonferroni(alpha: f64, comparisons: usize) -> Result<f64, Error> {
    between("alpha", alpha, 0.0, 1.0)?;
    if comparisons == 0 {
        return Err(Error::new("comparisons", "there is none"));
    }
    Ok(alpha / size(comparisons))
}

/// Holm's (1979) adjusted p-values, in the order given, for **one** look.
///
/// Comparing each with alpha keeps the chance of any false claim at alpha, and never claims less
/// than Bonferroni does.
///
/// ```
/// # use samplit_bandit::holm;
/// assert_eq!(holm(&[0.25, 0.01])?, [0.25, 0.02]);
/// # Ok::<(), samplit_bandit::Error>(())
/// ```
///
/// # Errors
/// When a p-value is outside 0 to 1.
pub fn holm(p_values: &[f64]) -> Result<Vec<f64>, Error> {
    for p in p_values {
        within("p_values", *p, 0.0, 1.0)?;
    }
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|&i, &j| p_values[i].total_cmp(&p_values[j]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        largest = largest
            .max(p_values[i] * size(p_values.len() - rank))
            .min(1.0);
        adjusted[i] = largest;
    }
    Ok(adjusted)
}
