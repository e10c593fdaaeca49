//! What the statistics of one draw say, beyond the posterior: estimates that stay valid although
//! the traffic followed the data.
//!
//! Everything comes from sufficient statistics per snapshot and arm; assignments are never scanned.
//! Counts carried over from before the trail have no propensity, so they inform the posterior and
//! nothing here.

use std::collections::BTreeMap;

use samplit_bandit::{
    Contrast, Counts, Estimate, SampleRatio, Scores, Sequence, Snapshot, ValueSums, Verdict,
    Weights, adaptive_difference, adaptive_mean, bonferroni, confidence_sequence, newcombe,
    planned_variance, sample_ratio, tune, two_proportion_z, wilson,
};
use samplit_domain::Stopping;
use samplit_store::statistics::ArmStatistics;
use serde::Serialize;

use super::LEVEL;
use crate::Error;
use crate::trail::unsigned;

/// An estimate with its interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IntervalEstimate {
    /// The estimate, in conversions per visitor.
    pub estimate: f64,
    /// Its interval; unbounded ends are cut to what a rate or a difference can be.
    pub interval: [f64; 2],
}

/// What was seen of one arm, corrected for how the traffic was steered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ArmEvidence {
    /// Adaptively weighted AIPW estimate of the conversion rate with a 95 % interval; for one look,
    /// at the end (Hadad et al. 2021).
    pub adaptive: Option<IntervalEstimate>,
    /// Confidence sequence of the conversion rate: holds at every look, for all arms together.
    pub always_valid: Option<IntervalEstimate>,
    /// Wilson's interval (1927); only where the weights are fixed.
    pub wilson: Option<[f64; 2]>,
    /// The difference from control; `None` for control itself.
    pub versus_control: Option<DifferenceEvidence>,
}

/// An arm's rate minus that of control.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DifferenceEvidence {
    /// Adaptively weighted AIPW estimate with a 95 % interval; for one look, at the end.
    pub adaptive: Option<IntervalEstimate>,
    /// Confidence sequence: holds at every look, for all comparisons together.
    pub always_valid: Option<IntervalEstimate>,
    /// Whether the confidence sequence excludes zero.
    pub excludes_zero: bool,
    /// Newcombe's hybrid interval (1998); only where the weights are fixed, for one look.
    pub newcombe: Option<[f64; 2]>,
    /// Two-sided p-value of the two-proportion z-test, not adjusted; only where the weights are
    /// fixed, for one look.
    pub p_value: Option<f64>,
}

/// Whether visitors were split as the weights say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SampleRatioEvidence {
    /// Visitors per arm.
    pub observed: Vec<u64>,
    /// What the logged weights lead one to expect.
    pub expected: Vec<f64>,
    /// p-value of the chi-square test; for one look.
    pub p_value: f64,
    /// p-value that holds at every look (Lindon & Malek 2022).
    pub always_valid_p: f64,
    /// Visitors of arms whose logged weight was zero.
    pub leaked: u64,
    /// `sound`, `mismatch`, or `too_early` while fewer than 5 visitors are expected in some arm.
    pub verdict: &'static str,
}

/// The statistics of one draw in the shape that the statistics crate wants.
pub(crate) struct Evidence {
    /// In order, without counts from before the trail.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The sequence number of each of them.
    seqs: Vec<u64>,
    arms: usize,
    control: usize,
    is_fixed: bool,
}

impl Evidence {
    /// `weights` are those of every snapshot, by sequence number.
    pub(crate) fn new(
        rows: &[ArmStatistics],
        weights: &BTreeMap<u64, Weights>,
        (element, arms, control): (usize, usize, usize),
        is_fixed: bool,
    ) -> Result<Self, Error> {
        let nothing = ValueSums {
            n: 0,
            sum: 0.0,
            sum_squares: 0.0,
        };
        let mut by_snapshot = BTreeMap::<u64, Vec<ValueSums>>::new();
        for row in rows
            .iter()
            .filter(|row| usize::try_from(row.element) == Ok(element))
        {
            let seq = unsigned(row.snapshot_seq)?;
            let sums = by_snapshot
                .entry(seq)
                .or_insert_with(|| vec![nothing; arms]);
            let converted = crate::reallocation::count(unsigned(row.conversions)?);
            if let Some(arm) = usize::try_from(row.arm)
                .ok()
                .and_then(|arm| sums.get_mut(arm))
            {
                // A conversion counts as 1 whatever it was worth.
                let n = unsigned(row.assignments)?;
                *arm = ValueSums {
                    n,
                    sum: converted,
                    sum_squares: converted,
                };
            }
        }
        let mut snapshots = Vec::with_capacity(by_snapshot.len());
        let mut seqs = Vec::with_capacity(by_snapshot.len());
        for (seq, sums) in by_snapshot {
            if let Some(weights) = weights.get(&seq) {
                let snapshot = Snapshot::of_values(weights.clone(), sums);
                snapshots.push(snapshot.map_err(Error::internal)?);
                seqs.push(seq);
            }
        }
        Ok(Self {
            snapshots,
            seqs,
            arms,
            control,
            is_fixed,
        })
    }

    /// The evidence of every arm.
    pub(super) fn arms(&self, stopping: &Stopping) -> Result<Vec<ArmEvidence>, Error> {
        (0..self.arms).map(|arm| self.arm(arm, stopping)).collect()
    }

    fn arm(&self, arm: usize, stopping: &Stopping) -> Result<ArmEvidence, Error> {
        let versus_control = if arm == self.control {
            None
        } else {
            Some(self.difference(arm, stopping)?)
        };
        if !self.is_played(arm) {
            return Ok(ArmEvidence {
                versus_control,
                ..ArmEvidence::default()
            });
        }
        let adaptive = adaptive_mean(&self.snapshots, arm).map_err(Error::internal)?;
        let sequence = self.sequence(Contrast::Mean(arm), stopping, self.arms)?;
        let wilson = self
            .is_fixed
            .then(|| wilson(self.counts(arm), LEVEL))
            .transpose();
        Ok(ArmEvidence {
            adaptive: Some(interval(adaptive, 0.0)?),
            always_valid: Some(cut(sequence, 0.0)),
            wilson: wilson.map_err(Error::internal)?.map(<[f64; 2]>::from),
            versus_control,
        })
    }

    fn difference(&self, arm: usize, stopping: &Stopping) -> Result<DifferenceEvidence, Error> {
        let control = self.control;
        if !self.is_played(arm) || !self.is_played(control) {
            return Ok(DifferenceEvidence::default());
        }
        let adaptive =
            adaptive_difference(&self.snapshots, arm, control).map_err(Error::internal)?;
        let contrast = Contrast::Difference { arm, control };
        let sequence = self.sequence(contrast, stopping, self.arms - 1)?;
        let mut evidence = DifferenceEvidence {
            adaptive: Some(interval(adaptive, -1.0)?),
            always_valid: Some(cut(sequence, -1.0)),
            excludes_zero: sequence.excludes_zero(),
            ..DifferenceEvidence::default()
        };
        if self.is_fixed {
            let (arm, control) = (self.counts(arm), self.counts(control));
            let hybrid = newcombe(arm, control, LEVEL).map_err(Error::internal)?;
            evidence.newcombe = Some(hybrid.into());
            let test = two_proportion_z(arm, control).map_err(Error::internal)?;
            evidence.p_value = Some(test.p_value);
        }
        Ok(evidence)
    }

    /// The confidence sequence of a contrast, one of `together` that are to hold at once.
    pub(super) fn sequence(
        &self,
        contrast: Contrast,
        stopping: &Stopping,
        together: usize,
    ) -> Result<Sequence, Error> {
        self.sequence_upto(u64::MAX, contrast, stopping, together)
    }

    /// The same as it stood at the end of snapshot `seq`.
    pub(super) fn sequence_upto(
        &self,
        seq: u64,
        contrast: Contrast,
        stopping: &Stopping,
        together: usize,
    ) -> Result<Sequence, Error> {
        let until = self.seqs.partition_point(|&of| of <= seq);
        let snapshots = &self.snapshots[..until];
        let alpha = bonferroni(1.0 - LEVEL, together).map_err(Error::internal)?;
        let compared = match contrast {
            Contrast::Mean(_) => 1,
            Contrast::Difference { .. } => 2,
        };
        // Tightest at the planned number of visitors, as if they were split evenly.
        let even = 1.0 / crate::reallocation::count(self.arms as u64);
        let variance = planned_variance(
            Scores::Weighted,
            stopping.planned_visitors,
            stopping.planned_rate,
            &vec![even; compared],
        );
        let eta = variance
            .and_then(|variance| tune(variance, alpha))
            .map_err(Error::internal)?;
        confidence_sequence(snapshots, contrast, Scores::Weighted, eta, alpha)
            .map_err(Error::internal)
    }

    /// Whether anybody was assigned to an arm, so that there is something to say of it.
    pub(super) fn is_played(&self, arm: usize) -> bool {
        self.is_played_upto(u64::MAX, arm)
    }

    /// The same as it stood at the end of snapshot `seq`.
    pub(super) fn is_played_upto(&self, seq: u64, arm: usize) -> bool {
        let mut snapshots = self.seqs.iter().zip(&self.snapshots);
        snapshots.any(|(&of, snapshot)| of <= seq && snapshot.arms()[arm].n > 0)
    }

    fn counts(&self, arm: usize) -> Counts {
        let sums = self.snapshots.iter().map(|snapshot| snapshot.arms()[arm]);
        sums.fold(Counts { n: 0, s: 0 }, |total, sums| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a sum of ones is a count"
            )]
            let converted = sums.sum as u64;
            Counts {
                n: total.n + sums.n,
                s: total.s + converted,
            }
        })
    }

    /// Whether visitors were split as the weights say; `None` before the first.
    pub(super) fn sample_ratio(&self) -> Result<Option<SampleRatioEvidence>, Error> {
        if self
            .snapshots
            .iter()
            .all(|snapshot| snapshot.visitors() == 0)
        {
            return Ok(None);
        }
        let ratio: SampleRatio = sample_ratio(&self.snapshots).map_err(Error::internal)?;
        Ok(Some(SampleRatioEvidence {
            verdict: match ratio.verdict() {
                Verdict::TooEarly => "too_early",
                Verdict::Sound => "sound",
                Verdict::Mismatch => "mismatch",
            },
            observed: ratio.observed,
            expected: ratio.expected,
            p_value: ratio.p_value,
            always_valid_p: ratio.always_valid_p,
            leaked: ratio.leaked,
        }))
    }
}

/// An estimate with its 95 % interval, cut to `[least, 1]`.
pub(crate) fn interval(estimate: Estimate, least: f64) -> Result<IntervalEstimate, Error> {
    let (low, high) = estimate.interval(LEVEL).map_err(Error::internal)?;
    Ok(IntervalEstimate {
        estimate: estimate.value,
        interval: [low.clamp(least, 1.0), high.clamp(least, 1.0)],
    })
}

/// A confidence sequence with its interval, cut to `[least, 1]`.
pub(super) fn cut(sequence: Sequence, least: f64) -> IntervalEstimate {
    let (low, high) = sequence.interval();
    IntervalEstimate {
        estimate: sequence.estimate,
        interval: [low.clamp(least, 1.0), high.clamp(least, 1.0)],
    }
}
