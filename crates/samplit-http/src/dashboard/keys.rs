//! API keys: make one and show its token once, give it a successor, revoke it.

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{ApiKey, Scope};
use samplit_engine::{CreatedApiKey, SignedIn};
use serde_json::json;
use time::{Duration, OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};

use super::{
    field::Choice,
    form::Form,
    layout::{Frame, Section, html},
    notice::done,
};
use crate::{
    api::keys::{read_new, read_overlap},
    call::Call,
    problem::Problem,
    response::Reply,
};

/// Keys that end so soon are pointed out.
const SOON: Duration = Duration::days(14);

#[derive(Template)]
#[template(path = "dashboard/keys.html")]
struct KeysPage {
    frame: Frame,
    keys: Vec<ApiKey>,
    now: OffsetDateTime,
}

#[derive(Template)]
#[template(path = "dashboard/key_new.html")]
struct NewKeyPage {
    frame: Frame,
    form: Form,
    ends: Vec<Choice>,
}

#[derive(Template)]
#[template(path = "dashboard/key.html")]
struct KeyPage {
    frame: Frame,
    key: ApiKey,
    rotation: Form,
    revocation: Form,
}

#[derive(Template)]
#[template(path = "dashboard/key_token.html")]
struct TokenPage {
    frame: Frame,
    token: String,
    server: String,
    /// The key that it succeeds.
    before: Option<ApiKey>,
}

/// What a key may do, for a form.
fn scopes() -> Vec<Choice> {
    let choice = |scope: Scope| {
        let (label, note) = match scope {
            Scope::Manage => (
                "Manage",
                "Create and change experiments, sites and keys; includes reading.",
            ),
            Scope::Assign => ("Assign", "Assign visitors and report conversions."),
            Scope::Read => ("Read", "See experiments, results and trails."),
        };
        Choice::new(scope.as_str(), label, note)
    };
    [Scope::Assign, Scope::Read, Scope::Manage]
        .map(choice)
        .to_vec()
}

/// Until when a key may be good. Ends fall on midnight, so that they are the same all day.
fn ends(now: OffsetDateTime) -> Vec<Choice> {
    let today = now
        .to_offset(UtcOffset::UTC)
        .replace_time(time::Time::MIDNIGHT);
    let mut choices = vec![Choice::new("", "No end", "")];
    for (days, label) in [(30, "30 days"), (90, "90 days"), (365, "A year")] {
        let end = today + Duration::days(days + 1);
        if let Ok(end) = end.format(&Rfc3339) {
            choices.push(Choice::new(end, label, ""));
        }
    }
    choices
}

/// How long a key is good beside its successor.
fn overlaps() -> Vec<Choice> {
    let choice = |(seconds, label)| Choice::new(seconds, label, "");
    [
        ("0", "Not at all: it ends at once"),
        ("3600", "An hour"),
        ("86400", "A day"),
        ("604800", "A week"),
    ]
    .map(choice)
    .to_vec()
}

/// `GET /keys`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let page = KeysPage {
        frame: Frame::new(&call, &who, Section::Keys, "API keys"),
        keys: call.app.engine.api_keys(&who.principal).await?,
        now: call.app.engine.now(),
    };
    Ok(html(StatusCode::OK, &page))
}

impl KeysPage {
    /// The state of a key: for its badge, and in words.
    fn state(&self, key: &ApiKey) -> (&'static str, &'static str) {
        match key.expires_at {
            Some(end) if end <= self.now => ("expired", "over"),
            Some(end) if end - self.now < SOON => ("expiring", "ends soon"),
            _ if key.last_used_at.is_none() => ("draft", "never used"),
            _ => ("active", "in use"),
        }
    }
}

/// `GET /keys/new`
pub(crate) async fn new(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    Ok(new_page(
        &call,
        &who,
        Form::of(json!({ "scopes": ["assign"] })),
    ))
}

/// `POST /keys/new`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let created = match form.json().and_then(read_new) {
        Ok(new) => {
            let created = call.app.engine.create_key(&who.principal, new);
            created.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(key) => token_page(&call, &who, &key, None),
        Err(problem) => Ok(new_page(&call, &who, form.refused(problem)?)),
    }
}

fn new_page(call: &Call, who: &SignedIn, form: Form) -> Reply {
    let frame = Frame::new(call, who, Section::Keys, "New API key");
    let page = NewKeyPage {
        frame: frame.below("API keys", "/keys"),
        ends: ends(call.app.engine.now()),
        form,
    };
    html(page.form.status(), &page)
}

fn token_page(
    call: &Call,
    who: &SignedIn,
    key: &CreatedApiKey,
    before: Option<ApiKey>,
) -> Result<Reply, Problem> {
    let frame = Frame::new(call, who, Section::Keys, "Your new API key");
    let page = TokenPage {
        frame: frame.below("API keys", "/keys"),
        token: key.token.clone(),
        server: call.url_of("")?,
        before,
    };
    Ok(html(StatusCode::CREATED, &page))
}

/// `GET /keys/{key_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let key = find(&call, &who).await?;
    let rotation = Form::of(json!({ "overlap_seconds": 86_400 }));
    Ok(key_page(&call, &who, key, rotation, Form::empty()))
}

/// `POST /keys/{key_id}/rotate`
pub(crate) async fn rotate(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let before = find(&call, &who).await?;
    let form = Form::read(&mut call).await?;
    let created = match form.json().and_then(read_overlap) {
        Ok(overlap) => {
            let (engine, id) = (&call.app.engine, call.key_id());
            let created = engine.rotate_key(&who.principal, id, overlap);
            created.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(key) => token_page(&call, &who, &key, Some(before)),
        Err(problem) => {
            let form = form.refused(problem)?;
            Ok(key_page(&call, &who, before, form, Form::empty()))
        }
    }
}

/// `POST /keys/{key_id}/revoke`
pub(crate) async fn revoke(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let key = find(&call, &who).await?;
    let form = Form::read(&mut call).await?;
    if let Err(problem) = form.confirmed(&key.name) {
        let form = form.refused(problem)?;
        return Ok(key_page(&call, &who, key, Form::empty(), form));
    }
    call.app.engine.revoke_key(&who.principal, key.id).await?;
    Ok(done("/keys", "key_revoked"))
}

/// The key of the path.
async fn find(call: &Call, who: &SignedIn) -> Result<ApiKey, Problem> {
    let keys = call.app.engine.api_keys(&who.principal).await?;
    let mut keys = keys.into_iter();
    let found = keys.find(|key| key.id == call.key_id());
    found.ok_or_else(|| Problem::not_found("API key"))
}

fn key_page(call: &Call, who: &SignedIn, key: ApiKey, rotation: Form, revocation: Form) -> Reply {
    let frame = Frame::new(call, who, Section::Keys, key.name.clone());
    let page = KeyPage {
        frame: frame.below("API keys", "/keys"),
        key,
        rotation,
        revocation,
    };
    let status = page.rotation.status().max(page.revocation.status());
    html(status, &page)
}
