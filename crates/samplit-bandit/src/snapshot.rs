//! The sufficient statistics of an adaptive experiment: per snapshot of the weights, what each
//! arm received and earned.
//!
//! A snapshot is a period with constant weights. Outcomes are credited to the snapshot of the
//! visitor's assignment, however late they come. Every estimate that is valid under adaptive
//! weights is a function of these sums, so results never scan visitors.

use crate::error::Error;
use crate::number::real;
use crate::posterior::Counts;
use crate::value::ValueSums;
use crate::weights::{SCALE, Weights};

/// A period with constant weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    weights: Weights,
    arms: Vec<ValueSums>,
}

impl Snapshot {
    /// What each arm received while `weights` were in force; a conversion is the value 1.
    ///
    /// # Errors
    /// When the lengths differ or some `s > n`.
    pub fn of_counts(weights: Weights, arms: &[Counts]) -> Result<Self, Error> {
        let sums = |counts: &Counts| {
            let Counts { n, s } = counts.check()?;
            Ok(ValueSums {
                n,
                sum: real(s),
                sum_squares: real(s),
            })
        };
        Self::of_values(weights, arms.iter().map(sums).collect::<Result<_, _>>()?)
    }

    /// What each arm received and earned while `weights` were in force.
    ///
    /// # Errors
    /// When the lengths differ or the sums of an arm contradict each other.
    pub fn of_values(weights: Weights, arms: Vec<ValueSums>) -> Result<Self, Error> {
        let expected = weights.as_slice().len();
        if arms.len() != expected {
            return Err(Error::new(
                "arms",
                format!("{} arms for {expected} weights", arms.len()),
            ));
        }
        for arm in &arms {
            arm.check()?;
        }
        Ok(Self { weights, arms })
    }

    /// The weights in force.
    #[must_use]
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What each arm received.
    #[must_use]
    pub fn arms(&self) -> &[ValueSums] {
        &self.arms
    }

    /// Visitors of all arms.
    #[must_use]
    pub fn visitors(&self) -> u64 {
        self.arms.iter().map(|arm| arm.n).sum()
    }

    /// The logged probability of `arm`.
    pub(crate) fn propensity(&self, arm: usize) -> f64 {
        f64::from(self.weights.as_slice()[arm]) / real(SCALE)
    }
}

/// The number of arms, or an error where snapshots disagree or `arms` names one they lack.
pub(crate) fn check(snapshots: &[Snapshot], arms: &[usize]) -> Result<usize, Error> {
    let count = snapshots.first().map_or(0, |first| first.arms.len());
    if snapshots
        .iter()
        .any(|snapshot| snapshot.arms.len() != count)
    {
        return Err(Error::new("snapshots", "their numbers of arms differ"));
    }
    match arms.iter().find(|arm| **arm >= count) {
        Some(arm) => Err(Error::new("arm", format!("{arm} of {count} arms"))),
        None => Ok(count),
    }
}
