//! The snippet with the settings of a site, and the line that puts it into a page.

use hyper::header::{CACHE_CONTROL, HeaderName, HeaderValue};
use samplit_engine::{Installation, Platform, SelectorHint};
use serde::Serialize;

use crate::{call::Call, gzip, problem::Problem, response::Reply, snippet_source};

/// Leaves the visitor in the cart of a shop, so that its orders tell.
const SHOPIFY: &str = include_str!("../assets/snippet/shopify.js");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

/// How long a change of the site may take to reach its pages.
const FRESH: HeaderValue =
    HeaderValue::from_static("public, max-age=60, stale-while-revalidate=600");

/// What the snippet has to know of its site.
#[derive(Serialize)]
struct Settings<'a> {
    /// Where it asks: scheme, host and port.
    api: &'a str,
    token: &'a str,
    /// Of the site, by which the snippet knows whether cookies go along.
    domain: &'a str,
    hide_ms: u32,
    raw_html: bool,
    /// Whether Global Privacy Control means that nothing is recorded.
    gpc: bool,
    selectors: &'a [SelectorHint],
}

/// `GET /s/{token}.js`
pub(crate) async fn script(call: Call) -> Result<Reply, Problem> {
    let token = call.installation_token();
    let installation = call.open_installation(token).await?;
    let selectors = call.app.engine.selector_hints(&installation).await;
    let settings = Settings {
        api: &call.url_of("")?,
        // The one that it was asked by, which may be the one before a rotation.
        token,
        domain: &installation.domain,
        hide_ms: installation.hide_timeout_ms,
        raw_html: installation.allow_raw_html,
        gpc: installation.respect_gpc,
        selectors: &selectors,
    };
    let settings = serde_json::to_string(&settings).expect("texts and numbers can be written");
    let mut script = snippet_source::script(&settings);
    if installation.platform == Platform::Shopify {
        // In front of it: the snippet may be ready before the next line is read.
        script.insert_str(0, SHOPIFY);
    }
    let mut reply = gzip::negotiated(&call, "text/javascript; charset=utf-8", script);
    let headers = reply.headers_mut();
    let cache = if call.app.config.public_url.is_some() {
        FRESH
    } else {
        // Where it asks, the client has said: no cache may give that to another one.
        HeaderValue::from_static("private, no-store")
    };
    headers.insert(CACHE_CONTROL, cache);
    let anybody = HeaderValue::from_static("cross-origin");
    headers.insert(CROSS_ORIGIN_RESOURCE_POLICY, anybody);
    Ok(reply)
}

/// Where the snippet of an installation is.
///
/// # Errors
/// 400 where nobody says what this server is called.
pub(crate) fn script_url(call: &Call, installation: &Installation) -> Result<String, Problem> {
    call.url_of(&format!("/s/{}.js", installation.token))
}

/// What is to be pasted into the head of every page.
pub(crate) fn stub(script_url: &str, installation: &Installation) -> String {
    snippet_source::stub(script_url, installation.hide_timeout_ms)
}
