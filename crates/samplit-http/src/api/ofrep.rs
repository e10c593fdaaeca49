//! The OpenFeature Remote Evaluation Protocol (OFREP): experiments as feature flags.
//!
//! What is answered, refusals too, has the shapes of the protocol, which is why they are made here.

use hyper::{
    StatusCode,
    header::{ETAG, HeaderValue},
};
use samplit_domain::{Assign, Element, Variant};
use samplit_engine::{Assigned, NotRecorded};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use crate::{
    call::{Call, parse},
    meter::count_refusal,
    problem::Problem,
    response::{Reply, content, content_tag, empty, json},
};

/// Who the context is of.
const TARGETING_KEY: &str = "targetingKey";

/// What in a context says that nothing is to be stored.
const READ_ONLY: &str = "samplit_read_only";

/// Why there is no value, by the list of OpenFeature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = FlagErrorCode)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum ErrorCode {
    FlagNotFound,
    ParseError,
    TargetingKeyMissing,
    InvalidContext,
    General,
}

/// A refusal on its way into the words of the protocol.
#[derive(Debug)]
struct Refusal {
    code: ErrorCode,
    problem: Problem,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FlagFailure)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    error_code: ErrorCode,
    error_details: &'a str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = FlagEvaluation)]
pub(crate) struct Evaluation<'a> {
    key: &'a str,
    reason: &'static str,
    variant: String,
    /// Absent: the default that stands in the code of the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Json>,
    metadata: Map<String, Json>,
}

#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Flag<'a> {
    Evaluated(Evaluation<'a>),
    Failed(Failure<'a>),
}

#[derive(Serialize, ToSchema)]
#[schema(as = Flags)]
pub(crate) struct Bulk<'a> {
    flags: Vec<Flag<'a>>,
}

/// What is asked: of whom, and whether that may be stored.
struct Asked {
    request: Assign,
    is_read_only: bool,
}

/// `POST /ofrep/v1/evaluate/flags/{key}`
pub(crate) async fn evaluate(mut call: Call) -> Result<Reply, Problem> {
    let outcome = evaluate_flag(&mut call).await;
    Ok(outcome.unwrap_or_else(|refusal| refusal.into_reply(Some(call.flag()))))
}

async fn evaluate_flag(call: &mut Call) -> Result<Reply, Refusal> {
    let who = call.principal_of_flags().await?;
    let Asked {
        request,
        is_read_only,
    } = read(call).await?;
    let (engine, key) = (&call.app.engine, call.flag());
    let assigned = engine.evaluate(&who, key, &request, is_read_only).await;
    let assigned = assigned.map_err(Problem::from)?;
    Ok(json(StatusCode::OK, &Evaluation::new(key, &assigned)))
}

/// `POST /ofrep/v1/evaluate/flags`
pub(crate) async fn evaluate_all(mut call: Call) -> Result<Reply, Problem> {
    let outcome = evaluate_flags(&mut call).await;
    Ok(outcome.unwrap_or_else(|refusal| refusal.into_reply(None)))
}

async fn evaluate_flags(call: &mut Call) -> Result<Reply, Refusal> {
    let who = call.principal_of_flags().await?;
    let Asked {
        request,
        is_read_only,
    } = read(call).await?;
    let engine = &call.app.engine;
    let evaluated = engine.evaluate_all(&who, &request, is_read_only).await;
    let mut flags = Vec::new();
    let mut failed = Vec::new();
    for (key, assigned) in evaluated.map_err(Problem::from)? {
        match assigned {
            Ok(assigned) => flags.push((key, assigned)),
            Err(error) => failed.push((key, Refusal::from(Problem::from(error)))),
        }
    }
    let evaluated = flags
        .iter()
        .map(|(key, assigned)| Flag::Evaluated(Evaluation::new(key, assigned)));
    let failed = failed
        .iter()
        .map(|(key, refusal)| Flag::Failed(refusal.failure(Some(key))));
    let bulk = Bulk {
        flags: evaluated.chain(failed).collect(),
    };
    let body = serde_json::to_vec(&bulk).expect("strings and numbers can be written as JSON");
    let tag = content_tag(&body);
    let mut reply = if call.knows(&tag) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        content("application/json", body)
    };
    let tag = HeaderValue::try_from(tag).expect("base64 in quotes is legal in a header");
    reply.headers_mut().insert(ETAG, tag);
    Ok(reply)
}

/// Reads the body: what in it is not of the protocol is passed over, as newer versions may say more.
async fn read(call: &mut Call) -> Result<Asked, Refusal> {
    let body = parse(&call.json_bytes().await?)?;
    let Json::Object(mut body) = body else {
        return Err(Refusal::bad(
            ErrorCode::ParseError,
            "the body must be an object",
        ));
    };
    let mut context = match body.remove("context") {
        None | Some(Json::Null) => Map::new(),
        Some(Json::Object(context)) => context,
        Some(_) => {
            let detail = "`context` must be an object";
            return Err(Refusal::bad(ErrorCode::InvalidContext, detail));
        }
    };
    let visitor = match context.remove(TARGETING_KEY) {
        Some(Json::String(visitor)) if !visitor.is_empty() => visitor,
        None | Some(Json::Null | Json::String(_)) => {
            let detail = "`targetingKey` is missing: whom is the flag for?";
            return Err(Refusal::bad(ErrorCode::TargetingKeyMissing, detail));
        }
        Some(_) => {
            let detail = "`targetingKey` must be a string";
            return Err(Refusal::bad(ErrorCode::InvalidContext, detail));
        }
    };
    let wants_read_only = match context.remove(READ_ONLY) {
        None | Some(Json::Null) => false,
        Some(Json::Bool(wanted)) => wanted,
        Some(_) => {
            let detail = format!("`{READ_ONLY}` must be true or false");
            return Err(Refusal::bad(ErrorCode::InvalidContext, detail));
        }
    };
    Ok(Asked {
        request: Assign {
            visitor,
            session: None,
            context,
        },
        is_read_only: wants_read_only || call.app.config.ofrep_read_only,
    })
}

impl Refusal {
    fn bad(code: ErrorCode, detail: impl Into<String>) -> Self {
        let problem = Problem::new(StatusCode::BAD_REQUEST, "invalid", detail);
        Self { code, problem }
    }

    fn failure<'a>(&'a self, key: Option<&'a str>) -> Failure<'a> {
        Failure {
            key,
            error_code: self.code,
            error_details: &self.problem.detail,
        }
    }

    fn into_reply(self, key: Option<&str>) -> Reply {
        count_refusal(self.problem.code);
        let body = serde_json::to_vec(&self.failure(key));
        let body = body.expect("strings can always be written as JSON");
        self.problem.said_by("application/json", body)
    }
}

/// The one place where our refusals become those of the protocol.
impl From<Problem> for Refusal {
    fn from(mut problem: Problem) -> Self {
        let (code, status) = match problem.status {
            // A flag is what has been started and not been put away.
            StatusCode::NOT_FOUND | StatusCode::CONFLICT => {
                (ErrorCode::FlagNotFound, StatusCode::NOT_FOUND)
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                (ErrorCode::InvalidContext, StatusCode::BAD_REQUEST)
            }
            StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                (ErrorCode::ParseError, StatusCode::BAD_REQUEST)
            }
            status => (ErrorCode::General, status),
        };
        problem.status = status;
        for error in &problem.errors {
            problem
                .detail
                .push_str(&format!("; {} {}", error.pointer, error.detail));
        }
        Self { code, problem }
    }
}

impl<'a> Evaluation<'a> {
    fn new(key: &'a str, assigned: &Assigned) -> Self {
        let experiment = &*assigned.experiment;
        let shown: Vec<(&Element, &Variant)> = experiment
            .elements
            .iter()
            .zip(assigned.variants.iter())
            .filter_map(|(element, shown)| {
                let mut variants = element.variants.iter();
                let variant = variants.find(|variant| variant.id == *shown)?;
                Some((element, variant))
            })
            .collect();
        let names: Vec<&str> = shown
            .iter()
            .map(|(_, variant)| variant.name.as_str())
            .collect();
        let value = match shown.as_slice() {
            [(_, variant)] => variant.content.clone(),
            several => several
                .iter()
                .map(|(element, variant)| (element.name.clone(), variant.content.clone()))
                .collect::<Map<_, _>>()
                .into(),
        };
        Self {
            key,
            reason: reason(assigned.reason),
            variant: names.join(", "),
            value: Some(value).filter(|value| !value.is_null()),
            metadata: metadata(assigned),
        }
    }
}

/// Why it is this value. The list of the protocol has no word for most of what keeps a visitor out:
/// the metadata says it.
const fn reason(not_recorded: Option<NotRecorded>) -> &'static str {
    match not_recorded {
        None => "SPLIT",
        Some(NotRecorded::Paused) => "DISABLED",
        Some(NotRecorded::Degraded) => "UNKNOWN",
        Some(_) => "STATIC",
    }
}

fn metadata(assigned: &Assigned) -> Map<String, Json> {
    let mut metadata = Map::new();
    let mut say = |name: &str, value: Json| metadata.insert(name.to_owned(), value);
    say("experiment_id", assigned.experiment_id.to_string().into());
    say("experiment_name", assigned.experiment.name.clone().into());
    say("in_experiment", assigned.in_experiment.into());
    if let Some(reason) = assigned.reason {
        say("not_recorded", reason.as_str().into());
    }
    if let Some(id) = assigned.assignment_id {
        say("assignment_id", id.to_string().into());
    }
    metadata
}
