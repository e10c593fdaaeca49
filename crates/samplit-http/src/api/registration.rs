//! What was registered before the first visitor came, and whether it was kept to.

use hyper::StatusCode;
use samplit_engine::{Deviation, Hash, RegistrationReport};
use serde::Serialize;
use serde_json::Value as Json;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

/// What results say about it.
#[derive(Serialize, ToSchema)]
#[schema(as = KeptTo)]
pub(crate) struct KeptToJson<'a> {
    status: &'static str,
    sha256: Option<Hash>,
    deviations: &'a [Deviation],
}

impl<'a> From<&'a RegistrationReport> for KeptToJson<'a> {
    fn from(report: &'a RegistrationReport) -> Self {
        Self {
            status: report.as_str(),
            sha256: report.sha256,
            deviations: &report.deviations,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = Registration)]
pub(crate) struct RegistrationJson<'a> {
    #[serde(flatten)]
    kept_to: KeptToJson<'a>,
    registered: Option<&'a Json>,
}

/// `GET /v1/experiments/{id}/registration`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let report = engine.registration(&who, id).await?;
    let body = RegistrationJson {
        kept_to: KeptToJson::from(&report),
        registered: report.registered.as_ref(),
    };
    Ok(json(StatusCode::OK, &body))
}
