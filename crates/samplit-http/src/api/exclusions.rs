//! Exclusion rules: make, list, show, change, delete; and the visits that they kept out.

use hyper::StatusCode;
use samplit_domain::{
    ExcludedSessionId, ExclusionId, ExclusionKind, ExclusionRule, ExperimentId, Violations,
};
use samplit_engine::{ExcludedSession, NewExclusion, Once, Page};
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
#[schema(as = ExclusionRule)]
pub(crate) struct RuleJson<'a> {
    id: ExclusionId,
    experiment_id: Option<ExperimentId>,
    kind: ExclusionKind,
    value: &'a str,
    is_active: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    version: i64,
}

impl<'a> From<&'a ExclusionRule> for RuleJson<'a> {
    fn from(rule: &'a ExclusionRule) -> Self {
        Self {
            id: rule.id,
            experiment_id: rule.experiment_id,
            kind: rule.kind,
            value: &rule.value,
            is_active: rule.is_active,
            created_at: rule.created_at,
            version: rule.version,
        }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct PageJson<'a, T> {
    pub(crate) data: Vec<T>,
    pub(crate) next_cursor: Option<&'a str>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExcludedSession)]
pub(crate) struct ExcludedJson<'a> {
    id: ExcludedSessionId,
    session_id: Option<&'a str>,
    visitor_id: Option<&'a str>,
    reason: &'a str,
    rule_id: Option<ExclusionId>,
    #[serde(with = "time::serde::rfc3339")]
    excluded_at: OffsetDateTime,
}

impl<'a> From<&'a ExcludedSession> for ExcludedJson<'a> {
    fn from(visit: &'a ExcludedSession) -> Self {
        Self {
            id: visit.id,
            session_id: visit.session.as_deref(),
            visitor_id: visit.visitor.as_deref(),
            reason: &visit.reason,
            rule_id: visit.rule_id,
            excluded_at: visit.excluded_at,
        }
    }
}

/// `POST /v1/exclusions`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let new = read_new(body)?;
    let answer = |made: &ExclusionRule| {
        let path = format!("/v1/exclusions/{}", made.id);
        idempotency::created(path, &etag(made.version, &[]), &RuleJson::from(made))
    };
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: false,
    });
    let engine = &call.app.engine;
    let made = engine.create_exclusion_once(&who, new, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

/// `GET /v1/exclusions`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let page = read_page(&call)?;
    let found = call.app.engine.exclusions(&who, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(RuleJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/exclusions/{exclusion_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let id = call.exclusion_id();
    let rule = call.app.engine.exclusion(&who, id).await?;
    Ok(call.unless_known(one(&rule)))
}

/// `PATCH /v1/exclusions/{exclusion_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let (value, is_active) = read_change(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.exclusion_id());
    let rule = engine.update_exclusion(&who, id, value, is_active, if_version);
    Ok(one(&rule.await?))
}

/// A rule with its entity tag.
fn one(rule: &ExclusionRule) -> Reply {
    let reply = json(StatusCode::OK, &RuleJson::from(rule));
    tagged(reply, etag(rule.version, &[]))
}

/// `DELETE /v1/exclusions/{exclusion_id}`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let id = call.exclusion_id();
    call.app.engine.delete_exclusion(&who, id).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GET /v1/experiments/{id}/excluded-sessions`
pub(crate) async fn excluded(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let page = read_page(&call)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let found = engine.excluded_sessions(&who, id, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(ExcludedJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

pub(crate) fn read_page(call: &Call) -> Result<Page, Problem> {
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    Ok(page)
}

pub(crate) fn read_new(body: Json) -> Result<NewExclusion, Problem> {
    let mut violations = Violations::default();
    let new = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.require("kind");
        let kind: Option<ExclusionKind> = fields.word("kind");
        NewExclusion {
            experiment_id: fields.word("experiment_id"),
            // Whatever it is: without a kind nothing is made.
            kind: kind.unwrap_or(ExclusionKind::Visitor),
            value: fields.required("value"),
            is_active: fields.optional("is_active").unwrap_or(true),
        }
    });
    violations.into_result(new).map_err(Problem::invalid)
}

pub(crate) fn read_change(body: Json) -> Result<(Option<String>, Option<bool>), Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| {
        (fields.optional("value"), fields.optional("is_active"))
    });
    violations.into_result(change).map_err(Problem::invalid)
}
