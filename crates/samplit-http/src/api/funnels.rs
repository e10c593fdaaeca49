//! Funnels: make, list, show, check, change, copy, and move through their lifecycle.

use hyper::StatusCode;
use samplit_domain::{
    DEFAULT_FUNNEL_HOURS, Funnel, FunnelCanvas, FunnelCondition, FunnelEdge, FunnelFault, FunnelId,
    FunnelNode, FunnelNodeId, FunnelNodeType, FunnelStatus, FunnelStep, FunnelTransition,
    GoalTrigger, Viewport, Violations,
};
use samplit_engine::{FunnelChange, FunnelSummary, NewFunnel, Once, Page};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use super::draft::trigger;
use crate::{
    call::Call,
    fields::Fields,
    idempotency,
    problem::Problem,
    response::{Reply, etag, json, tagged},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Funnel)]
pub(crate) struct FunnelJson<'a> {
    id: FunnelId,
    name: &'a str,
    description: Option<&'a str>,
    status: FunnelStatus,
    window_hours: i32,
    version: i64,
    viewport: Viewport,
    nodes: &'a [FunnelNode],
    edges: &'a [FunnelEdge],
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    activated_at: Option<OffsetDateTime>,
}

impl<'a> From<&'a Funnel> for FunnelJson<'a> {
    fn from(funnel: &'a Funnel) -> Self {
        Self {
            id: funnel.id,
            name: &funnel.name,
            description: funnel.description.as_deref(),
            status: funnel.status,
            window_hours: funnel.window_hours,
            version: funnel.version,
            viewport: funnel.canvas.viewport,
            nodes: &funnel.canvas.nodes,
            edges: &funnel.canvas.edges,
            created_at: funnel.created_at,
            updated_at: funnel.updated_at,
            activated_at: funnel.activated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FunnelSummary)]
pub(crate) struct SummaryJson<'a> {
    id: FunnelId,
    name: &'a str,
    description: Option<&'a str>,
    status: FunnelStatus,
    window_hours: i32,
    /// How many nodes it has.
    nodes: i64,
    /// How many edges it has.
    edges: i64,
    version: i64,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    activated_at: Option<OffsetDateTime>,
}

impl<'a> From<&'a FunnelSummary> for SummaryJson<'a> {
    fn from(funnel: &'a FunnelSummary) -> Self {
        Self {
            id: funnel.id,
            name: &funnel.name,
            description: funnel.description.as_deref(),
            status: funnel.status,
            window_hours: funnel.window_hours,
            nodes: funnel.nodes,
            edges: funnel.edges,
            version: funnel.version,
            created_at: funnel.created_at,
            updated_at: funnel.updated_at,
            activated_at: funnel.activated_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = FunnelPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<SummaryJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// What keeps a funnel from being activated; nothing: it can be.
#[derive(Serialize, ToSchema)]
#[schema(as = FunnelCheck)]
pub(crate) struct CheckJson {
    data: Vec<FunnelFault>,
}

/// `POST /v1/funnels`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let engine = &call.app.engine;
    let new = read_new(body, &|| engine.new_id())?;
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &made,
        is_secret: false,
    });
    let funnel = engine.create_funnel_once(&who, new, once.as_ref());
    Ok(idempotency::reply(funnel.await?, made))
}

/// `GET /v1/funnels`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let status = query.word("status");
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.funnels(&who, status, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(SummaryJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/funnels/{funnel_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let funnel = call.app.engine.funnel(&who, call.funnel_id()).await?;
    Ok(call.unless_known(one(&funnel)))
}

/// `PATCH /v1/funnels/{funnel_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let body = call.json().await?;
    let (engine, id) = (&call.app.engine, call.funnel_id());
    let change = read_change(body, &|| engine.new_id())?;
    let funnel = engine.update_funnel(&who, id, change, if_version).await?;
    Ok(one(&funnel))
}

/// `GET /v1/funnels/{funnel_id}/check`
pub(crate) async fn check(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let data = call.app.engine.check_funnel(&who, call.funnel_id()).await?;
    Ok(json(StatusCode::OK, &CheckJson { data }))
}

/// `POST /v1/funnels/{funnel_id}/{activate|pause|resume|archive}`
pub(crate) async fn transition(
    mut call: Call,
    transition: FunnelTransition,
) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.funnel_id());
    let funnel = engine.move_funnel(&who, id, transition, if_version).await?;
    Ok(one(&funnel))
}

/// `POST /v1/funnels/{funnel_id}/duplicate`
pub(crate) async fn duplicate(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let key = call.no_fields_once().await?;
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &made,
        is_secret: false,
    });
    let (engine, id) = (&call.app.engine, call.funnel_id());
    let copy = engine.duplicate_funnel_once(&who, id, once.as_ref());
    Ok(idempotency::reply(copy.await?, made))
}

/// The answer that a funnel was made.
fn made(funnel: &Funnel) -> samplit_engine::Answer {
    let path = format!("/v1/funnels/{}", funnel.id);
    idempotency::created(path, &etag(funnel.version, &[]), &FunnelJson::from(funnel))
}

/// A funnel with its entity tag.
fn one(funnel: &Funnel) -> Reply {
    let reply = json(StatusCode::OK, &FunnelJson::from(funnel));
    tagged(reply, etag(funnel.version, &[]))
}

/// Reads a new funnel; `new_id` makes the ids that the body leaves out.
pub(crate) fn read_new(body: Json, new_id: &dyn Fn() -> Uuid) -> Result<NewFunnel, Problem> {
    let mut violations = Violations::default();
    let new = Fields::read(body, String::new(), &mut violations, |fields| NewFunnel {
        name: fields.required("name"),
        description: fields.optional("description"),
        window_hours: hours(fields, "window_hours").unwrap_or(DEFAULT_FUNNEL_HOURS),
        canvas: FunnelCanvas {
            nodes: nodes(fields, new_id).unwrap_or_default(),
            edges: edges(fields, new_id).unwrap_or_default(),
            viewport: fields.object("viewport", viewport).unwrap_or_default(),
        },
    });
    violations.into_result(new).map_err(Problem::invalid)
}

/// Reads a change; `new_id` makes the ids that the body leaves out.
pub(crate) fn read_change(body: Json, new_id: &dyn Fn() -> Uuid) -> Result<FunnelChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| {
        FunnelChange {
            name: fields.optional("name"),
            description: fields.patch("description"),
            window_hours: hours(fields, "window_hours"),
            viewport: fields.object("viewport", viewport),
            nodes: nodes(fields, new_id),
            edges: edges(fields, new_id),
        }
    });
    violations.into_result(change).map_err(Problem::invalid)
}

/// A number of hours. Whether a funnel may wait that long, the engine says.
fn hours(fields: &mut Fields<'_>, name: &str) -> Option<i32> {
    let hours: u64 = fields.optional(name)?;
    Some(i32::try_from(hours).unwrap_or(i32::MAX))
}

fn viewport(fields: &mut Fields<'_>) -> Viewport {
    let base = Viewport::default();
    Viewport {
        x: fields.optional("x").unwrap_or(base.x),
        y: fields.optional("y").unwrap_or(base.y),
        zoom: fields.optional("zoom").unwrap_or(base.zoom),
    }
}

fn nodes(fields: &mut Fields<'_>, new_id: &dyn Fn() -> Uuid) -> Option<Vec<FunnelNode>> {
    fields.list("nodes", |fields| node(fields, new_id))
}

fn node(fields: &mut Fields<'_>, new_id: &dyn Fn() -> Uuid) -> FunnelNode {
    fields.require("type");
    let kind = fields.word("type");
    let step = fields.object("config", |fields| config(fields, kind));
    FunnelNode {
        id: fields.word("id").unwrap_or_else(|| new_id().into()),
        step: step.unwrap_or_else(|| Config::default().of(kind)),
        name: fields.optional("name").unwrap_or_default(),
        x: fields.optional("x").unwrap_or_default(),
        y: fields.optional("y").unwrap_or_default(),
        experiment_id: fields.word("experiment_id"),
    }
}

/// What the config of a node may hold, whatever its type.
#[derive(Default)]
struct Config {
    url: Option<String>,
    trigger: Option<GoalTrigger>,
    hours: Option<i32>,
}

impl Config {
    /// Without a type nothing is stored, whatever it is.
    fn of(self, kind: Option<FunnelNodeType>) -> FunnelStep {
        let Self {
            url,
            trigger,
            hours,
        } = self;
        match kind {
            Some(FunnelNodeType::Page) => FunnelStep::Page { url },
            Some(FunnelNodeType::Action) => FunnelStep::Action { trigger },
            Some(FunnelNodeType::Wait) => FunnelStep::Wait { hours },
            Some(FunnelNodeType::Conversion) => FunnelStep::Conversion { trigger },
            Some(FunnelNodeType::Decision) | None => FunnelStep::Decision {},
        }
    }
}

/// Reads a config. A field that the type does not have is as unknown as any.
fn config(fields: &mut Fields<'_>, kind: Option<FunnelNodeType>) -> FunnelStep {
    for (name, kinds) in [
        ("url", &[FunnelNodeType::Page][..]),
        (
            "trigger",
            &[FunnelNodeType::Action, FunnelNodeType::Conversion],
        ),
        ("hours", &[FunnelNodeType::Wait]),
    ] {
        if let Some(kind) = kind.filter(|kind| !kinds.contains(kind))
            && fields.is_given(name)
        {
            let detail = format!("is not a field of a node of type `{kind}`");
            fields.refuse(name, "unknown_field", detail);
        }
    }
    let config = Config {
        url: fields.optional("url"),
        trigger: fields.object("trigger", trigger).flatten(),
        hours: hours(fields, "hours"),
    };
    config.of(kind)
}

fn edges(fields: &mut Fields<'_>, new_id: &dyn Fn() -> Uuid) -> Option<Vec<FunnelEdge>> {
    fields.list("edges", |fields| edge(fields, new_id))
}

fn edge(fields: &mut Fields<'_>, new_id: &dyn Fn() -> Uuid) -> FunnelEdge {
    let mut end = |name| {
        fields.require(name);
        // Whatever it is: without both ends nothing is stored.
        fields.word(name).unwrap_or(FunnelNodeId(Uuid::nil()))
    };
    let (source, target) = (end("source"), end("target"));
    FunnelEdge {
        id: fields.word("id").unwrap_or_else(|| new_id().into()),
        source,
        target,
        condition: fields
            .object("condition", condition)
            .unwrap_or(FunnelCondition::Always),
    }
}

fn condition(fields: &mut Fields<'_>) -> FunnelCondition {
    let kind: String = fields.required("type");
    match kind.as_str() {
        "variant" => FunnelCondition::Variant {
            experiment_id: fields.word("experiment_id"),
            variant_id: fields.word("variant_id"),
        },
        "segment" => FunnelCondition::Segment {
            key: fields.required("key"),
            value: fields.required("value"),
        },
        "event" => FunnelCondition::Event {
            name: fields.required("name"),
        },
        "always" | "" => FunnelCondition::Always,
        _ => {
            let detail = format!("`{kind}` is not one of {}", FunnelCondition::TYPES);
            fields.refuse("type", "unknown_value", detail);
            FunnelCondition::Always
        }
    }
}
