//! What convinces somebody who does not trust this server: checkpoints, proofs, receipts, bundles, and
//! the keys they are signed with.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use hyper::{
    StatusCode,
    header::{CONTENT_DISPOSITION, HeaderName, HeaderValue},
};
use samplit_domain::Violations;
use samplit_engine::{BundleRange, StoredCheckpoint};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content, json, stream},
};

/// How many entries an answer covers.
const SAMPLIT_SIZE: HeaderName = HeaderName::from_static("samplit-size");

/// 1, and one more for every restore of the trail.
const SAMPLIT_INCARNATION: HeaderName = HeaderName::from_static("samplit-incarnation");

/// The largest sequence number or size that can be.
const MAX_SIZE: u64 = i64::MAX.unsigned_abs();

/// `GET /v1/experiments/{id}/audit/checkpoint`
pub(crate) async fn checkpoint(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    Ok(note(&engine.checkpoint(&who, id).await?))
}

/// `POST /v1/experiments/{id}/audit/checkpoint`
pub(crate) async fn sign(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    Ok(note(&engine.sign_checkpoint(&who, id).await?))
}

/// A checkpoint as it was signed, byte for byte.
fn note(checkpoint: &StoredCheckpoint) -> Reply {
    let mut reply = content("text/plain; charset=utf-8", checkpoint.note.clone());
    let headers = reply.headers_mut();
    headers.insert(SAMPLIT_SIZE, checkpoint.size.into());
    headers.insert(SAMPLIT_INCARNATION, checkpoint.incarnation.into());
    reply
}

/// `GET /v1/experiments/{id}/audit/proof/inclusion?sequence=&size=`
pub(crate) async fn inclusion(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    query.require("sequence");
    let sequence = query.number("sequence", 1..=MAX_SIZE, 1);
    let size = query.optional_number("size", 1..=MAX_SIZE);
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let proof = engine.inclusion_proof(&who, id, sequence, size).await;
    let proof = proof.map_err(|error| Problem::from(error).in_query())?;
    Ok(json(StatusCode::OK, &proof))
}

/// `GET /v1/experiments/{id}/audit/proof/consistency?first=&second=`
pub(crate) async fn consistency(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    query.require("first");
    let first = query.number("first", 1..=MAX_SIZE, 1);
    let second = query.optional_number("second", 1..=MAX_SIZE);
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let proof = engine.consistency_proof(&who, id, first, second).await;
    let proof = proof.map_err(|error| Problem::from(error).in_query())?;
    Ok(json(StatusCode::OK, &proof))
}

/// `GET /v1/experiments/{id}/audit/receipt?visitor=`
pub(crate) async fn receipt(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let visitor = query.text("visitor").unwrap_or_default();
    query.finish()?;
    let mut violations = Violations::default();
    violations.visitor("?visitor", &visitor);
    violations.into_result(()).map_err(Problem::invalid)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let receipt = engine.receipt(&who, id, &visitor).await?;
    Ok(content("application/json", receipt))
}

/// `GET /v1/experiments/{id}/audit/bundle?after=&size=`
pub(crate) async fn bundle(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let range = BundleRange {
        after: query.number("after", 0..=MAX_SIZE, 0),
        size: query.optional_number("size", 1..=MAX_SIZE),
    };
    query.finish()?;
    let id = call.experiment_id();
    let slot = call.app.export_slot(&who)?;
    let bundle = call.app.engine.bundle(&who, id, range).await;
    let bundle = bundle.map_err(|error| Problem::from(error).in_query())?;
    let lines = bundle.lines.map_ok(move |line| {
        // Until the last line has left.
        let _ = &slot;
        Bytes::from(line)
    });
    let mut reply = stream("application/x-ndjson", lines).await?;
    let name = HeaderValue::try_from(format!("attachment; filename=\"{id}.ndjson\""));
    let name = name.expect("a UUID is legal in a header");
    let headers = reply.headers_mut();
    headers.insert(CONTENT_DISPOSITION, name);
    headers.insert(SAMPLIT_SIZE, bundle.size.into());
    Ok(reply)
}

#[derive(Serialize, ToSchema)]
#[schema(as = VerifierKeys)]
pub(crate) struct KeysJson {
    data: Vec<String>,
}

/// `GET /v1/audit/keys`, for everybody: who has no key of this API may verify, too.
pub(crate) fn keys(call: &Call) -> Result<Reply, Problem> {
    call.query().finish()?;
    let keys = call.app.engine.verifying_keys();
    let data = keys.iter().map(ToString::to_string).collect();
    Ok(json(StatusCode::OK, &KeysJson { data }))
}
