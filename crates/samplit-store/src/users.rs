//! `users`: accounts and their passwords.

use samplit_domain::{Role, User, UserId};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

/// What no password hashes to.
pub const NO_PASSWORD: &str = "!";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, email, name, company, role, password_hash <> '!', \
        coalesce(created_at, 'epoch'), last_login_at, disabled_at, \
        coalesce(updated_at, created_at, 'epoch')"
    };
}

/// Notes a change; each has a time of its own, as accounts have no other version.
macro_rules! changed_at {
    ($now:literal) => {
        concat!(
            "updated_at = greatest(",
            $now,
            "::timestamptz, updated_at + interval '1 microsecond')"
        )
    };
}

statements! {
    /// One account.
    READ_USER = concat!("SELECT ", columns!(), " FROM users WHERE id = $1");
    /// One account, locked against other changes of it.
    LOCK_USER = concat!("SELECT ", columns!(), " FROM users WHERE id = $1 FOR NO KEY UPDATE");
    /// The account with an email, whatever its case, with its password. Where several differ by case
    /// alone, the one that is spelled as asked for, else the oldest.
    FIND_LOGIN = concat!("SELECT ", columns!(), ", password_hash FROM users \
        WHERE lower(email) = lower($1) ORDER BY email = $1 DESC, created_at, id LIMIT 1");
    /// The password of an account.
    READ_PASSWORD = "SELECT password_hash FROM users WHERE id = $1 AND disabled_at IS NULL";
    /// A page of accounts, newest first. Null parameters do not filter.
    LIST_USERS = concat!("SELECT ", columns!(), " FROM users \
        WHERE ($1::varchar IS NULL OR coalesce(role, 'client') = $1) \
        AND ($2::text IS NULL OR strpos(lower(concat_ws(' ', email, name, company)), lower($2)) > 0) \
        AND ($3::timestamptz IS NULL OR (created_at, id) < ($3, $4::uuid)) \
        ORDER BY created_at DESC, id DESC LIMIT $5");
    /// A new account, unless there is one with the email.
    ADD_USER = concat!("INSERT INTO users (id, email, password_hash, role, name) \
        SELECT $1, lower($2), '!', $3, $4 \
        WHERE NOT EXISTS (SELECT FROM users WHERE lower(email) = lower($2)) \
        ON CONFLICT DO NOTHING RETURNING ", columns!());
    /// Everything of an account that its owner or an admin may change.
    UPDATE_USER = concat!("UPDATE users SET name = $2, company = $3, role = $4, disabled_at = $5, ",
        changed_at!("$6"), " WHERE id = $1 RETURNING ", columns!());
    /// Another password.
    SET_PASSWORD = concat!("UPDATE users SET password_hash = $2, ", changed_at!("$3"), " WHERE id = $1");
    /// Another password in place of the one that was looked at.
    REPLACE_PASSWORD = concat!("UPDATE users SET password_hash = $3, ", changed_at!("$4"), " \
        WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL");
    /// Somebody signed in with the password that was looked at, if it is still the one. Waits for
    /// whoever changes it, and keeps others from changing it until the session is there.
    SIGNED_IN = concat!("UPDATE users SET last_login_at = $3 WHERE id = $1 \
        AND ($2::varchar IS NULL OR password_hash = $2) AND disabled_at IS NULL RETURNING ", columns!());
    /// Lets one transaction at a time decide who is an admin.
    LOCK_ADMINS = "SELECT pg_advisory_xact_lock(hashtextextended('samplit:admins', 0))";
    /// How many admins can come in besides one account, and how many of them with a password.
    COUNT_ADMINS = "SELECT count(*), count(*) FILTER (WHERE password_hash <> '!') FROM users \
        WHERE role = 'admin' AND disabled_at IS NULL AND id IS DISTINCT FROM $1";
}

/// An account with what its password hashes to.
#[derive(Clone)]
pub struct Login {
    /// The account.
    pub user: User,
    /// The hash, or [`NO_PASSWORD`].
    pub password_hash: String,
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Login").field(&self.user.id).finish()
    }
}

/// Admins who can come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admins {
    /// All of them.
    pub all: i64,
    /// Those who have a password.
    pub with_password: i64,
}

/// One account.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: UserId) -> Result<Option<User>, Error> {
    let row = session.query_opt(READ_USER, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// One account, locked until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock(session: &Session<'_>, id: UserId) -> Result<Option<User>, Error> {
    let row = session.query_opt(LOCK_USER, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// The account with `email`, whatever its case, and its password.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn find_login(session: &Session<'_>, email: &str) -> Result<Option<Login>, Error> {
    let row = session.query_opt(FIND_LOGIN, &[&email]).await?;
    let login = row.map(|row| {
        let user = from_row(&row)?;
        let password_hash = Columns::new(&row, "users").get(10, "password_hash")?;
        Ok(Login {
            user,
            password_hash,
        })
    });
    login.transpose()
}

/// What the password of an account hashes to; `None` where it is gone or disabled.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn read_password(session: &Session<'_>, id: UserId) -> Result<Option<String>, Error> {
    let row = session.query_opt(READ_PASSWORD, &[&id.0]).await?;
    row.map(|row| Columns::new(&row, "users").get(0, "password_hash"))
        .transpose()
}

/// At most `limit` accounts, newest first, of `role` and with `text` in email, name or company, that
/// were made before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    role: Option<Role>,
    text: Option<&str>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<User>, Error> {
    let (before_at, before_id) = before.unzip();
    let role = role.map(Role::as_str);
    let rows = session
        .query(LIST_USERS, &[&role, &text, &before_at, &before_id, &limit])
        .await?;
    rows.iter().map(from_row).collect()
}

/// Makes an account without a password; `None` where there is one with the email.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    id: UserId,
    email: &str,
    role: Role,
    name: Option<&str>,
) -> Result<Option<User>, Error> {
    let row = session
        .query_opt(ADD_USER, &[&id.0, &email, &role.as_str(), &name])
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Stores what may change of an account: name, company, role, and since when it is disabled. Gives the account
/// as it is then.
///
/// # Errors
/// When it is gone, PostgreSQL fails, or the row breaks a rule that code relies on.
pub async fn update(
    session: &Session<'_>,
    user: &User,
    now: OffsetDateTime,
) -> Result<User, Error> {
    let row = session
        .query_one(
            UPDATE_USER,
            &[
                &user.id.0,
                &user.name,
                &user.company,
                &user.role.as_str(),
                &user.disabled_at,
                &now,
            ],
        )
        .await?;
    from_row(&row)
}

/// Gives an account another password.
///
/// # Errors
/// When it is gone, or PostgreSQL fails.
pub async fn set_password(
    session: &Session<'_>,
    id: UserId,
    hash: &str,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let updated = session.execute(SET_PASSWORD, &[&id.0, &hash, &now]).await?;
    Error::expect_rows(SET_PASSWORD.name, 1, updated)
}

/// Gives an account another password if it still has the one that was looked at; says whether it had.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn replace_password(
    session: &Session<'_>,
    id: UserId,
    seen: &str,
    hash: &str,
    now: OffsetDateTime,
) -> Result<bool, Error> {
    let updated = session
        .execute(REPLACE_PASSWORD, &[&id.0, &seen, &hash, &now])
        .await?;
    Ok(updated == 1)
}

/// Notes that somebody signs in, if the account is in use and has the password that was looked at, where
/// one was. Nobody changes that before the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn signed_in(
    session: &Session<'_>,
    id: UserId,
    seen: Option<&str>,
    now: OffsetDateTime,
) -> Result<Option<User>, Error> {
    let row = session.query_opt(SIGNED_IN, &[&id.0, &seen, &now]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Waits until nobody else decides who is an admin; holds for the rest of the transaction.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock_admins(session: &Session<'_>) -> Result<(), Error> {
    session.execute(LOCK_ADMINS, &[]).await.map(drop)
}

/// The admins who can come in, besides `id`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn other_admins(session: &Session<'_>, id: Option<UserId>) -> Result<Admins, Error> {
    let row = session
        .query_one(COUNT_ADMINS, &[&id.map(|id| id.0)])
        .await?;
    let of = Columns::new(&row, "users");
    Ok(Admins {
        all: of.get(0, "count")?,
        with_password: of.get(1, "count")?,
    })
}

fn from_row(row: &Row) -> Result<User, Error> {
    let of = Columns::new(row, "users");
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        Ok(User {
            id: UserId(id),
            email: of.get(1, "email")?,
            name: of.get(2, "name")?,
            company: of.get(3, "company")?,
            role: of.word(4, "role", Role::Client)?,
            has_password: of.get(5, "password_hash")?,
            created_at: of.get(6, "created_at")?,
            last_login_at: of.get(7, "last_login_at")?,
            disabled_at: of.get(8, "disabled_at")?,
            updated_at: of.get(9, "updated_at")?,
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
