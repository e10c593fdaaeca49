//! What Stripe tells: subscriptions and their payments, as far as they say which plan an account is on.
//!
//! A message may come any number of times and in any order. Its event is noted in the transaction that does
//! what it says, so that each counts once; one that comes too early, for a price or an account that is not
//! there yet, is not, so that it can be sent again. What it says of a subscription counts only if nothing
//! newer was said. That is kept apart for the subscription itself and for how it stands, because an invoice that
//! was paid must not make an older change of the plan unheard. What is over stays over.
//!
//! No card and no address is read, and none is stored: ids, the price, how it stands, and what is paid for.

use std::fmt;

use samplit_domain::{
    Action, Plan, Subscription, SubscriptionId, SubscriptionStatus, Told, UserId, Violations,
};
use samplit_store::{Session, activity, plans, subscriptions, users};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use time::{Duration, OffsetDateTime};

use super::signature;
use crate::core::Core;
use crate::{Engine, Error, ErrorKind, Principal};

/// How long events are remembered. Stripe tries one again for three days.
const REMEMBERED_FOR: Duration = Duration::days(30);

/// The kind of event that a subscription begins with.
const CREATED: &str = "customer.subscription.created";

/// Under which name the account stands in the metadata of a subscription.
const USER: &str = "user_id";

/// What messages of Stripe are signed with. It is shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct StripeSecret(String);

impl StripeSecret {
    /// The secret as Stripe shows it, `whsec_...`.
    #[must_use]
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }
}

impl fmt::Debug for StripeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StripeSecret(***)")
    }
}

/// A message.
#[derive(Clone, Copy, Debug)]
pub struct StripeHook<'a> {
    /// `Stripe-Signature`.
    pub signature: &'a str,
    /// The body, byte by byte as it came.
    pub body: &'a [u8],
}

#[derive(Deserialize)]
struct EventJson {
    id: String,
    r#type: String,
    #[serde(with = "time::serde::timestamp")]
    created: OffsetDateTime,
    data: DataJson,
}

#[derive(Deserialize)]
struct DataJson {
    object: Json,
}

/// Of a subscription, what concerns us.
#[derive(Deserialize)]
struct SubscriptionJson {
    id: String,
    customer: Option<String>,
    status: String,
    #[serde(default, with = "time::serde::timestamp::option")]
    canceled_at: Option<OffsetDateTime>,
    /// Until 2025 the period stood here, since then with the items.
    #[serde(flatten)]
    period: PeriodJson,
    #[serde(default)]
    items: ItemsJson,
    #[serde(default)]
    metadata: Json,
}

#[derive(Clone, Copy, Default, Deserialize)]
struct PeriodJson {
    #[serde(default, with = "time::serde::timestamp::option")]
    current_period_start: Option<OffsetDateTime>,
    #[serde(default, with = "time::serde::timestamp::option")]
    current_period_end: Option<OffsetDateTime>,
}

#[derive(Default, Deserialize)]
struct ItemsJson {
    data: Vec<ItemJson>,
}

#[derive(Deserialize)]
struct ItemJson {
    price: PriceJson,
    #[serde(flatten)]
    period: PeriodJson,
}

#[derive(Deserialize)]
struct PriceJson {
    id: String,
}

/// What a message says.
enum News {
    Subscription(SubscriptionJson),
    Invoice { subscription: String, is_paid: bool },
}

impl News {
    /// `None` for what is none of ours.
    fn read(kind: &str, object: Json) -> Result<Option<Self>, serde_json::Error> {
        Ok(match kind {
            CREATED | "customer.subscription.updated" | "customer.subscription.deleted" => {
                Some(Self::Subscription(serde_json::from_value(object)?))
            }
            "invoice.paid" | "invoice.payment_failed" => {
                // Until 2025 it stood at the top.
                let places = ["/parent/subscription_details/subscription", "/subscription"];
                let mut found = places.iter().filter_map(|at| object.pointer(at)?.as_str());
                found.next().map(|subscription| Self::Invoice {
                    subscription: subscription.to_owned(),
                    is_paid: kind == "invoice.paid",
                })
            }
            _ => None,
        })
    }

    /// What Stripe calls the subscription.
    fn subscription(&self) -> &str {
        match self {
            Self::Subscription(told) => &told.id,
            Self::Invoice { subscription, .. } => subscription,
        }
    }
}

impl SubscriptionJson {
    /// What is paid for.
    fn period(&self) -> PeriodJson {
        let of_item = self.items.data.first().map(|item| item.period);
        let of_item = of_item.filter(|period| period.current_period_end.is_some());
        of_item.unwrap_or(self.period)
    }

    /// How it stands; `None` for a word that is newer than we are.
    fn status(&self) -> Option<SubscriptionStatus> {
        let status = self.status.parse();
        if status.is_err() {
            tracing::warn!(status = self.status, "Stripe says what nobody knows here");
        }
        status.ok()
    }
}

impl Engine {
    /// Takes in what Stripe tells. What is none of ours does nothing: other kinds of events, subscriptions of
    /// nobody's or to other prices.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] without a secret; [`ErrorKind::BadSignature`] for what Stripe did not sign,
    /// or more than five minutes ago; [`ErrorKind::Invalid`] for what is no event of Stripe.
    pub async fn stripe_hook(&self, hook: StripeHook<'_>) -> Result<(), Error> {
        let core = &*self.core;
        let secret = core.config.stripe_secret.as_ref();
        let secret = secret.ok_or(ErrorKind::NotFound("path"))?;
        let now = core.config.clock.now();
        if !signature::holds(&secret.0, hook.signature, hook.body, now) {
            return Err(ErrorKind::BadSignature.into());
        }
        let event: EventJson =
            serde_json::from_slice(hook.body).map_err(|error| no_event(&error))?;
        let news =
            News::read(&event.r#type, event.data.object).map_err(|error| no_event(&error))?;
        let kind = event.r#type.as_str();
        let Some(news) = &news else {
            tracing::debug!(kind, "an event of Stripe that is none of ours");
            return Ok(());
        };
        let (id, at) = (event.id.as_str(), event.created);
        let said = Told {
            at,
            is_beginning: kind == CREATED,
        };
        let taken = core.database.run_tx("stripe_event", |session| {
            Box::pin(async move {
                subscriptions::lock_provider(session, news.subscription()).await?;
                let forget = now - REMEMBERED_FOR;
                if !subscriptions::take_event(session, (id, kind), at, now, forget).await? {
                    return Ok(());
                }
                // Before the subscription, as whoever changes the plan locks them in this order.
                let plan = match news {
                    News::Subscription(told) => plans::of_price(session, &prices(told)).await?,
                    News::Invoice { .. } => None,
                };
                let is_unpriced = matches!(news, News::Subscription(_)) && plan.is_none();
                let before = subscriptions::of_provider(session, news.subscription()).await?;
                let after = match (news, &before) {
                    (News::Subscription(told), Some(before)) => {
                        Some(changed(before, told, plan, said))
                    }
                    (News::Subscription(told), None) => {
                        begun(core, session, told, plan, at).await?
                    }
                    (News::Invoice { is_paid, .. }, Some(before)) => {
                        let mut after = before.clone();
                        after.take_payment(*is_paid, at);
                        Some(after)
                    }
                    // It is told of by itself, too, with how it stands.
                    (News::Invoice { .. }, None) => None,
                };
                if is_unpriced || after.is_none() {
                    // Sent again, it may find what is missing now.
                    subscriptions::leave_event(session, id).await?;
                }
                match after {
                    Some(after) => keep(core, session, before, after).await,
                    None => Ok::<_, Error>(()),
                }
            })
        });
        taken.await
    }
}

/// What is signed and yet no event.
fn no_event(error: &serde_json::Error) -> Error {
    let mut violations = Violations::default();
    violations.add("", "malformed", format!("is no event of Stripe: {error}"));
    violations.into()
}

/// A subscription of ours with what is new of it.
fn changed(
    before: &Subscription,
    told: &SubscriptionJson,
    plan: Option<Plan>,
    said: Told,
) -> Subscription {
    let mut after = before.clone();
    if said.is_news(before.provider_updated_at) {
        if let Some(plan) = plan {
            (after.plan, after.limits) = (plan.name, plan.limits);
        } else {
            tracing::warn!(subscription = %before.id, "its price stands for no plan, so its plan stays");
        }
        let period = told.period();
        after.current_period_start = period.current_period_start;
        after.current_period_end = period.current_period_end;
        after.cancelled_at = told.canceled_at;
        after.provider_customer_id.clone_from(&told.customer);
        after.provider_updated_at = Some(said.at);
    }
    if let Some(status) = told.status() {
        after.take_status(status, said);
    }
    after
}

/// A subscription that nobody heard of before, if it is somebody's whom we know, and to a plan.
async fn begun(
    core: &Core,
    session: &Session<'_>,
    told: &SubscriptionJson,
    plan: Option<Plan>,
    at: OffsetDateTime,
) -> Result<Option<Subscription>, Error> {
    let Some(user_id) = subscriber(session, told).await? else {
        tracing::warn!(
            subscription = told.id,
            "a subscription of Stripe is nobody's here"
        );
        return Ok(None);
    };
    let Some(plan) = plan else {
        tracing::warn!(subscription = told.id, %user_id, "its price stands for no plan");
        return Ok(None);
    };
    let Some(status) = told.status() else {
        return Ok(None);
    };
    let (now, period) = (core.config.clock.now(), told.period());
    Ok(Some(Subscription {
        id: SubscriptionId(core.ids.next()),
        user_id,
        plan: plan.name,
        status,
        limits: plan.limits,
        provider_customer_id: told.customer.clone(),
        provider_subscription_id: Some(told.id.clone()),
        current_period_start: period.current_period_start,
        current_period_end: period.current_period_end,
        cancelled_at: told.canceled_at,
        provider_updated_at: Some(at),
        provider_status_at: Some(at),
        created_at: now,
        updated_at: now,
    }))
}

/// Whose subscription it is: as its metadata says, or whoever had one as the same customer.
async fn subscriber(
    session: &Session<'_>,
    told: &SubscriptionJson,
) -> Result<Option<UserId>, Error> {
    let named = told.metadata.get(USER).and_then(Json::as_str);
    if let Some(Ok(named)) = named.map(str::parse) {
        return Ok(users::read(session, named).await?.map(|user| user.id));
    }
    match &told.customer {
        Some(customer) => Ok(subscriptions::of_customer(session, customer).await?),
        None => Ok(None),
    }
}

fn prices(told: &SubscriptionJson) -> Vec<String> {
    let items = told.items.data.iter();
    items.map(|item| item.price.id.clone()).collect()
}

/// Writes a subscription down, and notes it where plan or status are new.
async fn keep(
    core: &Core,
    session: &Session<'_>,
    before: Option<Subscription>,
    mut after: Subscription,
) -> Result<(), Error> {
    match &before {
        Some(before) if *before == after => return Ok(()),
        Some(_) => {
            after.updated_at = core.config.clock.now();
            subscriptions::update(session, &after).await?;
        }
        None => subscriptions::insert(session, &after).await?,
    }
    let shown = |one: &Subscription| (one.plan.clone(), one.status);
    if before.as_ref().map(shown) == Some(shown(&after)) {
        return Ok(());
    }
    let (me, user) = (Principal::system(), after.user_id);
    let mut entry = core.activity(&me, Some(user), Action::SubscriptionChanged, user);
    entry.detail = json!({
        "plan": after.plan, "plan_before": before.as_ref().map(|before| &before.plan),
        "status": after.status, "status_before": before.as_ref().map(|before| before.status),
    });
    activity::insert(session, &entry).await?;
    Ok(())
}
