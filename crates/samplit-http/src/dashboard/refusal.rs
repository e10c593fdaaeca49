//! What a page says when there is no page: the problem in words, with a way on. Whoever is not signed
//! in goes to the door first, and comes back.

use std::sync::Arc;

use askama::Template;
use hyper::{
    HeaderMap, Method, Request, StatusCode,
    header::{ACCEPT, HeaderValue},
};

use super::{
    form::sentence,
    layout::{Frame, Viewer, protect, rendered},
    notice,
};
use crate::{
    app::App, call::is_well_formed, problem::Problem, request_id::RequestId, response::Reply,
    session_cookie,
};

/// A request for a page, as far as a refusal needs to know it.
#[derive(Debug)]
pub(crate) struct Asked {
    app: Arc<App>,
    /// Where to come back to after signing in; only what was asked for by GET is there to come back to.
    place: Option<String>,
    session_token: Option<String>,
    request_id: RequestId,
}

#[derive(Template)]
#[template(path = "dashboard/refusal.html")]
struct RefusalPage<'a> {
    frame: Frame,
    detail: String,
    status: u16,
    request_id: &'a str,
    may_retry: bool,
}

impl Asked {
    pub(crate) fn of<B>(app: &Arc<App>, request: &Request<B>, request_id: &RequestId) -> Self {
        let token = session_cookie::read(request.headers());
        let token = token.filter(|token| is_well_formed(token, "ss_"));
        let place = request.uri().path_and_query().map(ToString::to_string);
        Self {
            app: Arc::clone(app),
            place: place.filter(|_| matches!(*request.method(), Method::GET | Method::HEAD)),
            session_token: token.map(str::to_owned),
            request_id: request_id.clone(),
        }
    }

    /// The page that says so, or the way to the door.
    pub(crate) async fn refuse(self, problem: Problem) -> Reply {
        if problem.code == "unauthenticated" {
            return notice::see(&self.door());
        }
        let page = RefusalPage {
            frame: Frame::bare(
                self.app.engine.now(),
                self.viewer().await,
                title(problem.status),
            ),
            detail: sentence(&problem.detail.replace("such path", "page at this address")),
            status: problem.status.as_u16(),
            request_id: self.request_id.as_str(),
            may_retry: problem.status == StatusCode::SERVICE_UNAVAILABLE,
        };
        let html = rendered(&page);
        let mut reply = problem.said_by("text/html; charset=utf-8", html.into_bytes());
        protect(&mut reply);
        reply
    }

    /// Where to sign in, and come back from there.
    fn door(&self) -> String {
        match self.place.as_deref() {
            None | Some("/") => "/login".to_owned(),
            Some(place) => {
                let mut query = form_urlencoded::Serializer::new(String::new());
                format!("/login?{}", query.append_pair("next", place).finish())
            }
        }
    }

    /// Who is signed in, if that can be told.
    async fn viewer(&self) -> Option<Viewer> {
        let token = self.session_token.as_deref()?;
        let signed_in = self.app.engine.session(token).await.ok()?;
        Some(Viewer::from(&signed_in))
    }
}

/// Whether a browser asks, and not a program: for paths that nobody knows.
pub(crate) fn is_browser(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).map(HeaderValue::to_str);
    matches!(accept, Some(Ok(accept)) if accept.contains("text/html"))
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::GONE => "This link is over",
        StatusCode::FORBIDDEN => "This is not yours to do",
        StatusCode::METHOD_NOT_ALLOWED => "This page cannot do that",
        StatusCode::SERVICE_UNAVAILABLE => "Not just now",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        status if status.is_server_error() => "Something went wrong",
        _ => "This did not work",
    }
}
