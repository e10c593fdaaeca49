//! `users` and `api_keys`: who may come in.

use samplit_domain::{ApiKey, ApiKeyId, Scope, UserId};
use time::OffsetDateTime;
use tokio_postgres::Row;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

/// What [`key_from_row`] reads.
macro_rules! key_columns {
    () => {
        "id, name, key_prefix, scopes, created_at, nullif(expires_at, 'infinity'), last_used_at"
    };
}

statements! {
    /// A key that is neither revoked nor expired, with its owner, who is not disabled. An operator may
    /// have written that it never expires as `infinity`.
    FIND_API_KEY = "SELECT k.id, k.user_id, u.role, k.scopes, \
        nullif(k.expires_at, 'infinity') FROM api_keys k \
        JOIN users u ON u.id = k.user_id WHERE k.key_hash = $1 AND k.revoked_at IS NULL \
        AND u.disabled_at IS NULL AND (k.expires_at IS NULL OR k.expires_at > $2)";
    /// A new key. Each scope is stored once, in the order in which they were named first.
    INSERT_API_KEY = "INSERT INTO api_keys (id, user_id, name, key_prefix, key_hash, scopes, \
        created_at, expires_at) VALUES ($1, $2, $3, $4, $5, ARRAY(SELECT scope \
        FROM unnest($6::text[]) WITH ORDINALITY AS s(scope, place) GROUP BY scope \
        ORDER BY min(place)), $7, $8)";
    /// The last use, at most once a minute, so that a busy key does not write on every request.
    TOUCH_API_KEY = "UPDATE api_keys SET last_used_at = $2 WHERE id = $1 \
        AND (last_used_at IS NULL OR last_used_at < $2::timestamptz - interval '1 minute')";
    /// The keys of one account that are not revoked, newest first.
    LIST_API_KEYS = concat!("SELECT ", key_columns!(), " FROM api_keys \
        WHERE user_id = $1 AND revoked_at IS NULL ORDER BY created_at DESC, id DESC LIMIT $2");
    /// One key of an account that is not revoked, locked against other changes of it.
    LOCK_API_KEY = concat!("SELECT ", key_columns!(), ", key_hash FROM api_keys \
        WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL FOR NO KEY UPDATE");
    /// How many keys of an account are neither revoked nor expired.
    COUNT_API_KEYS = "SELECT count(*) FROM api_keys WHERE user_id = $1 AND revoked_at IS NULL \
        AND (expires_at IS NULL OR expires_at > $2)";
    /// Ends a key for good.
    REVOKE_API_KEY = "UPDATE api_keys SET revoked_at = $2 WHERE id = $1";
    /// Ends every key of an account for good.
    REVOKE_API_KEYS_OF = "UPDATE api_keys SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL";
    /// Lets a key end by itself.
    EXPIRE_API_KEY = "UPDATE api_keys SET expires_at = $2 WHERE id = $1";
    /// The account with an email, whatever its case. Where several differ by case alone, the one that
    /// is spelled as asked for, else the oldest.
    FIND_USER = "SELECT id, role FROM users WHERE lower(email) = lower($1) \
        ORDER BY email = $1 DESC, created_at, id LIMIT 1";
    /// A new account, unless another transaction made it first. Its password can match nothing.
    INSERT_USER = "INSERT INTO users (id, email, password_hash, role) VALUES ($1, lower($2), '!', $3) \
        ON CONFLICT (email) DO UPDATE SET email = excluded.email RETURNING id, role";
}

/// A key and its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKeyRow {
    /// The key.
    pub id: ApiKeyId,
    /// Whose.
    pub user_id: UserId,
    /// The owner's role; the column's default where null.
    pub role: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<OffsetDateTime>,
}

/// A key to store.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// Whose.
    pub user_id: UserId,
    /// What people call it.
    pub name: String,
    /// Its first characters, to recognise it by.
    pub prefix: String,
    /// Hex SHA-256 of the token.
    pub hash: String,
    /// What it may do.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<OffsetDateTime>,
}

/// The key whose token hashes to `hash`, if it is good at `now`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn find_api_key(
    session: &Session<'_>,
    hash: &str,
    now: OffsetDateTime,
) -> Result<Option<ApiKeyRow>, Error> {
    let row = session.query_opt(FIND_API_KEY, &[&hash, &now]).await?;
    let key = row.map(|row| {
        let of = Columns::new(&row, "api_keys");
        Ok(ApiKeyRow {
            id: ApiKeyId(of.get(0, "id")?),
            user_id: UserId(of.get(1, "user_id")?),
            role: of
                .get::<Option<String>>(2, "role")?
                .unwrap_or_else(|| "client".to_owned()),
            scopes: of.get(3, "scopes")?,
            expires_at: of.get(4, "expires_at")?,
        })
    });
    key.transpose()
}

/// Notes that a key was used.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn touch_api_key(
    session: &Session<'_>,
    id: ApiKeyId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    session
        .execute(TOUCH_API_KEY, &[&id.0, &now])
        .await
        .map(drop)
}

/// Stores a new key.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert_api_key(session: &Session<'_>, key: &NewApiKey) -> Result<(), Error> {
    session
        .execute(
            INSERT_API_KEY,
            &[
                &key.id.0,
                &key.user_id.0,
                &key.name,
                &key.prefix,
                &key.hash,
                &key.scopes,
                &key.created_at,
                &key.expires_at,
            ],
        )
        .await
        .map(drop)
}

/// The keys of an account that are not revoked, newest first, `limit` at most.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list_api_keys(
    session: &Session<'_>,
    user: UserId,
    limit: i64,
) -> Result<Vec<ApiKey>, Error> {
    let rows = session.query(LIST_API_KEYS, &[&user.0, &limit]).await?;
    rows.iter().map(key_from_row).collect()
}

/// One key of an account that is not revoked, and what its token hashes to; locked until the transaction
/// ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock_api_key(
    session: &Session<'_>,
    id: ApiKeyId,
    user: UserId,
) -> Result<Option<(ApiKey, String)>, Error> {
    let row = session.query_opt(LOCK_API_KEY, &[&id.0, &user.0]).await?;
    let found = row.map(|row| {
        let hash = Columns::new(&row, "api_keys").get(7, "key_hash")?;
        Ok((key_from_row(&row)?, hash))
    });
    found.transpose()
}

/// How many keys of an account are good at `now`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn count_api_keys(
    session: &Session<'_>,
    user: UserId,
    now: OffsetDateTime,
) -> Result<i64, Error> {
    let row = session.query_one(COUNT_API_KEYS, &[&user.0, &now]).await?;
    Columns::new(&row, "api_keys").get(0, "count")
}

/// Ends a key for good.
///
/// # Errors
/// When it is gone, or PostgreSQL fails.
pub async fn revoke_api_key(
    session: &Session<'_>,
    id: ApiKeyId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let revoked = session.execute(REVOKE_API_KEY, &[&id.0, &now]).await?;
    Error::expect_rows(REVOKE_API_KEY.name, 1, revoked)
}

/// Ends every key of an account for good; how many there were that had not been revoked.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn revoke_api_keys(
    session: &Session<'_>,
    user: UserId,
    now: OffsetDateTime,
) -> Result<u64, Error> {
    session.execute(REVOKE_API_KEYS_OF, &[&user.0, &now]).await
}

/// Lets a key end at `expires_at`.
///
/// # Errors
/// When it is gone, or PostgreSQL fails.
pub async fn expire_api_key(
    session: &Session<'_>,
    id: ApiKeyId,
    expires_at: OffsetDateTime,
) -> Result<(), Error> {
    let changed = session
        .execute(EXPIRE_API_KEY, &[&id.0, &expires_at])
        .await?;
    Error::expect_rows(EXPIRE_API_KEY.name, 1, changed)
}

fn key_from_row(row: &Row) -> Result<ApiKey, Error> {
    let of = Columns::new(row, "api_keys");
    let scopes: Vec<&str> = of.get(3, "scopes")?;
    let scopes = scopes.into_iter().map(str::parse::<Scope>);
    let scopes = scopes.collect::<Result<_, _>>();
    Ok(ApiKey {
        id: ApiKeyId(of.get(0, "id")?),
        name: of.get(1, "name")?,
        prefix: of.get(2, "key_prefix")?,
        scopes: scopes.map_err(|error| of.wrong("scopes", error))?,
        created_at: of.get(4, "created_at")?,
        expires_at: of.get(5, "expires_at")?,
        last_used_at: of.get(6, "last_used_at")?,
    })
}

/// The account with `email`, whatever its case, and its role; made with `id` and `role`, and with the
/// email in lower case, where there is none.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn ensure_user(
    session: &Session<'_>,
    id: UserId,
    email: &str,
    role: &str,
) -> Result<(UserId, String), Error> {
    let row = match session.query_opt(FIND_USER, &[&email]).await? {
        Some(row) => row,
        None => {
            session
                .query_one(INSERT_USER, &[&id.0, &email, &role])
                .await?
        }
    };
    let of = Columns::new(&row, "users");
    let role = of
        .get::<Option<String>>(1, "role")?
        .unwrap_or_else(|| role.to_owned());
    Ok((UserId(of.get(0, "id")?), role))
}
