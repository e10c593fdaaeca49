//! How much of its plan an account uses, and telling it in time.

use std::sync::{Arc, Weak};
use std::time::Duration;

use samplit_domain::{
    Action, LimitWarning, Limits, Plan, Role, SELF_HOSTED, Scope, Subscription, Usage, UserId,
    WarningLevel, month_of,
};
use samplit_store::{Session, activity, plans, subscriptions, usage, users};
use serde_json::json;
use time::OffsetDateTime;

use crate::core::Core;
use crate::installations::account;
use crate::trail::unsigned;
use crate::{Engine, Error, ErrorKind, Principal};

/// How long after a month began a visitor of the one before may still be written down.
const SETTLED_AFTER: time::Duration = time::Duration::MINUTE;

/// The plan of an account and what is used of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanUse {
    /// The subscription; `None`: there is none, and no limits.
    pub subscription: Option<Subscription>,
    /// What people call the plan.
    pub title: String,
    /// What is used.
    pub usage: Usage,
    /// When the month began whose visitors are counted.
    pub month: OffsetDateTime,
    /// What of it comes near to a limit, or has reached it.
    pub warnings: Vec<LimitWarning>,
}

impl PlanUse {
    /// What the account may have.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let subscription = self.subscription.as_ref();
        subscription.map_or_else(Limits::default, |subscription| subscription.limits)
    }
}

impl Engine {
    /// The plan of the account of `who`, and what is used of it.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn plan_use(&self, who: &Principal) -> Result<PlanUse, Error> {
        who.require(Scope::Read)?;
        let (core, user) = (&self.core, account(who)?);
        let month = month_of(core.config.clock.now());
        let read = core.database.run(|session| {
            Box::pin(async move {
                let subscription = subscriptions::current(session, user, false).await?;
                let plan = subscription
                    .as_ref()
                    .map_or(SELF_HOSTED, |current| current.plan.as_str());
                let plan: Option<Plan> = plans::read(session, plan).await?;
                let usage = core.usage(session, user, who.role).await?;
                Ok::<_, Error>((subscription, plan, usage))
            })
        });
        let (subscription, plan, usage) = read.await?;
        let limits = subscription.as_ref().map(|current| current.limits);
        let name = subscription.as_ref().map(|current| current.plan.clone());
        Ok(PlanUse {
            title: plan.map(|plan| plan.title).or(name).unwrap_or_default(),
            warnings: limits.unwrap_or_default().warnings(&usage),
            subscription,
            usage,
            month,
        })
    }

    /// What of its plan the account of `who` comes near to, or has reached. Where nothing is limited, nothing
    /// is counted.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn plan_warnings(&self, who: &Principal) -> Result<Vec<LimitWarning>, Error> {
        who.require(Scope::Read)?;
        let (core, user) = (&self.core, account(who)?);
        let read = core.database.run(|session| {
            Box::pin(async move {
                let current = subscriptions::current(session, user, false).await?;
                match current.map(|current| current.limits) {
                    Some(limits) if limits.is_any() => {
                        let usage = core.usage(session, user, who.role).await?;
                        Ok(limits.warnings(&usage))
                    }
                    _ => Ok::<_, Error>(Vec::new()),
                }
            })
        });
        read.await
    }

    /// Notes in their activity which accounts come near to a limit of their plan or have reached it: each level
    /// of each limit once a month. An engine that was [started](Self::start) does so by itself.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] while the database is away.
    pub async fn note_plan_limits(&self) -> Result<(), Error> {
        self.core.note_plan_limits().await
    }
}

/// Notes what comes near to a limit until the engine is gone.
pub(crate) async fn watch(core: Weak<Core>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(core) = core.upgrade() else { return };
        match core.note_plan_limits().await {
            Ok(()) => {}
            Err(error) if error.is_unavailable() => {}
            Err(error) => tracing::warn!(error = ?error, "the use of plans could not be looked at"),
        }
    }
}

impl Core {
    /// What an account with this role uses by now.
    async fn usage(&self, session: &Session<'_>, user: UserId, role: Role) -> Result<Usage, Error> {
        let now = self.config.clock.now();
        let month = month_of(now);
        if now - month > SETTLED_AFTER {
            usage::keep_baselines(session, user, month).await?;
        }
        let seats = match role {
            Role::Admin => usage::seats(session).await?,
            Role::Client => 1,
        };
        Ok(Usage {
            active_experiments: unsigned(usage::active_experiments(session, user).await?)?,
            monthly_visitors: unsigned(usage::visitors(session, user, month).await?)?,
            seats: unsigned(seats)?,
        })
    }

    async fn note_plan_limits(self: &Arc<Self>) -> Result<(), Error> {
        let limited = self
            .database
            .run(|session| Box::pin(subscriptions::limited(session)));
        let limited: Vec<Subscription> = limited.await?;
        for subscription in &limited {
            let noted = self.database.run_tx("note_plan_limits", |session| {
                Box::pin(self.note_limits_of(session, subscription))
            });
            match noted.await {
                Err(error) if error.is_unavailable() => return Err(error),
                Err(error) => {
                    let user = subscription.user_id;
                    tracing::warn!(%user, error = ?error, "the use of a plan could not be looked at");
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn note_limits_of(
        &self,
        session: &Session<'_>,
        subscription: &Subscription,
    ) -> Result<(), Error> {
        let user = subscription.user_id;
        let account = users::read(session, user).await?;
        let account = account.ok_or(ErrorKind::NotFound("user"))?;
        let usage = self.usage(session, user, account.role).await?;
        let now = self.config.clock.now();
        for warning in subscription.limits.warnings(&usage) {
            if !usage::warn(session, user, month_of(now), &warning, now).await? {
                continue;
            }
            let me = Principal::system();
            let mut entry = self.activity(&me, Some(user), Action::PlanLimitNear, user);
            entry.detail = json!({
                "limit": warning.resource, "percent": warning.level.percent(),
                "used": warning.used, "of": warning.limit,
            });
            activity::insert(session, &entry).await?;
            if warning.level == WarningLevel::Reached {
                tracing::info!(%user, limit = %warning.resource, "a limit of a plan is reached");
            }
        }
        Ok(())
    }
}
