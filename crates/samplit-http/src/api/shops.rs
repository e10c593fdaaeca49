//! `/integrations`: shops come and go, and tell of orders.

use std::time::Duration;

use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, COOKIE, HeaderName, HeaderValue, LOCATION, SET_COOKIE},
};
use samplit_domain::Violations;
use samplit_engine::{GrantQuery, ShopifyHook, WordPressOrders};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    api::installations,
    call::Call,
    fields::Fields,
    header_text::header_text,
    problem::Problem,
    response::{Reply, content, json as json_reply},
};

/// Where the browser that begins a grant keeps its state.
const STATE_COOKIE: &str = "samplit_oauth_state";

/// Shopify hangs up after 5 seconds.
const HOOK_TIMEOUT: Duration = Duration::from_secs(4);

const CONNECTED: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
    <title>Samplit</title><p>The shop is connected. You can close this page.</p></html>";

#[derive(Serialize, ToSchema)]
#[schema(as = ShopLink)]
pub(crate) struct LinkJson {
    url: String,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

/// What a site signs with.
#[derive(Serialize, ToSchema)]
#[schema(as = SigningSecret)]
pub(crate) struct SecretJson<'a> {
    secret: &'a str,
}

/// What became of an order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order)]
pub(crate) struct OrderJson {
    /// `recorded`, or `duplicate` where it was taken in before.
    status: &'static str,
    /// In how many experiments it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    experiments: Option<usize>,
}

/// `POST /integrations/shopify/install`: a link for whoever runs the shop.
pub(crate) async fn link(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let shop = read_shop(call.json().await?)?;
    let (link, expires_at) = call.app.engine.shopify_link(&who, &shop)?;
    let url = call.url_of(&format!("/integrations/shopify/install?link={link}"))?;
    Ok(json_reply(
        StatusCode::CREATED,
        &LinkJson { url, expires_at },
    ))
}

pub(crate) fn read_shop(body: Json) -> Result<String, Problem> {
    let mut violations = Violations::default();
    let shop = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.required("shop")
    });
    violations.into_result(shop).map_err(Problem::invalid)
}

/// `GET /integrations/shopify/install`: sends the browser to the shop.
pub(crate) async fn begin(call: Call) -> Result<Reply, Problem> {
    let link = call.query().text("link").unwrap_or_default();
    let callback = call.url_of("/integrations/shopify/callback")?;
    let begun = call.app.engine.begin_grant(&link, &callback).await?;
    let secure = if callback.starts_with("https:") {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{STATE_COOKIE}={}; Path=/integrations/shopify; Max-Age=600; HttpOnly; SameSite=Lax{secure}",
        begun.state
    );
    let mut reply = content("text/plain; charset=utf-8", "");
    *reply.status_mut() = StatusCode::FOUND;
    for (name, value) in [(LOCATION, begun.authorize_url), (SET_COOKIE, cookie)] {
        let value = HeaderValue::try_from(value);
        let value = value.expect("hosts of shops and what is encoded are legal in a header");
        reply.headers_mut().insert(name, value);
    }
    Ok(reply)
}

/// `GET /integrations/shopify/callback`: the browser is back.
pub(crate) async fn callback(call: Call) -> Result<Reply, Problem> {
    let mut query = call.query();
    let mut given = |name: &str| query.text(name).unwrap_or_default();
    let (shop, code, state) = (given("shop"), given("code"), given("state"));
    let cookie = state_cookie(&call).unwrap_or_default();
    let query = GrantQuery {
        raw: call.head.uri.query().unwrap_or_default(),
        shop: &shop,
        code: &code,
        state: &state,
        cookie: &cookie,
    };
    let server = call.url_of("")?;
    call.app.engine.finish_grant(query, &server).await?;
    let mut reply = content("text/html; charset=utf-8", CONNECTED);
    let nothing = HeaderValue::from_static("default-src 'none'");
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, nothing);
    Ok(reply)
}

fn state_cookie(call: &Call) -> Option<String> {
    let cookies = header_text(&call.head.headers, &COOKIE, b"; ")?;
    let mut cookies = cookies.split(';');
    let state =
        cookies.find_map(|cookie| cookie.trim().strip_prefix(STATE_COOKIE)?.strip_prefix('='));
    state.map(str::to_owned)
}

/// `POST /integrations/shopify/webhooks`, which every shop can be asked to use, and
/// `POST /integrations/shopify/webhooks/{hook}`, which one alone was asked to use.
pub(crate) async fn shopify_hook(mut call: Call) -> Result<Reply, Problem> {
    let body = call.bytes().await?;
    let header = |name: &'static str| {
        let name = HeaderName::from_static(name);
        call.header(&name).unwrap_or_default()
    };
    let hook = ShopifyHook {
        secret: call.ids.hook.as_deref(),
        hmac: header("x-shopify-hmac-sha256"),
        shop: header("x-shopify-shop-domain"),
        topic: header("x-shopify-topic"),
        delivery: header("x-shopify-webhook-id"),
        triggered_at: header("x-shopify-triggered-at"),
        body: &body,
    };
    // A delivery that is broken off comes again and does nothing twice.
    let taken = tokio::time::timeout(HOOK_TIMEOUT, call.app.engine.shopify_hook(hook)).await;
    taken.map_err(|_elapsed| {
        Problem::unavailable("timeout", "the answer was not ready in time", 1)
    })??;
    Ok(content("text/plain; charset=utf-8", ""))
}

/// `POST /integrations/shopify/{installation_id}/uninstall`
pub(crate) async fn uninstall(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.installation_id());
    let gone = engine.uninstall_shopify(&who, id).await?;
    Ok(installations::one(StatusCode::OK, &gone))
}

/// `POST /v1/installations/{installation_id}/signing-secret`
pub(crate) async fn signing_secret(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id) = (&call.app.engine, call.installation_id());
    let secret = engine.new_signing_secret(&who, id).await?;
    Ok(json_reply(
        StatusCode::CREATED,
        &SecretJson { secret: &secret },
    ))
}

/// `POST /integrations/wordpress/orders`
pub(crate) async fn wordpress_order(mut call: Call) -> Result<Reply, Problem> {
    let body = call.json_bytes().await?;
    let header = |name: &'static str| {
        let name = HeaderName::from_static(name);
        call.header(&name).unwrap_or_default()
    };
    let sent = WordPressOrders {
        token: header("samplit-installation"),
        timestamp: header("samplit-timestamp"),
        delivery: header("samplit-delivery"),
        signature: header("samplit-signature"),
        body: &body,
    };
    let experiments = call.app.engine.wordpress_order(sent).await?;
    let answer = OrderJson {
        status: experiments.map_or("duplicate", |_| "recorded"),
        experiments,
    };
    Ok(json_reply(StatusCode::OK, &answer))
}
