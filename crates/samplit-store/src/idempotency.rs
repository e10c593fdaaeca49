//! `idempotency_keys`: the answers that a repeat of a request is given again.

use samplit_domain::UserId;
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Whether nobody else holds a key; if so, it is ours until the transaction ends.
    TRY_IDEMPOTENCY_KEY = "SELECT pg_try_advisory_xact_lock($1)";
    /// The answer that was given under a key.
    FIND_ANSWER = "SELECT request_hash, status, headers, body, is_sealed FROM idempotency_keys \
        WHERE user_id = $1 AND key = $2 AND created_at > $3";
    /// An answer; one under the same key that is out of date makes room.
    INSERT_ANSWER = "INSERT INTO idempotency_keys (user_id, key, request_hash, status, headers, body, \
        is_sealed, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
        ON CONFLICT (user_id, key) DO UPDATE SET request_hash = excluded.request_hash, \
        status = excluded.status, headers = excluded.headers, body = excluded.body, \
        is_sealed = excluded.is_sealed, created_at = excluded.created_at";
    /// Some answers that are out of date, but for those that somebody else is at.
    FORGET_ANSWERS = "DELETE FROM idempotency_keys k USING (SELECT user_id, key FROM idempotency_keys \
        WHERE created_at <= $1 ORDER BY created_at LIMIT 100 FOR UPDATE SKIP LOCKED) AS old \
        WHERE k.user_id = old.user_id AND k.key = old.key";
}

/// An answer as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRow {
    /// SHA-256 of what was asked, 64 hex digits.
    pub request_hash: String,
    /// The status.
    pub status: i16,
    /// Headers, as `[name, value]` pairs.
    pub headers: Json,
    /// The body.
    pub body: String,
    /// Whether the body is sealed.
    pub is_sealed: bool,
}

/// Takes the lock number `lock` for the rest of the transaction, unless another one has it.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn try_lock(session: &Session<'_>, lock: i64) -> Result<bool, Error> {
    let row = session.query_one(TRY_IDEMPOTENCY_KEY, &[&lock]).await?;
    Columns::new(&row, "idempotency_keys").get(0, "lock")
}

/// The answer that `owner` was given under `key` after `since`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn find(
    session: &Session<'_>,
    owner: UserId,
    key: &str,
    since: OffsetDateTime,
) -> Result<Option<AnswerRow>, Error> {
    let row = session
        .query_opt(FIND_ANSWER, &[&owner.0, &key, &since])
        .await?;
    let decode = |row: &tokio_postgres::Row| {
        let of = Columns::new(row, "idempotency_keys");
        Ok(AnswerRow {
            request_hash: of.get(0, "request_hash")?,
            status: of.get(1, "status")?,
            headers: of.get(2, "headers")?,
            body: of.get(3, "body")?,
            is_sealed: of.get(4, "is_sealed")?,
        })
    };
    row.as_ref().map(decode).transpose()
}

/// Keeps an answer, and forgets some of those from `until` and before.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    owner: UserId,
    key: &str,
    answer: &AnswerRow,
    now: OffsetDateTime,
    until: OffsetDateTime,
) -> Result<(), Error> {
    session.execute(FORGET_ANSWERS, &[&until]).await?;
    session
        .execute(
            INSERT_ANSWER,
            &[
                &owner.0,
                &key,
                &answer.request_hash,
                &answer.status,
                &answer.headers,
                &answer.body,
                &answer.is_sealed,
                &now,
            ],
        )
        .await
        .map(drop)
}
