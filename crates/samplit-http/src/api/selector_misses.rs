//! Elements that pages did not have when their variant was to be shown.

use hyper::StatusCode;
use samplit_domain::ElementId;
use samplit_engine::SelectorMiss;
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

#[derive(Serialize)]
struct MissesJson<'a> {
    data: Vec<MissJson<'a>>,
}

#[derive(Serialize)]
struct MissJson<'a> {
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

/// `GET /v1/experiments/{id}/selector-misses`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let misses = engine.selector_misses(&who, id).await?;
    let data = misses.iter().map(MissJson::from).collect();
    Ok(json(StatusCode::OK, &MissesJson { data }))
}
