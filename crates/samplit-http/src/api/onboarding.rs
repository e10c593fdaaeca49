//! `/v1/onboarding`: the first steps of an account.

use hyper::StatusCode;
use samplit_domain::{Onboarding, OnboardingStep};
use serde::Serialize;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Onboarding)]
pub(crate) struct OnboardingJson {
    /// The step to be done next, or `complete`.
    step: OnboardingStep,
    /// All of them, in their order.
    steps: Vec<StepJson>,
    #[serde(with = "time::serde::rfc3339::option")]
    completed_at: Option<OffsetDateTime>,
    /// When the checklist was put away.
    #[serde(with = "time::serde::rfc3339::option")]
    dismissed_at: Option<OffsetDateTime>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OnboardingDone)]
pub(crate) struct StepJson {
    step: OnboardingStep,
    #[serde(with = "time::serde::rfc3339::option")]
    done_at: Option<OffsetDateTime>,
}

impl From<&Onboarding> for OnboardingJson {
    fn from(of: &Onboarding) -> Self {
        let step = |&step: &OnboardingStep| StepJson {
            step,
            done_at: of.done.get(&step).copied(),
        };
        Self {
            step: of.step(),
            steps: OnboardingStep::ALL.iter().map(step).collect(),
            completed_at: of.completed_at,
            dismissed_at: of.dismissed_at,
        }
    }
}

/// `GET /v1/onboarding`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.query().finish()?;
    let of = call.app.engine.onboarding(&who).await?;
    Ok(json(StatusCode::OK, &OnboardingJson::from(&of)))
}

/// `POST /v1/onboarding/dismiss` and `POST /v1/onboarding/reopen`
pub(crate) async fn dismiss(mut call: Call, is_dismissed: bool) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let engine = &call.app.engine;
    let of = engine.dismiss_onboarding(&who, is_dismissed).await?;
    Ok(json(StatusCode::OK, &OnboardingJson::from(&of)))
}
