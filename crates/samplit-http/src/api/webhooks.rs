//! Webhooks: make, list, show, change, delete, rotate, try; and what became of each message.

use hyper::StatusCode;
use samplit_domain::{
    ExperimentId, Violations, Webhook, WebhookDelivery, WebhookDeliveryId, WebhookDeliveryStatus,
    WebhookEvent, WebhookId, WebhookMessageId, WebhookOff,
};
use samplit_engine::{NewWebhook, Once, Page, WebhookChange, WebhookWithSecret};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    fields::Fields,
    idempotency,
    problem::Problem,
    response::{Reply, empty, etag, json, tagged},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(crate) struct WebhookJson<'a> {
    id: WebhookId,
    url: &'a str,
    description: &'a str,
    /// Empty: all.
    events: &'a [WebhookEvent],
    is_enabled: bool,
    disabled_reason: Option<WebhookOff>,
    #[serde(with = "time::serde::rfc3339::option")]
    disabled_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    failing_since: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    last_success_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    previous_secret_ends_at: Option<OffsetDateTime>,
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    /// Only in the answer to what made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> From<&'a Webhook> for WebhookJson<'a> {
    fn from(webhook: &'a Webhook) -> Self {
        let (disabled_reason, disabled_at) = webhook.off.unzip();
        Self {
            id: webhook.id,
            url: &webhook.url,
            description: &webhook.description,
            events: &webhook.events,
            is_enabled: webhook.off.is_none(),
            disabled_reason,
            disabled_at,
            failing_since: webhook.failing_since,
            last_success_at: webhook.last_success_at,
            previous_secret_ends_at: webhook.previous_secret_ends_at,
            version: webhook.version,
            created_at: webhook.created_at,
            updated_at: webhook.updated_at,
            secret: None,
        }
    }
}

impl<'a> From<&'a WebhookWithSecret> for WebhookJson<'a> {
    fn from(made: &'a WebhookWithSecret) -> Self {
        Self {
            secret: Some(&made.secret),
            ..Self::from(&made.webhook)
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(crate) struct DeliveryJson<'a> {
    id: WebhookDeliveryId,
    message_id: WebhookMessageId,
    event: WebhookEvent,
    experiment_id: Option<ExperimentId>,
    status: WebhookDeliveryStatus,
    attempts: u32,
    #[serde(with = "time::serde::rfc3339::option")]
    due_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    attempted_at: Option<OffsetDateTime>,
    answer_status: Option<u16>,
    answer_body: Option<&'a str>,
    error: Option<&'a str>,
    /// As text: the bytes that were signed.
    payload: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl<'a> From<&'a WebhookDelivery> for DeliveryJson<'a> {
    fn from(delivery: &'a WebhookDelivery) -> Self {
        Self {
            id: delivery.id,
            message_id: delivery.message_id,
            event: delivery.event,
            experiment_id: delivery.experiment_id,
            status: delivery.status,
            attempts: delivery.attempts,
            due_at: delivery.due_at,
            attempted_at: delivery.attempted_at,
            answer_status: delivery.answer_status,
            answer_body: delivery.answer_body.as_deref(),
            error: delivery.error.as_deref(),
            payload: &delivery.payload,
            created_at: delivery.created_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PageJson<'a, T> {
    data: Vec<T>,
    next_cursor: Option<&'a str>,
}

/// `POST /v1/webhooks`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let new = read_new(body)?;
    let answer = |made: &WebhookWithSecret| {
        let path = format!("/v1/webhooks/{}", made.webhook.id);
        let tag = etag(made.webhook.version, &[]);
        idempotency::created(path, &tag, &WebhookJson::from(made))
    };
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: true,
    });
    let engine = &call.app.engine;
    let made = engine.create_webhook_once(&who, new, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

/// `GET /v1/webhooks`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.webhooks(&who, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(WebhookJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/webhooks/{webhook_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let webhook = call.app.engine.webhook(&who, call.webhook_id()).await?;
    Ok(one(StatusCode::OK, &WebhookJson::from(&webhook)))
}

/// `PATCH /v1/webhooks/{webhook_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = read_change(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.webhook_id());
    let webhook = engine.update_webhook(&who, id, change, if_version).await?;
    Ok(one(StatusCode::OK, &WebhookJson::from(&webhook)))
}

/// `DELETE /v1/webhooks/{webhook_id}`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let id = call.webhook_id();
    call.app.engine.delete_webhook(&who, id, if_version).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `POST /v1/webhooks/{webhook_id}/rotate`
pub(crate) async fn rotate(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.webhook_id());
    let made = engine.rotate_webhook(&who, id, if_version).await?;
    Ok(one(StatusCode::OK, &WebhookJson::from(&made)))
}

/// `POST /v1/webhooks/{webhook_id}/test`
pub(crate) async fn test(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.webhook_id());
    let delivery = engine.test_webhook(&who, id).await?;
    Ok(json(StatusCode::OK, &DeliveryJson::from(&delivery)))
}

/// `GET /v1/webhooks/{webhook_id}/deliveries`
pub(crate) async fn deliveries(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let status = query.word("status");
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.webhook_id());
    let found = engine.webhook_deliveries(&who, id, status, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(DeliveryJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `POST /v1/webhooks/{webhook_id}/deliveries/{delivery_id}/replay`
pub(crate) async fn replay(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.webhook_id());
    let delivery = engine.replay_webhook(&who, id, call.delivery_id()).await?;
    Ok(json(StatusCode::ACCEPTED, &DeliveryJson::from(&delivery)))
}

/// A webhook with its entity tag.
fn one(status: StatusCode, webhook: &WebhookJson<'_>) -> Reply {
    tagged(json(status, webhook), etag(webhook.version, &[]))
}

pub(crate) fn read_new(body: Json) -> Result<NewWebhook, Problem> {
    let mut violations = Violations::default();
    let new = Fields::read(body, String::new(), &mut violations, |fields| NewWebhook {
        url: fields.required("url"),
        description: fields.optional("description").unwrap_or_default(),
        events: fields.words("events").unwrap_or_default(),
        is_enabled: fields.optional("is_enabled").unwrap_or(true),
    });
    violations.into_result(new).map_err(Problem::invalid)
}

pub(crate) fn read_change(body: Json) -> Result<WebhookChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| {
        WebhookChange {
            url: fields.optional("url"),
            description: fields.optional("description"),
            events: fields.words("events"),
            is_enabled: fields.optional("is_enabled"),
        }
    });
    violations.into_result(change).map_err(Problem::invalid)
}
