//! `account_links`: links that let somebody in once.

use samplit_domain::{LinkId, LinkKind, UserId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// A link that is good, with the email and name of the account. One of a disabled account is not.
    FIND_LINK = "SELECT l.kind, l.user_id, l.expires_at, u.email, u.name FROM account_links l \
        LEFT JOIN users u ON u.id = l.user_id \
        WHERE l.token_hash = $1 AND l.expires_at > $2 AND u.disabled_at IS NULL";
    /// Uses a link up: nobody finds it again.
    TAKE_LINK = "DELETE FROM account_links WHERE token_hash = $1 AND expires_at > $2 \
        RETURNING kind, user_id";
    /// A new link.
    INSERT_LINK = "INSERT INTO account_links (id, kind, token_hash, user_id, created_at, expires_at) \
        VALUES ($1, $2, $3, $4, $5, $6)";
    /// Whether an account was given a link of a kind lately.
    WAS_LINK_MADE = "SELECT EXISTS (SELECT FROM account_links \
        WHERE user_id = $1 AND kind = $2 AND created_at > $3)";
    /// The links of an account.
    FORGET_LINKS_OF = "DELETE FROM account_links WHERE user_id = $1";
    /// The links that make the first admin.
    FORGET_SETUP_LINKS = "DELETE FROM account_links WHERE kind = 'setup'";
    /// Links that nobody used in time.
    FORGET_LINKS = "DELETE FROM account_links WHERE expires_at <= $1";
}

/// A link that is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkRow {
    /// What it lets somebody do.
    pub kind: LinkKind,
    /// Whom; `None`: whoever sets the server up.
    pub user_id: Option<UserId>,
    /// Until when.
    pub expires_at: OffsetDateTime,
    /// The email of the account.
    pub email: Option<String>,
    /// The name of the account.
    pub name: Option<String>,
}

/// A link to store.
#[derive(Clone, Debug)]
pub struct NewLink {
    /// Its id.
    pub id: LinkId,
    /// What it lets somebody do.
    pub kind: LinkKind,
    /// Hex SHA-256 of the token.
    pub token_hash: String,
    /// Whom; `None` for a setup link only.
    pub user_id: Option<UserId>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Until when it is good.
    pub expires_at: OffsetDateTime,
}

/// The link whose token hashes to `hash`, if it is good at `now` and its account in use.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn find(
    session: &Session<'_>,
    hash: &str,
    now: OffsetDateTime,
) -> Result<Option<LinkRow>, Error> {
    let row = session.query_opt(FIND_LINK, &[&hash, &now]).await?;
    let link = row.map(|row| {
        let of = Columns::new(&row, "account_links");
        Ok(LinkRow {
            kind: of.word(0, "kind", LinkKind::Reset)?,
            user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
            expires_at: of.get(2, "expires_at")?,
            email: of.get(3, "email")?,
            name: of.get(4, "name")?,
        })
    });
    link.transpose()
}

/// Uses up the link whose token hashes to `hash`, if it is good at `now`: of those who try at once, one
/// gets it.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn take(
    session: &Session<'_>,
    hash: &str,
    now: OffsetDateTime,
) -> Result<Option<(LinkKind, Option<UserId>)>, Error> {
    let row = session.query_opt(TAKE_LINK, &[&hash, &now]).await?;
    let taken = row.map(|row| {
        let of = Columns::new(&row, "account_links");
        let kind = of.word(0, "kind", LinkKind::Reset)?;
        let user: Option<Uuid> = of.get(1, "user_id")?;
        Ok((kind, user.map(UserId)))
    });
    taken.transpose()
}

/// Stores a new link, and forgets those that nobody used in time.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, link: &NewLink) -> Result<(), Error> {
    session.execute(FORGET_LINKS, &[&link.created_at]).await?;
    session
        .execute(
            INSERT_LINK,
            &[
                &link.id.0,
                &link.kind.as_str(),
                &link.token_hash,
                &link.user_id.map(|id| id.0),
                &link.created_at,
                &link.expires_at,
            ],
        )
        .await
        .map(drop)
}

/// Whether a link of `kind` that is still there was made for `user` after `since`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn was_made(
    session: &Session<'_>,
    user: UserId,
    kind: LinkKind,
    since: OffsetDateTime,
) -> Result<bool, Error> {
    let row = session
        .query_one(WAS_LINK_MADE, &[&user.0, &kind.as_str(), &since])
        .await?;
    Columns::new(&row, "account_links").get(0, "exists")
}

/// Forgets the links of an account, or those that make the first admin.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn forget(session: &Session<'_>, user: Option<UserId>) -> Result<(), Error> {
    match user {
        Some(user) => session.execute(FORGET_LINKS_OF, &[&user.0]).await,
        None => session.execute(FORGET_SETUP_LINKS, &[]).await,
    }
    .map(drop)
}
