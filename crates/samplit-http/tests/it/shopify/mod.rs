//! A shop of Shopify, played by the test with the shapes of its documentation.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

macro_rules! fixture {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/shopify/", $name, ".json"))
    };
}

mod granting;
mod hooks;

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
use tokio::sync::oneshot;

use crate::support::{Answer, Server};

const SHOP: &str = "snow-devil.myshopify.com";
const APP_SECRET: &str = "hush";
const API: &str = "/admin/api/2026-10/graphql.json";
/// Where hooks come that no installation asked for, such as those of privacy laws.
const HOOKS: &str = "/integrations/shopify/webhooks";

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
    /// What it waits for before it answers.
    gate: parking_lot::Mutex<Option<oneshot::Receiver<()>>>,
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
        Box::pin(async move {
            let answer = self.answer(request);
            let gate = self.gate.lock().take();
            if let Some(gate) = gate {
                gate.await?;
            }
            Ok(answer)
        })
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
