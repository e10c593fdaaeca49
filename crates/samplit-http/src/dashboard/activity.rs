//! The activity log in words: who did what, to what, when.

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{Activity, ActorKind};
use samplit_engine::Page;
use serde_json::Value as Json;

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
    let found = call.app.engine.activity(&who.principal, id, &page).await?;
    let narrowed = [("subject", subject)];
    let page = ActivityPage {
        frame: Frame::new(&call, &who, Section::Activity, "Activity"),
        entries: found.data,
        paging: Paging::new("/activity", &narrowed, cursor.is_some(), found.next_cursor),
    };
    Ok(html(StatusCode::OK, &page))
}

/// Who did it.
fn actor(entry: &Activity) -> String {
    let email = entry.actor_email.as_deref().unwrap_or("somebody");
    match entry.actor.kind {
        ActorKind::User => email.to_owned(),
        ActorKind::Key => format!("{email}, by an API key"),
        ActorKind::System => "The server".to_owned(),
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
        "installation.created" => "added a site",
        "installation.changed" => "changed a site",
        "installation.disabled" => "turned a site off",
        "installation.rotated" => "gave a site a new token",
        "installation.verified" => "found the snippet on a site",
        "installation.signing_secret_made" => "made a signing secret for a site",
        "editor.opened" => "opened the picker on a site",
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
        other => other,
    }
}

/// What it was done to, where that says more than the action, and where it is to be seen.
fn subject(entry: &Activity) -> Option<(String, Option<String>)> {
    let named = |name: &str| entry.detail.get(name).and_then(Json::as_str);
    let name = ["name", "email", "shop"].into_iter().find_map(named);
    let id = entry.subject_id?;
    let place = match entry.subject_kind.as_str() {
        "experiment" => Some(format!("/experiments/{id}")),
        "installation" => Some(format!("/installations/{id}")),
        "key" if entry.action != "key.revoked" => Some(format!("/keys/{id}")),
        _ => None,
    };
    let name = name.map_or_else(|| id.to_string()[24..].to_owned(), str::to_owned);
    let says_more = place.is_some() || !matches!(entry.subject_kind.as_str(), "user" | "session");
    let is_named = ["name", "email", "shop"]
        .into_iter()
        .any(|n| named(n).is_some());
    (says_more || is_named).then_some((name, place))
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
    let parts = [
        list("fields"),
        list("scopes").map(|scopes| format!("may {scopes}")),
        role,
        text("with").map(|with| format!("by {with}")),
        text("kind").map(|kind| kind.replace('_', " ")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use samplit_domain::{Action, Activity, ActivityId, Actor, ActorKind};
    use serde_json::{Value as Json, json};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{action, actor, detail, subject};

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
        let nil = Uuid::nil();
        assert_eq!(
            subject(&made),
            Some(("shop".to_owned(), Some(format!("/keys/{nil}"))))
        );
        assert_eq!(detail(&made), "may read");
        let changed = entry(
            "user.changed",
            "user",
            json!({"role": "admin", "role_before": "client"}),
        );
        assert_eq!(
            (subject(&changed), detail(&changed)),
            (None, "client to admin".to_owned())
        );
    }
}
