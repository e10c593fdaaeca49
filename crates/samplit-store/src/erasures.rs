//! Erasing a visitor: identifier and context go, the row and its counts stay.

use samplit_domain::{ExperimentId, UserId};
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// The experiments in which a visitor has a row: of one account, or of all.
    FIND_VISITOR = "SELECT a.experiment_id FROM experiments e JOIN assignments a \
        ON a.experiment_id = e.id AND a.user_identifier = $1 \
        WHERE $2::uuid IS NULL OR e.user_id = $2 ORDER BY 1";
    /// The rows of a visitor in one experiment. The id of the row is all that is left to tell it by.
    ERASE_ASSIGNMENTS = "UPDATE assignments SET user_identifier = 'erased:' || id, session_id = NULL, \
        context = '{}', conversion_event_id = NULL WHERE experiment_id = $1 AND user_identifier = $2";
    /// Sessions of a visitor that were left out of one account's experiments, or of all.
    ERASE_EXCLUDED = "UPDATE excluded_sessions x SET user_identifier = NULL, session_id = NULL \
        FROM experiments e WHERE e.id = x.experiment_id AND x.user_identifier = $1 \
        AND ($2::uuid IS NULL OR e.user_id = $2)";
    /// The contact details that a visitor left on sites of one account, or of all.
    ERASE_LEADS = "UPDATE leads SET email = NULL, name = NULL, company = NULL, phone = NULL, \
        message = NULL, user_identifier = NULL, page_url = NULL, metadata = '{}', note = NULL, \
        submission_key = NULL, utm_term = NULL, utm_content = NULL, \
        version = version + 1, updated_at = now() \
        WHERE user_identifier = $1 AND ($2::uuid IS NULL OR user_id = $2)";
    /// The journeys of a visitor through funnels of one account, or of all. Their steps are counted on.
    ERASE_FUNNEL_VISITS = "UPDATE funnel_visits v SET user_identifier = NULL, context = '{}' \
        FROM funnels f WHERE f.id = v.funnel_id AND v.user_identifier = $1 \
        AND ($2::uuid IS NULL OR f.user_id = $2)";
    /// Remembers the pseudonym of an erased visitor.
    INSERT_ERASURE = "INSERT INTO erasures (experiment_id, pseudonym) VALUES ($1, $2) \
        ON CONFLICT DO NOTHING";
    /// The pseudonyms of the erased visitors of one experiment.
    READ_ERASURES = "SELECT pseudonym FROM erasures WHERE experiment_id = $1";
}

/// The experiments of `owner`, or of everybody, in which `visitor` has a row.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn experiments_of(
    session: &Session<'_>,
    visitor: &str,
    owner: Option<UserId>,
) -> Result<Vec<ExperimentId>, Error> {
    let rows = session
        .query(FIND_VISITOR, &[&visitor, &owner.map(|id| id.0)])
        .await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        of.get(0, "experiment_id").map(ExperimentId)
    });
    ids.collect()
}

/// Erases the identifier, session and context of a visitor's row, and remembers the pseudonym where
/// it can still be told. Says how many rows it found.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn erase(
    session: &Session<'_>,
    experiment: ExperimentId,
    visitor: &str,
    pseudonym: Option<&str>,
) -> Result<u64, Error> {
    let erased = session
        .execute(ERASE_ASSIGNMENTS, &[&experiment.0, &visitor])
        .await?;
    if let Some(pseudonym) = pseudonym {
        session
            .execute(INSERT_ERASURE, &[&experiment.0, &pseudonym])
            .await?;
    }
    Ok(erased)
}

/// Erases what is kept of a visitor outside of experiments, of `owner` or of everybody. Says how
/// many rows it found.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn erase_elsewhere(
    session: &Session<'_>,
    visitor: &str,
    owner: Option<UserId>,
) -> Result<u64, Error> {
    let owner: Option<Uuid> = owner.map(|id| id.0);
    let excluded = session.execute(ERASE_EXCLUDED, &[&visitor, &owner]).await?;
    let leads = session.execute(ERASE_LEADS, &[&visitor, &owner]).await?;
    let journeys = session
        .execute(ERASE_FUNNEL_VISITS, &[&visitor, &owner])
        .await?;
    Ok(excluded + leads + journeys)
}

/// The pseudonyms of the erased visitors of an experiment, 64 hex digits each.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn pseudonyms(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Vec<String>, Error> {
    let rows = session.query(READ_ERASURES, &[&experiment.0]).await?;
    let pseudonyms = rows.iter().map(|row| {
        let of = Columns::new(row, "erasures");
        of.get(0, "pseudonym")
    });
    pseudonyms.collect()
}
