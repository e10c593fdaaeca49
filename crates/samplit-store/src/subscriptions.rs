//! `subscriptions` and `stripe_events`: which plan an account is on, and what Stripe said of it.

use samplit_domain::{Plan, Subscription, SubscriptionId, SubscriptionStatus, UserId};
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::plans::{from_columns, to_columns};
use crate::statement::{Session, statements};

const TABLE: &str = "subscriptions";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "s.id, s.user_id, s.plan, s.status, s.max_active_experiments, s.max_monthly_visitors, \
        s.max_seats, s.provider_customer_id, s.provider_subscription_id, s.current_period_start, \
        s.current_period_end, s.cancelled_at, s.provider_updated_at, s.provider_status_at, \
        s.created_at, s.updated_at"
    };
}

/// Which of several subscriptions of an account counts: one that is kept up before one that is not, then the
/// newest.
macro_rules! the_one_that_counts {
    () => {
        "s.status IN ('active', 'trialing', 'past_due') DESC, s.created_at DESC, s.id DESC"
    };
}

statements! {
    /// The subscription of an account that counts.
    CURRENT_SUBSCRIPTION = concat!("SELECT ", columns!(), " FROM subscriptions s WHERE s.user_id = $1 \
        ORDER BY ", the_one_that_counts!(), " LIMIT 1");
    /// Likewise, locked against other changes of it, and against whoever takes up what is left of its limits.
    LOCK_CURRENT_SUBSCRIPTION = concat!("SELECT ", columns!(), " FROM subscriptions s \
        WHERE s.user_id = $1 ORDER BY ", the_one_that_counts!(), " LIMIT 1 FOR NO KEY UPDATE");
    /// The subscription that Stripe calls so.
    FIND_PROVIDER_SUBSCRIPTION = concat!("SELECT ", columns!(), " FROM subscriptions s \
        WHERE s.provider_subscription_id = $1 AND s.user_id IS NOT NULL FOR NO KEY UPDATE");
    /// Whose subscriptions a customer of Stripe has.
    FIND_CUSTOMER = "SELECT user_id FROM subscriptions WHERE provider_customer_id = $1 \
        AND user_id IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT 1";
    /// A page of subscriptions with the email of whose they are, newest first.
    LIST_SUBSCRIPTIONS = concat!("SELECT ", columns!(), ", u.email FROM subscriptions s \
        JOIN users u ON u.id = s.user_id \
        WHERE $1::timestamptz IS NULL OR (s.created_at, s.id) < ($1, $2::uuid) \
        ORDER BY s.created_at DESC, s.id DESC LIMIT $3");
    /// The subscription that counts of each account that can come in, where it limits anything.
    LIST_LIMITED = concat!("SELECT c.* FROM (SELECT DISTINCT ON (s.user_id) ", columns!(), " \
        FROM subscriptions s JOIN users u ON u.id = s.user_id AND u.disabled_at IS NULL \
        ORDER BY s.user_id, ", the_one_that_counts!(), ") c \
        WHERE num_nonnulls(c.max_active_experiments, c.max_monthly_visitors, c.max_seats) > 0");
    /// A new subscription.
    INSERT_SUBSCRIPTION = "INSERT INTO subscriptions (id, user_id, plan, status, \
        max_active_experiments, max_monthly_visitors, max_seats, provider_customer_id, \
        current_period_start, current_period_end, cancelled_at, provider_updated_at, \
        provider_status_at, updated_at, provider_subscription_id, created_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";
    /// Everything of a subscription that may change.
    UPDATE_SUBSCRIPTION = "UPDATE subscriptions SET plan = $2, status = $3, \
        max_active_experiments = $4, max_monthly_visitors = $5, max_seats = $6, \
        provider_customer_id = $7, current_period_start = $8, current_period_end = $9, \
        cancelled_at = $10, provider_updated_at = $11, provider_status_at = $12, updated_at = $13 \
        WHERE id = $1";
    /// The limits of a plan for all who are on it.
    APPLY_PLAN = "UPDATE subscriptions SET max_active_experiments = $2, max_monthly_visitors = $3, \
        max_seats = $4, updated_at = $5 WHERE plan = $1";
    /// Lets one message about a subscription be taken in at a time.
    LOCK_STRIPE = "SELECT pg_advisory_xact_lock(hashtextextended('stripe:' || $1, 0))";
    /// An event that is being taken in, unless it was before. Waits for whoever takes it in meanwhile.
    INSERT_STRIPE_EVENT = "INSERT INTO stripe_events (event_id, kind, happened_at, received_at) \
        VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    /// An event that was not taken in after all.
    LEAVE_STRIPE_EVENT = "DELETE FROM stripe_events WHERE event_id = $1";
    /// Events so old that nobody repeats them.
    FORGET_STRIPE_EVENTS = "DELETE FROM stripe_events WHERE received_at < $1";
}

/// The subscription of an account that counts; `lock`: nobody else changes it, or takes up what is left
/// of its limits, until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn current(
    session: &Session<'_>,
    user: UserId,
    lock: bool,
) -> Result<Option<Subscription>, Error> {
    let statement = if lock {
        LOCK_CURRENT_SUBSCRIPTION
    } else {
        CURRENT_SUBSCRIPTION
    };
    let row = session.query_opt(statement, &[&user.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// The subscription that Stripe calls `id`, locked until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn of_provider(session: &Session<'_>, id: &str) -> Result<Option<Subscription>, Error> {
    let row = session
        .query_opt(FIND_PROVIDER_SUBSCRIPTION, &[&id])
        .await?;
    row.as_ref().map(from_row).transpose()
}

/// Whose subscriptions a customer of Stripe has.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn of_customer(session: &Session<'_>, customer: &str) -> Result<Option<UserId>, Error> {
    let row = session.query_opt(FIND_CUSTOMER, &[&customer]).await?;
    let user = row.map(|row| Columns::new(&row, TABLE).get(0, "user_id").map(UserId));
    user.transpose()
}

/// At most `limit` subscriptions with the email of whose they are, newest first, that began before
/// `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<(Subscription, String)>, Error> {
    let (before_at, before_id) = before.unzip();
    let rows = session
        .query(LIST_SUBSCRIPTIONS, &[&before_at, &before_id, &limit])
        .await?;
    let read = |row| Ok((from_row(row)?, Columns::new(row, TABLE).get(16, "email")?));
    rows.iter().map(read).collect()
}

/// The subscription that counts of each account that can come in, where it limits anything. One that breaks a
/// rule that code relies on is logged and left out, as it concerns nobody else.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn limited(session: &Session<'_>) -> Result<Vec<Subscription>, Error> {
    let rows = session.query(LIST_LIMITED, &[]).await?;
    let readable = rows.iter().filter_map(|row| {
        let read = from_row(row).inspect_err(
            |error| tracing::warn!(error = ?error, "a subscription cannot be understood"),
        );
        read.ok()
    });
    Ok(readable.collect())
}

/// Stores a new subscription.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(session: &Session<'_>, new: &Subscription) -> Result<(), Error> {
    let (experiments, visitors, seats) = to_columns(&new.limits);
    session
        .execute(
            INSERT_SUBSCRIPTION,
            &[
                &new.id.0,
                &new.user_id.0,
                &new.plan,
                &new.status.as_str(),
                &experiments,
                &visitors,
                &seats,
                &new.provider_customer_id,
                &new.current_period_start,
                &new.current_period_end,
                &new.cancelled_at,
                &new.provider_updated_at,
                &new.provider_status_at,
                &new.updated_at,
                &new.provider_subscription_id,
                &new.created_at,
            ],
        )
        .await
        .map(drop)
}

/// Writes everything of a subscription that may change.
///
/// # Errors
/// When there is no such subscription, or PostgreSQL fails.
pub async fn update(session: &Session<'_>, next: &Subscription) -> Result<(), Error> {
    let (experiments, visitors, seats) = to_columns(&next.limits);
    let updated = session
        .execute(
            UPDATE_SUBSCRIPTION,
            &[
                &next.id.0,
                &next.plan,
                &next.status.as_str(),
                &experiments,
                &visitors,
                &seats,
                &next.provider_customer_id,
                &next.current_period_start,
                &next.current_period_end,
                &next.cancelled_at,
                &next.provider_updated_at,
                &next.provider_status_at,
                &next.updated_at,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_SUBSCRIPTION.name, 1, updated)
}

/// Gives all who are on a plan its limits; says how many they are.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn apply_plan(session: &Session<'_>, plan: &Plan) -> Result<u64, Error> {
    let (experiments, visitors, seats) = to_columns(&plan.limits);
    session
        .execute(
            APPLY_PLAN,
            &[
                &plan.name,
                &experiments,
                &visitors,
                &seats,
                &plan.updated_at,
            ],
        )
        .await
}

/// Waits until nobody else takes in what Stripe says of the subscription `id`; holds for the rest of the
/// transaction.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock_provider(session: &Session<'_>, id: &str) -> Result<(), Error> {
    session.execute(LOCK_STRIPE, &[&id]).await.map(drop)
}

/// Notes that an event is taken in; says whether it was not before. Events from before `forget` are forgotten.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn take_event(
    session: &Session<'_>,
    (id, kind): (&str, &str),
    happened_at: OffsetDateTime,
    now: OffsetDateTime,
    forget: OffsetDateTime,
) -> Result<bool, Error> {
    session.execute(FORGET_STRIPE_EVENTS, &[&forget]).await?;
    let inserted = session
        .execute(INSERT_STRIPE_EVENT, &[&id, &kind, &happened_at, &now])
        .await?;
    Ok(inserted == 1)
}

/// Notes that an event was not taken in after all, so that it counts when it comes again.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn leave_event(session: &Session<'_>, id: &str) -> Result<(), Error> {
    session.execute(LEAVE_STRIPE_EVENT, &[&id]).await.map(drop)
}

fn from_row(row: &Row) -> Result<Subscription, Error> {
    let of = Columns::new(row, TABLE);
    let id: Uuid = of.get(0, "id")?;
    let decode = || {
        Ok(Subscription {
            id: SubscriptionId(id),
            user_id: UserId(of.get(1, "user_id")?),
            plan: of
                .get::<Option<_>>(2, "plan")?
                .unwrap_or_else(|| samplit_domain::SELF_HOSTED.to_owned()),
            status: of.word(3, "status", SubscriptionStatus::Active)?,
            limits: from_columns(of, 4)?,
            provider_customer_id: of.get(7, "provider_customer_id")?,
            provider_subscription_id: of.get(8, "provider_subscription_id")?,
            current_period_start: of.get(9, "current_period_start")?,
            current_period_end: of.get(10, "current_period_end")?,
            cancelled_at: of.get(11, "cancelled_at")?,
            provider_updated_at: of.get(12, "provider_updated_at")?,
            provider_status_at: of.get(13, "provider_status_at")?,
            // Rows older than us may lack what they did not need.
            created_at: of
                .get::<Option<_>>(14, "created_at")?
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
            updated_at: of
                .get::<Option<_>>(15, "updated_at")?
                .unwrap_or(OffsetDateTime::UNIX_EPOCH),
        })
    };
    decode().map_err(|error: Error| error.within(format_args!("row {id}")))
}
