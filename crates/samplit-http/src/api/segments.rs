//! Questions asked afterwards: by a key of the context, and by what was shown together.

use hyper::StatusCode;
use samplit_engine::{Combination, Segment};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

/// Stands above every list of segments, so that nobody reads it without.
const WARNING: &str = "Segments are chosen after the fact and there are many of them, so about one \
                       in twenty looks special at 95 % by chance alone: take what you see here as \
                       an idea for the next experiment, not as a result of this one. The intervals of \
                       lift are wide enough for all comparisons of this answer together, and stand only \
                       where an arm and control have 100 visitors each and 5 conversions together.";

#[derive(Serialize, ToSchema)]
#[schema(as = Segments)]
pub(crate) struct SegmentsJson<'a> {
    warning: &'static str,
    key: &'a str,
    /// Comparisons with control, of all segments and draws.
    comparisons: usize,
    data: &'a [Segment],
}

/// `GET /v1/experiments/{id}/segments?key=`
pub(crate) async fn segments(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    query.require("key");
    let key = query.text("key").unwrap_or_default();
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let segments = engine.segments(&who, id, &key).await?;
    let body = SegmentsJson {
        warning: WARNING,
        key: &key,
        comparisons: segments.comparisons,
        data: &segments.data,
    };
    Ok(json(StatusCode::OK, &body))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Combinations)]
pub(crate) struct CombinationsJson {
    data: Vec<Combination>,
}

/// `GET /v1/experiments/{id}/combinations`
pub(crate) async fn combinations(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let data = engine.combinations(&who, id).await?;
    Ok(json(StatusCode::OK, &CombinationsJson { data }))
}
