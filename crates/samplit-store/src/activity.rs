//! `activity_log`: who changed what.

use samplit_domain::{Action, Activity, ActivityId, Actor, ActorKind, ApiKeyId, UserId};
use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// One more thing that was done.
    INSERT_ACTIVITY = "INSERT INTO activity_log (id, occurred_at, user_id, actor_kind, actor_user_id, \
        actor_key_id, action, subject_kind, subject_id, detail, request_id) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    /// A page of what was done, newest first. Null parameters do not filter.
    LIST_ACTIVITY = "SELECT a.id, a.occurred_at, a.user_id, a.actor_kind, a.actor_user_id, \
        a.actor_key_id, u.email, a.action, a.subject_kind, a.subject_id, a.detail, a.request_id \
        FROM activity_log a LEFT JOIN users u ON u.id = a.actor_user_id \
        WHERE ($1::uuid IS NULL OR a.user_id = $1) AND ($2::uuid IS NULL OR a.subject_id = $2) \
        AND ($3::timestamptz IS NULL OR (a.occurred_at, a.id) < ($3, $4::uuid)) \
        ORDER BY a.occurred_at DESC, a.id DESC LIMIT $5";
}

/// One thing that is being done.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its id.
    pub id: ActivityId,
    /// When.
    pub occurred_at: OffsetDateTime,
    /// Whose account it concerns; `None`: nobody's.
    pub user_id: Option<UserId>,
    /// Who does it.
    pub actor: Actor,
    /// What.
    pub action: Action,
    /// To what sort of thing.
    pub subject_kind: &'static str,
    /// To which; `None` where it has no id of ours.
    pub subject_id: Option<Uuid>,
    /// What else there is to say: an object, without secrets and visitors.
    pub detail: Json,
    /// The request that does it.
    pub request_id: Option<String>,
}

/// Notes what is done, in the transaction that does it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, entry: &Entry) -> Result<(), Error> {
    session
        .execute(
            INSERT_ACTIVITY,
            &[
                &entry.id.0,
                &entry.occurred_at,
                &entry.user_id.map(|id| id.0),
                &entry.actor.kind.as_str(),
                &entry.actor.user_id.map(|id| id.0),
                &entry.actor.key_id.map(|id| id.0),
                &entry.action.as_str(),
                &entry.subject_kind,
                &entry.subject_id,
                &entry.detail,
                &entry.request_id,
            ],
        )
        .await
        .map(drop)
}

/// At most `limit` things that were done, newest first, that concern `owner` and were done to `subject`
/// before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row holds what it cannot.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    subject: Option<Uuid>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Activity>, Error> {
    let (before_at, before_id) = before.unzip();
    let owner = owner.map(|id| id.0);
    let rows = session
        .query(
            LIST_ACTIVITY,
            &[&owner, &subject, &before_at, &before_id, &limit],
        )
        .await?;
    let activities = rows.iter().map(|row| {
        let of = Columns::new(row, "activity_log");
        Ok(Activity {
            id: ActivityId(of.get(0, "id")?),
            occurred_at: of.get(1, "occurred_at")?,
            user_id: of.get::<Option<Uuid>>(2, "user_id")?.map(UserId),
            actor: Actor {
                kind: of.word(3, "actor_kind", ActorKind::System)?,
                user_id: of.get::<Option<Uuid>>(4, "actor_user_id")?.map(UserId),
                key_id: of.get::<Option<Uuid>>(5, "actor_key_id")?.map(ApiKeyId),
            },
            actor_email: of.get(6, "email")?,
            action: of.get(7, "action")?,
            subject_kind: of.get(8, "subject_kind")?,
            subject_id: of.get(9, "subject_id")?,
            detail: of.get(10, "detail")?,
            request_id: of.get(11, "request_id")?,
        })
    });
    activities.collect()
}
