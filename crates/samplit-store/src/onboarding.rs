//! `user_onboarding`: how far a new account has come, and what there is that says so.

use samplit_domain::{Onboarding, OnboardingStep, StepsDone, UserId};
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

const TABLE: &str = "user_onboarding";

statements! {
    /// When things first happened: of one account ($2), or of all of them where it is null. Whoever asks ($1)
    /// has come in at the latest now.
    SEE_ONBOARDING = "SELECT (SELECT coalesce(u.last_login_at, u.created_at) FROM users u WHERE u.id = $1), \
        i.added_at, i.verified_at, e.made_at, e.started_at \
        FROM (SELECT min(created_at) AS added_at, min(coalesce(verified_at, last_seen_at)) AS verified_at \
            FROM platform_installations WHERE $2::uuid IS NULL OR user_id = $2) i, \
        (SELECT min(created_at) AS made_at, min(started_at) AS started_at \
            FROM experiments WHERE $2 IS NULL OR user_id = $2) e";
    /// How far an account has come by what is stored.
    READ_ONBOARDING = "SELECT completed_steps, completed_at, dismissed_at FROM user_onboarding \
        WHERE user_id = $1";
    /// How far it has come by now.
    WRITE_ONBOARDING = "INSERT INTO user_onboarding (user_id, step, completed_steps, completed_at, \
        dismissed_at, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6) \
        ON CONFLICT (user_id) DO UPDATE SET step = excluded.step, \
        completed_steps = excluded.completed_steps, completed_at = excluded.completed_at, \
        dismissed_at = excluded.dismissed_at, updated_at = excluded.updated_at";
}

/// What is there by which steps are done: of `owner`, or of everybody. `user` is who asks.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn see(
    session: &Session<'_>,
    user: UserId,
    owner: Option<UserId>,
) -> Result<StepsDone, Error> {
    let owner: Option<Uuid> = owner.map(|id| id.0);
    let row = session
        .query_one(SEE_ONBOARDING, &[&user.0, &owner])
        .await?;
    let of = Columns::new(&row, "users");
    let mut seen = StepsDone::new();
    for (index, step) in OnboardingStep::ALL.iter().enumerate() {
        if let Some(at) = of.get(index, step.as_str())? {
            seen.insert(*step, at);
        }
    }
    Ok(seen)
}

/// How far an account has come by what is stored.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, user: UserId) -> Result<Option<Onboarding>, Error> {
    let Some(row) = session.query_opt(READ_ONBOARDING, &[&user.0]).await? else {
        return Ok(None);
    };
    let of = Columns::new(&row, TABLE);
    let steps: Option<Json> = of.get(0, "completed_steps")?;
    let mut done = StepsDone::new();
    for (step, at) in steps.iter().filter_map(Json::as_object).flatten() {
        // A step of another version, or one that somebody wrote who did not know the form, is not ours.
        let at = at.as_str().map(|at| OffsetDateTime::parse(at, &Rfc3339));
        if let (Ok(step), Some(Ok(at))) = (step.parse(), at) {
            done.insert(step, at);
        }
    }
    Ok(Some(Onboarding {
        done,
        completed_at: of.get(1, "completed_at")?,
        dismissed_at: of.get(2, "dismissed_at")?,
    }))
}

/// Stores how far an account has come. Whoever does so has locked the account, and read what is stored since.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn write(
    session: &Session<'_>,
    user: UserId,
    onboarding: &Onboarding,
    now: OffsetDateTime,
) -> Result<(), Error> {
    let steps = onboarding.done.iter().filter_map(|(step, at)| {
        // Only years beyond 9999 cannot be written.
        let at = at.format(&Rfc3339).ok()?;
        Some((step.to_string(), Json::String(at)))
    });
    let steps: Map<String, Json> = steps.collect();
    session
        .execute(
            WRITE_ONBOARDING,
            &[
                &user.0,
                &onboarding.step().as_str(),
                &Json::Object(steps),
                &onboarding.completed_at,
                &onboarding.dismissed_at,
                &now,
            ],
        )
        .await
        .map(drop)
}
