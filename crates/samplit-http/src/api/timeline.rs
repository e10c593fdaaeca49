//! The course of an experiment: weights and evidence, snapshot by snapshot, and as a picture.

use hyper::StatusCode;
use samplit_engine::{Clock as _, SystemClock, TimelineArm, TimelinePoint};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    chart::{self, Size},
    problem::Problem,
    response::{Reply, content, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Timeline)]
pub(crate) struct TimelineJson<'a> {
    data: Vec<PointJson<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TimelinePoint)]
pub(crate) struct PointJson<'a> {
    snapshot_seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    method: &'a str,
    weights_ppb: &'a [Vec<u32>],
    /// Per element and arm, where evidence was asked for.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    arms: &'a [Vec<TimelineArm>],
}

impl<'a> From<&'a TimelinePoint> for PointJson<'a> {
    fn from(point: &'a TimelinePoint) -> Self {
        Self {
            snapshot_seq: point.snapshot_seq,
            at: point.at,
            method: point.method,
            weights_ppb: &point.weights_ppb,
            arms: &point.arms,
        }
    }
}

/// `GET /v1/experiments/{id}/timeline?evidence=false`
pub(crate) async fn timeline(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let with_evidence = query.word("evidence").unwrap_or(false);
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let points = if with_evidence {
        engine.evidence_timeline(&who, id).await?
    } else {
        engine.timeline(&who, id).await?
    };
    let data = points.iter().map(PointJson::from).collect();
    Ok(json(StatusCode::OK, &TimelineJson { data }))
}

/// `GET /v1/experiments/{id}/weights.svg?element=0`
pub(crate) async fn weights_svg(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let element = query.element();
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let points = engine.timeline(&who, id).await?;
    let draws = points.first().map_or(0, |point| point.weights_ppb.len());
    if element >= draws {
        return Err(Problem::not_found("element"));
    }
    let until = SystemClock.now();
    let drawn = tokio::task::spawn_blocking(move || {
        chart::weights_svg(&points, element, until, Size::Alone)
    });
    let svg = drawn.await.expect("drawing does not panic");
    Ok(content("image/svg+xml", svg))
}
