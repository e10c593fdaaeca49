//! Plans, who is on which, and what of it is used.

use hyper::StatusCode;
use samplit_domain::{
    LimitWarning, Limits, Plan, Resource, Subscription, SubscriptionId, SubscriptionStatus, Usage,
    UserId, Violations,
};
use samplit_engine::{Page, PlanDraft, PlanUse, StripeHook};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    response::{Reply, content, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Plan)]
pub(crate) struct PlanJson<'a> {
    name: &'a str,
    title: &'a str,
    /// `null`: any number, as with the other limits.
    max_active_experiments: Option<u64>,
    max_monthly_visitors: Option<u64>,
    max_seats: Option<u64>,
    provider_price_id: Option<&'a str>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl<'a> From<&'a Plan> for PlanJson<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            name: &plan.name,
            title: &plan.title,
            max_active_experiments: plan.limits.active_experiments,
            max_monthly_visitors: plan.limits.monthly_visitors,
            max_seats: plan.limits.seats,
            provider_price_id: plan.provider_price_id.as_deref(),
            created_at: plan.created_at,
            updated_at: plan.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Plans)]
pub(crate) struct PlansJson<'a> {
    data: Vec<PlanJson<'a>>,
}

/// Limits by what they limit; `null`: any number.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanLimits)]
pub(crate) struct LimitsJson {
    active_experiments: Option<u64>,
    monthly_visitors: Option<u64>,
    seats: Option<u64>,
}

impl From<Limits> for LimitsJson {
    fn from(limits: Limits) -> Self {
        Self {
            active_experiments: limits.active_experiments,
            monthly_visitors: limits.monthly_visitors,
            seats: limits.seats,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = PlanUsage)]
pub(crate) struct UsageJson {
    /// When the month began whose new visitors are counted.
    #[serde(with = "time::serde::rfc3339")]
    month: OffsetDateTime,
    active_experiments: u64,
    monthly_visitors: u64,
    seats: u64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = PlanWarning)]
pub(crate) struct WarningJson {
    limit: Resource,
    /// 80 or 100.
    percent: u8,
    used: u64,
    of: u64,
}

impl From<&LimitWarning> for WarningJson {
    fn from(warning: &LimitWarning) -> Self {
        Self {
            limit: warning.resource,
            percent: warning.level.percent(),
            used: warning.used,
            of: warning.limit,
        }
    }
}

/// The plan of who asks.
#[derive(Serialize, ToSchema)]
#[schema(as = PlanUse)]
pub(crate) struct UseJson<'a> {
    /// `self_hosted` where there is no subscription.
    plan: &'a str,
    title: &'a str,
    status: SubscriptionStatus,
    /// Whether Stripe says what becomes of it.
    managed_by_stripe: bool,
    limits: LimitsJson,
    usage: UsageJson,
    warnings: Vec<WarningJson>,
    #[serde(with = "time::serde::rfc3339::option")]
    current_period_start: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    current_period_end: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    cancelled_at: Option<OffsetDateTime>,
}

impl<'a> From<&'a PlanUse> for UseJson<'a> {
    fn from(of: &'a PlanUse) -> Self {
        let subscription = of.subscription.as_ref();
        let Usage {
            active_experiments,
            monthly_visitors,
            seats,
        } = of.usage;
        Self {
            plan: subscription.map_or(samplit_domain::SELF_HOSTED, |one| one.plan.as_str()),
            title: &of.title,
            status: subscription.map_or(SubscriptionStatus::Active, |one| one.status),
            managed_by_stripe: subscription.is_some_and(Subscription::is_managed),
            limits: of.limits().into(),
            usage: UsageJson {
                month: of.month,
                active_experiments,
                monthly_visitors,
                seats,
            },
            warnings: of.warnings.iter().map(WarningJson::from).collect(),
            current_period_start: subscription.and_then(|one| one.current_period_start),
            current_period_end: subscription.and_then(|one| one.current_period_end),
            cancelled_at: subscription.and_then(|one| one.cancelled_at),
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Subscription)]
pub(crate) struct SubscriptionJson<'a> {
    id: SubscriptionId,
    user_id: UserId,
    /// Whose; only in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    plan: &'a str,
    status: SubscriptionStatus,
    limits: LimitsJson,
    provider_customer_id: Option<&'a str>,
    /// `null`: set by hand.
    provider_subscription_id: Option<&'a str>,
    #[serde(with = "time::serde::rfc3339::option")]
    current_period_start: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    current_period_end: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    cancelled_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl<'a> SubscriptionJson<'a> {
    fn new(one: &'a Subscription, email: Option<&'a str>) -> Self {
        Self {
            id: one.id,
            user_id: one.user_id,
            email,
            plan: &one.plan,
            status: one.status,
            limits: one.limits.into(),
            provider_customer_id: one.provider_customer_id.as_deref(),
            provider_subscription_id: one.provider_subscription_id.as_deref(),
            current_period_start: one.current_period_start,
            current_period_end: one.current_period_end,
            cancelled_at: one.cancelled_at,
            created_at: one.created_at,
            updated_at: one.updated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<SubscriptionJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// `GET /v1/plans`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let plans = call.app.engine.plans(&who).await?;
    let data = plans.iter().map(PlanJson::from).collect();
    Ok(json(StatusCode::OK, &PlansJson { data }))
}

/// `PUT /v1/plans/{name}`
pub(crate) async fn save(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let draft = read_plan(call.json().await?)?;
    let (engine, name) = (&call.app.engine, call.plan());
    let plan = engine.save_plan(&who, name, draft).await?;
    Ok(json(StatusCode::OK, &PlanJson::from(&plan)))
}

/// `GET /v1/subscription`
pub(crate) async fn own(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let of = call.app.engine.plan_use(&who).await?;
    Ok(json(StatusCode::OK, &UseJson::from(&of)))
}

/// `GET /v1/subscriptions`
pub(crate) async fn subscriptions(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.subscriptions(&who, &page).await?;
    let shown = found.data.iter();
    let shown = shown.map(|(one, email)| SubscriptionJson::new(one, Some(email)));
    let page = PageJson {
        data: shown.collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `PUT /v1/users/{user_id}/subscription`
pub(crate) async fn set(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let plan = read_choice(call.json().await?)?;
    let (engine, user) = (&call.app.engine, call.user_id());
    let set = engine.set_subscription(&who, user, &plan).await?;
    Ok(json(StatusCode::OK, &SubscriptionJson::new(&set, None)))
}

/// `POST /integrations/stripe/webhooks`
pub(crate) async fn stripe_hook(mut call: Call) -> Result<Reply, Problem> {
    let body = call.bytes().await?;
    let signature = call.head.headers.get("stripe-signature");
    let signature = signature.and_then(|text| text.to_str().ok());
    let hook = StripeHook {
        signature: signature.unwrap_or_default(),
        body: &body,
    };
    call.app.engine.stripe_hook(hook).await?;
    Ok(content("text/plain; charset=utf-8", ""))
}

pub(crate) fn read_plan(body: Json) -> Result<PlanDraft, Problem> {
    let mut violations = Violations::default();
    let draft = Fields::read(body, String::new(), &mut violations, |fields| PlanDraft {
        title: fields.required("title"),
        limits: Limits {
            active_experiments: fields.optional("max_active_experiments"),
            monthly_visitors: fields.optional("max_monthly_visitors"),
            seats: fields.optional("max_seats"),
        },
        provider_price_id: fields.optional("provider_price_id"),
    });
    violations.into_result(draft).map_err(Problem::invalid)
}

pub(crate) fn read_choice(body: Json) -> Result<String, Problem> {
    let mut violations = Violations::default();
    let plan = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.required("plan")
    });
    violations.into_result(plan).map_err(Problem::invalid)
}
