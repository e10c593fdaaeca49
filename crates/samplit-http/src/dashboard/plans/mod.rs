//! Plans: one's own with what is used of it, and for admins all of them and who is on which.

mod manage;
mod of_user;
mod own;

use askama::{Template, filters::HtmlSafe};
use samplit_domain::{
    LimitWarning, Resource, SELF_HOSTED, Subscription, SubscriptionStatus, WarningLevel,
};

pub(crate) use manage::{list, save};
pub(crate) use of_user::put;
pub(super) use of_user::{Choosing, choosing};
pub(crate) use own::show;

use super::format;

/// What is nearly used up, in words that must not be missed.
#[derive(Debug, Template)]
#[template(path = "dashboard/plans/warnings.html")]
pub(super) struct Warnings {
    warnings: Vec<LimitWarning>,
    /// Whether more is said on another page.
    leads_on: bool,
}

/// Its template escapes what comes from people.
impl HtmlSafe for Warnings {}

impl Warnings {
    /// `leads_on`: with a link to the page of the plan.
    pub(super) const fn new(warnings: Vec<LimitWarning>, leads_on: bool) -> Self {
        Self { warnings, leads_on }
    }
}

/// What a limit is about, in the plural.
fn noun(resource: Resource) -> &'static str {
    match resource {
        Resource::ActiveExperiments => "running experiments",
        Resource::MonthlyVisitors => "new visitors this month",
        Resource::Seats => "accounts",
    }
}

/// What it means that a limit is reached.
fn consequence(resource: Resource) -> &'static str {
    match resource {
        Resource::ActiveExperiments => {
            "What runs goes on. To start another experiment, complete or pause one first."
        }
        Resource::MonthlyVisitors => {
            "Nothing stops: every visitor is served and counted, this month, too."
        }
        Resource::Seats => {
            "Everybody can still come in. To invite somebody, disable an account first."
        }
    }
}

/// The state of a subscription: for its badge, and in words.
fn state(status: SubscriptionStatus) -> (&'static str, &'static str) {
    match status {
        SubscriptionStatus::Active => ("active", "active"),
        SubscriptionStatus::Trialing => ("info", "on trial"),
        SubscriptionStatus::PastDue => ("warn", "payment failed"),
        SubscriptionStatus::Unpaid => ("bad", "unpaid"),
        SubscriptionStatus::Incomplete => ("warn", "first payment awaited"),
        SubscriptionStatus::IncompleteExpired => ("bad", "never paid"),
        SubscriptionStatus::Canceled => ("disabled", "cancelled"),
        SubscriptionStatus::Paused => ("paused", "paused"),
    }
}

/// The name of the plan of somebody who may have none.
fn plan_of(subscription: Option<&Subscription>) -> &str {
    subscription.map_or(SELF_HOSTED, |one| one.plan.as_str())
}
