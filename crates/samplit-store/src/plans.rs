//! `plans`: what accounts can subscribe to.

use samplit_domain::{Limits, Plan};
use tokio_postgres::Row;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

const TABLE: &str = "plans";

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "name, title, max_active_experiments, max_monthly_visitors, max_seats, provider_price_id, \
        created_at, updated_at"
    };
}

statements! {
    /// One plan.
    READ_PLAN = concat!("SELECT ", columns!(), " FROM plans WHERE name = $1");
    /// Likewise, locked against changes, so that whoever is put on it meanwhile gets them, too.
    SHARE_PLAN = concat!("SELECT ", columns!(), " FROM plans WHERE name = $1 FOR SHARE");
    /// The plan that one of these prices stands for, locked likewise; the price that is named first counts.
    FIND_PRICED_PLAN = concat!("SELECT ", columns!(), " FROM plans \
        WHERE provider_price_id = ANY($1) ORDER BY array_position($1::varchar[], provider_price_id) LIMIT 1 \
        FOR SHARE");
    /// Every plan, by name.
    LIST_PLANS = concat!("SELECT ", columns!(), " FROM plans ORDER BY name");
    /// A plan, new or changed. One that is there keeps the time when it was made.
    WRITE_PLAN = concat!("INSERT INTO plans (name, title, max_active_experiments, \
        max_monthly_visitors, max_seats, provider_price_id, created_at, updated_at) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $7) ON CONFLICT (name) DO UPDATE SET \
        title = excluded.title, max_active_experiments = excluded.max_active_experiments, \
        max_monthly_visitors = excluded.max_monthly_visitors, max_seats = excluded.max_seats, \
        provider_price_id = excluded.provider_price_id, updated_at = excluded.updated_at \
        RETURNING ", columns!());
}

/// One plan.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, name: &str) -> Result<Option<Plan>, Error> {
    let row = session.query_opt(READ_PLAN, &[&name]).await?;
    row.as_ref().map(from_row).transpose()
}

/// One plan, which nobody changes until the transaction ends: for whoever puts an account on it.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn hold(session: &Session<'_>, name: &str) -> Result<Option<Plan>, Error> {
    let row = session.query_opt(SHARE_PLAN, &[&name]).await?;
    row.as_ref().map(from_row).transpose()
}

/// The plan that the first known one of `prices` stands for, which nobody changes until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn of_price(session: &Session<'_>, prices: &[String]) -> Result<Option<Plan>, Error> {
    let row = session.query_opt(FIND_PRICED_PLAN, &[&prices]).await?;
    row.as_ref().map(from_row).transpose()
}

/// Every plan, by name.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(session: &Session<'_>) -> Result<Vec<Plan>, Error> {
    let rows = session.query(LIST_PLANS, &[]).await?;
    rows.iter().map(from_row).collect()
}

/// Writes a plan, new or changed, as of its `updated_at`.
///
/// # Errors
/// When PostgreSQL fails, or another plan has the price.
pub async fn write(session: &Session<'_>, plan: &Plan) -> Result<Plan, Error> {
    let (experiments, visitors, seats) = to_columns(&plan.limits);
    let row = session
        .query_one(
            WRITE_PLAN,
            &[
                &plan.name,
                &plan.title,
                &experiments,
                &visitors,
                &seats,
                &plan.provider_price_id,
                &plan.updated_at,
            ],
        )
        .await?;
    from_row(&row)
}

/// Limits as columns hold them. What is beyond a column is as good as no limit, but stays one.
pub(crate) fn to_columns(limits: &Limits) -> (Option<i32>, Option<i64>, Option<i32>) {
    let small = |limit: u64| i32::try_from(limit).unwrap_or(i32::MAX);
    (
        limits.active_experiments.map(small),
        limits
            .monthly_visitors
            .map(|limit| i64::try_from(limit).unwrap_or(i64::MAX)),
        limits.seats.map(small),
    )
}

/// The limits in the three columns that begin at `index`.
pub(crate) fn from_columns(of: Columns<'_>, index: usize) -> Result<Limits, Error> {
    let small = |index: usize, name: &'static str| {
        let limit: Option<i32> = of.get(index, name)?;
        let limit = limit.map(u64::try_from).transpose();
        limit.map_err(|error| of.wrong(name, error))
    };
    let visitors: Option<i64> = of.get(index + 1, "max_monthly_visitors")?;
    let visitors = visitors.map(u64::try_from).transpose();
    Ok(Limits {
        active_experiments: small(index, "max_active_experiments")?,
        monthly_visitors: visitors.map_err(|error| of.wrong("max_monthly_visitors", error))?,
        seats: small(index + 2, "max_seats")?,
    })
}

fn from_row(row: &Row) -> Result<Plan, Error> {
    let of = Columns::new(row, TABLE);
    Ok(Plan {
        name: of.get(0, "name")?,
        title: of.get(1, "title")?,
        limits: from_columns(of, 2)?,
        provider_price_id: of.get(5, "provider_price_id")?,
        created_at: of.get(6, "created_at")?,
        updated_at: of.get(7, "updated_at")?,
    })
}
