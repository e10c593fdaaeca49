//! The course of an experiment: weights, counts and what was known, snapshot by snapshot.

use samplit_bandit::Contrast;
use samplit_domain::{ExperimentId, arm_sets};
use samplit_store::statistics::ArmStatistics;
use samplit_store::trail;
use serde::Serialize;
use time::OffsetDateTime;

use super::Record;
use super::evidence::{Evidence, IntervalEstimate, cut};
use crate::live::Snapshot;
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal, Scope};

/// The most points for which intervals are computed.
const MAX_INTERVALS: usize = 60;

/// Weights that were in force from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePoint {
    /// The trail entry.
    pub snapshot_seq: u64,
    /// From when on.
    pub at: OffsetDateTime,
    /// How they came about.
    pub method: &'static str,
    /// Parts per billion per element and arm.
    pub weights_ppb: Vec<Vec<u32>>,
    /// Per element and arm; empty in the timeline of weights alone.
    pub arms: Vec<Vec<TimelineArm>>,
}

/// One arm under one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TimelineArm {
    /// Visitors assigned under this snapshot.
    pub assignments: u64,
    /// Of those, converted, whenever they did.
    pub conversions: u64,
    /// Visitors assigned up to the end of this snapshot.
    pub cumulative_assignments: u64,
    /// Of those, converted.
    pub cumulative_conversions: u64,
    /// Confidence sequence of the conversion rate at the end of this snapshot; on at most 60 points
    /// of a timeline, evenly spread.
    pub always_valid: Option<IntervalEstimate>,
}

impl Engine {
    /// The weights over time, from the first on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub async fn timeline(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Vec<TimelinePoint>, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?;
        let rows = self
            .core
            .database
            .run(|session| Box::pin(trail::snapshots(session, id)));
        rows.await?
            .iter()
            .map(|row| Ok(point(&Snapshot::from_entry(row)?)))
            .collect()
    }

    /// The timeline with counts and always-valid intervals.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn evidence_timeline(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Vec<TimelinePoint>, Error> {
        who.require(Scope::Read)?;
        let record = self.record(who, id).await?;
        let computed = tokio::task::spawn_blocking(move || record.timeline());
        computed.await.map_err(Error::internal)?
    }
}

pub(super) fn point(snapshot: &Snapshot) -> TimelinePoint {
    TimelinePoint {
        snapshot_seq: snapshot.seq,
        at: samplit_domain::from_micros(snapshot.at_us),
        method: snapshot.method,
        weights_ppb: snapshot
            .weights
            .iter()
            .map(|w| w.as_slice().to_vec())
            .collect(),
        arms: Vec::new(),
    }
}

impl Record {
    fn timeline(&self) -> Result<Vec<TimelinePoint>, Error> {
        let mut points: Vec<TimelinePoint> = self.snapshots.iter().map(point).collect();
        let every = points.len().div_ceil(MAX_INTERVALS).max(1);
        let last = points.len().saturating_sub(1);
        for (element, set) in arm_sets(&self.experiment).iter().enumerate() {
            let of_element = |row: &&ArmStatistics| usize::try_from(row.element) == Ok(element);
            let weights = self.weights(element);
            let mut total = vec![(0, 0); set.arms.len()];
            // What older rows brought along counts from the start.
            for row in self
                .rows
                .iter()
                .filter(of_element)
                .filter(|row| row.snapshot_seq == 0)
            {
                add(&mut total, row)?;
            }
            for (index, point) in points.iter_mut().enumerate() {
                let seq = signed(point.snapshot_seq);
                let mut own = vec![(0, 0); set.arms.len()];
                for row in self
                    .rows
                    .iter()
                    .filter(of_element)
                    .filter(|r| r.snapshot_seq == seq)
                {
                    add(&mut own, row)?;
                    add(&mut total, row)?;
                }
                let upto: Vec<_> = if index % every == 0 || index == last {
                    self.rows
                        .iter()
                        .filter(|row| row.snapshot_seq <= seq)
                        .copied()
                        .collect()
                } else {
                    Vec::new()
                };
                let shape = (element, set.arms.len(), set.control());
                let evidence = Evidence::new(&upto, &weights, shape, false)?;
                let mut arms = Vec::with_capacity(set.arms.len());
                for arm in 0..set.arms.len() {
                    arms.push(TimelineArm {
                        assignments: own[arm].0,
                        conversions: own[arm].1,
                        cumulative_assignments: total[arm].0,
                        cumulative_conversions: total[arm].1,
                        always_valid: self.always_valid(&evidence, arm, set.arms.len())?,
                    });
                }
                point.arms.push(arms);
            }
        }
        Ok(points)
    }

    fn always_valid(
        &self,
        evidence: &Evidence,
        arm: usize,
        arms: usize,
    ) -> Result<Option<IntervalEstimate>, Error> {
        if !evidence.is_played(arm) {
            return Ok(None);
        }
        let contrast = Contrast::Mean(arm);
        let sequence = evidence.sequence(contrast, &self.experiment.stopping, arms)?;
        Ok(Some(cut(sequence, 0.0)))
    }
}

fn add(counts: &mut [(u64, u64)], row: &ArmStatistics) -> Result<(), Error> {
    if let Some((n, s)) = usize::try_from(row.arm)
        .ok()
        .and_then(|arm| counts.get_mut(arm))
    {
        *n += unsigned(row.assignments)?;
        *s += unsigned(row.conversions)?;
    }
    Ok(())
}
