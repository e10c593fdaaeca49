//! `webhook_endpoints`: addresses that hear of what happens, and what messages to them are signed with.

use samplit_domain::{ExperimentId, UserId, Webhook, WebhookEvent, WebhookId, WebhookOff};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

const TABLE: &str = "webhook_endpoints";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, url, description, events, disabled_reason, disabled_at, failing_since, \
        last_success_at, previous_secret_ends_at, version, created_at, updated_at"
    };
}

statements! {
    /// One endpoint.
    READ_WEBHOOK = concat!("SELECT ", columns!(), " FROM webhook_endpoints WHERE id = $1");
    /// One endpoint, locked against other changes of it.
    LOCK_WEBHOOK = concat!("SELECT ", columns!(), " FROM webhook_endpoints WHERE id = $1 \
        FOR NO KEY UPDATE");
    /// A page of endpoints, newest first. Null parameters do not filter.
    LIST_WEBHOOKS = concat!("SELECT ", columns!(), " FROM webhook_endpoints \
        WHERE ($1::uuid IS NULL OR user_id = $1) \
        AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) \
        ORDER BY created_at DESC, id DESC LIMIT $4");
    /// A new endpoint, unless the account has too many.
    INSERT_WEBHOOK = "INSERT INTO webhook_endpoints (id, user_id, url, description, events, \
        is_enabled, disabled_reason, disabled_at, secret_sealed, version, created_at, updated_at) \
        SELECT $1, $2::uuid, $3, $4, $5, $6::text IS NULL, $6, $7, $8, $9, $10, $10 \
        WHERE (SELECT count(*) FROM webhook_endpoints WHERE user_id = $2) < $11";
    /// Everything of an endpoint but its secrets.
    UPDATE_WEBHOOK = "UPDATE webhook_endpoints SET url = $2, description = $3, events = $4, \
        is_enabled = $5::text IS NULL, disabled_reason = $5, disabled_at = $6, failing_since = $7, \
        version = $8, updated_at = $9 WHERE id = $1";
    /// Takes an endpoint away, and its deliveries.
    DELETE_WEBHOOK = "DELETE FROM webhook_endpoints WHERE id = $1";
    /// What messages to an endpoint are signed with.
    READ_WEBHOOK_SECRETS = "SELECT secret_sealed, previous_secret_sealed, previous_secret_ends_at \
        FROM webhook_endpoints WHERE id = $1";
    /// Gives an endpoint another secret, and keeps the one before for a while.
    ROTATE_WEBHOOK_SECRET = "UPDATE webhook_endpoints SET secret_sealed = $2, \
        previous_secret_sealed = $3, previous_secret_ends_at = $4 WHERE id = $1";
    /// The endpoints of an account that hear of an event, which nobody takes away before the
    /// transaction ends. Those of a disabled account hear of nothing.
    FIND_LISTENERS = "SELECT id FROM webhook_endpoints WHERE user_id = $1 AND is_enabled \
        AND (events = '{}' OR $2::text = ANY (events)) \
        AND EXISTS (SELECT FROM users u WHERE u.id = $1 AND u.disabled_at IS NULL) \
        ORDER BY id FOR KEY SHARE";
    /// A message was taken.
    WEBHOOK_SUCCEEDED = "UPDATE webhook_endpoints SET failing_since = NULL, last_success_at = $2 \
        WHERE id = $1";
    /// One was not.
    WEBHOOK_FAILED = "UPDATE webhook_endpoints SET failing_since = $2 WHERE id = $1";
    /// The experiments that run, with the size of their trail, of which somebody wants to hear what
    /// was never said: their winner ($1), or that their visitors are not split as they should be ($2).
    FIND_WATCHED = "SELECT * FROM (SELECT x.id, h.size, \
        EXISTS (SELECT FROM webhook_endpoints e WHERE e.user_id = x.user_id AND e.is_enabled \
            AND (e.events = '{}' OR $1::text = ANY (e.events))) \
        AND NOT EXISTS (SELECT FROM webhook_messages m WHERE m.once_key = concat($1, '/', x.id)) \
            AS winner, \
        EXISTS (SELECT FROM webhook_endpoints e WHERE e.user_id = x.user_id AND e.is_enabled \
            AND (e.events = '{}' OR $2::text = ANY (e.events))) \
        AND NOT EXISTS (SELECT FROM webhook_messages m WHERE m.once_key = concat($2, '/', x.id)) \
            AS mismatch \
        FROM experiments x JOIN audit_heads h ON h.experiment_id = x.id \
        WHERE x.user_id IN (SELECT e.user_id FROM webhook_endpoints e JOIN users u ON u.id = e.user_id \
            WHERE e.is_enabled AND u.disabled_at IS NULL) \
        AND x.status IN ('active', 'paused')) w WHERE w.winner OR w.mismatch ORDER BY w.id";
}

/// What messages to an endpoint are signed with, sealed.
#[derive(Clone, PartialEq, Eq)]
pub struct SealedSecrets {
    /// The secret.
    pub current: String,
    /// The one before the last rotation, and until when it signs as well.
    pub previous: Option<(String, OffsetDateTime)>,
}

impl std::fmt::Debug for SealedSecrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealedSecrets(***)")
    }
}

impl SealedSecrets {
    /// From the three columns that begin at `index`.
    pub(crate) fn from_columns(of: Columns<'_>, index: usize) -> Result<Self, Error> {
        let previous: Option<String> = of.get(index + 1, "previous_secret_sealed")?;
        let ends_at: Option<OffsetDateTime> = of.get(index + 2, "previous_secret_ends_at")?;
        Ok(Self {
            current: of.get(index, "secret_sealed")?,
            previous: previous.zip(ends_at),
        })
    }
}

/// An experiment that runs and of which somebody wants to hear what was never said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub experiment_id: ExperimentId,
    /// Entries of its trail.
    pub size: i64,
    /// Whether somebody waits for its winner.
    pub winner: bool,
    /// Whether somebody wants to know that its visitors are not split as they should be.
    pub mismatch: bool,
}

/// One endpoint.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: WebhookId) -> Result<Option<Webhook>, Error> {
    let row = session.query_opt(READ_WEBHOOK, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// One endpoint, locked until the transaction ends. Whoever changes an endpoint and its deliveries
/// locks the endpoint first.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock(session: &Session<'_>, id: WebhookId) -> Result<Option<Webhook>, Error> {
    let row = session.query_opt(LOCK_WEBHOOK, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// At most `limit` endpoints of `owner`, or of everybody, newest first, that were made before
/// `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Webhook>, Error> {
    let (before_at, before_id) = before.unzip();
    let owner = owner.map(|id| id.0);
    let rows = session
        .query(LIST_WEBHOOKS, &[&owner, &before_at, &before_id, &limit])
        .await?;
    rows.iter().map(from_row).collect()
}

/// Stores a new endpoint; says whether there was room, as an account may have `limit`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    webhook: &Webhook,
    secret_sealed: &str,
    limit: i64,
) -> Result<bool, Error> {
    let (reason, since) = webhook.off.unzip();
    let inserted = session
        .execute(
            INSERT_WEBHOOK,
            &[
                &webhook.id.0,
                &webhook.user_id.0,
                &webhook.url,
                &webhook.description,
                &words(&webhook.events),
                &reason.map(WebhookOff::as_str),
                &since,
                &secret_sealed,
                &webhook.version,
                &webhook.created_at,
                &limit,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// Writes everything of an endpoint but its secrets.
///
/// # Errors
/// When there is no such endpoint, or PostgreSQL fails.
pub async fn update(session: &Session<'_>, webhook: &Webhook) -> Result<(), Error> {
    let (reason, since) = webhook.off.unzip();
    let updated = session
        .execute(
            UPDATE_WEBHOOK,
            &[
                &webhook.id.0,
                &webhook.url,
                &webhook.description,
                &words(&webhook.events),
                &reason.map(WebhookOff::as_str),
                &since,
                &webhook.failing_since,
                &webhook.version,
                &webhook.updated_at,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_WEBHOOK.name, 1, updated)
}

/// Takes an endpoint away, and its deliveries with it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn delete(session: &Session<'_>, id: WebhookId) -> Result<(), Error> {
    session.execute(DELETE_WEBHOOK, &[&id.0]).await.map(drop)
}

/// What messages to an endpoint are signed with.
///
/// # Errors
/// When there is no such endpoint, or PostgreSQL fails.
pub async fn secrets(session: &Session<'_>, id: WebhookId) -> Result<SealedSecrets, Error> {
    let row = session.query_one(READ_WEBHOOK_SECRETS, &[&id.0]).await?;
    SealedSecrets::from_columns(Columns::new(&row, TABLE), 0)
}

/// Gives an endpoint other secrets.
///
/// # Errors
/// When there is no such endpoint, or PostgreSQL fails.
pub async fn rotate(
    session: &Session<'_>,
    id: WebhookId,
    secrets: &SealedSecrets,
) -> Result<(), Error> {
    let (previous, ends_at) = secrets.previous.clone().unzip();
    let rotated = session
        .execute(
            ROTATE_WEBHOOK_SECRET,
            &[&id.0, &secrets.current, &previous, &ends_at],
        )
        .await?;
    Error::expect_rows(ROTATE_WEBHOOK_SECRET.name, 1, rotated)
}

/// The endpoints of `owner` that hear of `event`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn listeners(
    session: &Session<'_>,
    owner: UserId,
    event: WebhookEvent,
) -> Result<Vec<WebhookId>, Error> {
    let rows = session
        .query(FIND_LISTENERS, &[&owner.0, &event.as_str()])
        .await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, TABLE);
        of.get(0, "id").map(WebhookId)
    });
    ids.collect()
}

/// Notes that an endpoint took a message.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn succeeded(
    session: &Session<'_>,
    id: WebhookId,
    at: OffsetDateTime,
) -> Result<(), Error> {
    session
        .execute(WEBHOOK_SUCCEEDED, &[&id.0, &at])
        .await
        .map(drop)
}

/// Notes that an endpoint did not take one, and since when it takes none.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn failed(
    session: &Session<'_>,
    id: WebhookId,
    since: OffsetDateTime,
) -> Result<(), Error> {
    session
        .execute(WEBHOOK_FAILED, &[&id.0, &since])
        .await
        .map(drop)
}

/// The experiments that run and of which somebody wants to hear what was never said.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn watched(session: &Session<'_>) -> Result<Vec<Watched>, Error> {
    let winner = WebhookEvent::WinnerFound.as_str();
    let mismatch = WebhookEvent::SampleRatioMismatch.as_str();
    let rows = session.query(FIND_WATCHED, &[&winner, &mismatch]).await?;
    let watched = rows.iter().map(|row| {
        let of = Columns::new(row, "experiments");
        Ok(Watched {
            experiment_id: ExperimentId(of.get(0, "id")?),
            size: of.get(1, "size")?,
            winner: of.get(2, "winner")?,
            mismatch: of.get(3, "mismatch")?,
        })
    });
    watched.collect()
}

fn words(events: &[WebhookEvent]) -> Vec<&'static str> {
    events.iter().map(|event| event.as_str()).collect()
}

fn from_row(row: &Row) -> Result<Webhook, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        let events: Vec<&str> = of.get(4, "events")?;
        let events = events.into_iter().map(str::parse).collect::<Result<_, _>>();
        let reason: Option<&str> = of.get(5, "disabled_reason")?;
        let reason = reason.map(str::parse).transpose();
        let reason = reason.map_err(|error| of.wrong("disabled_reason", error))?;
        Ok(Webhook {
            id: WebhookId(id),
            user_id: UserId(of.get(1, "user_id")?),
            url: of.get(2, "url")?,
            description: of.get(3, "description")?,
            events: events.map_err(|error| of.wrong("events", error))?,
            off: reason.zip(of.get(6, "disabled_at")?),
            failing_since: of.get(7, "failing_since")?,
            last_success_at: of.get(8, "last_success_at")?,
            previous_secret_ends_at: of.get(9, "previous_secret_ends_at")?,
            version: of.get(10, "version")?,
            created_at: of.get(11, "created_at")?,
            updated_at: of.get(12, "updated_at")?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
