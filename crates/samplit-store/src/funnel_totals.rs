//! How many came into funnels, and how many of them converted: for lists of funnels.

use samplit_domain::FunnelId;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Journeys, and those that converted, by funnel; nothing of a funnel without any.
    COUNT_FUNNELS = "SELECT funnel_id, count(*), count(converted_at) FROM funnel_visits \
        WHERE funnel_id = ANY($1) GROUP BY funnel_id";
}

/// Counts the journeys of funnels: which, how many, and how many of them converted.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no journey can.
pub async fn count(
    session: &Session<'_>,
    funnels: &[Uuid],
) -> Result<Vec<(FunnelId, i64, i64)>, Error> {
    let rows = session.query(COUNT_FUNNELS, &[&funnels]).await?;
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
