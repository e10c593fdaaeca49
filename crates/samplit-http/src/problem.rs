//! What a refused request is answered with: RFC 9457 `application/problem+json`.

use std::error::Error as _;

use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{
        ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
    },
};
use samplit_domain::{Violation, Violations};
use samplit_engine::{Error, ErrorKind, TokenError};

use crate::response::{Reply, full};

/// Nobody looks at a trail sooner than that.
const HOLD_SECONDS: u64 = 60;

/// A refusal on its way to the client.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    /// Stable, for programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) detail: String,
    /// Every bad field.
    pub(crate) errors: Vec<Violation>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// The problem as it is written.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub(crate) struct Document<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Violation],
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// The same problem, answered with one header more.
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<HeaderValue>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 400: the body is no JSON; `error` knows the line and column.
    pub(crate) fn malformed_json(error: &serde_json::Error) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "malformed_json",
            format!("the body is not valid JSON: {error}"),
        )
    }

    /// 400: the connection broke, or the body's framing is wrong.
    pub(crate) fn incomplete_body() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "incomplete_body",
            "the body ended before its announced end",
        )
    }

    /// 400: what this server is called, neither its settings nor the request says.
    pub(crate) fn unknown_host() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "unknown_host",
            "the header Host does not name this server",
        )
    }

    /// 401.
    pub(crate) fn unauthenticated() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthenticated",
            "send a valid API key as `Authorization: Bearer sk_...`, or sign in",
        )
        .with(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"samplit\""),
        )
    }

    /// 403: the page is of none of the origins of the installation, or says none.
    pub(crate) fn origin_not_allowed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            "the installation does not allow the origin of this page",
        )
    }

    /// 403: a browser sends its cookie along with something that no page of ours asked for.
    pub(crate) fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "whoever is signed in may change something from a page of this server only",
        )
    }

    /// 404: no such path, or no such `noun`.
    pub(crate) fn not_found(noun: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("there is no such {noun}"),
        )
    }

    /// 405: the path exists, for other methods.
    pub(crate) fn method_not_allowed(allow: HeaderValue) -> Self {
        let detail = format!(
            "this path answers {} only",
            allow.to_str().unwrap_or_default()
        );
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).with(ALLOW, allow)
    }

    /// 408: the body did not arrive in time. The connection is of no use afterwards.
    pub(crate) fn body_timeout() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "the body did not arrive in time",
        )
        .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 412: `If-Match` holds something that is no tag of ours, so nothing can match it.
    pub(crate) fn unknown_etag() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "version_mismatch",
            "If-Match holds no ETag of this API; they look like \"v1\"",
        )
    }

    /// 503: too much is being done already.
    pub(crate) fn overloaded() -> Self {
        Self::unavailable("overloaded", "too many requests are waiting", 1)
    }

    /// 413.
    pub(crate) fn body_too_large(limit: usize) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the body may have at most {limit} bytes"),
        )
        .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// 415.
    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send JSON, with `Content-Type: application/json`",
        )
    }

    /// 415, where a page sends what was typed.
    pub(crate) fn not_a_form() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "unsupported_media_type",
            "send a form, with `Content-Type: application/x-www-form-urlencoded`",
        )
    }

    /// 422: fields break rules.
    pub(crate) fn invalid(violations: Violations) -> Self {
        Self {
            errors: violations.0,
            ..Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid",
                "some fields break a rule, see `errors`",
            )
        }
    }

    /// 429.
    pub(crate) fn rate_limited(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "too many requests; wait as long as Retry-After says",
        )
        .with(RETRY_AFTER, seconds)
    }

    /// 500: a fault of ours, without a cause that could be told.
    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "something went wrong here; the request id finds it in the log",
        )
    }

    /// 503: `retry_after` seconds from now it may work.
    pub(crate) fn unavailable(code: &'static str, detail: &str, retry_after: u64) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).with(RETRY_AFTER, retry_after)
    }

    /// In how many seconds the client may try again, if it was told.
    pub(crate) fn retry_after(&self) -> Option<&str> {
        let mut headers = self.headers.iter();
        let (_, seconds) = headers.find(|(name, _)| *name == RETRY_AFTER)?;
        seconds.to_str().ok()
    }

    /// The same problem inside a larger body: its pointers begin with `prefix`.
    pub(crate) fn below(mut self, prefix: &str) -> Self {
        for error in &mut self.errors {
            error.pointer.insert_str(0, prefix);
        }
        self
    }

    /// The same problem where fields come from the query: `/name` becomes `?name`.
    pub(crate) fn in_query(mut self) -> Self {
        for error in &mut self.errors {
            let name = error.pointer.trim_start_matches(['?', '/']);
            error.pointer = format!("?{name}");
        }
        self
    }

    pub(crate) fn document<'a>(&'a self, request_id: &'a str) -> Document<'a> {
        Document {
            r#type: format!("urn:samplit:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            request_id,
            errors: &self.errors,
        }
    }

    pub(crate) fn into_reply(self, request_id: &str) -> Reply {
        let body = serde_json::to_vec(&self.document(request_id))
            .expect("strings and numbers can always be written as JSON");
        self.said_by("application/problem+json", body)
    }

    /// The same refusal in the words of another protocol: status and headers stay.
    pub(crate) fn said_by(mut self, content_type: &'static str, body: Vec<u8>) -> Reply {
        let mut reply = Response::new(full(Bytes::from(body)));
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.extend(self.headers.drain(..));
        reply
    }
}

/// The one place where the engine's refusals become statuses.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let conflict = |code, detail| Self::new(StatusCode::CONFLICT, code, detail);
        match error.kind() {
            ErrorKind::Invalid(violations) => Self::invalid(violations.clone()),
            ErrorKind::NotFound(noun) => Self::not_found(noun),
            ErrorKind::NotAssigned => Self::new(
                StatusCode::NOT_FOUND,
                "not_assigned",
                "this visitor has no assignment in this experiment",
            ),
            ErrorKind::NotRunning(status) => conflict(
                "experiment_not_running",
                format!("the experiment is {status}"),
            ),
            ErrorKind::IllegalTransition(refusal) => {
                conflict("illegal_transition", refusal.to_string())
            }
            ErrorKind::Conflict { code, detail } => conflict(code, detail.clone()),
            ErrorKind::IdempotencyKeyReused => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency_key_reused",
                "this Idempotency-Key named another request within the last day; use a new key",
            ),
            ErrorKind::VersionMismatch { current } => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "version_mismatch",
                format!("somebody changed it meanwhile: the current ETag is \"v{current}\""),
            ),
            ErrorKind::WindowClosed => conflict(
                "attribution_window_closed",
                "the experiment was completed too long ago for this conversion".to_owned(),
            ),
            ErrorKind::OnHold { reason } => Self::unavailable(
                "trail_on_hold",
                &format!("nothing is written to this trail until its owner looks at it: {reason}"),
                HOLD_SECONDS,
            ),
            ErrorKind::DirectoryUnavailable => {
                tracing::error!(error = ?error, "nothing can be signed");
                Self::unavailable(
                    "checkpoint_directory",
                    "the server cannot use its directory of exported checkpoints; nothing was signed",
                    HOLD_SECONDS,
                )
            }
            ErrorKind::Unauthenticated => Self::unauthenticated(),
            ErrorKind::WrongCredentials => Self::new(
                StatusCode::UNAUTHORIZED,
                "wrong_credentials",
                "the email or the password is wrong",
            ),
            ErrorKind::Throttled { retry_in } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "sign_in_throttled",
                "too many passwords were tried; wait as long as Retry-After says",
            )
            .with(RETRY_AFTER, retry_in.as_secs() + 1),
            ErrorKind::TooManyTokens { retry_in } => Self::new(
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "too many tokens that open nothing came from this address; wait as long as Retry-After says",
            )
            .with(RETRY_AFTER, retry_in.as_secs() + 1),
            ErrorKind::LinkOver => Self::new(
                StatusCode::GONE,
                "link_over",
                "the link was used, is too old, or never was; ask for a new one",
            ),
            ErrorKind::AdminOnly => Self::new(
                StatusCode::FORBIDDEN,
                "admin_only",
                "only admins may do this",
            ),
            ErrorKind::SessionOnly => Self::new(
                StatusCode::FORBIDDEN,
                "session_only",
                "only somebody who is signed in may do this: a key gives no access to people",
            ),
            ErrorKind::BadSignature => Self::new(
                StatusCode::UNAUTHORIZED,
                "bad_signature",
                "the signature is missing, wrong or too old",
            ),
            ErrorKind::ShopFailed => {
                tracing::warn!(error = chain(&error), "a shop failed");
                Self::new(
                    StatusCode::BAD_GATEWAY,
                    "shop_failed",
                    "the shop did not do what was asked of it; the log says why",
                )
            }
            ErrorKind::UnknownInstallation => Self::new(
                StatusCode::UNAUTHORIZED,
                "unknown_installation",
                "the token of the installation is unknown, over or turned off",
            ),
            ErrorKind::Token(refusal) => {
                let code = match refusal {
                    TokenError::NotOurs => "unknown_token",
                    TokenError::Expired => "token_expired",
                };
                Self::new(StatusCode::UNAUTHORIZED, code, refusal.to_string())
            }
            ErrorKind::Forbidden(scope) => Self::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                format!("this API key lacks the scope `{}`", scope.as_str()),
            ),
            ErrorKind::Overloaded => {
                // A full queue is the client's affair; a database that gave up is ours too.
                if error.source().is_some() {
                    tracing::warn!(error = chain(&error), "request refused");
                }
                Self::overloaded()
            }
            ErrorKind::Unavailable { retry_in } => {
                tracing::error!(error = chain(&error), "request failed");
                let seconds = retry_in.as_secs().max(1);
                Self::unavailable(
                    "database_unavailable",
                    "the database cannot be reached",
                    seconds,
                )
            }
            ErrorKind::OutcomeUnknown => {
                tracing::error!(error = chain(&error), "request failed");
                Self::unavailable(
                    "outcome_unknown",
                    "the connection to the database was lost; send the request again to find out",
                    1,
                )
            }
            ErrorKind::Internal => {
                tracing::error!(error = chain(&error), "request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "something went wrong here; the request id finds it in the log",
                )
            }
        }
    }
}

/// An error with its whole chain of causes, for the log: once, where it is handled.
fn chain(error: &Error) -> String {
    let mut chain = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push_str(": ");
        chain.push_str(&cause.to_string());
        source = cause.source();
    }
    chain
}

#[cfg(test)]
mod tests {
    use hyper::{StatusCode, header::RETRY_AFTER};
    use samplit_domain::Violations;
    use serde_json::json;

    use super::Problem;

    #[test]
    fn the_document_has_the_members_of_rfc_9457_and_ours() {
        let mut violations = Violations::default();
        violations.add("/visitor_id", "required", "is missing");
        let problem = Problem::invalid(violations).below("/requests/3");
        assert_eq!(
            serde_json::to_value(problem.document("r1")).unwrap(),
            json!({
                "type": "urn:samplit:problem:invalid",
                "title": "Unprocessable Entity",
                "status": 422,
                "detail": "some fields break a rule, see `errors`",
                "code": "invalid",
                "request_id": "r1",
                "errors": [
                    {"pointer": "/requests/3/visitor_id", "code": "required", "detail": "is missing"}
                ],
            })
        );
    }

    #[test]
    fn headers_that_the_status_needs_are_sent() {
        let reply = Problem::overloaded().into_reply("r1");
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reply.headers()[RETRY_AFTER], "1");
        assert_eq!(reply.headers()["content-type"], "application/problem+json");
        let reply = Problem::unauthenticated().into_reply("r1");
        assert_eq!(
            reply.headers()["www-authenticate"],
            "Bearer realm=\"samplit\""
        );
    }

    #[test]
    fn malformed_json_names_the_position() {
        let error = serde_json::from_str::<serde_json::Value>("{\n \"a\": }").unwrap_err();
        let detail = Problem::malformed_json(&error).detail;
        assert!(detail.ends_with("at line 2 column 7"), "{detail}");
    }
}
