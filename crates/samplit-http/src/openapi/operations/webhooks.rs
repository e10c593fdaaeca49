//! Rules that keep visits out, and news for other servers.

use samplit_domain::WebhookDeliveryStatus;
use utoipa::PartialSchema as _;

use super::{EXCLUSIONS, Section, WEBHOOKS};
use crate::{
    api::{
        exclusions::{self, ExcludedJson, RuleJson},
        webhooks::{self, DeliveryJson, WebhookJson},
    },
    openapi::{
        bodies::{ExclusionChange, NewExclusion, NewWebhook, WebhookChange},
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = exclusions();
    all.extend(webhooks());
    all
}

fn exclusions() -> Vec<Operation> {
    let section = Section(EXCLUSIONS);
    vec![
        section
            .post("/v1/exclusions", "Makes a rule")
            .account()
            .once()
            .body::<NewExclusion>(|body| drop(exclusions::read_new(body)))
            .gives::<RuleJson<'_>>(201)
            .refuses(404, &["not_found"])
            .refuses(409, &["too_many_exclusions"]),
        section
            .get("/v1/exclusions", "The rules, newest first")
            .account()
            .paged()
            .gives_inline::<exclusions::PageJson<'_, RuleJson<'_>>>(200),
        section
            .get("/v1/exclusions/{exclusion_id}", "One rule")
            .account()
            .unless_known()
            .gives::<RuleJson<'_>>(200),
        section
            .patch("/v1/exclusions/{exclusion_id}", "Changes the named fields")
            .account()
            .if_match()
            .body::<ExclusionChange>(|body| drop(exclusions::read_change(body)))
            .gives::<RuleJson<'_>>(200),
        section
            .delete("/v1/exclusions/{exclusion_id}", "Deletes it")
            .account()
            .if_match()
            .gives_nothing(204),
        section
            .get(
                "/v1/experiments/{id}/excluded-sessions",
                "Who was kept out and why, newest first",
            )
            .account()
            .paged()
            .gives_inline::<exclusions::PageJson<'_, ExcludedJson<'_>>>(200)
            .of::<ExcludedJson<'_>>(),
    ]
}

fn webhooks() -> Vec<Operation> {
    let section = Section(WEBHOOKS);
    let status = serde_json::to_value(WebhookDeliveryStatus::schema()).unwrap_or_default();
    vec![
        section
            .post(
                "/v1/webhooks",
                "Makes a webhook with its secret, shown once",
            )
            .account()
            .once()
            .body::<NewWebhook>(|body| drop(webhooks::read_new(body)))
            .gives::<WebhookJson<'_>>(201)
            .refuses(409, &["too_many_webhooks", "no_secret"]),
        section
            .get("/v1/webhooks", "The webhooks, newest first")
            .account()
            .paged()
            .gives_inline::<webhooks::PageJson<'_, WebhookJson<'_>>>(200),
        section
            .get("/v1/webhooks/{webhook_id}", "One webhook")
            .account()
            .gives::<WebhookJson<'_>>(200),
        section
            .patch("/v1/webhooks/{webhook_id}", "Changes the named fields")
            .account()
            .if_match()
            .body::<WebhookChange>(|body| drop(webhooks::read_change(body)))
            .gives::<WebhookJson<'_>>(200),
        section
            .delete("/v1/webhooks/{webhook_id}", "Deletes it and its deliveries")
            .account()
            .if_match()
            .gives_nothing(204),
        section
            .post(
                "/v1/webhooks/{webhook_id}/rotate",
                "Gives it a new secret, shown once; the old one signs for another day",
            )
            .account()
            .if_match()
            .no_fields()
            .gives::<WebhookJson<'_>>(200)
            .refuses(409, &["no_secret"]),
        section
            .post(
                "/v1/webhooks/{webhook_id}/test",
                "Sends `webhook.test` once, and says what came of it",
            )
            .account()
            .no_fields()
            .gives::<DeliveryJson<'_>>(200)
            .refuses(409, &["no_webhook_sender", "webhook_off", "no_secret"]),
        section
            .get(
                "/v1/webhooks/{webhook_id}/deliveries",
                "What became of each message, newest first",
            )
            .account()
            .query("status", "only those that are this", &status)
            .paged()
            .gives_inline::<webhooks::PageJson<'_, DeliveryJson<'_>>>(200),
        section
            .post(
                "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
                "Begins a delivery anew",
            )
            .account()
            .no_fields()
            .gives::<DeliveryJson<'_>>(202)
            .refuses(409, &["webhook_off", "no_webhook_sender"]),
    ]
}
