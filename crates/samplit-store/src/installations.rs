//! `platform_installations`: the sites that carry the snippet.

use samplit_domain::{Installation, InstallationId, InstallationStatus, Origin, Platform, UserId};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

const TABLE: &str = "platform_installations";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, name, domain, platform, origins, installation_token, previous_token, \
        previous_token_ends_at, status, allow_raw_html, respect_gpc, hide_timeout_ms, verified_at, \
        last_seen_at, created_at, updated_at, version"
    };
}

statements! {
    /// The installation that a token is or was of.
    FIND_INSTALLATION = concat!("SELECT ", columns!(), " FROM platform_installations \
        WHERE installation_token = $1 OR previous_token = $1");
    /// One installation.
    READ_INSTALLATION = concat!("SELECT ", columns!(), " FROM platform_installations WHERE id = $1");
    /// One installation, locked against other changes of it.
    LOCK_INSTALLATION = concat!("SELECT ", columns!(), " FROM platform_installations WHERE id = $1 \
        FOR NO KEY UPDATE");
    /// A page of installations, newest first. Null parameters do not filter.
    LIST_INSTALLATIONS = concat!("SELECT ", columns!(), " FROM platform_installations \
        WHERE ($1::uuid IS NULL OR user_id = $1) \
        AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3::uuid)) \
        ORDER BY created_at DESC, id DESC LIMIT $4");
    /// A new installation.
    INSERT_INSTALLATION = "INSERT INTO platform_installations (id, user_id, name, domain, platform, \
        origins, installation_token, status, allow_raw_html, respect_gpc, hide_timeout_ms, \
        verified_at, created_at, updated_at, version) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)";
    /// Everything of an installation that its owner may change.
    UPDATE_INSTALLATION = "UPDATE platform_installations SET name = $2, domain = $3, platform = $4, \
        origins = $5, installation_token = $6, previous_token = $7, previous_token_ends_at = $8, \
        status = $9, allow_raw_html = $10, respect_gpc = $11, hide_timeout_ms = $12, \
        verified_at = $13, updated_at = $14, version = $15 WHERE id = $1";
    /// A page has asked. The first one of the domain $3, if that is still the one, proves that the
    /// snippet is there, and need not wait until the minute is over.
    TOUCH_INSTALLATION = "UPDATE platform_installations SET last_seen_at = $2, \
        verified_at = CASE WHEN domain = $3 THEN coalesce(verified_at, $2) ELSE verified_at END \
        WHERE id = $1 AND (last_seen_at IS NULL \
        OR last_seen_at < $2::timestamptz - interval '1 minute' \
        OR (verified_at IS NULL AND domain = $3::varchar))";
}

/// The installation whose token `token` is, or was before the last rotation.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn find(session: &Session<'_>, token: &str) -> Result<Option<Installation>, Error> {
    let row = session.query_opt(FIND_INSTALLATION, &[&token]).await?;
    row.as_ref().map(from_row).transpose()
}

/// One installation.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(
    session: &Session<'_>,
    id: InstallationId,
) -> Result<Option<Installation>, Error> {
    let row = session.query_opt(READ_INSTALLATION, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// One installation, locked until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock(
    session: &Session<'_>,
    id: InstallationId,
) -> Result<Option<Installation>, Error> {
    let row = session.query_opt(LOCK_INSTALLATION, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// At most `limit` installations of `owner`, or of everybody, newest first, that were made before
/// `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    before: Option<(OffsetDateTime, InstallationId)>,
    limit: i64,
) -> Result<Vec<Installation>, Error> {
    let (before_at, before_id) = before.map(|(at, id)| (at, id.0)).unzip();
    let owner = owner.map(|id| id.0);
    let rows = session
        .query(
            LIST_INSTALLATIONS,
            &[&owner, &before_at, &before_id, &limit],
        )
        .await?;
    rows.iter().map(from_row).collect()
}

/// Stores a new installation.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, installation: &Installation) -> Result<(), Error> {
    session
        .execute(
            INSERT_INSTALLATION,
            &[
                &installation.id.0,
                &installation.user_id.map(|id| id.0),
                &installation.name,
                &installation.domain,
                &installation.platform.as_str(),
                &origins(installation),
                &installation.token,
                &installation.status.as_str(),
                &installation.allow_raw_html,
                &installation.respect_gpc,
                &milliseconds(installation),
                &installation.verified_at,
                &installation.created_at,
                &installation.updated_at,
                &installation.version,
            ],
        )
        .await
        .map(drop)
}

/// Writes everything of an installation that its owner may change.
///
/// # Errors
/// When there is no such installation, or PostgreSQL fails.
pub async fn update(session: &Session<'_>, installation: &Installation) -> Result<(), Error> {
    let (previous, ends_at) = installation.previous_token.clone().unzip();
    let updated = session
        .execute(
            UPDATE_INSTALLATION,
            &[
                &installation.id.0,
                &installation.name,
                &installation.domain,
                &installation.platform.as_str(),
                &origins(installation),
                &installation.token,
                &previous,
                &ends_at,
                &installation.status.as_str(),
                &installation.allow_raw_html,
                &installation.respect_gpc,
                &milliseconds(installation),
                &installation.verified_at,
                &installation.updated_at,
                &installation.version,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_INSTALLATION.name, 1, updated)
}

/// Notes that a page has asked: one of `domain`, which is then the one of the installation or says
/// nothing of it, or one of another origin.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn touch(
    session: &Session<'_>,
    id: InstallationId,
    domain: Option<&str>,
    now: OffsetDateTime,
) -> Result<(), Error> {
    session
        .execute(TOUCH_INSTALLATION, &[&id.0, &now, &domain])
        .await
        .map(drop)
}

fn origins(installation: &Installation) -> Vec<&str> {
    installation.origins.iter().map(Origin::as_str).collect()
}

fn milliseconds(installation: &Installation) -> i32 {
    i32::try_from(installation.hide_timeout_ms).unwrap_or(i32::MAX)
}

fn from_row(row: &Row) -> Result<Installation, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    decode(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode(of: Columns<'_>, id: Uuid) -> Result<Installation, Error> {
    let origins: Vec<&str> = of.get(5, "origins")?;
    let origins = origins
        .into_iter()
        .map(str::parse)
        .collect::<Result<_, _>>();
    let previous: Option<String> = of.get(7, "previous_token")?;
    let hide: i32 = of.get(12, "hide_timeout_ms")?;
    Ok(Installation {
        id: InstallationId(id),
        user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
        // Rows older than us lack what they did not need.
        name: of.get::<Option<_>>(2, "name")?.unwrap_or_default(),
        domain: of.get::<Option<_>>(3, "domain")?.unwrap_or_default(),
        platform: of.word(4, "platform", Platform::Custom)?,
        origins: origins.map_err(|error| of.wrong("origins", error))?,
        token: of
            .get::<Option<_>>(6, "installation_token")?
            .unwrap_or_default(),
        previous_token: previous.zip(of.get(8, "previous_token_ends_at")?),
        status: of.word(9, "status", InstallationStatus::Active)?,
        allow_raw_html: of.get(10, "allow_raw_html")?,
        respect_gpc: of.get(11, "respect_gpc")?,
        hide_timeout_ms: u32::try_from(hide).map_err(|error| of.wrong("hide_timeout_ms", error))?,
        verified_at: of.get(13, "verified_at")?,
        last_seen_at: of.get(14, "last_seen_at")?,
        created_at: of
            .get::<Option<_>>(15, "created_at")?
            .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        updated_at: of.get(16, "updated_at")?,
        version: of.get(17, "version")?,
    })
}
