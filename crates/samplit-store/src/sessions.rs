//! `sessions`: browsers that are signed in.

use std::net::IpAddr;

use samplit_domain::{AccountSession, Role, SessionId, User, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// A session that is not over, with its user, who is not disabled.
    FIND_SESSION = "SELECT s.id, s.expires_at, u.id, u.email, u.name, u.company, u.role, \
        u.password_hash <> '!', coalesce(u.created_at, 'epoch'), u.last_login_at, \
        coalesce(u.updated_at, u.created_at, 'epoch') \
        FROM sessions s JOIN users u ON u.id = s.user_id \
        WHERE s.token_hash = $1 AND s.expires_at > $2 AND u.disabled_at IS NULL";
    /// A new session.
    INSERT_SESSION = "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, \
        last_seen_at, user_agent, ip_address) VALUES ($1, $2, $3, $4, $5, $4, $6, $7)";
    /// The last use, at most once a minute.
    TOUCH_SESSION = "UPDATE sessions SET last_seen_at = $2 WHERE id = $1 \
        AND last_seen_at < $2::timestamptz - interval '1 minute'";
    /// The sessions of one account, the one used last first.
    LIST_SESSIONS = "SELECT id, created_at, expires_at, last_seen_at, user_agent, ip_address \
        FROM sessions WHERE user_id = $1 AND expires_at > $2 \
        ORDER BY last_seen_at DESC, id LIMIT 100";
    /// Ends the session of a token.
    END_SESSION = "DELETE FROM sessions WHERE token_hash = $1 RETURNING id, user_id";
    /// Ends one session of an account.
    END_SESSION_OF = "DELETE FROM sessions WHERE id = $1 AND user_id = $2 RETURNING token_hash";
    /// Ends every session of an account.
    END_SESSIONS_OF = "DELETE FROM sessions WHERE user_id = $1";
    /// Sessions that are over.
    FORGET_SESSIONS = "DELETE FROM sessions WHERE expires_at <= $1";
}

/// A session with its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// The session.
    pub id: SessionId,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// Who is signed in.
    pub user: User,
}

/// A session to store.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Who signs in.
    pub user_id: UserId,
    /// Hex SHA-256 of the token.
    pub token_hash: String,
    /// When.
    pub created_at: OffsetDateTime,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// The browser, as it calls itself; 1,024 characters at most.
    pub user_agent: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
}

/// The session whose token hashes to `hash`, if it is good at `now`.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn find(
    session: &Session<'_>,
    hash: &str,
    now: OffsetDateTime,
) -> Result<Option<SessionRow>, Error> {
    let row = session.query_opt(FIND_SESSION, &[&hash, &now]).await?;
    let found = row.map(|row| {
        let of = Columns::new(&row, "sessions");
        Ok(SessionRow {
            id: SessionId(of.get(0, "id")?),
            expires_at: of.get(1, "expires_at")?,
            user: User {
                id: UserId(of.get(2, "user_id")?),
                email: of.get(3, "email")?,
                name: of.get(4, "name")?,
                company: of.get(5, "company")?,
                role: of.word(6, "role", Role::Client)?,
                has_password: of.get(7, "password_hash")?,
                created_at: of.get(8, "created_at")?,
                last_login_at: of.get(9, "last_login_at")?,
                disabled_at: None,
                updated_at: of.get(10, "updated_at")?,
            },
        })
    });
    found.transpose()
}

/// Stores a new session, and forgets those that are over.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, new: &NewSession) -> Result<(), Error> {
    session.execute(FORGET_SESSIONS, &[&new.created_at]).await?;
    session
        .execute(
            INSERT_SESSION,
            &[
                &new.id.0,
                &new.user_id.0,
                &new.token_hash,
                &new.created_at,
                &new.expires_at,
                &new.user_agent,
                &new.address,
            ],
        )
        .await
        .map(drop)
}

/// Notes that a session was used.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn touch(session: &Session<'_>, id: SessionId, now: OffsetDateTime) -> Result<(), Error> {
    session
        .execute(TOUCH_SESSION, &[&id.0, &now])
        .await
        .map(drop)
}

/// The sessions of an account that are good at `now`, the one used last first, 100 at most.
///
/// # Errors
/// When PostgreSQL fails or a row holds what it cannot.
pub async fn list(
    session: &Session<'_>,
    user: UserId,
    now: OffsetDateTime,
) -> Result<Vec<AccountSession>, Error> {
    let rows = session.query(LIST_SESSIONS, &[&user.0, &now]).await?;
    let sessions = rows.iter().map(|row| {
        let of = Columns::new(row, "sessions");
        Ok(AccountSession {
            id: SessionId(of.get(0, "id")?),
            created_at: of.get(1, "created_at")?,
            expires_at: of.get(2, "expires_at")?,
            last_seen_at: of.get(3, "last_seen_at")?,
            user_agent: of.get(4, "user_agent")?,
            address: of.get(5, "ip_address")?,
        })
    });
    sessions.collect()
}

/// Ends the session whose token hashes to `hash`; which it was, and whose.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn end(session: &Session<'_>, hash: &str) -> Result<Option<(SessionId, UserId)>, Error> {
    let row = session.query_opt(END_SESSION, &[&hash]).await?;
    let ended = row.map(|row| {
        let of = Columns::new(&row, "sessions");
        let (id, user): (Uuid, Uuid) = (of.get(0, "id")?, of.get(1, "user_id")?);
        Ok((SessionId(id), UserId(user)))
    });
    ended.transpose()
}

/// Ends one session of an account; what its token hashes to.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn end_of(
    session: &Session<'_>,
    id: SessionId,
    user: UserId,
) -> Result<Option<String>, Error> {
    let row = session.query_opt(END_SESSION_OF, &[&id.0, &user.0]).await?;
    row.map(|row| Columns::new(&row, "sessions").get(0, "token_hash"))
        .transpose()
}

/// Ends every session of an account; how many there were.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn end_all(session: &Session<'_>, user: UserId) -> Result<u64, Error> {
    session.execute(END_SESSIONS_OF, &[&user.0]).await
}
