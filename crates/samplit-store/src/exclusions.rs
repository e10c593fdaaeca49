//! `exclusion_rules` and `excluded_sessions`: what is kept out of experiments, and what was.

use samplit_domain::{
    ExcludedSessionId, ExclusionId, ExclusionKind, ExclusionRule, ExperimentId, UserId,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

/// How many excluded sessions are kept of one experiment, the newest. Whoever has the public token of
/// an installation can make them up.
const KEPT: i64 = 10_000;

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, experiment_id, kind, value, is_active, created_at, version"
    };
}

statements! {
    /// One rule.
    READ_EXCLUSION = concat!("SELECT ", columns!(), " FROM exclusion_rules WHERE id = $1");
    /// A page of rules, newest first. Null parameters do not filter.
    LIST_EXCLUSIONS = concat!("SELECT ", columns!(), " FROM exclusion_rules \
        WHERE ($1::uuid IS NULL OR user_id = $1) \
        AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) \
        ORDER BY created_at DESC, id DESC LIMIT $4");
    /// The rules of one account that are in force.
    ACTIVE_EXCLUSIONS = concat!("SELECT ", columns!(), " FROM exclusion_rules \
        WHERE user_id = $1 AND is_active ORDER BY created_at, id LIMIT $2");
    /// A new rule, unless the account has too many.
    INSERT_EXCLUSION = "INSERT INTO exclusion_rules (id, user_id, experiment_id, kind, value, \
        is_active, created_at) SELECT $1, $2::uuid, $3, $4, $5, $6, $7 \
        WHERE (SELECT count(*) FROM exclusion_rules WHERE user_id = $2) < $8";
    /// Changes of a rule what is given, if it is as it was seen.
    UPDATE_EXCLUSION = concat!("UPDATE exclusion_rules SET value = coalesce($2, value), \
        is_active = coalesce($3, is_active), version = version + 1 \
        WHERE id = $1 AND ($4::bigint IS NULL OR version = $4) RETURNING ", columns!());
    /// Takes a rule away; sessions that it excluded keep their reason.
    DELETE_EXCLUSION = "DELETE FROM exclusion_rules WHERE id = $1";
    /// Visits that were excluded, each once per experiment. A rule that is gone by now is left out.
    INSERT_EXCLUDED = "INSERT INTO excluded_sessions (id, experiment_id, session_id, \
        user_identifier, reason, rule_id, excluded_at) \
        SELECT d.id, d.experiment_id, d.session_id, d.user_identifier, d.reason, r.id, d.excluded_at \
        FROM unnest($1::uuid[], $2::uuid[], $3::varchar[], $4::varchar[], $5::varchar[], $6::uuid[], \
        $7::timestamptz[]) AS d(id, experiment_id, session_id, user_identifier, reason, rule_id, \
        excluded_at) JOIN experiments e ON e.id = d.experiment_id \
        LEFT JOIN exclusion_rules r ON r.id = d.rule_id ON CONFLICT DO NOTHING";
    /// Forgets the oldest of those experiments that have more than is kept.
    TRIM_EXCLUDED = "DELETE FROM excluded_sessions x USING (SELECT w.id, (SELECT k.excluded_at \
        FROM excluded_sessions k WHERE k.experiment_id = w.id ORDER BY k.excluded_at DESC \
        OFFSET $2 LIMIT 1) AS last FROM unnest($1::uuid[]) AS w(id)) b \
        WHERE x.experiment_id = b.id AND x.excluded_at <= b.last";
    /// A page of the excluded visits of one experiment, newest first.
    LIST_EXCLUDED = "SELECT id, session_id, user_identifier, reason, rule_id, excluded_at \
        FROM excluded_sessions WHERE experiment_id = $1 \
        AND ($2::timestamptz IS NULL OR (excluded_at, id) < ($2, $3::uuid)) \
        ORDER BY excluded_at DESC, id DESC LIMIT $4";
}

/// A visit that was kept out of an experiment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExcludedSession {
    /// Its id.
    pub id: ExcludedSessionId,
    /// The visit, where the caller named it.
    pub session: Option<String>,
    /// The visitor; `None` once erased.
    pub visitor: Option<String>,
    /// Why: the kind of the rule.
    pub reason: String,
    /// The rule; `None` once it is deleted.
    pub rule_id: Option<ExclusionId>,
    /// When first.
    pub excluded_at: OffsetDateTime,
}

/// A rule.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: ExclusionId) -> Result<Option<ExclusionRule>, Error> {
    let row = session.query_opt(READ_EXCLUSION, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// At most `limit` rules of `owner`, or of everybody, newest first, that were made before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<ExclusionRule>, Error> {
    let (before_at, before_id) = before.unzip();
    let owner = owner.map(|id| id.0);
    let rows = session
        .query(LIST_EXCLUSIONS, &[&owner, &before_at, &before_id, &limit])
        .await?;
    rows.iter().map(from_row).collect()
}

/// The rules of an account that are in force, the oldest first, `limit` at most.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn active(
    session: &Session<'_>,
    owner: UserId,
    limit: i64,
) -> Result<Vec<ExclusionRule>, Error> {
    let rows = session
        .query(ACTIVE_EXCLUSIONS, &[&owner.0, &limit])
        .await?;
    rows.iter().map(from_row).collect()
}

/// Stores a new rule; says whether there was room, as an account may have `limit`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    rule: &ExclusionRule,
    limit: i64,
) -> Result<bool, Error> {
    let inserted = session
        .execute(
            INSERT_EXCLUSION,
            &[
                &rule.id.0,
                &rule.user_id.0,
                &rule.experiment_id.map(|id| id.0),
                &rule.kind.as_str(),
                &rule.value,
                &rule.is_active,
                &rule.created_at,
                &limit,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Changes of a rule what is given, and says what it is now; `None` where it is gone, or not of the version
/// `if_version` any more.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn update(
    session: &Session<'_>,
    id: ExclusionId,
    value: Option<&str>,
    is_active: Option<bool>,
    if_version: Option<i64>,
) -> Result<Option<ExclusionRule>, Error> {
    let row = session
        .query_opt(UPDATE_EXCLUSION, &[&id.0, &value, &is_active, &if_version])
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Takes a rule away; says whether it was there.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn delete(session: &Session<'_>, id: ExclusionId) -> Result<bool, Error> {
    let deleted = session.execute(DELETE_EXCLUSION, &[&id.0]).await?;
    Ok(deleted == 1)
}

/// Stores visits that were excluded, each once per experiment, and forgets the oldest of too many.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn add_excluded(
    session: &Session<'_>,
    excluded: &[(ExperimentId, ExcludedSession)],
) -> Result<(), Error> {
    let ids: Vec<Uuid> = excluded.iter().map(|(_, x)| x.id.0).collect();
    let mut experiments: Vec<Uuid> = excluded.iter().map(|(id, _)| id.0).collect();
    let sessions: Vec<_> = excluded.iter().map(|(_, x)| x.session.as_deref()).collect();
    let visitors: Vec<_> = excluded.iter().map(|(_, x)| x.visitor.as_deref()).collect();
    let reasons: Vec<&str> = excluded.iter().map(|(_, x)| x.reason.as_str()).collect();
    let rules: Vec<Option<Uuid>> = excluded
        .iter()
        .map(|(_, x)| x.rule_id.map(|id| id.0))
        .collect();
    let times: Vec<OffsetDateTime> = excluded.iter().map(|(_, x)| x.excluded_at).collect();
    session
        .execute(
            INSERT_EXCLUDED,
            &[
                &ids,
                &experiments,
                &sessions,
                &visitors,
                &reasons,
                &rules,
                &times,
            ],
        )
        .await?;
    experiments.sort_unstable();
    experiments.dedup();
    session
        .execute(TRIM_EXCLUDED, &[&experiments, &KEPT])
        .await
        .map(drop)
}

/// At most `limit` excluded visits of an experiment, newest first, from before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row holds what it cannot.
pub async fn list_excluded(
    session: &Session<'_>,
    experiment: ExperimentId,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<ExcludedSession>, Error> {
    let (before_at, before_id) = before.unzip();
    let rows = session
        .query(
            LIST_EXCLUDED,
            &[&experiment.0, &before_at, &before_id, &limit],
        )
        .await?;
    let excluded = rows.iter().map(|row| {
        let of = Columns::new(row, "excluded_sessions");
        Ok(ExcludedSession {
            id: ExcludedSessionId(of.get(0, "id")?),
            session: of.get(1, "session_id")?,
            visitor: of.get(2, "user_identifier")?,
            reason: of.get(3, "reason")?,
            rule_id: of.get::<Option<Uuid>>(4, "rule_id")?.map(ExclusionId),
            excluded_at: of.get(5, "excluded_at")?,
        })
    });
    excluded.collect()
}

fn from_row(row: &Row) -> Result<ExclusionRule, Error> {
    let of = Columns::new(row, "exclusion_rules");
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        Ok(ExclusionRule {
            id: ExclusionId(id),
            user_id: UserId(of.get(1, "user_id")?),
            experiment_id: of
                .get::<Option<Uuid>>(2, "experiment_id")?
                .map(ExperimentId),
            kind: of.word(3, "kind", ExclusionKind::Visitor)?,
            value: of.get(4, "value")?,
            is_active: of.get(5, "is_active")?,
            created_at: of.get(6, "created_at")?,
            version: of.get(7, "version")?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
