//! The activity log in words: who did what, to what, when.

use std::collections::BTreeMap;

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{Activity, ActorKind};
use samplit_engine::Page;
use serde_json::Value as Json;
use uuid::Uuid;

use super::{
    layout::{Frame, Section, html},
    list::Paging,
};
use crate::{call::Call, problem::Problem, response::Reply};

#[derive(Template)]
#[template(path = "dashboard/activity.html")]
struct ActivityPage {
    frame: Frame,
    entries: Vec<Activity>,
    /// What the subjects are called.
    names: BTreeMap<Uuid, String>,
    paging: Paging,
}

/// `GET /activity`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let mut query = call.query();
    let (cursor, subject) = (query.text("cursor"), query.text("subject"));
    let page = Page {
        cursor: cursor.clone(),
        limit: 50,
    };
    let id = subject.as_deref().and_then(|id| id.parse().ok());
    let engine = &call.app.engine;
    let found = engine.activity(&who.principal, id, &page).await?;
    let ids = found.data.iter().filter_map(|entry| entry.subject_id);
    let ids: Vec<Uuid> = ids.collect();
    let narrowed = [("subject", subject)];
    let page = ActivityPage {
        frame: Frame::new(&call, &who, Section::Activity, "Activity"),
        names: engine.names(&who.principal, &ids).await?,
        entries: found.data,
        paging: Paging::new("/activity", &narrowed, cursor.is_some(), found.next_cursor),
    };
    Ok(html(StatusCode::OK, &page))
}

impl ActivityPage {
    /// What it was done to, where that says more than the action, and where it is to be seen.
    fn subject(&self, entry: &Activity) -> Option<(String, Option<String>)> {
        let named = |name: &str| entry.detail.get(name).and_then(Json::as_str);
        let known = entry.subject_id.and_then(|id| self.names.get(&id));
        let name = known.map(String::as_str);
        let name = name.or_else(|| ["name", "email", "shop"].into_iter().find_map(named))?;
        let is_own = entry.subject_kind == "user" && entry.actor_email.as_deref() == Some(name);
        (!is_own).then(|| (name.to_owned(), place(entry)))
    }
}

/// Where what it was done to is to be seen.
fn place(entry: &Activity) -> Option<String> {
    let id = entry.subject_id?;
    match entry.subject_kind.as_str() {
        "experiment" => Some(format!("/experiments/{id}")),
        "installation" => Some(format!("/installations/{id}")),
        "key" if entry.action != "key.revoked" => Some(format!("/keys/{id}")),
        "lead" if entry.action != "lead.erased" => Some(format!("/leads/{id}")),
        "webhook" if entry.action != "webhook.deleted" => Some(format!("/webhooks/{id}")),
        _ => None,
    }
}

/// Who did it.
fn actor(entry: &Activity) -> &str {
    match entry.actor.kind {
        ActorKind::User | ActorKind::Key => entry.actor_email.as_deref().unwrap_or("somebody"),
        ActorKind::System => "The server",
        ActorKind::Administrator => "An administrator",
    }
}

/// What was done. A word of a newer version is shown as it is.
fn action(entry: &Activity) -> &str {
    match entry.action.as_str() {
        "experiment.created" => "made an experiment",
        "experiment.changed" => "changed an experiment",
        "experiment.started" => "started an experiment",
        "experiment.paused" => "paused an experiment",
        "experiment.resumed" => "resumed an experiment",
        "experiment.completed" => "completed an experiment",
        "experiment.archived" => "archived an experiment",
        "variant.activated" => "turned a variant on",
        "variant.deactivated" => "turned a variant off",
        "trail.sealed" => "sealed a trail",
        "trail.redacted" => "redacted an entry of a trail",
        "trail.restore_acknowledged" => "let a restored trail go on",
        "visitor.erased" => "erased a visitor",
        "exclusion.created" => "made an exclusion rule",
        "exclusion.changed" => "changed an exclusion rule",
        "exclusion.deleted" => "deleted an exclusion rule",
        "funnel.created" => "made a funnel",
        "funnel.changed" => "changed a funnel",
        "funnel.activated" => "activated a funnel",
        "funnel.paused" => "paused a funnel",
        "funnel.resumed" => "resumed a funnel",
        "funnel.archived" => "archived a funnel",
        "installation.created" => "added a site",
        "installation.changed" => "changed a site",
        "installation.disabled" => "turned a site off",
        "installation.rotated" => "gave a site a new token",
        "installation.verified" => "found the snippet on a site",
        "installation.signing_secret_made" => "made a signing secret for a site",
        "editor.link_created" => "made a link that opens the picker",
        "lead.changed" => "changed a lead",
        "lead.erased" => "erased a lead",
        "shop.requested" => "asked to connect a shop",
        "shop.connected" => "connected a shop",
        "shop.removed" => "removed a shop",
        "server.set_up" => "set the server up",
        "user.signed_in" => "signed in",
        "session.ended" => "ended a session",
        "user.invited" => "invited somebody",
        "user.changed" => "changed an account",
        "user.disabled" => "disabled an account",
        "user.enabled" => "enabled an account",
        "user.password_changed" => "changed the password",
        "link.created" => "made a link that lets somebody in",
        "key.created" => "made an API key",
        "key.rotated" => "gave an API key a successor",
        "key.revoked" => "revoked an API key",
        "webhook.created" => "made a webhook",
        "webhook.changed" => "changed a webhook",
        "webhook.rotated" => "gave a webhook a new secret",
        "webhook.deleted" => "deleted a webhook",
        "webhook.tested" => "sent a test to a webhook",
        "webhook.replayed" => "sent a message again to a webhook",
        "webhook.switched_off" => "switched a webhook off",
        "plan.saved" => "saved a plan",
        "plan.limit_near" => "saw a limit of the plan come near",
        "subscription.set" => "put an account on a plan",
        "subscription.changed" => "heard of a subscription from Stripe",
        "onboarding.dismissed" => "put the first steps away",
        "onboarding.reopened" => "took the first steps out again",
        other => other,
    }
}

/// What else there is to say.
fn detail(entry: &Activity) -> String {
    let text = |name: &str| entry.detail.get(name).and_then(Json::as_str);
    let list = |name: &str| {
        let items = entry.detail.get(name)?.as_array()?.iter();
        let items: Vec<String> = items
            .filter_map(Json::as_str)
            .map(|item| item.replace('_', " "))
            .collect();
        (!items.is_empty()).then(|| items.join(", "))
    };
    let role = match (text("role_before"), text("role")) {
        (Some(before), Some(after)) if before != after => Some(format!("{before} to {after}")),
        (_, role) => role.map(str::to_owned),
    };
    let status = text("status_before").zip(text("status"));
    let parts = [
        list("fields"),
        list("events").map(|events| format!("hears of {events}")),
        list("scopes").map(|scopes| format!("may {scopes}")),
        role,
        status.map(|(before, after)| format!("{before} to {after}")),
        of_plan(entry),
        text("with").map(|with| format!("by {with}")),
        text("kind").map(|kind| kind.replace('_', " ")),
        text("event").map(str::to_owned),
        text("reason").map(|reason| match reason {
            "gone" => "it answered that it is gone".to_owned(),
            "failing" => "nothing but failures for five days".to_owned(),
            other => other.to_owned(),
        }),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

/// What there is to say of a plan: which one, how it stands, how much of it is used.
fn of_plan(entry: &Activity) -> Option<String> {
    let text = |name: &str| entry.detail.get(name).and_then(Json::as_str);
    let number = |name: &str| entry.detail.get(name).and_then(Json::as_u64);
    if let Some(limit) = text("limit") {
        let (used, of) = (number("used")?, number("of")?);
        return Some(format!("{used} of {of} {}", limit.replace('_', " ")));
    }
    let status = text("status").map(|status| format!(", {}", status.replace('_', " ")));
    text("plan").map(|plan| format!("{plan}{}", status.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use samplit_domain::{Action, Activity, ActivityId, Actor, ActorKind};
    use serde_json::{Value as Json, json};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{action, actor, detail, place};

    fn entry(action: &str, kind: &str, detail: Json) -> Activity {
        Activity {
            id: ActivityId(Uuid::nil()),
            occurred_at: OffsetDateTime::UNIX_EPOCH,
            user_id: None,
            actor: Actor {
                kind: ActorKind::System,
                user_id: None,
                key_id: None,
            },
            actor_email: None,
            action: action.to_owned(),
            subject_kind: kind.to_owned(),
            subject_id: Some(Uuid::nil()),
            detail,
            request_id: None,
        }
    }

    #[test]
    fn every_action_has_words() {
        for known in Action::ALL {
            let entry = entry(known.as_str(), "experiment", json!({}));
            assert!(!action(&entry).contains('.'), "{known}");
        }
        let newer = entry("thing.done", "thing", json!({}));
        assert_eq!(action(&newer), "thing.done");
    }

    #[test]
    fn an_entry_says_who_did_what_to_what() {
        let made = entry(
            "key.created",
            "key",
            json!({"name": "shop", "scopes": ["read"]}),
        );
        assert_eq!(actor(&made), "The server");
        assert_eq!(place(&made), Some(format!("/keys/{}", Uuid::nil())));
        assert_eq!(detail(&made), "may read");
        let gone = entry("key.revoked", "key", json!({}));
        assert_eq!(place(&gone), None);
        let role = json!({"role": "admin", "role_before": "client"});
        let changed = entry("user.changed", "user", role);
        assert_eq!(detail(&changed), "client to admin");
        let off = json!({"name": "team", "reason": "gone"});
        let off = entry("webhook.switched_off", "webhook", off);
        assert_eq!(place(&off), Some(format!("/webhooks/{}", Uuid::nil())));
        assert_eq!(detail(&off), "it answered that it is gone");
        let near = json!({"limit": "monthly_visitors", "percent": 80, "used": 810, "of": 1000});
        let near = entry("plan.limit_near", "user", near);
        assert_eq!(detail(&near), "810 of 1000 monthly visitors");
        let told = json!({"plan": "team", "plan_before": null, "status": "past_due"});
        let told = entry("subscription.changed", "user", told);
        assert_eq!(detail(&told), "team, past due");
    }
}
