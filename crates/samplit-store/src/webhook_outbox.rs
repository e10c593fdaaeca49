//! `webhook_messages` and `webhook_deliveries`: what there is to say, and how far it has come.

use samplit_domain::{
    ExperimentId, UserId, WebhookAttempt, WebhookDelivery, WebhookDeliveryId,
    WebhookDeliveryStatus, WebhookEvent, WebhookId, WebhookMessageId,
};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};
use crate::webhooks::SealedSecrets;

const TABLE: &str = "webhook_deliveries";

/// Deliveries to one endpoint that are taken at once: a slow one keeps no other waiting. Of an endpoint
/// that fails it is one.
const OF_ONE: i64 = 4;

/// The most deliveries that are counted.
const COUNTED: i64 = 100_000;

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "d.id, d.endpoint_id, d.message_id, m.event, m.experiment_id, m.payload, d.status, \
        d.attempts, d.due_at, d.attempted_at, d.answer_status, d.answer_body, d.error, d.created_at"
    };
}

statements! {
    /// A message with its deliveries, unless it was said.
    ENQUEUE_WEBHOOKS = "WITH m AS (INSERT INTO webhook_messages (id, user_id, experiment_id, event, \
        once_key, payload, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
        ON CONFLICT (once_key) DO NOTHING RETURNING id) \
        INSERT INTO webhook_deliveries (id, message_id, endpoint_id, attempts, due_at, created_at) \
        SELECT d.id, m.id, d.endpoint_id, $8::int, $9::timestamptz, $7 \
        FROM m, unnest($10::uuid[], $11::uuid[]) AS d(id, endpoint_id)";
    /// How many deliveries of a message somebody has taken. Nobody takes the others before the
    /// transaction ends. A subquery would be asked for what was taken before it locks anything.
    HOLD_MESSAGE = "WITH held AS (SELECT d.attempts, d.attempted_at FROM webhook_deliveries d \
        JOIN webhook_messages m ON m.id = d.message_id WHERE m.once_key = $1 ORDER BY d.id \
        FOR UPDATE OF d) SELECT count(*) FROM held WHERE attempts > 0 OR attempted_at IS NOT NULL";
    /// Puts the newer checkpoint in the place of an older one.
    RENEW_CHECKPOINT_MESSAGE = "UPDATE webhook_messages m SET payload = $2 WHERE m.once_key = $1 \
        AND ((m.payload::jsonb #>> '{data,incarnation}')::int, \
            (m.payload::jsonb #>> '{data,size}')::bigint) < ($3::int, $4::bigint)";
    /// Takes what is due, nothing of endpoints that are busy or of a disabled account: a few of each
    /// endpoint, and accounts by turns, none more than its places. Endpoints that fail come behind all
    /// others, with one each, by lot and not by age, as the oldest are of those that never answer, and have
    /// not all places together. Whoever takes one has it until $2; what somebody else is about to take is
    /// left to them. A message that is changed just now waits.
    CLAIM_WEBHOOKS = concat!("WITH waiting AS (SELECT q.id, q.due_at, \
            e.failing_since IS NOT NULL AS is_failing, row_number() OVER (PARTITION BY e.user_id \
                ORDER BY e.failing_since IS NOT NULL, \
                CASE WHEN e.failing_since IS NULL THEN 0 ELSE random() END, q.due_at) + (SELECT count(*) \
                FROM unnest($6::uuid[]) AS busy(user_id) WHERE busy.user_id = e.user_id) AS turn \
            FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT d.id, d.due_at \
                FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.due_at <= $1 \
                ORDER BY d.due_at LIMIT CASE WHEN e.failing_since IS NULL THEN $5::bigint ELSE 1 END) q \
            WHERE e.is_enabled AND e.id <> ALL ($3::uuid[]) \
            AND EXISTS (SELECT FROM users u WHERE u.id = e.user_id AND u.disabled_at IS NULL)), \
        due AS (SELECT p.id FROM (SELECT w.*, row_number() OVER (PARTITION BY w.is_failing \
                ORDER BY w.turn, CASE WHEN w.is_failing THEN random() ELSE 0 END, w.due_at) AS place FROM waiting w WHERE w.turn <= $7) p \
            WHERE NOT p.is_failing OR p.place <= $8 ORDER BY p.is_failing, p.place LIMIT $4), \
        m AS (SELECT d.id AS delivery_id, m.event, m.experiment_id, m.payload \
            FROM webhook_deliveries d JOIN webhook_messages m ON m.id = d.message_id \
            WHERE d.id IN (SELECT id FROM due) AND d.due_at <= $1 \
            FOR UPDATE OF d SKIP LOCKED FOR SHARE OF m SKIP LOCKED) \
        UPDATE webhook_deliveries d SET attempts = d.attempts + 1, due_at = $2 \
        FROM m, webhook_endpoints e WHERE d.id = m.delivery_id AND e.id = d.endpoint_id RETURNING ",
        columns!(), ", e.url, e.secret_sealed, e.previous_secret_sealed, e.previous_secret_ends_at, \
        e.user_id, e.failing_since IS NOT NULL");
    /// Whether anything but $2 was tried at an endpoint since $3.
    WAS_TRIED = "SELECT EXISTS (SELECT FROM webhook_deliveries d WHERE d.endpoint_id = $1 \
        AND d.id <> $2 AND d.attempted_at >= $3)";
    /// How an attempt went, if the delivery is still that of whoever made it. That it was taken is true
    /// whoever says so.
    NOTE_WEBHOOK = "UPDATE webhook_deliveries SET status = $3, due_at = $4, attempted_at = $5, \
        answer_status = $6, answer_body = $7, error = $8 WHERE id = $1 \
        AND ((status = 'pending' AND due_at = $2) OR $3::text = 'delivered')";
    /// One delivery.
    READ_DELIVERY = concat!("SELECT ", columns!(), " FROM webhook_deliveries d \
        JOIN webhook_messages m ON m.id = d.message_id WHERE d.id = $1 AND d.endpoint_id = $2");
    /// A page of the deliveries to one endpoint, newest first. Null parameters do not filter.
    LIST_DELIVERIES = concat!("SELECT ", columns!(), " FROM webhook_deliveries d \
        JOIN webhook_messages m ON m.id = d.message_id WHERE d.endpoint_id = $1 \
        AND ($2::text IS NULL OR d.status = $2) \
        AND ($3::timestamptz IS NULL OR (d.created_at, d.id) < ($3, $4::uuid)) \
        ORDER BY d.created_at DESC, d.id DESC LIMIT $5");
    /// Begins a delivery anew.
    REPLAY_WEBHOOK = "UPDATE webhook_deliveries SET status = 'pending', attempts = 0, due_at = $2 \
        WHERE id = $1";
    /// Gives up what waits for an endpoint that was switched off.
    STOP_WEBHOOKS = "UPDATE webhook_deliveries SET status = 'dead', due_at = NULL, error = $2 \
        WHERE endpoint_id = $1 AND status = 'pending'";
    /// Messages so old that nobody asks for them, but for what is said once in the life of an
    /// experiment: that it was said has to be known.
    FORGET_WEBHOOKS = "DELETE FROM webhook_messages WHERE id IN (SELECT m.id FROM webhook_messages m \
        WHERE m.created_at < $1 AND m.event <> ALL ($2::text[]) AND NOT EXISTS (SELECT FROM \
        webhook_deliveries d WHERE d.message_id = m.id AND d.status = 'pending') LIMIT $3)";
    /// What waits, counted up to $1, and since when the oldest of it should have been tried that nothing
    /// holds back: what fails has to wait for its turn.
    WEBHOOK_BACKLOG = "SELECT (SELECT count(*) FROM (SELECT FROM webhook_deliveries \
            WHERE due_at IS NOT NULL LIMIT $1) waiting), \
        (SELECT min(q.due_at) FROM webhook_endpoints e CROSS JOIN LATERAL (SELECT d.due_at \
            FROM webhook_deliveries d WHERE d.endpoint_id = e.id AND d.due_at IS NOT NULL \
            ORDER BY d.due_at LIMIT 1) q WHERE e.is_enabled AND e.failing_since IS NULL \
            AND EXISTS (SELECT FROM users u WHERE u.id = e.user_id AND u.disabled_at IS NULL))";
}

/// A message to put into the outbox.
#[derive(Clone, Debug)]
pub struct NewMessage<'a> {
    /// Its id.
    pub id: WebhookMessageId,
    /// Whose endpoints hear of it.
    pub user_id: UserId,
    /// What it is about.
    pub experiment_id: Option<ExperimentId>,
    /// What happened.
    pub event: WebhookEvent,
    /// By what it is known that it was said; `None`: it may be said again.
    pub once_key: Option<&'a str>,
    /// The body.
    pub payload: &'a str,
    /// When it happened.
    pub created_at: OffsetDateTime,
    /// Attempts that are under way: 1 where whoever enqueues it is at it.
    pub attempts: i32,
    /// When it is to be tried.
    pub due_at: OffsetDateTime,
}

/// A delivery that is ours for a while.
#[derive(Clone, Debug)]
pub struct ClaimedDelivery {
    /// The delivery; its `due_at` says until when it is ours.
    pub delivery: WebhookDelivery,
    /// Where to post it.
    pub url: String,
    /// What to sign it with.
    pub secrets: SealedSecrets,
    /// Whose endpoint it is.
    pub user_id: UserId,
    /// Whether the endpoint took nothing the last time.
    pub is_failing: bool,
}

/// How much may be taken.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// Deliveries in all.
    pub limit: i64,
    /// Of them those to endpoints that fail.
    pub failing: i64,
    /// Deliveries of one account, with those that are under way.
    pub of_account: i64,
    /// Endpoints of which nothing is taken.
    pub busy: &'a [Uuid],
    /// The accounts of what is under way, one for each delivery.
    pub accounts: &'a [Uuid],
}

/// Puts a message into the outbox, for each endpoint with the id of its delivery. Says whether it is
/// new; what is said once and was said stays as it is.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn enqueue(
    session: &Session<'_>,
    message: &NewMessage<'_>,
    to: &[(WebhookDeliveryId, WebhookId)],
) -> Result<bool, Error> {
    let (deliveries, endpoints): (Vec<Uuid>, Vec<Uuid>) = to
        .iter()
        .map(|(delivery, webhook)| (delivery.0, webhook.0))
        .unzip();
    let enqueued = session
        .execute(
            ENQUEUE_WEBHOOKS,
            &[
                &message.id.0,
                &message.user_id.0,
                &message.experiment_id.map(|id| id.0),
                &message.event.as_str(),
                &message.once_key,
                &message.payload,
                &message.created_at,
                &message.attempts,
                &message.due_at,
                &deliveries,
                &endpoints,
            ],
        )
        .await?;
    Ok(enqueued > 0)
}

/// Whether nobody was sent what has this key yet; then nobody is before the transaction ends.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn hold_unless_sent(session: &Session<'_>, once_key: &str) -> Result<bool, Error> {
    let row = session.query_one(HOLD_MESSAGE, &[&once_key]).await?;
    let sent: i64 = Columns::new(&row, TABLE).get(0, "count")?;
    Ok(sent == 0)
}

/// Puts the payload of a newer checkpoint in the place of an older one, which is held.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn renew_checkpoint(
    session: &Session<'_>,
    once_key: &str,
    payload: &str,
    (incarnation, size): (i32, i64),
) -> Result<(), Error> {
    session
        .execute(
            RENEW_CHECKPOINT_MESSAGE,
            &[&once_key, &payload, &incarnation, &size],
        )
        .await
        .map(drop)
}

/// Takes deliveries that are due by `now`, as many as there is room for; they are the caller's until
/// `until`. A row that breaks a rule that code relies on is left out.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn claim(
    session: &Session<'_>,
    now: OffsetDateTime,
    until: OffsetDateTime,
    room: Room<'_>,
) -> Result<Vec<ClaimedDelivery>, Error> {
    let Room {
        limit,
        failing,
        of_account,
        busy,
        accounts,
    } = room;
    let rows = session
        .query(
            CLAIM_WEBHOOKS,
            &[
                &now,
                &until,
                &busy,
                &limit,
                &OF_ONE,
                &accounts,
                &of_account,
                &failing,
            ],
        )
        .await?;
    let claimed = rows.iter().filter_map(|row| {
        let of = Columns::new(row, TABLE);
        let decode = || {
            Ok(ClaimedDelivery {
                delivery: from_row(row)?,
                url: of.get(14, "url")?,
                secrets: SealedSecrets::from_columns(of, 15)?,
                user_id: UserId(of.get(18, "user_id")?),
                is_failing: of.get(19, "failing_since")?,
            })
        };
        // A newer server may understand it, in a minute; the others are none the worse for it.
        let failed =
            |error: &Error| tracing::warn!(error = ?error, "a delivery cannot be understood");
        decode().inspect_err(failed).ok()
    });
    Ok(claimed.collect())
}

/// Notes how an attempt went, and what comes of the delivery. Says whether it was still that of
/// whoever had it until `until`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn note(
    session: &Session<'_>,
    id: WebhookDeliveryId,
    until: Option<OffsetDateTime>,
    (status, due_at): (WebhookDeliveryStatus, Option<OffsetDateTime>),
    attempt: &WebhookAttempt,
) -> Result<bool, Error> {
    let noted = session
        .execute(
            NOTE_WEBHOOK,
            &[
                &id.0,
                &until,
                &status.as_str(),
                &due_at,
                &attempt.at,
                &attempt.status.map(i32::from),
                &attempt.body,
                &attempt.error,
            ],
        )
        .await?;
    Ok(noted == 1)
}

/// Whether any delivery to an endpoint but `delivery` was tried since `since`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn was_tried(
    session: &Session<'_>,
    webhook: WebhookId,
    delivery: WebhookDeliveryId,
    since: OffsetDateTime,
) -> Result<bool, Error> {
    let row = session
        .query_one(WAS_TRIED, &[&webhook.0, &delivery.0, &since])
        .await?;
    Columns::new(&row, TABLE).get(0, "exists")
}

/// One delivery to an endpoint.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(
    session: &Session<'_>,
    webhook: WebhookId,
    id: WebhookDeliveryId,
) -> Result<Option<WebhookDelivery>, Error> {
    let row = session
        .query_opt(READ_DELIVERY, &[&id.0, &webhook.0])
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// At most `limit` deliveries to an endpoint, newest first, from before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    webhook: WebhookId,
    status: Option<WebhookDeliveryStatus>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<WebhookDelivery>, Error> {
    let (before_at, before_id) = before.unzip();
    let status = status.map(WebhookDeliveryStatus::as_str);
    let rows = session
        .query(
            LIST_DELIVERIES,
            &[&webhook.0, &status, &before_at, &before_id, &limit],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// Begins a delivery anew, whatever came of it.
///
/// # Errors
/// When there is no such delivery, or PostgreSQL fails.
pub async fn replay(
    session: &Session<'_>,
    id: WebhookDeliveryId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let replayed = session.execute(REPLAY_WEBHOOK, &[&id.0, &now]).await?;
    Error::expect_rows(REPLAY_WEBHOOK.name, 1, replayed)
}

/// Gives up what waits for an endpoint; says how much.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn stop(session: &Session<'_>, webhook: WebhookId, why: &str) -> Result<u64, Error> {
    session.execute(STOP_WEBHOOKS, &[&webhook.0, &why]).await
}

/// Forgets at most `limit` messages from before `before` that nobody waits for; those of the events
/// `but` stay. Says how many.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget(
    session: &Session<'_>,
    before: OffsetDateTime,
    but: &[WebhookEvent],
    limit: i64,
) -> Result<u64, Error> {
    let but: Vec<&str> = but.iter().map(|event| event.as_str()).collect();
    session
        .execute(FORGET_WEBHOOKS, &[&before, &but, &limit])
        .await
}

/// How many deliveries wait, 100,000 at most, and since when the oldest of them should have been tried.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn backlog(session: &Session<'_>) -> Result<(i64, Option<OffsetDateTime>), Error> {
    let row = session.query_one(WEBHOOK_BACKLOG, &[&COUNTED]).await?;
    let of = Columns::new(&row, TABLE);
    Ok((of.get(0, "count")?, of.get(1, "due_at")?))
}

fn from_row(row: &Row) -> Result<WebhookDelivery, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        let attempts: i32 = of.get(7, "attempts")?;
        let attempts = u32::try_from(attempts).map_err(|error| of.wrong("attempts", error))?;
        let status: Option<i32> = of.get(10, "answer_status")?;
        let status = status.map(u16::try_from).transpose();
        let status = status.map_err(|error| of.wrong("answer_status", error))?;
        Ok(WebhookDelivery {
            id: WebhookDeliveryId(id),
            webhook_id: WebhookId(of.get(1, "endpoint_id")?),
            message_id: WebhookMessageId(of.get(2, "message_id")?),
            event: of.word(3, "event", WebhookEvent::Test)?,
            experiment_id: of
                .get::<Option<Uuid>>(4, "experiment_id")?
                .map(ExperimentId),
            payload: of.get(5, "payload")?,
            status: of.word(6, "status", WebhookDeliveryStatus::Pending)?,
            attempts,
            due_at: of.get(8, "due_at")?,
            attempted_at: of.get(9, "attempted_at")?,
            answer_status: status,
            answer_body: of.get(11, "answer_body")?,
            error: of.get(12, "error")?,
            created_at: of.get(13, "created_at")?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
