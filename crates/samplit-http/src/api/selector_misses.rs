//! Elements that pages did not have when their variant was to be shown.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hyper::StatusCode;
use samplit_domain::ElementId;
use samplit_engine::SelectorMiss;
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Misses)]
pub(crate) struct MissesJson<'a> {
    data: Vec<MissJson<'a>>,
    next_cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Miss)]
pub(crate) struct MissJson<'a> {
    element_id: ElementId,
    page: &'a str,
    misses: i64,
    #[serde(with = "time::serde::rfc3339")]
    first_seen_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
}

impl<'a> From<&'a SelectorMiss> for MissJson<'a> {
    fn from(miss: &'a SelectorMiss) -> Self {
        Self {
            element_id: miss.element_id,
            page: &miss.page,
            misses: miss.misses,
            first_seen_at: miss.first_seen_at,
            last_seen_at: miss.last_seen_at,
        }
    }
}

/// Names a miss; no element is missed twice on one page.
fn cursor(miss: &SelectorMiss) -> String {
    URL_SAFE_NO_PAD.encode(format!("{} {}", miss.element_id, miss.page))
}

/// `GET /v1/experiments/{id}/selector-misses?cursor=&limit=`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let (after, limit) = (query.text("cursor"), query.page_length());
    let (engine, id) = (&call.app.engine, call.experiment_id());
    // They are a thousand at most, and none ever goes away.
    let misses = engine.selector_misses(&who, id).await?;
    let begin = after.as_ref().map_or(Some(0), |after| {
        let last = misses.iter().position(|miss| cursor(miss) == *after);
        last.map(|last| last + 1)
    });
    if begin.is_none() {
        query.refuse("cursor", "malformed", "is not a cursor of this list");
    }
    query.finish()?;
    let rest = misses.get(begin.unwrap_or(0)..).unwrap_or_default();
    let page = rest.get(..limit).unwrap_or(rest);
    let last = page.last().filter(|_| rest.len() > page.len());
    let page = MissesJson {
        data: page.iter().map(MissJson::from).collect(),
        next_cursor: last.map(cursor),
    };
    Ok(json(StatusCode::OK, &page))
}
