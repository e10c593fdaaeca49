//! How many came into funnels, and how many of them converted: for lists of funnels.

use samplit_domain::FunnelId;
use uuid::Uuid;

use crate::columns::Columns;
use crate::statement::{Params, Session, statements};
use crate::{Error, doctor};

statements! {
    /// Counting may take two seconds: a list has to be there soon, with counts or without.
    LIMIT_FUNNEL_COUNTS = "SELECT set_config('statement_timeout', '2000', true)";
    /// Journeys, and those that converted, by funnel; nothing of a funnel without any.
    COUNT_FUNNELS = "SELECT funnel_id, count(*), count(converted_at) FROM funnel_visits \
        WHERE funnel_id = ANY($1) GROUP BY funnel_id";
}

/// Counts the journeys of funnels: which, how many, and how many of them converted. In a transaction of its
/// own, for what it sets.
///
/// # Errors
/// When it takes longer than two seconds, PostgreSQL fails or a row holds what no journey can.
pub async fn count(
    session: &Session<'_>,
    funnels: &[Uuid],
) -> Result<Vec<(FunnelId, i64, i64)>, Error> {
    let counted: Params<'_> = &[&funnels];
    let (_, (), rows) = tokio::try_join!(
        biased;
        session.query_one(LIMIT_FUNNEL_COUNTS, &[]),
        doctor::plan_for_scans(session),
        session.query(COUNT_FUNNELS, counted),
    )?;
    let read = |row| {
        let columns = Columns::new(row, "funnel_visits");
        let id: Uuid = columns.get(0, "funnel_id")?;
        Ok((
            id.into(),
            columns.get(1, "id")?,
            columns.get(2, "converted_at")?,
        ))
    };
    rows.iter().map(read).collect()
}
