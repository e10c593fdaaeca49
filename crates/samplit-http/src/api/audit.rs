//! The audit trail: its entries, and its verification here.

use hyper::StatusCode;
use samplit_domain::EntryId;
use samplit_engine::TrailEntry;
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = TrailEntries)]
pub(crate) struct EntriesJson<'a> {
    data: Vec<EntryJson<'a>>,
    /// What to give as `after` for the next page; absent at the end of the trail.
    next_after: Option<u64>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = TrailEntry)]
pub(crate) struct EntryJson<'a> {
    id: EntryId,
    sequence_number: u64,
    decision_type: &'a str,
    decision_data: &'a Json,
    previous_hash: &'a str,
    current_hash: &'a str,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
}

impl<'a> From<&'a TrailEntry> for EntryJson<'a> {
    fn from(entry: &'a TrailEntry) -> Self {
        Self {
            id: entry.id,
            sequence_number: entry.sequence_number,
            decision_type: entry.decision_type.as_str(),
            decision_data: &entry.decision_data,
            previous_hash: &entry.previous_hash,
            current_hash: &entry.current_hash,
            created_at: entry.created_at,
        }
    }
}

/// `GET /v1/experiments/{id}/audit/entries?after=&limit=`
pub(crate) async fn entries(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let after = query.number("after", 0..=i64::MAX.unsigned_abs(), 0);
    let limit = query.page_length();
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let entries = engine.trail(&who, id, after, limit).await?;
    let last = entries.last().filter(|_| entries.len() == limit);
    let body = EntriesJson {
        data: entries.iter().map(EntryJson::from).collect(),
        next_after: last.map(|entry| entry.sequence_number),
    };
    Ok(json(StatusCode::OK, &body))
}

/// What a verification came to.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictJson<R, F> {
    sound: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<R>,
    /// The first thing that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<F>,
}

/// `GET /v1/experiments/{id}/audit/verify`
pub(crate) async fn verify(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let verdict = call.app.engine.verify(&who, call.experiment_id()).await?;
    let sound = verdict.is_ok();
    let (report, failure) = match verdict {
        Ok(report) => (Some(report), None),
        Err(failure) => (None, Some(failure)),
    };
    let body = VerdictJson {
        sound,
        report,
        failure,
    };
    Ok(json(StatusCode::OK, &body))
}
