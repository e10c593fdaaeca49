//! `selector_misses`: elements that a page did not have when their variant was to be shown.

use std::collections::BTreeMap;

use samplit_domain::{ElementId, ExperimentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Counts misses. Whoever has the public token can name any page: an experiment that has 1,000
    /// rows gets no more, and only those that it has count on.
    ADD_MISSES = "INSERT INTO selector_misses AS m (experiment_id, element_id, page, misses, \
        first_seen_at, last_seen_at) \
        SELECT d.experiment_id, d.element_id, d.page, d.misses, $5, $5 \
        FROM unnest($1::uuid[], $2::uuid[], $3::varchar[], $4::bigint[]) \
        AS d(experiment_id, element_id, page, misses) \
        WHERE EXISTS (SELECT FROM selector_misses k WHERE k.experiment_id = d.experiment_id \
        AND k.element_id = d.element_id AND k.page = d.page) \
        OR (SELECT count(*) FROM selector_misses k WHERE k.experiment_id = d.experiment_id) < 1000 \
        ON CONFLICT (experiment_id, element_id, page) DO UPDATE \
        SET misses = m.misses + excluded.misses, last_seen_at = excluded.last_seen_at";
    /// The misses of one experiment, the most frequent first.
    READ_MISSES = "SELECT element_id, page, misses, first_seen_at, last_seen_at \
        FROM selector_misses WHERE experiment_id = $1 ORDER BY misses DESC, page, element_id";
}

/// An element that a page did not have.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NewMiss {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// The element.
    pub element_id: ElementId,
    /// Host and path of the page, at most 512 characters.
    pub page: String,
}

/// How often a page did not have an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SelectorMiss {
    /// The element.
    pub element_id: ElementId,
    /// Host and path of the page.
    pub page: String,
    /// How often.
    pub misses: i64,
    /// When first.
    pub first_seen_at: OffsetDateTime,
    /// When last.
    pub last_seen_at: OffsetDateTime,
}

/// Counts misses.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn add(
    session: &Session<'_>,
    misses: &[NewMiss],
    now: OffsetDateTime,
) -> Result<(), Error> {
    // In an order that all keep, and each row once.
    let mut counts = BTreeMap::<&NewMiss, i64>::new();
    for miss in misses {
        *counts.entry(miss).or_default() += 1;
    }
    let experiments: Vec<Uuid> = counts.keys().map(|miss| miss.experiment_id.0).collect();
    let elements: Vec<Uuid> = counts.keys().map(|miss| miss.element_id.0).collect();
    let pages: Vec<&str> = counts.keys().map(|miss| miss.page.as_str()).collect();
    let numbers: Vec<i64> = counts.values().copied().collect();
    session
        .execute(
            ADD_MISSES,
            &[&experiments, &elements, &pages, &numbers, &now],
        )
        .await
        .map(drop)
}

/// The misses of an experiment, the most frequent first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn list(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Vec<SelectorMiss>, Error> {
    let rows = session.query(READ_MISSES, &[&experiment.0]).await?;
    let misses = rows.iter().map(|row| {
        let of = Columns::new(row, "selector_misses");
        Ok(SelectorMiss {
            element_id: ElementId(of.get(0, "element_id")?),
            page: of.get(1, "page")?,
            misses: of.get(2, "misses")?,
            first_seen_at: of.get(3, "first_seen_at")?,
            last_seen_at: of.get(4, "last_seen_at")?,
        })
    });
    misses.collect()
}
