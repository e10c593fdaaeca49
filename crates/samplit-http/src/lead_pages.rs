//! What somebody sees whose browser has sent a form by itself: that it arrived, or what is wrong with it.
//! The page is on a site of somebody else, so it says nothing of us.

use std::sync::LazyLock;

use askama::Template;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderValue},
};
use ring::digest;

use crate::{
    dashboard::form::sentence,
    problem::Problem,
    response::{Reply, content},
};

const STYLE: &str = include_str!("../assets/lead.css");

/// Nothing is loaded, and the one style is that of the page.
static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let hash = digest::digest(&digest::SHA256, STYLE.as_bytes());
    let hash = STANDARD.encode(hash);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{hash}'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("a policy is printable ASCII")
});

#[derive(Template)]
#[template(path = "lead.html")]
struct LeadPage {
    style: &'static str,
    title: &'static str,
    said: String,
    /// What is wrong, a sentence each.
    errors: Vec<String>,
}

/// It arrived.
pub(crate) fn received() -> Reply {
    page(&LeadPage {
        style: STYLE,
        title: "Thank you",
        said: "Your message has arrived.".to_owned(),
        errors: Vec::new(),
    })
}

/// It did not: what is wrong, and what to do.
pub(crate) fn refused(problem: Problem) -> Reply {
    let errors = problem.errors.iter().map(|error| {
        let name = error.pointer.rsplit('/').next().unwrap_or_default();
        let told = format!("{} {}", name.replace('_', " "), error.detail);
        sentence(told.trim())
    });
    let said = match problem.status {
        StatusCode::UNPROCESSABLE_ENTITY => {
            "Something in the form needs another look. Go back, and nothing that you typed is lost."
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            "This cannot be taken in right now. Go back, wait a minute, and send it again."
        }
        _ => "This form is not set up rightly, and its owner has to look at it.",
    };
    let shown = page(&LeadPage {
        style: STYLE,
        title: "Your message was not sent",
        said: said.to_owned(),
        errors: errors.collect(),
    });
    let (head, body) = shown.into_parts();
    // The status and what the refusal says in headers stay.
    let mut reply = problem.said_by("text/html; charset=utf-8", Vec::new());
    *reply.body_mut() = body;
    reply.headers_mut().extend(head.headers);
    reply
}

fn page(page: &LeadPage) -> Reply {
    let html = page.render();
    let html = html.expect("a string can always be written to");
    let mut reply = content("text/html; charset=utf-8", html);
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY.clone());
    reply
}
