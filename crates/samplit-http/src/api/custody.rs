//! What an owner does to trails: seal them, reveal their draw keys, redact in them, go on with them after
//! a restore, and erase visitors.

use hyper::StatusCode;
use samplit_domain::Violations;
use samplit_engine::VerifyingKey;
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use super::experiments::one;
use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    response::{Reply, json},
};

/// `POST /v1/experiments/{id}/audit/seal`
pub(crate) async fn seal(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let close_window = read_seal(call.optional_json().await?)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let sealed = engine.seal(&who, id, close_window).await?;
    Ok(one(StatusCode::OK, &sealed))
}

#[derive(Serialize, ToSchema)]
#[schema(as = DrawKey)]
pub(crate) struct DrawKeyJson {
    draw_key_hex: String,
}

/// `GET /v1/experiments/{id}/audit/draw-key`
pub(crate) async fn draw_key(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let key = engine.draw_key(&who, id).await?;
    let digits = key.expose().iter().map(|byte| format!("{byte:02x}"));
    let draw_key_hex = digits.collect();
    Ok(json(StatusCode::OK, &DrawKeyJson { draw_key_hex }))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Redacted)]
pub(crate) struct RedactedJson {
    sequence_number: u64,
    /// The entry that says so.
    redaction: u64,
}

/// `POST /v1/experiments/{id}/audit/redactions`
pub(crate) async fn redact(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (sequence_number, reason) = read_redaction(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let redaction = engine.redact(&who, id, sequence_number, &reason).await?;
    let body = RedactedJson {
        sequence_number,
        redaction,
    };
    Ok(json(StatusCode::CREATED, &body))
}

/// `POST /v1/experiments/{id}/audit/acknowledge-restore`
pub(crate) async fn acknowledge_restore(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (reason, accepted) = read_acknowledgement(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let done = engine
        .acknowledge_restore(&who, id, &reason, &accepted)
        .await?;
    let body = AcknowledgedJson {
        incarnation: done.incarnation,
        given_up: done.given_up,
    };
    Ok(json(StatusCode::OK, &body))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Acknowledged)]
pub(crate) struct AcknowledgedJson {
    incarnation: u32,
    given_up: usize,
}

#[derive(Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(crate) struct ErasureJson {
    experiments: usize,
    rows: usize,
}

/// `DELETE /v1/visitors/{visitor}`
pub(crate) async fn erase(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let erased = call.app.engine.erase_visitor(&who, call.visitor()).await?;
    let body = ErasureJson {
        experiments: erased.experiments,
        rows: erased.rows,
    };
    Ok(json(StatusCode::OK, &body))
}

/// Whether conversions are no longer waited for.
pub(crate) fn read_seal(body: Json) -> Result<bool, Problem> {
    read(body, |fields| {
        fields.optional("close_window").unwrap_or(false)
    })
}

/// Which entry, and why.
pub(crate) fn read_redaction(body: Json) -> Result<(u64, String), Problem> {
    read(body, |fields| {
        let sequence_number: u64 = fields.required("sequence_number");
        (sequence_number, fields.required::<String>("reason"))
    })
}

/// Why, and the keys whose signatures are good, too.
pub(crate) fn read_acknowledgement(body: Json) -> Result<(String, Vec<VerifyingKey>), Problem> {
    read(body, |fields| {
        let reason: String = fields.required("reason");
        let keys: Vec<Json> = fields.optional("accept_keys").unwrap_or_default();
        let mut accepted = Vec::new();
        for key in &keys {
            match key.as_str().map(str::parse::<VerifyingKey>) {
                Some(Ok(key)) => accepted.push(key),
                _ => fields.refuse("accept_keys", "malformed", "must hold verifier keys"),
            }
        }
        (reason, accepted)
    })
}

/// Reads a body that has no other fields than those that `fields` takes.
fn read<T>(body: Json, fields: impl FnOnce(&mut Fields<'_>) -> T) -> Result<T, Problem> {
    let mut violations = Violations::default();
    let value = Fields::read(body, String::new(), &mut violations, fields);
    violations.into_result(value).map_err(Problem::invalid)
}
