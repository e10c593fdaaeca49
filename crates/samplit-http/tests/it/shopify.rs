//! A shop of Shopify, played by the test with the shapes of its documentation.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Method, Request, body::Bytes};
use ring::hmac;
use samplit_devpg::TestDatabase;
use samplit_domain::{Clock as _, ManualClock};
use samplit_engine::{EngineConfig, Secret, ShopAnswer, ShopClient, ShopRequest, ShopifyApp};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use time::Duration;
use time::format_description::well_known::Rfc3339;

use crate::support::{Answer, Server};

const SHOP: &str = "snow-devil.myshopify.com";
const APP_SECRET: &str = "hush";
const API: &str = "/admin/api/2026-10/graphql.json";
/// Where hooks come that no installation asked for, such as those of privacy laws.
const HOOKS: &str = "/integrations/shopify/webhooks";

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../fixtures/shopify/", $name, ".json"))
    };
}

/// Answers as a shop does, and remembers what it was asked.
#[derive(Debug, Default)]
struct FakeShop {
    asked: parking_lot::Mutex<Vec<String>>,
    /// Where it was last asked to tell of orders: the path.
    hook: parking_lot::Mutex<String>,
    scripts: AtomicU32,
    has_hooks: AtomicBool,
    /// The last one.
    refuses_hooks: AtomicBool,
}

impl FakeShop {
    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock())
    }

    fn answer(&self, request: ShopRequest<'_>) -> ShopAnswer {
        let query = request.body["query"].as_str().unwrap_or_default();
        let variables = &request.body["variables"];
        let (told, body) = if request.path == "/admin/oauth/access_token" {
            (
                request.body.to_string(),
                fixture!("access_token").to_owned(),
            )
        } else if query.contains("scriptTagCreate") {
            // Each script has an id of its own, the first that of the documentation.
            let number = 870_402_688 + self.scripts.fetch_add(1, Ordering::Relaxed);
            let body = fixture!("script_tag_create").replace("870402688", &number.to_string());
            (format!("script {variables}"), body)
        } else if query.contains("scriptTagDelete") {
            (
                format!("no script {variables}"),
                fixture!("script_tag_delete").to_owned(),
            )
        } else if query.contains("webhookSubscriptionDelete") {
            (
                format!("no hook {variables}"),
                fixture!("webhook_delete").to_owned(),
            )
        } else {
            let uri: url::Url = variables["input"]["uri"].as_str().unwrap().parse().unwrap();
            uri.path().clone_into(&mut self.hook.lock());
            let is_last = variables["topic"] == "APP_UNINSTALLED";
            let body = if is_last && self.refuses_hooks.load(Ordering::Relaxed) {
                fixture!("webhook_taken").replace("already been taken", "is not allowed")
            } else if self.has_hooks.load(Ordering::Relaxed) {
                fixture!("webhook_taken").to_owned()
            } else {
                fixture!("webhook_create").to_owned()
            };
            (format!("hook {variables}"), body)
        };
        let token = request.token.unwrap_or("nobody");
        let line = format!("{} {} {token} {told}", request.shop, request.path);
        self.asked.lock().push(line);
        ShopAnswer {
            status: 200,
            body: serde_json::from_str(&body).unwrap(),
        }
    }
}

impl ShopClient for FakeShop {
    fn post<'a>(
        &'a self,
        request: ShopRequest<'a>,
    ) -> BoxFuture<'a, Result<ShopAnswer, Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move { Ok(self.answer(request)) })
    }
}

struct Stage {
    server: Server,
    shop: Arc<FakeShop>,
    clock: Arc<ManualClock>,
    database: TestDatabase,
}

async fn stage() -> Stage {
    let database = samplit_tests::database().await;
    stage_of(database, Arc::default(), &[[5; 32]]).await
}

async fn stage_of(database: TestDatabase, shop: Arc<FakeShop>, secrets: &[[u8; 32]]) -> Stage {
    let now = samplit_domain::from_micros(1_790_000_000_000_000);
    let clock = Arc::new(ManualClock::new(now));
    let client = Arc::<FakeShop>::clone(&shop);
    let config = EngineConfig {
        secret: Some(Secret::new(secrets).unwrap()),
        shopify: Some(ShopifyApp::new("client", APP_SECRET, client)),
        clock: Arc::<ManualClock>::clone(&clock),
        // Each server makes ids of its own.
        ..samplit_tests::config(secrets.iter().flatten().map(|byte| u64::from(*byte)).sum())
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let http = HttpConfig {
        public_url: Some("https://ab.example.org".parse().unwrap()),
        ..HttpConfig::default()
    };
    Stage {
        server: Server::start(engine, http).await,
        shop,
        clock,
        database,
    }
}

fn mac(body: &[u8]) -> hmac::Tag {
    hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, APP_SECRET.as_bytes()),
        body,
    )
}

/// A query as Shopify signs it.
fn signed(shop: &str, code: &str, state: &str) -> String {
    let rest = format!("code={code}&host=YWRtaW4&shop={shop}&state={state}&timestamp=1790000000");
    let mac = mac(rest.as_bytes());
    let hex: String = mac.as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("{rest}&hmac={hex}")
}

impl Stage {
    async fn browse(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::builder()
            .uri(format!("http://{}{path}", self.server.public))
            .header("cookie", cookie);
        self.server
            .send(request.body(Full::default()).unwrap())
            .await
    }

    /// Opens a new link; the state.
    async fn begin(&self) -> String {
        let path = "/integrations/shopify/install";
        let link = self.server.post(path, &json!({"shop": SHOP})).await.json();
        let url = link["url"].as_str().unwrap().to_owned();
        let path = url.strip_prefix("https://ab.example.org").unwrap();
        let begun = self.browse(path, "").await;
        assert_eq!(begun.status, 302, "{}", begun.text());
        let (cookie, rest) = begun.header("set-cookie").split_once(';').unwrap();
        for wanted in ["HttpOnly", "Secure", "SameSite=Lax", "Max-Age=600"] {
            assert!(rest.contains(wanted), "{rest}");
        }
        let location: url::Url = begun.header("location").parse().unwrap();
        assert_eq!(location.host_str(), Some(SHOP));
        let query: std::collections::HashMap<_, _> = location.query_pairs().collect();
        assert_eq!(query["client_id"], "client");
        assert_eq!(query["scope"], "write_script_tags,read_orders");
        let callback = "https://ab.example.org/integrations/shopify/callback";
        assert_eq!(query["redirect_uri"], callback);
        assert_eq!(cookie, format!("samplit_oauth_state={}", query["state"]));
        query["state"].clone().into_owned()
    }

    async fn come_back(&self, query: &str, state: &str) -> Answer {
        let path = format!("/integrations/shopify/callback?{query}");
        self.browse(&path, &format!("a=b; samplit_oauth_state={state}"))
            .await
    }

    /// Connects the shop; the installation.
    async fn connect(&self) -> Json {
        let state = self.begin().await;
        let back = self.come_back(&signed(SHOP, "c0de", &state), &state).await;
        assert_eq!(back.summary(), "200", "{}", back.text());
        self.installation().await
    }

    async fn installation(&self) -> Json {
        let list = self.server.get("/v1/installations").await.json();
        list["data"][0].clone()
    }

    async fn tell(&self, topic: &str, delivery: &str, body: &str) -> Answer {
        self.tell_signed(
            topic,
            delivery,
            body,
            &STANDARD.encode(mac(body.as_bytes())),
        )
        .await
    }

    async fn tell_signed(&self, topic: &str, delivery: &str, body: &str, mac: &str) -> Answer {
        let path = self.shop.hook.lock().clone();
        let request = self.hook(&path, topic, delivery, mac);
        let request = request.header("x-shopify-triggered-at", self.now());
        let body = Full::from(body.to_owned());
        self.server.send(request.body(body).unwrap()).await
    }

    /// Tells, truly signed, at another path than that which the shop was asked to use.
    async fn tell_at(&self, path: &str, topic: &str, delivery: &str, body: &str) -> Answer {
        let mac = STANDARD.encode(mac(body.as_bytes()));
        let request = self.hook(path, topic, delivery, &mac);
        let request = request.header("x-shopify-triggered-at", self.now());
        let body = Full::from(body.to_owned());
        self.server.send(request.body(body).unwrap()).await
    }

    fn hook(
        &self,
        path: &str,
        topic: &str,
        delivery: &str,
        mac: &str,
    ) -> hyper::http::request::Builder {
        Request::post(format!("http://{}{path}", self.server.public))
            .header("content-type", "application/json")
            .header("x-shopify-topic", topic)
            .header("x-shopify-shop-domain", SHOP)
            .header("x-shopify-webhook-id", delivery)
            .header("x-shopify-hmac-sha256", mac)
    }

    fn now(&self) -> String {
        self.clock.now().format(&Rfc3339).unwrap()
    }

    async fn oauth_data(&self) -> Option<String> {
        let client = samplit_tests::connect(self.database.url()).await;
        let sql = "SELECT oauth_data::text FROM platform_installations";
        client.query_one(sql, &[]).await.unwrap().get(0)
    }

    /// What the visitor's conversion in the experiment at `path` is worth.
    async fn value(&self) -> Option<f64> {
        let client = samplit_tests::connect(self.database.url()).await;
        let sql = "SELECT conversion_value::float8 FROM assignments WHERE converted_at IS NOT NULL";
        client
            .query_opt(sql, &[])
            .await
            .unwrap()
            .map(|row| row.get(0))
    }

    /// A running experiment in which `visitor-1` takes part.
    async fn experiment(&self, goal: Json) -> String {
        let mut draft = crate::support::draft();
        draft["goals"] = goal;
        let path = format!("/v1/experiments/{}", self.server.create(&draft).await);
        self.server.post(&format!("{path}/start"), &json!({})).await;
        let visitor = json!({"visitor_id": "visitor-1"});
        let assigned = self.server.post(&format!("{path}/assign"), &visitor).await;
        assert_eq!(assigned.summary(), "200");
        path
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_grants_access_and_gets_its_script() {
    let stage = stage().await;
    let site = stage.connect().await;
    assert_eq!(site["domain"], SHOP);
    assert_eq!(
        (&site["platform"], &site["status"]),
        (&json!("shopify"), &json!("active"))
    );
    let asked = stage.shop.asked();
    assert_eq!(asked.len(), 4, "{asked:?}");
    let token = "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";
    assert!(asked[0].starts_with(&format!("{SHOP} /admin/oauth/access_token nobody ")));
    for wanted in [
        "\"code\":\"c0de\"",
        "\"client_secret\":\"hush\"",
        "\"expiring\":\"1\"",
    ] {
        assert!(asked[0].contains(wanted), "{}", asked[0]);
    }
    let script = format!(
        "https://ab.example.org/s/{}.js",
        site["token"].as_str().unwrap()
    );
    assert!(
        asked[1].starts_with(&format!("{SHOP} {API} {token} script ")),
        "{}",
        asked[1]
    );
    assert!(
        asked[1].contains(&script) && asked[1].contains("ONLINE_STORE"),
        "{}",
        asked[1]
    );
    for (asked, topic) in asked[2..].iter().zip(["ORDERS_CREATE", "APP_UNINSTALLED"]) {
        assert!(asked.contains(topic), "{asked}");
        assert!(
            asked.contains("https://ab.example.org/integrations/shopify/webhooks"),
            "{asked}"
        );
    }
    let fields = r#""includeFields":["id","test","total_price","note_attributes","landing_site"]"#;
    assert!(asked[2].contains(fields), "{}", asked[2]);
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        !kept.contains("shpat_") && !kept.contains("shprt_"),
        "{kept}"
    );
    assert!(kept.contains("gid://shopify/ScriptTag/870402688"), "{kept}");

    // The script leaves the visitor in the cart.
    let token = site["token"].as_str().unwrap();
    let script = stage.server.get(&format!("/s/{token}.js")).await;
    assert!(script.text().contains("/cart/update.js"));

    // Once more: the same installation, although the subscriptions are there.
    stage.shop.has_hooks.store(true, Ordering::Relaxed);
    assert_eq!(stage.connect().await["id"], site["id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_is_used_once_in_time_by_its_browser_and_signed_by_shopify() {
    let stage = stage().await;
    let forged = |query: String| query.replace("code=c0de", "code=evil");
    let unknown = "409 unknown_state";
    for (case, expected) in [
        ("forged", "401 bad_signature"),
        ("another shop", unknown),
        ("no shop", "401 bad_signature"),
        ("another browser", unknown),
        ("another state", unknown),
        ("too late", unknown),
    ] {
        let state = stage.begin().await;
        let good = signed(SHOP, "c0de", &state);
        let answer = match case {
            "forged" => stage.come_back(&forged(good), &state).await,
            "another shop" => {
                let other = signed("other.myshopify.com", "c0de", &state);
                stage.come_back(&other, &state).await
            }
            "no shop" => {
                stage
                    .come_back(&signed("evil.test", "c0de", &state), &state)
                    .await
            }
            "another browser" => stage.come_back(&good, "").await,
            "another state" => stage.come_back(&signed(SHOP, "c0de", "x"), "x").await,
            _ => {
                stage.clock.advance(Duration::minutes(10));
                stage.come_back(&good, &state).await
            }
        };
        assert_eq!(answer.summary(), expected, "{case}");
        assert_eq!(stage.shop.asked(), [""; 0], "{case}");
    }
    let state = stage.begin().await;
    let query = signed(SHOP, "c0de", &state);
    assert_eq!(stage.come_back(&query, &state).await.summary(), "200");
    assert_eq!(stage.come_back(&query, &state).await.summary(), unknown);

    let path = "/integrations/shopify/install";
    let bad = stage.server.post(path, &json!({"shop": "evil.test"})).await;
    assert_eq!(bad.summary(), "422 invalid /shop:malformed");
    let link = stage.server.post(path, &json!({"shop": SHOP})).await.json();
    let link = link["url"]
        .as_str()
        .unwrap()
        .split_once(".org")
        .unwrap()
        .1
        .to_owned();
    let altered = stage.browse(&format!("{link}x"), "").await;
    assert_eq!(altered.summary(), "401 bad_signature");
    stage.clock.advance(Duration::DAY);
    assert_eq!(stage.browse(&link, "").await.summary(), "401 bad_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_once_with_its_value() {
    let stage = stage().await;
    stage.connect().await;
    stage
        .experiment(json!([{"name": "sale", "kind": "value"}]))
        .await;
    let order = fixture!("orders_create");
    let of_test = order.replace("\"test\": false", "\"test\": true");
    assert_eq!(
        stage.tell("orders/create", "d0", &of_test).await.summary(),
        "200"
    );
    assert_eq!(stage.value().await, None);
    let forged = stage
        .tell_signed("orders/create", "d1", order, "AAAA")
        .await;
    assert_eq!(forged.summary(), "401 bad_signature");
    assert_eq!(stage.value().await, None);
    // The first delivery, a repeat of it, and another delivery of the same order at another price.
    let dearer = order.replace("398.00", "999.00");
    for (delivery, body) in [("d1", order), ("d1", order), ("d2", &dearer)] {
        assert_eq!(
            stage.tell("orders/create", delivery, body).await.summary(),
            "200"
        );
        assert_eq!(stage.value().await, Some(398.0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goal_of_clicks_is_none_of_an_order() {
    let stage = stage().await;
    stage.connect().await;
    let click = json!({"type": "click", "selector": {"type": "css", "value": "#buy"}});
    stage
        .experiment(json!([{"name": "click", "trigger": click}]))
        .await;
    stage
        .tell("orders/create", "d1", fixture!("orders_create"))
        .await;
    assert_eq!(stage.value().await, None);
    let purchase = json!({"type": "event", "name": "purchase"});
    stage
        .experiment(json!([{"name": "sale", "kind": "value", "trigger": purchase}]))
        .await;
    stage
        .tell("orders/create", "d2", fixture!("orders_create"))
        .await;
    assert_eq!(stage.value().await, Some(398.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_privacy_laws_ask_for_is_done() {
    let stage = stage().await;
    stage.connect().await;
    stage
        .experiment(json!([{"name": "sale", "kind": "value"}]))
        .await;
    stage
        .tell("orders/create", "d1", fixture!("orders_create"))
        .await;
    let told = stage.tell(
        "customers/data_request",
        "d2",
        fixture!("customers_data_request"),
    );
    assert_eq!(told.await.summary(), "200");
    let told = stage
        .tell("customers/redact", "d3", fixture!("customers_redact"))
        .await;
    assert_eq!(told.summary(), "200");
    let client = samplit_tests::connect(stage.database.url()).await;
    let sql = "SELECT user_identifier FROM assignments";
    let visitor: String = client.query_one(sql, &[]).await.unwrap().get(0);
    assert!(visitor.starts_with("erased:"), "{visitor}");
    stage.clock.advance(Duration::hours(48));
    let told = stage
        .tell("shop/redact", "d4", fixture!("shop_redact"))
        .await;
    assert_eq!(told.summary(), "200");
    assert_eq!(stage.oauth_data().await, None);
    let nobody = stage.tell_signed("shop/redact", "d5", "{}", "").await;
    assert_eq!(nobody.summary(), "401 bad_signature");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_takes_us_out_is_forgotten_and_may_come_back() {
    let stage = stage().await;
    let site = stage.connect().await;
    let script = format!("/s/{}.js", site["token"].as_str().unwrap());
    assert_eq!(stage.server.get(&script).await.status, 200);
    let told = stage
        .tell("app/uninstalled", "d1", fixture!("app_uninstalled"))
        .await;
    assert_eq!(told.summary(), "200");
    assert_eq!(stage.installation().await["status"], "uninstalled");
    assert_eq!(stage.oauth_data().await, None);
    assert_eq!(
        stage.server.get(&script).await.summary(),
        "401 unknown_installation"
    );
    let back = stage.connect().await;
    assert_eq!(
        (&back["id"], &back["status"]),
        (&site["id"], &json!("active"))
    );
    let path = format!("/v1/activity?subject={}", site["id"].as_str().unwrap());
    let noted = stage.server.get(&path).await.json();
    let noted = noted["data"].as_array().unwrap().iter();
    let mut noted: Vec<_> = noted
        .map(|done| (&done["action"], &done["actor"]["kind"]))
        .map(|(action, actor)| {
            format!(
                "{} by {}",
                action.as_str().unwrap(),
                actor.as_str().unwrap()
            )
        })
        .collect();
    // The clock stands still, so they are in no order.
    noted.sort();
    let expected = [
        "shop.connected by user",
        "shop.connected by user",
        "shop.removed by system",
    ];
    assert_eq!(noted, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_told_late_does_not_end_what_came_after() {
    let stage = stage().await;
    stage.connect().await;
    let now = stage.clock.now().unix_timestamp();
    let of_shop = fixture!("shop_redact");
    // The clock began at 2026-09-21T14:13:20Z.
    assert_eq!(now, 1_790_000_000);
    for (delivery, topic, triggered_at, expected) in [
        ("d1", "app/uninstalled", "2026-09-21T14:13:19.5Z", "active"),
        ("d2", "shop/redact", "2026-09-23T14:13:19Z", "active"),
        (
            "d3",
            "app/uninstalled",
            "2026-09-21T14:13:20Z",
            "uninstalled",
        ),
    ] {
        let mac = STANDARD.encode(mac(of_shop.as_bytes()));
        let request = stage.hook(HOOKS, topic, delivery, &mac);
        let request = request.header("x-shopify-triggered-at", triggered_at);
        let told = stage
            .server
            .send(request.body(Full::from(of_shop)).unwrap())
            .await;
        assert_eq!(told.summary(), "200");
        assert_eq!(stage.installation().await["status"], expected, "{delivery}");
    }
}

/// A delivery that does not say when it was told could be one from before the grant.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_believed_only_with_its_time() {
    let stage = stage().await;
    stage.connect().await;
    for (topic, body) in [
        ("app/uninstalled", fixture!("app_uninstalled")),
        ("shop/redact", fixture!("shop_redact")),
    ] {
        for triggered_at in ["", "yesterday"] {
            let mac = STANDARD.encode(mac(body.as_bytes()));
            let request = stage.hook(HOOKS, topic, "d1", &mac);
            let request = match triggered_at {
                "" => request,
                text => request.header("x-shopify-triggered-at", text),
            };
            let told = stage.server.send(request.body(Full::from(body)).unwrap());
            assert_eq!(
                told.await.summary(),
                "401 bad_signature",
                "{topic} {triggered_at}"
            );
        }
    }
    assert_eq!(stage.installation().await["status"], "active");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_takes_the_script_out_with_a_fresh_token() {
    let stage = stage().await;
    let site = stage.connect().await;
    stage.shop.asked();
    stage.clock.advance(Duration::HOUR);
    let path = format!(
        "/integrations/shopify/{}/uninstall",
        site["id"].as_str().unwrap()
    );
    let gone = stage.server.post(&path, &json!({})).await;
    assert_eq!(gone.json()["status"], "uninstalled", "{}", gone.text());
    let asked = stage.shop.asked();
    assert!(asked[0].contains("\"refresh_token\":\"shprt_"), "{asked:?}");
    assert!(
        asked[0].contains("\"grant_type\":\"refresh_token\""),
        "{asked:?}"
    );
    assert!(
        asked[1].contains("no script") && asked[1].contains("ScriptTag/870402688"),
        "{asked:?}"
    );
    assert_eq!(stage.oauth_data().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_app_or_a_secret_it_says_what_to_set() {
    let (server, _database) = crate::support::server(HttpConfig::default()).await;
    let path = "/integrations/shopify/install";
    let answer = server.post(path, &json!({"shop": SHOP})).await;
    assert_eq!(answer.summary(), "409 no_shopify");
    let request = server.request(Method::POST, "/integrations/shopify/webhooks");
    let answer = server
        .send(request.body(Full::from(Bytes::from("{}"))).unwrap())
        .await;
    assert_eq!(answer.summary(), "409 no_shopify");
}

/// The query that ends a grant is signed with the secret that signs hooks, and headers are not signed.
#[tokio::test(flavor = "multi_thread")]
async fn a_hook_is_about_the_shop_that_it_was_signed_for() {
    let stage = stage().await;
    stage.connect().await;
    let query = "code=c0de&shop=other.myshopify.com&state=s&timestamp=1";
    let of_another = r#"{"id": 1, "myshopify_domain": "other.myshopify.com"}"#;
    for (delivery, body) in [("x1", query), ("x2", of_another), ("x3", "[]")] {
        let mac = STANDARD.encode(mac(body.as_bytes()));
        let told = stage
            .tell_signed("app/uninstalled", delivery, body, &mac)
            .await;
        assert_eq!(told.summary(), "401 bad_signature", "{body}");
    }
    assert_eq!(stage.installation().await["status"], "active");
}

/// Only its grant makes an installation that of a shop, and nothing but the end takes it away.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_says_of_himself_to_be_a_shop() {
    let stage = stage().await;
    let site = stage.connect().await;
    let body = json!({"name": "Mine", "domain": "victim.myshopify.com", "platform": "shopify"});
    let made = stage.server.post("/v1/installations", &body).await;
    assert_eq!(made.summary(), "422 invalid /platform:conflict");
    let path = format!("/v1/installations/{}", site["id"].as_str().unwrap());
    for (change, expected) in [
        (
            json!({"domain": "mine.test"}),
            "422 invalid /domain:conflict",
        ),
        (
            json!({"platform": "custom"}),
            "422 invalid /platform:conflict",
        ),
        (json!({"name": "Snow"}), "200"),
    ] {
        assert_eq!(stage.server.patch(&path, &change).await.summary(), expected);
    }
    // Nor does anybody bring back a shop that went: it may be another account's by now.
    stage
        .tell("app/uninstalled", "d1", fixture!("app_uninstalled"))
        .await;
    for status in ["active", "disabled"] {
        let answer = stage.server.patch(&path, &json!({"status": status})).await;
        assert_eq!(answer.summary(), "422 invalid /status:conflict", "{status}");
    }
    assert_eq!(stage.installation().await["status"], "uninstalled");
    assert_eq!(stage.connect().await["status"], "active");
}

/// Whoever has a shop of the same app has orders that are truly signed, and which name no shop. The
/// headers that say whose they are and what they are about are not signed.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_counts_only_for_the_shop_that_was_asked_for_it() {
    let stage = stage().await;
    let site = stage.connect().await;
    let sale = json!([{"name": "sale", "kind": "value"}]);
    stage.experiment(sale).await;
    let order = fixture!("orders_create");
    let own = stage.shop.hook.lock().clone();
    let of_another = format!("{HOOKS}/hk_{}", "A".repeat(43));
    for (delivery, path) in [
        ("x1", HOOKS),
        ("x2", &of_another),
        ("x3", &own[..own.len() - 1]),
    ] {
        for topic in ["orders/create", "app/uninstalled"] {
            let delivery = format!("{delivery} {topic}");
            let told = stage.tell_at(path, topic, &delivery, order).await;
            assert_eq!(told.summary(), "401 bad_signature", "{path} {topic}");
        }
    }
    assert_eq!(stage.value().await, None);
    assert_eq!(stage.installation().await["status"], "active");
    // Of a shop that nobody has connected: nothing to do, and nothing to remember.
    let mac = STANDARD.encode(mac(order.as_bytes()));
    let mut request = stage.hook(HOOKS, "orders/create", "x4", &mac);
    let headers = request.headers_mut().unwrap();
    let unknown = "unknown.myshopify.com".parse().unwrap();
    headers.insert("x-shopify-shop-domain", unknown);
    let told = stage.server.send(request.body(Full::from(order)).unwrap());
    assert_eq!(told.await.summary(), "200");
    let receipts = crate::pages::rows(&stage.database, "webhook_receipts");
    assert_eq!(receipts.await, 0);
    let told = stage.tell_at(&own, "orders/create", "x1", order).await;
    assert_eq!(
        (told.summary(), stage.value().await),
        ("200".to_owned(), Some(398.0))
    );

    // The secret of the path stands nowhere in the clear, and is that of the installation for good.
    let (_, secret) = own.rsplit_once('/').unwrap();
    assert!(!stage.oauth_data().await.unwrap().contains(secret));
    assert!(!site.to_string().contains(secret));
    stage.shop.has_hooks.store(true, Ordering::Relaxed);
    stage.connect().await;
    assert_eq!(*stage.shop.hook.lock(), own);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_connects_again_has_one_script() {
    let stage = stage().await;
    stage.connect().await;
    stage.shop.asked();
    stage.connect().await;
    let asked = stage.shop.asked();
    let place = |part: &str| asked.iter().position(|line| line.contains(part));
    let (made, gone) = (
        place(" script {"),
        place("no script {\"id\":\"gid://shopify/ScriptTag/870402688\"}"),
    );
    assert!(made < gone && made.is_some(), "{asked:?}");
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402689") && !kept.contains("870402688"),
        "{kept}"
    );

    // The shop refuses half-way: what it has is known all the same, and taken out the next time.
    stage.shop.refuses_hooks.store(true, Ordering::Relaxed);
    let state = stage.begin().await;
    let back = stage.come_back(&signed(SHOP, "c0de", &state), &state).await;
    assert_eq!(back.summary(), "502 shop_failed");
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402689") && kept.contains("870402690"),
        "{kept}"
    );
    stage.shop.refuses_hooks.store(false, Ordering::Relaxed);
    stage.shop.asked();
    let site = stage.connect().await;
    let asked = stage.shop.asked().join("\n");
    for gone in ["870402689", "870402690"] {
        let gone = format!("no script {{\"id\":\"gid://shopify/ScriptTag/{gone}\"}}");
        assert!(asked.contains(&gone), "{asked}");
    }
    let kept = stage.oauth_data().await.unwrap();
    assert!(
        kept.contains("870402691") && !kept.contains("870402690"),
        "{kept}"
    );

    // Its owner takes it out: the script, and what it was asked to tell.
    let path = format!(
        "/integrations/shopify/{}/uninstall",
        site["id"].as_str().unwrap()
    );
    stage.server.post(&path, &json!({})).await;
    let asked = stage.shop.asked().join("\n");
    assert!(asked.contains("ScriptTag/870402691"), "{asked}");
    assert!(
        asked.contains("no hook {\"id\":\"gid://shopify/WebhookSubscription/"),
        "{asked}"
    );
}

/// The address that a shop was told outlives the secret which it was sealed with.
#[tokio::test(flavor = "multi_thread")]
async fn connecting_again_seals_with_the_secret_of_today() {
    let stage = stage().await;
    stage.connect().await;
    let told = stage.shop.hook.lock().clone();
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[6; 32], [5; 32]]).await;
    stage.connect().await;
    assert_eq!(*stage.shop.hook.lock(), told);
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[6; 32]]).await;
    let order = fixture!("orders_create");
    let answer = stage.tell_at(&told, "orders/create", "d1", order).await;
    assert_eq!(answer.summary(), "200");

    // Where the secret is lost, the shop is told another address, and the old one means nothing.
    let Stage { shop, database, .. } = stage;
    let stage = stage_of(database, shop, &[[7; 32]]).await;
    stage.connect().await;
    assert_ne!(*stage.shop.hook.lock(), told);
    let answer = stage.tell_at(&told, "orders/create", "d2", order).await;
    assert_eq!(answer.summary(), "401 bad_signature");
}

/// The shop agrees to tell of orders and to nothing else: what it agreed to is known, and ended.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_shop_did_before_it_refused_is_undone_in_the_end() {
    let stage = stage().await;
    stage.shop.refuses_hooks.store(true, Ordering::Relaxed);
    let state = stage.begin().await;
    let back = stage.come_back(&signed(SHOP, "c0de", &state), &state).await;
    assert_eq!(back.summary(), "502 shop_failed");
    stage.shop.asked();
    let site = stage.installation().await;
    let id = site["id"].as_str().unwrap();
    let path = format!("/integrations/shopify/{id}/uninstall");
    assert_eq!(stage.server.post(&path, &json!({})).await.summary(), "200");
    let asked = stage.shop.asked().join("\n");
    for gone in ["ScriptTag/870402688", "WebhookSubscription/892403750"] {
        assert_eq!(asked.matches(gone).count(), 1, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_connects_a_shop_to_a_disabled_account() {
    let stage = stage().await;
    let state = stage.begin().await;
    let path = "/integrations/shopify/install";
    let link = stage.server.post(path, &json!({"shop": SHOP})).await.json();
    let link = link["url"].as_str().unwrap().split_once(".org").unwrap().1;
    let client = samplit_tests::connect(stage.database.url()).await;
    let off = "UPDATE users SET disabled_at = now() WHERE email = 'owner@example.org'";
    client.batch_execute(off).await.unwrap();
    let query = signed(SHOP, "c0de", &state);
    let back = stage.come_back(&query, &state).await;
    assert_eq!(back.summary(), "409 unknown_state");
    assert_eq!(stage.shop.asked(), [""; 0]);
    assert_eq!(stage.browse(link, "").await.summary(), "401 bad_signature");
}
