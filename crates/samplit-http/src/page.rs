//! The live page of an experiment. It holds no data: its script asks the API, with the key that
//! stands in the fragment of the URL and never reaches a server log.

use askama::Template;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use samplit_domain::ExperimentId;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content},
};

/// Everything comes from this server; nothing is inline, framed or sent anywhere.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

#[derive(Template)]
#[template(path = "live.html")]
struct LivePage {
    id: ExperimentId,
}

/// `GET /live/{id}`
pub(crate) async fn live(call: Call) -> Result<Reply, Problem> {
    let page = LivePage {
        id: call.experiment_id(),
    };
    let html = page
        .render()
        .expect("the template is checked at compile time");
    let mut reply = content("text/html; charset=utf-8", html);
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(reply)
}

/// `GET /assets/live.css`
pub(crate) fn stylesheet() -> Reply {
    asset(
        "text/css; charset=utf-8",
        include_str!("../assets/live.css"),
    )
}

/// `GET /assets/live.js`
pub(crate) fn script() -> Reply {
    asset(
        "text/javascript; charset=utf-8",
        include_str!("../assets/live.js"),
    )
}

fn asset(content_type: &'static str, text: &'static str) -> Reply {
    let mut reply = content(content_type, text);
    let fresh = HeaderValue::from_static("public, max-age=60");
    reply.headers_mut().insert(CACHE_CONTROL, fresh);
    reply
}
