//! What an experiment has shown so far, now, as of an earlier snapshot, or whenever it changes.

use bytes::Bytes;
use hyper::StatusCode;
use samplit_domain::{ExperimentId, Status, VariantId};
use samplit_engine::{
    ArmEvidence, ArmResults, Effect, ElementResults, LiftResults, LiveResults, Results,
    SampleRatioEvidence, StoppingCondition, ValueResults,
};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::registration::KeptToJson;
use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
    shared::Shape,
    sse,
};

/// `GET /v1/experiments/{id}/results?as_of=`
pub(crate) async fn results(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let as_of = query.optional_number("as_of", 1..=i64::MAX.unsigned_abs());
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let results = engine.results_as_of(&who, id, as_of).await?;
    Ok(json(StatusCode::OK, &ResultsJson::from(&results)))
}

/// `GET /v1/experiments/{id}/results/stream`
pub(crate) async fn results_stream(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let watch = engine.watch_results(&who, id).await?;
    sse::events(call, &who, watch, |app, results| {
        Box::pin(async move { app.shared.event(Shape::Json, results, event).await })
    })
    .await
}

fn event(live: &LiveResults) -> Bytes {
    let data = serde_json::to_string(&ResultsJson::from(&live.results))
        .expect("the answers have string keys only");
    sse::event("results", live.results.snapshot_seq, &data)
}

#[derive(Serialize, ToSchema)]
#[schema(as = Results)]
pub(crate) struct ResultsJson<'a> {
    experiment_id: ExperimentId,
    name: &'a str,
    status: Status,
    visitors: u64,
    conversions: u64,
    snapshot_seq: u64,
    #[serde(with = "time::serde::rfc3339")]
    as_of: OffsetDateTime,
    method: &'a str,
    registration: KeptToJson<'a>,
    elements: Vec<ElementJson<'a>>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ElementResults)]
pub(crate) struct ElementJson<'a> {
    name: &'a str,
    arms: Vec<ArmJson<'a>>,
    sample_ratio: Option<&'a SampleRatioEvidence>,
    stopping: StoppingJson<'a>,
    effects: &'a [Effect],
}

#[derive(Serialize, ToSchema)]
#[schema(as = StoppingResults)]
pub(crate) struct StoppingJson<'a> {
    leader: LeaderJson<'a>,
    may_stop: bool,
    missing: &'a [String],
    days: f64,
    conditions: &'a [StoppingCondition],
}

#[derive(Serialize, ToSchema)]
#[schema(as = Leader)]
pub(crate) struct LeaderJson<'a> {
    name: &'a str,
    position: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ArmResults)]
pub(crate) struct ArmJson<'a> {
    name: &'a str,
    variants: &'a [VariantId],
    is_control: bool,
    is_active: bool,
    assignments: u64,
    exposures: u64,
    conversions: u64,
    rate: Option<f64>,
    value_sum: f64,
    posterior_mean: f64,
    posterior_sd: f64,
    credible_interval: [f64; 2],
    p_best: f64,
    expected_loss: f64,
    p_beats_control: Option<f64>,
    lift: Option<LiftResults>,
    expected_gain_per_1000: Option<f64>,
    value: Option<ValueResults>,
    evidence: ArmEvidence,
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
            registration: KeptToJson::from(&results.registration),
            elements: results.elements.iter().map(ElementJson::from).collect(),
        }
    }
}

impl<'a> From<&'a ElementResults> for ElementJson<'a> {
    fn from(element: &'a ElementResults) -> Self {
        let stopping = &element.stopping;
        Self {
            name: &element.name,
            arms: element.arms.iter().map(ArmJson::from).collect(),
            sample_ratio: element.sample_ratio.as_ref(),
            stopping: StoppingJson {
                leader: LeaderJson {
                    name: &element.arms[stopping.leader].name,
                    position: stopping.leader,
                },
                may_stop: stopping.may_stop,
                missing: &stopping.missing,
                days: stopping.days,
                conditions: &stopping.conditions,
            },
            effects: &element.effects,
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
            exposures: arm.exposures,
            conversions: arm.conversions,
            rate: arm.rate,
            value_sum: arm.value_sum,
            posterior_mean: arm.posterior_mean,
            posterior_sd: arm.posterior_sd,
            credible_interval: arm.credible_interval,
            p_best: arm.p_best,
            expected_loss: arm.expected_loss,
            p_beats_control: arm.p_beats_control,
            lift: arm.lift,
            expected_gain_per_1000: arm.expected_gain_per_1000,
            value: arm.value,
            evidence: arm.evidence,
            weight: arm.weight,
        }
    }
}
