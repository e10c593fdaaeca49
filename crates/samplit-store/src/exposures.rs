//! `exposures` and `variant_exposures`: who has really seen a variant, and how many did.

use std::collections::BTreeMap;

use samplit_domain::{AssignmentId, ExperimentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Visitors who saw their variant; says which of them saw it for the first time.
    INSERT_EXPOSURES = "INSERT INTO exposures (experiment_id, assignment_id, exposed_at) \
        SELECT experiment_id, assignment_id, $3 FROM unnest($1::uuid[], $2::uuid[]) \
        AS d(experiment_id, assignment_id) \
        ON CONFLICT (experiment_id, assignment_id) DO NOTHING RETURNING experiment_id, assignment_id";
    /// Adds to the parts of the numbers.
    ADD_EXPOSURES = "INSERT INTO variant_exposures AS v (experiment_id, element, arm, shard, total) \
        SELECT * FROM unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::smallint[], $5::bigint[]) \
        ON CONFLICT (experiment_id, element, arm, shard) DO UPDATE \
        SET total = v.total + excluded.total";
    /// The numbers of one experiment, by draw and arm.
    TOTAL_EXPOSURES = "SELECT element, arm, sum(total)::bigint FROM variant_exposures \
        WHERE experiment_id = $1 GROUP BY element, arm";
}

/// In how many parts a number is kept. Pages report one by one; those that fall on the same part
/// wait for each other.
const SHARDS: u8 = 16;

/// A visitor who saw a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExposure {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// The visitor's row.
    pub assignment_id: AssignmentId,
    /// The arm of each draw.
    pub arms: Vec<u16>,
}

/// Stores exposures and counts those that are new. Gives back whether each of `seen` is; of several
/// of one assignment the first one.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn record(
    session: &Session<'_>,
    seen: &[NewExposure],
    now: OffsetDateTime,
) -> Result<Vec<bool>, Error> {
    let mut distinct: Vec<(Uuid, Uuid)> = seen.iter().map(key).collect();
    // Two transactions that store the same ones wait for each other in that order.
    distinct.sort_unstable();
    distinct.dedup();
    let (experiments, assignments): (Vec<Uuid>, Vec<Uuid>) = distinct.into_iter().unzip();
    let rows = session
        .query(INSERT_EXPOSURES, &[&experiments, &assignments, &now])
        .await?;
    let mut fresh = Vec::with_capacity(rows.len());
    for row in &rows {
        let of = Columns::new(row, "exposures");
        let key: (Uuid, Uuid) = (of.get(0, "experiment_id")?, of.get(1, "assignment_id")?);
        fresh.push(key);
    }
    let is_new: Vec<bool> = seen
        .iter()
        .map(|exposure| {
            let place = fresh.iter().position(|fresh| *fresh == key(exposure));
            place.map(|place| fresh.swap_remove(place)).is_some()
        })
        .collect();
    let new = seen.iter().zip(&is_new).filter(|(_, is_new)| **is_new);
    count(session, new.map(|(exposure, _)| exposure)).await?;
    Ok(is_new)
}

fn key(exposure: &NewExposure) -> (Uuid, Uuid) {
    (exposure.experiment_id.0, exposure.assignment_id.0)
}

async fn count(
    session: &Session<'_>,
    exposures: impl Iterator<Item = &NewExposure>,
) -> Result<(), Error> {
    let mut totals = BTreeMap::<(Uuid, i16, i16, i16), i64>::new();
    for exposure in exposures {
        // The last byte of an id is random in every version that we make.
        let shard = exposure.assignment_id.0.as_bytes()[15] % SHARDS;
        for (element, arm) in exposure.arms.iter().enumerate() {
            let place = |number| i16::try_from(number).unwrap_or(i16::MAX);
            let arm = place(usize::from(*arm));
            let row = (exposure.experiment_id.0, place(element), arm, shard.into());
            *totals.entry(row).or_default() += 1;
        }
    }
    if totals.is_empty() {
        return Ok(());
    }
    let experiments: Vec<Uuid> = totals.keys().map(|row| row.0).collect();
    let elements: Vec<i16> = totals.keys().map(|row| row.1).collect();
    let arms: Vec<i16> = totals.keys().map(|row| row.2).collect();
    let shards: Vec<i16> = totals.keys().map(|row| row.3).collect();
    let numbers: Vec<i64> = totals.values().copied().collect();
    session
        .execute(
            ADD_EXPOSURES,
            &[&experiments, &elements, &arms, &shards, &numbers],
        )
        .await
        .map(drop)
}

/// How many visitors have really seen an arm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArmExposures {
    /// Which draw.
    pub element: i16,
    /// Which arm of it.
    pub arm: i16,
    /// Visitors.
    pub total: i64,
}

/// The numbers of one experiment; arms that nobody has seen are missing.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn totals(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Vec<ArmExposures>, Error> {
    let rows = session.query(TOTAL_EXPOSURES, &[&experiment.0]).await?;
    let totals = rows.iter().map(|row| {
        let of = Columns::new(row, "variant_exposures");
        Ok(ArmExposures {
            element: of.get(0, "element")?,
            arm: of.get(1, "arm")?,
            total: of.get(2, "total")?,
        })
    });
    totals.collect()
}
