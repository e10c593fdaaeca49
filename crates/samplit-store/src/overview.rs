//! What an account has at a glance: experiments by status, trails on hold, and what things are called.

use samplit_domain::{ExperimentId, Status, UserId};
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// How many experiments have which status; of one account, or of all.
    COUNT_BY_STATUS = "SELECT status, count(*) FROM experiments \
        WHERE $1::uuid IS NULL OR user_id = $1 GROUP BY status";
    /// The trails on hold, newest experiment first; of one account, or of all.
    LIST_HELD = "SELECT e.id, e.name, h.hold FROM audit_heads h JOIN experiments e \
        ON e.id = h.experiment_id WHERE h.hold IS NOT NULL AND ($1::uuid IS NULL OR e.user_id = $1) \
        ORDER BY e.created_at DESC, e.id LIMIT 20";
    /// What people call experiments, variants, sites and accounts; of one account, or of all.
    LIST_NAMES = "SELECT id, name FROM experiments \
        WHERE id = ANY($1) AND ($2::uuid IS NULL OR user_id = $2) \
        UNION ALL SELECT id, coalesce(nullif(name, ''), domain) FROM platform_installations \
        WHERE id = ANY($1) AND ($2 IS NULL OR user_id = $2) \
        UNION ALL SELECT v.id, v.name FROM element_variants v \
        JOIN experiment_elements l ON l.id = v.element_id JOIN experiments e ON e.id = l.experiment_id \
        WHERE v.id = ANY($1) AND ($2 IS NULL OR e.user_id = $2) \
        UNION ALL SELECT id, email FROM users WHERE id = ANY($1) AND ($2 IS NULL OR id = $2)";
}

/// A trail to which nothing is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldRow {
    /// Whose trail it is.
    pub experiment_id: ExperimentId,
    /// What people call the experiment.
    pub name: String,
    /// Why it is on hold.
    pub reason: String,
}

/// How many experiments have which status, in no order; `None`: everybody's.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn count_by_status(
    session: &Session<'_>,
    user_id: Option<UserId>,
) -> Result<Vec<(Status, i64)>, Error> {
    let user: Option<Uuid> = user_id.map(|id| id.0);
    let rows = session.query(COUNT_BY_STATUS, &[&user]).await?;
    let read = |row| {
        let of = Columns::new(row, "experiments");
        Ok((of.word(0, "status", Status::Draft)?, of.get(1, "count")?))
    };
    rows.iter().map(read).collect()
}

/// What people call those of `ids` that are experiments, variants, sites or accounts; `None`: everybody's.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn names(
    session: &Session<'_>,
    ids: &[Uuid],
    user_id: Option<UserId>,
) -> Result<Vec<(Uuid, Option<String>)>, Error> {
    let user: Option<Uuid> = user_id.map(|id| id.0);
    let rows = session.query(LIST_NAMES, &[&ids, &user]).await?;
    let read = |row| {
        let of = Columns::new(row, "experiments");
        Ok((of.get(0, "id")?, of.get(1, "name")?))
    };
    rows.iter().map(read).collect()
}

/// The first 20 trails on hold; `None`: everybody's.
///
/// # Errors
/// When PostgreSQL fails or a row holds what no type of ours can.
pub async fn held(session: &Session<'_>, user_id: Option<UserId>) -> Result<Vec<HeldRow>, Error> {
    let user: Option<Uuid> = user_id.map(|id| id.0);
    let rows = session.query(LIST_HELD, &[&user]).await?;
    let read = |row| {
        let of = Columns::new(row, "audit_heads");
        Ok(HeldRow {
            experiment_id: ExperimentId(of.get(0, "id")?),
            name: of.get(1, "name")?,
            reason: of.get(2, "hold")?,
        })
    };
    rows.iter().map(read).collect()
}
