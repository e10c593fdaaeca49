//! How much of a plan is used: counted from the data, without counting what is old.
//!
//! The visitors of a month are what the counters of an experiment have grown by since the month began. How
//! much they were then is found once, from the rows of the month so far, and kept in `usage_baselines`.
//! Counters and rows are written in one transaction, so that the sum is that of the rows.

use samplit_domain::{ExperimentId, LimitWarning, UserId};
use time::OffsetDateTime;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

/// Experiments of an account ($1) that may have got visitors in a month ($2).
macro_rules! experiments_of_the_month {
    () => {
        "e.user_id = $1 AND e.status <> 'draft' AND coalesce(e.completed_at, $2) >= $2"
    };
}

/// The visitors that an experiment ever had. Each of them got one variant of every element, so that any
/// element tells.
macro_rules! ever {
    () => {
        "(SELECT coalesce(sum(v.total_allocations), 0)::bigint FROM element_variants v \
        WHERE v.element_id = (SELECT l.id FROM experiment_elements l \
            WHERE l.experiment_id = e.id ORDER BY l.id LIMIT 1))"
    };
}

statements! {
    /// How many experiments of an account run.
    COUNT_ACTIVE = "SELECT count(*) FROM experiments WHERE user_id = $1 AND status = 'active'";
    /// How many accounts can come in.
    COUNT_SEATS = "SELECT count(*) FROM users WHERE disabled_at IS NULL";
    /// The visitors of a month. Rows are counted only where no baseline is kept. Counters that were corrected
    /// may be below it.
    COUNT_VISITORS = concat!("SELECT coalesce(sum(CASE WHEN b.month IS NULL THEN r.visitors \
        ELSE greatest(0, ", ever!(), " - b.visitors_before) END), 0)::bigint FROM experiments e \
        LEFT JOIN usage_baselines b ON b.experiment_id = e.id AND b.month = $2 \
        CROSS JOIN LATERAL (SELECT count(*) AS visitors FROM assignments a WHERE b.month IS NULL \
            AND a.experiment_id = e.id AND a.assigned_at >= $2::timestamptz) r \
        WHERE ", experiments_of_the_month!());
    /// Keeps the baselines of a month that are missing. An experiment that began in it had no visitors before;
    /// one without a trail is older than us, and its counters may say anything.
    KEEP_BASELINES = concat!("INSERT INTO usage_baselines (experiment_id, month, visitors_before) \
        SELECT e.id, $2::timestamptz, CASE WHEN e.started_at >= $2 THEN 0 ELSE ", ever!(), " - r.visitors END \
        FROM experiments e CROSS JOIN LATERAL (SELECT count(*) AS visitors FROM assignments a \
            WHERE (e.started_at >= $2) IS NOT TRUE AND a.experiment_id = e.id \
            AND a.assigned_at >= $2::timestamptz) r \
        WHERE ", experiments_of_the_month!(), " \
        AND EXISTS (SELECT FROM audit_heads h WHERE h.experiment_id = e.id) \
        AND NOT EXISTS (SELECT FROM usage_baselines b WHERE b.experiment_id = e.id AND b.month = $2) \
        ON CONFLICT DO NOTHING");
    /// Forgets the baselines of an experiment, which were found from counters that were wrong.
    DELETE_BASELINES = "DELETE FROM usage_baselines WHERE experiment_id = $1";
    /// Notes that an account is warned, unless it was before.
    INSERT_PLAN_WARNING = "INSERT INTO plan_warnings (user_id, month, resource, level, warned_at) \
        VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
}

/// How many experiments of an account run.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn active_experiments(session: &Session<'_>, user: UserId) -> Result<i64, Error> {
    let row = session.query_one(COUNT_ACTIVE, &[&user.0]).await?;
    Columns::new(&row, "experiments").get(0, "count")
}

/// How many accounts can come in.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn seats(session: &Session<'_>) -> Result<i64, Error> {
    let row = session.query_one(COUNT_SEATS, &[]).await?;
    Columns::new(&row, "users").get(0, "count")
}

/// How many visitors began to take part in experiments of an account since `month` began.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn visitors(
    session: &Session<'_>,
    user: UserId,
    month: OffsetDateTime,
) -> Result<i64, Error> {
    let row = session
        .query_one(COUNT_VISITORS, &[&user.0, &month])
        .await?;
    Columns::new(&row, "assignments").get(0, "count")
}

/// Keeps what the experiments of an account had when `month` began, so that [`visitors`] counts no rows.
/// To be asked only when no visitor of the month before is still being written down.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn keep_baselines(
    session: &Session<'_>,
    user: UserId,
    month: OffsetDateTime,
) -> Result<(), Error> {
    session
        .execute(KEEP_BASELINES, &[&user.0, &month])
        .await
        .map(drop)
}

/// Forgets what an experiment had when months began, to be found anew from its counters.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget_baselines(session: &Session<'_>, id: ExperimentId) -> Result<(), Error> {
    session.execute(DELETE_BASELINES, &[&id.0]).await.map(drop)
}

/// Notes that an account is warned in `month`; says whether it was not before.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn warn(
    session: &Session<'_>,
    user: UserId,
    month: OffsetDateTime,
    warning: &LimitWarning,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let inserted = session
        .execute(
            INSERT_PLAN_WARNING,
            &[
                &user.0,
                &month,
                &warning.resource.as_str(),
                &i16::from(warning.level.percent()),
                &now,
            ],
        )
        .await?;
    Ok(inserted == 1)
}
