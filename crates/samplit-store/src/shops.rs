//! `oauth_states`, `webhook_receipts`, and what shops entrusted to us: grants, deliveries, orders.

use samplit_domain::{ExperimentId, InstallationId, UserId};
use serde_json::Value as Json;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// A grant under way.
    INSERT_OAUTH_STATE = "INSERT INTO oauth_states (state_hash, user_id, shop, expires_at) \
        VALUES ($1, $2, $3, $4)";
    /// The grant that a state is of, which nobody can use a second time.
    TAKE_OAUTH_STATE = "DELETE FROM oauth_states WHERE state_hash = $1 \
        RETURNING user_id, shop, expires_at";
    /// States that nobody came back with.
    FORGET_OAUTH_STATES = "DELETE FROM oauth_states WHERE expires_at < $1";
    /// Lets one grant of a shop be finished at a time.
    LOCK_SHOP = "SELECT pg_advisory_xact_lock(hashtextextended('shop:' || $1, 0))";
    /// The installations of a shop that have not been taken out, and those of one account that have;
    /// the newest of what is in use first.
    FIND_SHOP = "SELECT id, user_id, status IS DISTINCT FROM 'uninstalled' FROM platform_installations \
        WHERE platform = $1 AND domain = $2 ORDER BY 3 DESC, created_at DESC, id LIMIT 20";
    /// What a platform entrusted to us for an installation.
    READ_OAUTH_DATA = "SELECT oauth_data FROM platform_installations WHERE id = $1";
    /// Keeps it.
    WRITE_OAUTH_DATA = "UPDATE platform_installations SET oauth_data = $2 WHERE id = $1";
    /// Whether a delivery was taken in.
    FIND_RECEIPT = "SELECT FROM webhook_receipts WHERE provider = $1 AND delivery_id = $2";
    /// A delivery that was taken in.
    INSERT_RECEIPT = "INSERT INTO webhook_receipts (provider, delivery_id, received_at) \
        VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
    /// Deliveries so old that nobody repeats them.
    FORGET_RECEIPTS = "DELETE FROM webhook_receipts WHERE received_at < $1";
    /// The experiments of an account, not archived, in which a visitor takes part.
    FIND_PARTICIPATIONS = "SELECT e.id FROM experiments e JOIN assignments a \
        ON a.experiment_id = e.id AND a.user_identifier = $2 \
        WHERE e.user_id = $1 AND e.status IN ('active', 'paused', 'completed') ORDER BY 1";
    /// The visitors of an account whose conversions are these events.
    FIND_BUYERS = "SELECT DISTINCT a.user_identifier FROM experiments e JOIN assignments a \
        ON a.experiment_id = e.id AND a.conversion_event_id = ANY($2) WHERE e.user_id = $1";
}

/// A grant under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OauthState {
    /// Who asked for it.
    pub user_id: UserId,
    /// The shop that is to grant it.
    pub shop: String,
    /// Until when it can be finished.
    pub expires_at: OffsetDateTime,
}

/// An installation of a shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShopRow {
    /// Its id.
    pub id: InstallationId,
    /// Whose.
    pub user_id: Option<UserId>,
    /// Whether the shop has not taken it out.
    pub is_installed: bool,
}

/// Stores a grant under way by the hash of its state, and forgets those that ended before `now`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn begin_grant(
    session: &Session<'_>,
    state_hash: &str,
    state: &OauthState,
    now: OffsetDateTime,
) -> Result<(), Error> {
    session.execute(FORGET_OAUTH_STATES, &[&now]).await?;
    session
        .execute(
            INSERT_OAUTH_STATE,
            &[
                &state_hash,
                &state.user_id.0,
                &state.shop,
                &state.expires_at,
            ],
        )
        .await
        .map(drop)
}

/// Takes a grant under way out of the table, so that its state is used once.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn take_grant(
    session: &Session<'_>,
    state_hash: &str,
) -> Result<Option<OauthState>, Error> {
    let row = session.query_opt(TAKE_OAUTH_STATE, &[&state_hash]).await?;
    let state = row.map(|row| {
        let of = Columns::new(&row, "oauth_states");
        Ok(OauthState {
            user_id: UserId(of.get(0, "user_id")?),
            shop: of.get(1, "shop")?,
            expires_at: of.get(2, "expires_at")?,
        })
    });
    state.transpose()
}

/// Waits until nobody else finishes a grant of `shop`; holds for the rest of the transaction.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock_shop(session: &Session<'_>, shop: &str) -> Result<(), Error> {
    session.execute(LOCK_SHOP, &[&shop]).await.map(drop)
}

/// The installations of the shop at `domain`, those in use first, the newest first.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn find_shop(
    session: &Session<'_>,
    platform: &str,
    domain: &str,
) -> Result<Vec<ShopRow>, Error> {
    let rows = session.query(FIND_SHOP, &[&platform, &domain]).await?;
    let shop = rows.iter().map(|row| {
        let of = Columns::new(row, "platform_installations");
        Ok(ShopRow {
            id: InstallationId(of.get(0, "id")?),
            user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
            is_installed: of.get(2, "status")?,
        })
    });
    shop.collect()
}

/// What a platform entrusted to us for an installation.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn read_oauth_data(
    session: &Session<'_>,
    id: InstallationId,
) -> Result<Option<Json>, Error> {
    let row = session.query_opt(READ_OAUTH_DATA, &[&id.0]).await?;
    let data = row.map(|row| Columns::new(&row, "platform_installations").get(0, "oauth_data"));
    Ok(data.transpose()?.flatten())
}

/// Keeps what a platform entrusted to us for an installation; `None` forgets it.
///
/// # Errors
/// When there is no such installation, or PostgreSQL fails.
pub async fn write_oauth_data(
    session: &Session<'_>,
    id: InstallationId,
    data: Option<&Json>,
) -> Result<(), Error> {
    let written = session.execute(WRITE_OAUTH_DATA, &[&id.0, &data]).await?;
    Error::expect_rows(WRITE_OAUTH_DATA.name, 1, written)
}

/// Whether the delivery was taken in before.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn is_received(
    session: &Session<'_>,
    provider: &str,
    delivery: &str,
) -> Result<bool, Error> {
    let row = session
        .query_opt(FIND_RECEIPT, &[&provider, &delivery])
        .await?;
    Ok(row.is_some())
}

/// Notes that a delivery was taken in, and forgets those from before `forget_before`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn receive(
    session: &Session<'_>,
    provider: &str,
    delivery: &str,
    now: OffsetDateTime,
    forget_before: OffsetDateTime,
) -> Result<(), Error> {
    session.execute(FORGET_RECEIPTS, &[&forget_before]).await?;
    session
        .execute(INSERT_RECEIPT, &[&provider, &delivery, &now])
        .await
        .map(drop)
}

/// The experiments of `owner` that are not archived and in which `visitor` takes part.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn participations(
    session: &Session<'_>,
    owner: UserId,
    visitor: &str,
) -> Result<Vec<ExperimentId>, Error> {
    let rows = session
        .query(FIND_PARTICIPATIONS, &[&owner.0, &visitor])
        .await?;
    let ids = rows.iter().map(|row| {
        let of = Columns::new(row, "experiments");
        of.get(0, "id").map(ExperimentId)
    });
    ids.collect()
}

/// The visitors of `owner` whose conversions are `events`.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn buyers(
    session: &Session<'_>,
    owner: UserId,
    events: &[String],
) -> Result<Vec<String>, Error> {
    let rows = session.query(FIND_BUYERS, &[&owner.0, &events]).await?;
    let visitors = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        of.get(0, "user_identifier")
    });
    visitors.collect()
}
