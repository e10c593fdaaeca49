//! `assign` and `convert`, one by one and in batches.

use futures_util::future::join_all;
use hyper::StatusCode;
use samplit_domain::{Assign, AssignmentId, Convert, ElementId, ExperimentId, VariantId};
use samplit_engine::{Assigned, Converted, NotRecorded};
use serde::{Serialize, Serializer, ser::SerializeSeq as _};
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::visit::{read_batch, read_one};
use crate::{
    call::Call,
    problem::{Document, Problem},
    response::{Reply, json},
};

/// `POST /v1/experiments/{id}/assign`
pub(crate) async fn assign(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal_of_visits().await?;
    let request: Assign = read_one(&call.json_bytes().await?)?;
    let visitor = request.visitor.clone();
    let engine = &call.app.engine;
    let assigned = engine.assign(&who, call.experiment_id(), request).await?;
    Ok(json(StatusCode::OK, &AssignReply::new(&visitor, &assigned)))
}

/// `POST /v1/experiments/{id}/convert`
pub(crate) async fn convert(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal_of_visits().await?;
    let request: Convert = read_one(&call.json_bytes().await?)?;
    let engine = &call.app.engine;
    let converted = engine.convert(&who, call.experiment_id(), request).await?;
    Ok(json(StatusCode::OK, &ConvertReply::from(&converted)))
}

/// `POST /v1/experiments/{id}/assign/batch`
pub(crate) async fn assign_batch(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal_of_visits().await?;
    let requests = read_batch::<Assign>(&call.json_bytes().await?)?;
    let visitors: Vec<String> = requests
        .iter()
        .map(|request| {
            request
                .as_ref()
                .map_or_else(|_| String::new(), |r| r.visitor.clone())
        })
        .collect();
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let outcomes = all(requests, |request| engine.assign(&who, id, request)).await;
    let results = visitors
        .iter()
        .zip(&outcomes)
        .map(|(visitor, outcome)| match outcome {
            Ok(assigned) => Item::done(AssignReply::new(visitor, assigned)),
            Err(problem) => Item::Refused(problem.document(call.request_id.as_str())),
        });
    Ok(batch(results.collect()))
}

/// `POST /v1/experiments/{id}/convert/batch`
pub(crate) async fn convert_batch(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal_of_visits().await?;
    let requests = read_batch::<Convert>(&call.json_bytes().await?)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let outcomes = all(requests, |request| engine.convert(&who, id, request)).await;
    let results = outcomes.iter().map(|outcome| match outcome {
        Ok(converted) => Item::done(ConvertReply::from(converted)),
        Err(problem) => Item::Refused(problem.document(call.request_id.as_str())),
    });
    Ok(batch(results.collect()))
}

/// Asks the engine for all at once: its writer puts them into as few transactions as it can.
async fn all<V, T, F>(
    requests: Vec<Result<V, Problem>>,
    ask: impl Fn(V) -> F,
) -> Vec<Result<T, Problem>>
where
    F: Future<Output = Result<T, samplit_engine::Error>>,
{
    let ask = &ask;
    let answers = requests
        .into_iter()
        .enumerate()
        .map(|(index, request)| async move {
            let outcome = match request {
                Ok(request) => ask(request).await.map_err(Problem::from),
                Err(problem) => Err(problem),
            };
            outcome.map_err(|problem| problem.below(&format!("/requests/{index}")))
        });
    join_all(answers).await
}

/// One result of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum Item<'a, T> {
    Done {
        status: u16,
        #[serde(flatten)]
        body: T,
    },
    Refused(Document<'a>),
}

impl<T> Item<'_, T> {
    const fn done(body: T) -> Self {
        Self::Done { status: 200, body }
    }
}

#[derive(Serialize, ToSchema)]
pub(crate) struct BatchReply<'a, T> {
    results: Vec<Item<'a, T>>,
}

fn batch<T: Serialize>(results: Vec<Item<'_, T>>) -> Reply {
    json(StatusCode::OK, &BatchReply { results })
}

#[derive(Serialize, ToSchema)]
#[schema(as = Assigned)]
pub(crate) struct AssignReply<'a> {
    experiment_id: ExperimentId,
    visitor_id: &'a str,
    in_experiment: bool,
    is_new: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    degraded: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignment_id: Option<AssignmentId>,
    #[serde(
        with = "time::serde::rfc3339::option",
        skip_serializing_if = "Option::is_none"
    )]
    assigned_at: Option<OffsetDateTime>,
    #[serde(serialize_with = "variants")]
    #[schema(value_type = Vec<VariantReply<'a>>)]
    variants: &'a Assigned,
}

impl<'a> AssignReply<'a> {
    fn new(visitor_id: &'a str, assigned: &'a Assigned) -> Self {
        Self {
            experiment_id: assigned.experiment_id,
            visitor_id,
            in_experiment: assigned.in_experiment,
            is_new: assigned.is_new,
            reason: assigned.reason.map(NotRecorded::as_str),
            degraded: assigned.reason == Some(NotRecorded::Degraded),
            assignment_id: assigned.assignment_id,
            assigned_at: assigned.assigned_at,
            variants: assigned,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = ShownVariant)]
pub(crate) struct VariantReply<'a> {
    element_id: ElementId,
    element: &'a str,
    variant_id: VariantId,
    variant: &'a str,
    content: &'a Json,
}

/// Writes the variants with their names and contents, without collecting them first.
fn variants<S: Serializer>(assigned: &&Assigned, serializer: S) -> Result<S::Ok, S::Error> {
    let elements = &assigned.experiment.elements;
    let mut seq = serializer.serialize_seq(None)?;
    for (element, chosen) in elements.iter().zip(assigned.variants.iter()) {
        let Some(variant) = element
            .variants
            .iter()
            .find(|variant| variant.id == *chosen)
        else {
            continue;
        };
        seq.serialize_element(&VariantReply {
            element_id: element.id,
            element: &element.name,
            variant_id: variant.id,
            variant: &variant.name,
            content: &variant.content,
        })?;
    }
    seq.end()
}

#[derive(Serialize, ToSchema)]
#[schema(as = Converted)]
pub(crate) struct ConvertReply {
    assignment_id: AssignmentId,
    #[serde(with = "time::serde::rfc3339")]
    converted_at: OffsetDateTime,
    value: f64,
    duplicate: bool,
}

impl From<&Converted> for ConvertReply {
    fn from(converted: &Converted) -> Self {
        Self {
            assignment_id: converted.assignment_id,
            converted_at: converted.converted_at,
            value: converted.value,
            duplicate: converted.duplicate,
        }
    }
}
