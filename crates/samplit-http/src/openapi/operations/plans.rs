//! Plans and subscriptions, and the first steps of an account.

use serde_json::json;

use super::{ACCOUNTS, Section};
use crate::{
    api::{
        onboarding::OnboardingJson,
        plans::{self, PageJson, PlanJson, PlansJson, SubscriptionJson, UseJson},
    },
    openapi::{
        bodies::{PlanBody, PlanChoice},
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let section = Section(ACCOUNTS);
    let event = json!({"type": "object", "description": "What Stripe tells."});
    vec![
        section
            .get("/v1/plans", "The plans, by name; for admins")
            .admin()
            .no_query()
            .gives::<PlansJson<'_>>(200),
        section
            .put(
                "/v1/plans/{name}",
                "Makes a plan, or another one of it; whoever is on it has its limits at once; for admins",
            )
            .admin()
            .body::<PlanBody>(|body| drop(plans::read_plan(body)))
            .gives::<PlanJson<'_>>(200)
            .refuses(409, &["price_taken"]),
        section
            .get(
                "/v1/subscription",
                "The plan of the account, what of it is used, and what is nearly used up",
            )
            .account()
            .no_query()
            .gives::<UseJson<'_>>(200)
            .refuses(409, &["no_account"]),
        section
            .get(
                "/v1/subscriptions",
                "Who is on which plan, newest first; for admins",
            )
            .admin()
            .paged()
            .gives::<PageJson<'_>>(200),
        section
            .put(
                "/v1/users/{user_id}/subscription",
                "Puts an account on a plan by hand; for admins",
            )
            .admin()
            .body::<PlanChoice>(|body| drop(plans::read_choice(body)))
            .gives::<SubscriptionJson<'_>>(200)
            .refuses(409, &["managed_by_stripe"]),
        section
            .post(
                "/integrations/stripe/webhooks",
                "Subscriptions and their payments, signed by Stripe",
            )
            .signed()
            .foreign_body("application/json", &event)
            .gives_text(200, "text/plain")
            .refuses(404, &["not_found"]),
        section
            .get("/v1/onboarding", "The first steps of the account")
            .account()
            .no_query()
            .gives::<OnboardingJson>(200)
            .refuses(409, &["no_account"]),
        section
            .post("/v1/onboarding/dismiss", "Puts the checklist away")
            .account()
            .no_fields()
            .gives::<OnboardingJson>(200)
            .refuses(409, &["no_account"]),
        section
            .post("/v1/onboarding/reopen", "Takes it out again")
            .account()
            .no_fields()
            .gives::<OnboardingJson>(200)
            .refuses(409, &["no_account"]),
    ]
}
