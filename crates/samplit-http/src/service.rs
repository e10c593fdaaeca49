//! The way of every request: id, span, route, deadline, handler, headers, count.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use hyper::{
    HeaderMap, Request,
    body::Incoming,
    header::{CACHE_CONTROL, Entry, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use samplit_engine::in_request;
use tokio::time::{Instant, timeout};
use tracing::Instrument as _;

use crate::{
    app::App,
    call::Call,
    dashboard::refusal::{Asked, is_browser},
    meter::count_refusal,
    problem::Problem,
    request_id::{RequestId, X_REQUEST_ID},
    response::Reply,
    router::{PathIds, Route, Router},
};

/// Answers requests by one table of routes.
#[derive(Debug)]
pub(crate) struct Service {
    app: Arc<App>,
    router: Router,
}

impl Service {
    pub(crate) fn new(app: Arc<App>, router: Router) -> Self {
        Self { app, router }
    }

    pub(crate) async fn respond(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
    ) -> Result<Reply, Infallible> {
        let started = Instant::now();
        let request_id = self.app.request_ids.of(request.headers());
        let (path, found) = self.router.find(request.method(), request.uri().path());
        let is_page = path.is_page() || (path.is_unmatched() && is_browser(request.headers()));
        let asked = is_page.then(|| Asked::of(&self.app, &request, &request_id));
        let span = tracing::error_span!(
            "request",
            request_id = request_id.as_str(),
            method = request.method().as_str(),
            route = path.pattern,
        );
        let answer = async {
            let outcome = match found {
                Ok((route, ids)) => {
                    let call = self.call(request, peer, ids, &request_id);
                    let (id, from) = (request_id.as_str().to_owned(), call.client_address());
                    in_request(id, from, self.handle(call, route)).await
                }
                Err(problem) => Err(problem),
            };
            let mut reply = match outcome {
                Ok(reply) => reply,
                Err(problem) => {
                    count_refusal(problem.code);
                    tracing::debug!(code = problem.code, detail = problem.detail, "refused");
                    match asked {
                        Some(asked) => asked.refuse(problem).await,
                        None => problem.into_reply(request_id.as_str()),
                    }
                }
            };
            complete(reply.headers_mut(), &request_id);
            let elapsed = started.elapsed();
            tracing::debug!(status = reply.status().as_u16(), ?elapsed, "answered");
            path.meter.record(reply.status(), elapsed);
            reply
        };
        Ok(answer.instrument(span).await)
    }

    fn call(
        &self,
        request: Request<Incoming>,
        peer: IpAddr,
        ids: PathIds,
        request_id: &RequestId,
    ) -> Call {
        let (head, body) = request.into_parts();
        Call {
            app: Arc::clone(&self.app),
            request_id: request_id.clone(),
            peer,
            ids,
            head,
            body,
            large_body: None,
        }
    }

    async fn handle(&self, call: Call, route: &Route) -> Result<Reply, Problem> {
        let answer = (route.handler)(call);
        if !route.timed {
            return answer.await;
        }
        // Reading the body has a deadline of its own, half as long, but it begins only when the key
        // was found good: while the database is slow to tell, this one passes first.
        match timeout(2 * self.app.config.request_timeout, answer).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => Err(Problem::unavailable(
                "timeout",
                "the answer was not ready in time",
                1,
            )),
        }
    }
}

/// Adds the headers that every answer has.
fn complete(headers: &mut HeaderMap, request_id: &RequestId) {
    headers.insert(X_REQUEST_ID, request_id.header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in [
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ] {
        if let Entry::Vacant(entry) = headers.entry(name) {
            entry.insert(HeaderValue::from_static(value));
        }
    }
}
