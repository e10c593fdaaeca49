//! Cross-origin requests: which pages may read an answer (Fetch standard, CORS protocol).

use hyper::{
    HeaderMap, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS,
        ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS,
        ACCESS_CONTROL_MAX_AGE, HeaderName, HeaderValue, ORIGIN, VARY,
    },
};
use samplit_domain::{Installation, Origin};

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content},
};

/// How long a browser may remember what a preflight was answered, in seconds; none does for longer.
const PREFLIGHT_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// What a page may read of an answer beside its body.
const EXPOSED: HeaderValue = HeaderValue::from_static("Retry-After, X-Request-Id");

/// The cross-origin headers of an answer, as they come to be known while it is made.
#[derive(Debug)]
pub(crate) struct Cors {
    /// As the browser wrote it.
    given: Option<HeaderValue>,
    origin: Option<Origin>,
    /// Whether it is known for which installation the page speaks.
    is_known: bool,
    is_allowed: bool,
    /// Whether cookies go along.
    with_credentials: bool,
}

impl Cors {
    pub(crate) fn of(call: &Call) -> Self {
        let given = call.head.headers.get(ORIGIN).cloned();
        let origin = given
            .as_ref()
            .and_then(|given| given.to_str().ok()?.parse().ok());
        Self {
            given,
            origin,
            is_known: false,
            is_allowed: false,
            with_credentials: false,
        }
    }

    /// Lets the page read the answer, if `installation` allows its origin; with cookies, where the
    /// server is on its site. Says whether that is so.
    ///
    /// # Errors
    /// 403 `origin_not_allowed`.
    pub(crate) fn admit(
        &mut self,
        call: &Call,
        installation: &Installation,
    ) -> Result<Admitted, Problem> {
        self.is_known = true;
        let origin = self.origin.as_ref();
        let origin = origin.filter(|origin| installation.allows(origin));
        let origin = origin.ok_or_else(Problem::origin_not_allowed)?;
        self.is_allowed = true;
        self.with_credentials = call.is_same_site(origin, Some(installation));
        Ok(Admitted {
            is_same_site: self.with_credentials,
            is_secure: origin.is_secure(),
            is_of_domain: installation.is_of_domain(origin),
        })
    }

    /// The answer with what allows the page to read it, or not.
    ///
    /// A refusal from before an installation was found (its token is unknown, the body cannot be read) any
    /// page may read, but none that sent cookies along. Such a refusal follows from the body alone, which
    /// the page wrote itself; whoever runs the page sees what is wrong with it.
    pub(crate) fn complete(self, outcome: Result<Reply, Problem>) -> Result<Reply, Problem> {
        let is_for_anybody = outcome.is_err() && !self.is_known && self.given.is_some();
        let mut headers = self.headers();
        if is_for_anybody {
            let anybody = HeaderValue::from_static("*");
            headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, anybody));
            headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED));
        }
        match outcome {
            Ok(mut reply) => {
                reply.headers_mut().extend(headers);
                Ok(reply)
            }
            Err(problem) => Err(headers
                .into_iter()
                .fold(problem, |problem, (name, value)| problem.with(name, value))),
        }
    }

    fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        // Whatever is answered depends on it, so that no cache gives one page's answer to another.
        let mut headers = vec![(VARY, HeaderValue::from_static("Origin"))];
        if let Some(given) = self.given.filter(|_| self.is_allowed) {
            headers.push((ACCESS_CONTROL_ALLOW_ORIGIN, given));
            headers.push((ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED));
            if self.with_credentials {
                let yes = HeaderValue::from_static("true");
                headers.push((ACCESS_CONTROL_ALLOW_CREDENTIALS, yes));
            }
        }
        headers
    }
}

/// A page that may read the answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    /// Whether the server is on the page's site.
    pub(crate) is_same_site: bool,
    /// Whether the page came over TLS.
    pub(crate) is_secure: bool,
    /// Whether it is one of the installation's own domain, and not of another origin that it allows.
    pub(crate) is_of_domain: bool,
}

/// Answers a preflight for `methods` and the headers `names`: any page may ask, and learns from the
/// answer to its question whether it was heard. Which installation it speaks for, a preflight does not
/// say; so cookies are allowed only where the names of page and server alone show that they are one
/// site.
pub(crate) fn preflight(call: &Call, methods: &'static str, names: &'static str) -> Reply {
    let mut cors = Cors::of(call);
    if let Some(origin) = &cors.origin {
        cors.is_allowed = true;
        cors.with_credentials = call.is_same_site(origin, None);
    }
    let is_allowed = cors.is_allowed;
    let mut reply = content("text/plain", "");
    *reply.status_mut() = StatusCode::NO_CONTENT;
    let headers: &mut HeaderMap = reply.headers_mut();
    headers.clear();
    headers.extend(cors.headers());
    headers.remove(ACCESS_CONTROL_EXPOSE_HEADERS);
    if is_allowed {
        headers.insert(
            ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static(methods),
        );
        let names = HeaderValue::from_static(names);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    }
    reply
}
