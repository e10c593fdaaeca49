//! What an experiment has learned: results, and the weights over time.

use hyper::StatusCode;
use samplit_domain::{ExperimentId, Status, VariantId};
use samplit_engine::{ArmResults, ElementResults, Results, TimelinePoint};
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    call::Call,
    chart,
    problem::Problem,
    response::{Reply, content, json},
};

/// `GET /v1/experiments/{id}/results`
pub(crate) async fn results(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let results = call.app.engine.results(&who, call.experiment_id()).await?;
    Ok(json(StatusCode::OK, &ResultsJson::from(&results)))
}

/// `GET /v1/experiments/{id}/timeline`
pub(crate) async fn timeline(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let points = call.app.engine.timeline(&who, call.experiment_id()).await?;
    let data = points.iter().map(PointJson::from).collect();
    Ok(json(StatusCode::OK, &TimelineJson { data }))
}

/// `GET /v1/experiments/{id}/weights.svg?element=0`
pub(crate) async fn weights_svg(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let element = usize::try_from(query.number("element", 0..=99, 0)).unwrap_or_default();
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let points = engine.timeline(&who, id).await?;
    let draws = points.first().map_or(0, |point| point.weights_ppb.len());
    if element >= draws {
        return Err(Problem::not_found("element"));
    }
    let until = engine.results(&who, id).await?.as_of;
    let drawn = tokio::task::spawn_blocking(move || chart::weights_svg(&points, element, until));
    let svg = drawn.await.expect("drawing does not panic");
    Ok(content("image/svg+xml", svg))
}

#[derive(Serialize)]
struct ResultsJson<'a> {
    experiment_id: ExperimentId,
    name: &'a str,
    status: Status,
    visitors: u64,
    conversions: u64,
    snapshot_seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
    method: &'a str,
    elements: Vec<ElementJson<'a>>,
}

#[derive(Serialize)]
struct ElementJson<'a> {
    name: &'a str,
    arms: Vec<ArmJson<'a>>,
}

#[derive(Serialize)]
struct ArmJson<'a> {
    name: &'a str,
    variants: &'a [VariantId],
    is_control: bool,
    is_active: bool,
    assignments: u64,
    conversions: u64,
    rate: Option<f64>,
    value_sum: f64,
    posterior_mean: f64,
    credible_interval: [f64; 2],
    p_best: f64,
    expected_loss: f64,
    weight: f64,
}

impl<'a> From<&'a Results> for ResultsJson<'a> {
    fn from(results: &'a Results) -> Self {
        Self {
            experiment_id: results.experiment.id,
            name: &results.experiment.name,
            status: results.experiment.status,
            visitors: results.visitors,
            conversions: results.conversions,
            snapshot_seq: results.snapshot_seq,
            as_of: results.as_of,
            method: results.method,
            elements: results.elements.iter().map(ElementJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ElementResults> for ElementJson<'a> {
    fn from(element: &'a ElementResults) -> Self {
        Self {
            name: &element.name,
            arms: element.arms.iter().map(ArmJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ArmResults> for ArmJson<'a> {
    fn from(arm: &'a ArmResults) -> Self {
        Self {
            name: &arm.name,
            variants: &arm.variants,
            is_control: arm.is_control,
            is_active: arm.is_active,
            assignments: arm.assignments,
            conversions: arm.conversions,
            rate: arm.rate,
            value_sum: arm.value_sum,
            posterior_mean: arm.posterior_mean,
            credible_interval: arm.credible_interval,
            p_best: arm.p_best,
            expected_loss: arm.expected_loss,
            weight: arm.weight,
        }
    }
}

#[derive(Serialize)]
struct TimelineJson<'a> {
    data: Vec<PointJson<'a>>,
}

#[derive(Serialize)]
struct PointJson<'a> {
    snapshot_seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    at: OffsetDateTime,
    method: &'a str,
    weights_ppb: &'a [Vec<u32>],
}

impl<'a> From<&'a TimelinePoint> for PointJson<'a> {
    fn from(point: &'a TimelinePoint) -> Self {
        Self {
            snapshot_seq: point.snapshot_seq,
            at: point.at,
            method: point.method,
            weights_ppb: &point.weights_ppb,
        }
    }
}
