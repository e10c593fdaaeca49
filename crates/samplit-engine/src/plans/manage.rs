//! What admins do: plans, and who is on which.

use samplit_domain::{
    Action, Limits, Plan, Scope, Subscription, SubscriptionId, SubscriptionStatus, UserId,
    Violations,
};
use samplit_store::{Session, TxError as _, activity, plans, subscriptions, users};
use serde_json::json;

use crate::accounts::Subject;
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal};

/// A plan as an admin wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlanDraft {
    /// What people call it.
    pub title: String,
    /// What it allows.
    pub limits: Limits,
    /// The price at Stripe that stands for it.
    pub provider_price_id: Option<String>,
}

impl Engine {
    /// Lists every plan, by name. For admins.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`].
    pub async fn plans(&self, who: &Principal) -> Result<Vec<Plan>, Error> {
        who.require_admin(Scope::Read)?;
        let database = &self.core.database;
        let list = database.run(|session| Box::pin(plans::list(session)));
        Ok(list.await?)
    }

    /// Makes the plan `name`, or makes it what `draft` says. Whoever is on it has its limits at once. For
    /// admins.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::Invalid`] for a broken rule; [`ErrorKind::Conflict`]
    /// `price_taken` where the price stands for another plan.
    pub async fn save_plan(
        &self,
        who: &Principal,
        name: &str,
        draft: PlanDraft,
    ) -> Result<Plan, Error> {
        who.require_admin(Scope::Manage)?;
        let core = &self.core;
        let now = core.config.clock.now();
        let plan = Plan {
            name: name.to_owned(),
            title: draft.title.trim().to_owned(),
            limits: draft.limits,
            provider_price_id: draft.provider_price_id,
            created_at: now,
            updated_at: now,
        };
        plan.check()?;
        let plan = &plan;
        let saved = core.database.run_tx("save_plan", |session| {
            Box::pin(async move {
                let saved = plans::write(session, plan).await?;
                let subscribers = subscriptions::apply_plan(session, &saved).await?;
                let subject = Subject::nameless("plan");
                let mut entry = core.activity(who, None, Action::PlanSaved, subject);
                entry.detail = json!({ "plan": saved.name, "subscribers": subscribers });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(saved)
            })
        });
        saved.await.map_err(price_taken)
    }

    /// Lists subscriptions with the emails of whose they are, newest first. For admins.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none
    /// of ours.
    pub async fn subscriptions(
        &self,
        who: &Principal,
        page: &Page,
    ) -> Result<PageOf<(Subscription, String)>, Error> {
        who.require_admin(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let limit = page.limit_and_one();
        let list = self.core.database.run(|session| {
            Box::pin(async move { subscriptions::list(session, before, limit).await })
        });
        Ok(page.of(list.await?, |(one, _)| (one.created_at, one.id.0)))
    }

    /// The subscription of an account; `None`: it has none. For admins, and for its owner.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no account that `who` may see.
    pub async fn subscription(
        &self,
        who: &Principal,
        user: UserId,
    ) -> Result<Option<Subscription>, Error> {
        let user = self.user(who, user).await?.id;
        let read = self
            .core
            .database
            .run(|session| Box::pin(subscriptions::current(session, user, false)));
        Ok(read.await?)
    }

    /// Puts an account on a plan by hand. For admins.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::NotFound`] without such an account;
    /// [`ErrorKind::Invalid`] without such a plan; [`ErrorKind::Conflict`] `managed_by_stripe` where
    /// Stripe says which plan it is on.
    pub async fn set_subscription(
        &self,
        who: &Principal,
        user: UserId,
        plan: &str,
    ) -> Result<Subscription, Error> {
        who.require_admin(Scope::Manage)?;
        let core = &self.core;
        let fresh = SubscriptionId(core.ids.next());
        let set = core.database.run_tx("set_subscription", |session| {
            Box::pin(async move {
                // Locked, so that nobody else makes its first subscription meanwhile.
                let found = users::lock(session, user).await?;
                found.ok_or(ErrorKind::NotFound("user"))?;
                let plan = named(session, plan).await?;
                let now = core.config.clock.now();
                let current = subscriptions::current(session, user, true).await?;
                let (set, before) = match current {
                    Some(current) if current.is_managed() => {
                        let detail = "Stripe says which plan the account is on; change it there";
                        return Err(Error::conflict("managed_by_stripe", detail));
                    }
                    Some(current) if current.provider_subscription_id.is_none() => {
                        let before = Some(current.plan.clone());
                        let set = Subscription {
                            plan: plan.name,
                            limits: plan.limits,
                            status: SubscriptionStatus::Active,
                            updated_at: now,
                            ..current
                        };
                        subscriptions::update(session, &set).await?;
                        (set, before)
                    }
                    over => {
                        let set = by_hand(fresh, user, plan, now);
                        subscriptions::insert(session, &set).await?;
                        (set, over.map(|over| over.plan))
                    }
                };
                let mut entry = core.activity(who, Some(user), Action::SubscriptionSet, user);
                entry.detail = json!({ "plan": set.plan, "plan_before": before });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(set)
            })
        });
        set.await
    }
}

fn by_hand(
    id: SubscriptionId,
    user_id: UserId,
    plan: Plan,
    now: time::OffsetDateTime,
) -> Subscription {
    Subscription {
        id,
        user_id,
        plan: plan.name,
        status: SubscriptionStatus::Active,
        limits: plan.limits,
        provider_customer_id: None,
        provider_subscription_id: None,
        current_period_start: None,
        current_period_end: None,
        cancelled_at: None,
        provider_updated_at: None,
        provider_status_at: None,
        created_at: now,
        updated_at: now,
    }
}

/// The plan that a request names.
async fn named(session: &Session<'_>, name: &str) -> Result<Plan, Error> {
    let found = plans::hold(session, name).await?;
    found.ok_or_else(|| {
        let mut violations = Violations::default();
        violations.add("/plan", "unknown_value", "is no plan of this server");
        violations.into()
    })
}

/// The name is what the plan is found by, so that the one value which may be taken is the price.
fn price_taken(error: Error) -> Error {
    if error
        .store()
        .is_some_and(|error| error.is_unique_violation())
    {
        Error::conflict("price_taken", "the price stands for another plan")
    } else {
        error
    }
}
