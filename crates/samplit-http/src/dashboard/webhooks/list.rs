//! `/webhooks`: which addresses hear of experiments, and one more.

use askama::Template;
use hyper::StatusCode;
use samplit_engine::{Page, SignedIn, WebhookWithSecret};
use time::OffsetDateTime;

use super::{event, events, state};
use crate::{
    api::webhooks::read_new,
    call::Call,
    dashboard::{
        form::Form,
        layout::{Frame, Section, html},
        list::Paging,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "dashboard/webhooks/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    paging: Paging,
    /// Whether this server can keep the secrets of webhooks.
    has_secret: bool,
}

struct Row {
    path: String,
    name: String,
    /// The account, where it is another one's.
    owner: Option<String>,
    hears_of: String,
    state: (&'static str, &'static str),
    last_success_at: Option<OffsetDateTime>,
}

#[derive(Template)]
#[template(path = "dashboard/webhooks/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
}

#[derive(Template)]
#[template(path = "dashboard/webhooks/secret.html")]
struct SecretPage {
    frame: Frame,
    made: WebhookWithSecret,
}

/// `GET /webhooks`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let cursor = call.query().text("cursor");
    let page = Page {
        cursor: cursor.clone(),
        limit: LENGTH,
    };
    let found = engine.webhooks(who, &page).await?;
    let owners = found.data.iter().map(|webhook| webhook.user_id);
    let others = owners.filter(|owner| *owner != signed_in.user.id);
    let others: Vec<_> = others.map(|owner| owner.0).collect();
    let owners = engine.names(who, &others).await?;
    let rows = found.data.iter().map(|webhook| {
        let heard: Vec<&str> = webhook.events.iter().map(|&of| event(of)).collect();
        Row {
            path: format!("/webhooks/{}", webhook.id),
            name: webhook.name().to_owned(),
            owner: owners.get(&webhook.user_id.0).cloned(),
            hears_of: if heard.is_empty() {
                "Everything".to_owned()
            } else {
                heard.join(", ")
            },
            state: state(webhook),
            last_success_at: webhook.last_success_at,
        }
    });
    let page = ListPage {
        frame: Frame::new(&call, &signed_in, Section::Webhooks, "Webhooks"),
        rows: rows.collect(),
        paging: Paging::new("/webhooks", &[], cursor.is_some(), found.next_cursor),
        has_secret: engine.secret().is_ok(),
    };
    Ok(html(StatusCode::OK, &page))
}

/// `GET /webhooks/new`
pub(crate) async fn new(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    Ok(new_page(&call, &signed_in, Form::empty()))
}

/// `POST /webhooks/new`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let created = match form.json().and_then(read_new) {
        Ok(new) => {
            let created = call.app.engine.create_webhook(&signed_in.principal, new);
            created.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match created {
        Ok(made) => {
            let title = "The secret of your webhook";
            let frame = Frame::new(&call, &signed_in, Section::Webhooks, title);
            let frame = frame.below("Webhooks", "/webhooks");
            Ok(html(StatusCode::CREATED, &SecretPage { frame, made }))
        }
        Err(problem) => Ok(new_page(&call, &signed_in, form.refused(problem)?)),
    }
}

fn new_page(call: &Call, signed_in: &SignedIn, form: Form) -> Reply {
    let frame = Frame::new(call, signed_in, Section::Webhooks, "New webhook");
    let frame = frame.below("Webhooks", "/webhooks");
    let page = NewPage { frame, form };
    html(page.form.status(), &page)
}
