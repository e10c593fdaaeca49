//! `/webhooks/{webhook_id}`: one webhook with its deliveries, and all that can be done with it.

use std::collections::BTreeMap;

use askama::Template;
use samplit_domain::{
    Webhook, WebhookDelivery, WebhookDeliveryId, WebhookDeliveryStatus, WebhookOff,
};
use samplit_engine::{Page, SignedIn, WebhookChange};
use serde_json::json;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{event, events, state};
use crate::{
    api::webhooks::{WebhookJson, read_change},
    call::Call,
    dashboard::{
        form::{Form, sentence},
        layout::{Frame, Section, html},
        list::Paging,
        notice::done,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 25;

#[derive(Template)]
#[template(path = "dashboard/webhooks/one.html")]
struct OnePage<'f> {
    frame: Frame,
    form: &'f Form,
    webhook: Webhook,
    state: (&'static str, &'static str),
    deliveries: Vec<WebhookDelivery>,
    /// What the experiments of the deliveries are called.
    names: BTreeMap<Uuid, String>,
    /// Of which status deliveries are shown; `None`: of all.
    shown: Option<WebhookDeliveryStatus>,
    paging: Paging,
    told: Told,
}

/// What a form that was sent has brought to light.
#[derive(Debug, Default)]
struct Told {
    /// What came of a test.
    test: Option<WebhookDelivery>,
    /// The new secret; shown once.
    secret: Option<String>,
}

/// `GET /webhooks/{webhook_id}`, perhaps `?status=dead` for deliveries that were given up.
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, None, Told::default()).await
}

/// `POST /webhooks/{webhook_id}`: what the button `do` says.
pub(crate) async fn change(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let path = format!("/webhooks/{}", call.webhook_id());
    match perform(&call, &signed_in, &form).await {
        Ok(Outcome::Deleted) => Ok(done("/webhooks", "webhook_deleted")),
        Ok(Outcome::Done(code)) => Ok(done(&path, code)),
        Ok(Outcome::Told(told)) => page(&call, &signed_in, Some(form), *told).await,
        Err(problem) => {
            let form = form.refused(problem)?;
            page(&call, &signed_in, Some(form), Told::default()).await
        }
    }
}

/// What came of it.
enum Outcome {
    /// It is done; the page says so.
    Done(&'static str),
    /// There is something to show.
    Told(Box<Told>),
    /// There is no such webhook any more.
    Deleted,
}

async fn perform(call: &Call, signed_in: &SignedIn, form: &Form) -> Result<Outcome, Problem> {
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.webhook_id());
    let wish = form.extra("do").unwrap_or_default();
    if let Some(delivery) = wish.strip_prefix("replay ") {
        let delivery: WebhookDeliveryId = delivery
            .parse()
            .map_err(|_| Problem::not_found("delivery"))?;
        engine.replay_webhook(who, id, delivery).await?;
        return Ok(Outcome::Done("webhook_replayed"));
    }
    let switch = |is_enabled| WebhookChange {
        is_enabled: Some(is_enabled),
        ..WebhookChange::default()
    };
    match wish {
        "test" => {
            let test = engine.test_webhook(who, id).await?;
            Ok(Outcome::Told(Box::new(Told {
                test: Some(test),
                ..Told::default()
            })))
        }
        "rotate" => {
            let made = engine.rotate_webhook(who, id, None).await?;
            Ok(Outcome::Told(Box::new(Told {
                secret: Some(made.secret),
                ..Told::default()
            })))
        }
        "on" => {
            engine.update_webhook(who, id, switch(true), None).await?;
            Ok(Outcome::Done("webhook_on"))
        }
        "off" => {
            engine.update_webhook(who, id, switch(false), None).await?;
            Ok(Outcome::Done("webhook_off"))
        }
        "delete" => {
            let webhook = engine.webhook(who, id).await?;
            form.confirmed(webhook.name())?;
            engine.delete_webhook(who, id, None).await?;
            Ok(Outcome::Deleted)
        }
        _ => {
            let seen = form
                .extra("version")
                .and_then(|version| version.parse().ok());
            let mut body = form.json()?;
            if let Some(body) = body.as_object_mut() {
                // No box ticked is an answer, too, and so is a description that was taken away.
                body.entry("events").or_insert_with(|| json!([]));
                body.entry("description").or_insert_with(|| json!(""));
            }
            let change = read_change(body)?;
            engine.update_webhook(who, id, change, seen).await?;
            Ok(Outcome::Done("webhook_saved"))
        }
    }
}

async fn page(
    call: &Call,
    signed_in: &SignedIn,
    sent: Option<Form>,
    told: Told,
) -> Result<Reply, Problem> {
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.webhook_id());
    let mut query = call.query();
    let shown = query.word("status");
    let list = Page {
        cursor: query.text("cursor"),
        limit: LENGTH,
    };
    query.text("done");
    query.finish()?;
    let webhook = engine.webhook(who, id).await?;
    let found = engine.webhook_deliveries(who, id, shown, &list).await?;
    let about = found.data.iter();
    let about = about.filter_map(|delivery| delivery.experiment_id);
    let about: Vec<Uuid> = about.map(|experiment| experiment.0).collect();
    // Only the form of the settings is filled in with what is there.
    let now = json!(WebhookJson::from(&webhook));
    let form = match sent {
        Some(form) if form.extra("do").is_none_or(|wish| wish == "save") => form,
        Some(form) => form.over(now),
        None => Form::of(now),
    };
    let path = format!("/webhooks/{id}");
    let narrowed = [("status", shown.map(|status| status.to_string()))];
    let frame = Frame::new(call, signed_in, Section::Webhooks, webhook.name());
    let page = OnePage {
        frame: frame.below("Webhooks", "/webhooks"),
        state: state(&webhook),
        names: engine.names(who, &about).await?,
        deliveries: found.data,
        paging: Paging::new(&path, &narrowed, list.cursor.is_some(), found.next_cursor),
        shown,
        told,
        form: &form,
        webhook,
    };
    Ok(html(form.status(), &page))
}

/// How far a delivery has come: for its badge, and in words.
fn progress(delivery: &WebhookDelivery) -> (&'static str, &'static str) {
    match delivery.status {
        WebhookDeliveryStatus::Pending if delivery.attempts == 0 => ("info", "waits"),
        WebhookDeliveryStatus::Pending => ("warn", "is tried again"),
        WebhookDeliveryStatus::Delivered => ("active", "delivered"),
        WebhookDeliveryStatus::Dead => ("bad", "given up"),
    }
}

impl OnePage<'_> {
    fn was(&self, wish: &str) -> bool {
        self.form.extra("do") == Some(wish)
    }

    /// Whether what is wrong is wrong with a button, and not beside a field of the settings.
    fn is_note_above(&self) -> bool {
        !self.was("save") && !self.was("delete") && self.form.note().is_some()
    }

    /// Why it was switched off by itself, and when.
    fn gave_up(&self) -> Option<(&'static str, &OffsetDateTime)> {
        let (why, at) = self.webhook.off.as_ref()?;
        let why = match why {
            WebhookOff::ByHand => return None,
            WebhookOff::Gone => "The receiver answered 410: that it is gone.",
            WebhookOff::Failing => "For five days there was nothing but failures.",
        };
        Some((why, at))
    }

    /// Until when the secret before the last rotation signs as well, if it still does.
    fn previous_ends_at(&self) -> Option<&OffsetDateTime> {
        let ends_at = self.webhook.previous_secret_ends_at.as_ref();
        ends_at.filter(|ends_at| self.frame.is_ahead(ends_at))
    }

    /// The experiment that a delivery is about: its name and where it is.
    fn subject(&self, delivery: &WebhookDelivery) -> Option<(&str, String)> {
        let id = delivery.experiment_id?;
        let name = self.names.get(&id.0)?;
        Some((name, format!("/experiments/{id}")))
    }

    /// The tabs above the deliveries: path, words, whether it is this one.
    fn tabs(&self) -> Vec<(String, &'static str, bool)> {
        let path = format!("/webhooks/{}", self.webhook.id);
        let all = [
            (None, "All"),
            (Some(WebhookDeliveryStatus::Pending), "On their way"),
            (Some(WebhookDeliveryStatus::Delivered), "Delivered"),
            (Some(WebhookDeliveryStatus::Dead), "Given up"),
        ];
        let tab = |(status, words): (Option<WebhookDeliveryStatus>, _)| {
            let path = match status {
                Some(status) => format!("{path}?status={status}"),
                None => path.clone(),
            };
            (path, words, status == self.shown)
        };
        all.map(tab).to_vec()
    }
}
