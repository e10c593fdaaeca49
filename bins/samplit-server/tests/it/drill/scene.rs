//! An install in which everything has happened that leaves a row behind, as far as the API goes. Whoever adds
//! a table adds here what fills it.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use ring::hmac;
use samplit_devpg::TestDatabase;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::{Duration, Instant, sleep};

use super::rows;
use crate::accounts::{ask, link, session_of, set_up};
use crate::publish::{answer, receive};
use crate::support::{
    ANY_PORT, Api, Json, KEYS, Running, SigningKey, command, from_page, http, migrated,
    with_headers,
};

/// 32 bytes.
const SECRET: &str = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=";

/// What somebody starts the server with who has lost a key.
pub(super) const OTHER_KEY: &str = "//79/Pv6+fj39vX08/Lx8O/u7ezr6uno5+bl5OPi4eA=";

/// By which Stripe signs.
const STRIPE: &str = "whsec_drill";

const ORIGIN: &str = "https://shop.example";

/// What is kept beside the dump, as `docs/DRILL.md` lists it.
pub(super) struct Kept {
    pub(super) signing: SigningKey,
    pub(super) notes: TempDir,
}

impl Kept {
    /// Lets a command have all of it.
    pub(super) fn give(&self, command: &mut Command, url: &str) {
        command
            .env("SAMPLIT_DATABASE_URL", url)
            .env("SAMPLIT_KEYS", KEYS)
            .env("SAMPLIT_SECRET", SECRET)
            .env("SAMPLIT_SIGNING_KEYS_FILE", self.signing.file())
            .env("SAMPLIT_CHECKPOINT_DIR", self.notes.path())
            .env("SAMPLIT_CHECKPOINT_EVERY", "1h")
            .env("SAMPLIT_PUBLIC_URL", "https://ab.example.org")
            .env("SAMPLIT_SHOPIFY_CLIENT_ID", "drill")
            .env("SAMPLIT_SHOPIFY_CLIENT_SECRET", "hush")
            .env("SAMPLIT_STRIPE_WEBHOOK_SECRET", STRIPE)
            .env("SAMPLIT_WEBHOOK_ALLOW_PRIVATE", "true");
    }
}

/// The install.
pub(super) struct Scene {
    pub(super) kept: Kept,
    pub(super) api: SocketAddr,
    /// Of an API key that may do everything.
    pub(super) token: String,
    /// Of somebody who is signed in.
    pub(super) session: String,
    /// Experiments with a trail, but for the one under load.
    pub(super) trails: Vec<String>,
    /// Of them those that run.
    pub(super) running: Vec<String>,
    /// The experiment that visitors come to while it is backed up.
    pub(super) loaded: String,
    pub(super) installation: String,
    pub(super) webhook: String,
    pub(super) database: TestDatabase,
}

impl Scene {
    /// With the server that runs it.
    pub(super) async fn set() -> (Self, Running) {
        let database = migrated().await;
        let kept = Kept {
            signing: SigningKey::make(),
            notes: tempfile::tempdir().unwrap(),
        };
        let mut serve = command(&ANY_PORT);
        kept.give(&mut serve, database.url());
        let mut server = Running::start(serve);
        let (api, _) = server.addresses();
        let session = set_up(api, &link(&database, &["setup-link"]), "me@example.org");
        let key = json!({"name": "drill", "scopes": ["manage", "assign", "read"]});
        let key = ask(api, ("POST", "/v1/keys"), Some(&session), &key);
        assert_eq!(key.0, 201, "{}", key.2);
        let key: Json = serde_json::from_str(&key.2).unwrap();
        let mut scene = Self {
            kept,
            api,
            token: text(&key, "token"),
            session,
            trails: Vec::new(),
            running: Vec::new(),
            loaded: String::new(),
            installation: String::new(),
            webhook: String::new(),
            database,
        };
        scene.people();
        scene.listener();
        scene.headline();
        scene.factorial();
        scene.pages();
        scene.over();
        scene.loaded = scene.started(&plan("Under load"));
        scene.done("POST", "/v1/experiments", &plan("A draft"));
        scene.settle().await;
        (scene, server)
    }

    /// Everything under an experiment.
    pub(super) fn api_of(&self, id: &str) -> Api {
        self.api_at(self.api, id)
    }

    /// The same of another server.
    pub(super) fn api_at(&self, address: SocketAddr, id: &str) -> Api {
        Api {
            address,
            token: self.token.clone(),
            id: id.to_owned(),
        }
    }

    /// Does something that must succeed.
    fn done(&self, method: &str, path: &str, body: &Json) -> Json {
        let (status, answer) = http(self.api, method, path, Some(&self.token), Some(body));
        assert!((200..300).contains(&status), "{path}: {status} {answer}");
        serde_json::from_str(&answer).unwrap_or(Json::Null)
    }

    /// A new experiment that runs.
    fn started(&self, plan: &Json) -> String {
        let id = text(&self.done("POST", "/v1/experiments", plan), "id");
        self.api_of(&id).done("start", &json!({}));
        id
    }

    /// Visitors with a context, of whom every third buys something.
    fn visited(&self, id: &str, visitors: std::ops::Range<usize>) {
        let api = self.api_of(id);
        for number in visitors {
            let visitor = format!("visitor-{number}");
            let device = ["phone", "desktop"][number % 2];
            let visit = json!({"visitor_id": visitor, "context": {"device": device}});
            api.done("assign", &visit);
            if number % 3 == 0 {
                let event = format!("order-{number}");
                let sale = json!({"visitor_id": visitor, "event_id": event});
                api.done("convert", &sale);
            }
        }
    }

    /// Somebody is invited, and has not come yet; somebody else has, and signed in twice. One is on a plan, by
    /// hand and then by what Stripe tells.
    fn people(&self) {
        let bob = json!({"email": "bob@example.org", "role": "client"});
        let (status, bob) = self.as_me("POST", "/v1/users", &bob);
        assert_eq!(status, 201, "{bob}");
        let bob = text(&bob["user"], "id");
        let plan = json!({"title": "Team", "max_active_experiments": 50,
            "provider_price_id": "price_drill"});
        self.done("PUT", "/v1/plans/team", &plan);
        let path = format!("/v1/users/{bob}/subscription");
        self.done("PUT", &path, &json!({"plan": "team"}));
        self.paid(&bob);
        self.done("GET", "/v1/onboarding", &Json::Null);
        let me = json!({"email": "me@example.org", "password": crate::accounts::PASSWORD});
        session_of(&ask(self.api, ("POST", "/v1/session"), None, &me));
    }

    /// Does something as somebody who is signed in.
    fn as_me(&self, method: &str, path: &str, body: &Json) -> (u16, Json) {
        let (status, _, answer) = ask(self.api, (method, path), Some(&self.session), body);
        (status, serde_json::from_str(&answer).unwrap_or(Json::Null))
    }

    /// Stripe tells that a subscription of `user` has begun.
    fn paid(&self, user: &str) {
        let at = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let event = json!({"id": "evt_drill", "object": "event", "created": at,
        "type": "customer.subscription.created", "data": {"object": {
            "id": "sub_drill", "object": "subscription", "customer": "cus_drill",
            "status": "active", "metadata": {"user_id": user},
            "items": {"data": [{"price": {"id": "price_drill"},
                "current_period_start": at, "current_period_end": at + 2_592_000}]},
        }}});
        let body = event.to_string();
        let signature = mac(STRIPE, &format!("{at}.{body}"));
        let headers = format!(
            "Content-Type: application/json\r\nStripe-Signature: t={at},v1={signature}\r\n"
        );
        let path = "/integrations/stripe/webhooks";
        let (status, told) = with_headers(self.api, "POST", path, &headers, &body);
        assert!((200..300).contains(&status), "{told}");
    }

    /// A receiver of webhooks, which takes everything.
    fn listener(&mut self) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                receive(&stream);
                answer(stream, "204 No Content");
            }
        });
        let events = [
            "experiment.started",
            "experiment.completed",
            "experiment.archived",
        ];
        let hook = json!({"url": url, "events": events});
        self.webhook = text(&self.done("POST", "/v1/webhooks", &hook), "id");
    }

    /// An experiment with everything that can happen to a trail.
    fn headline(&mut self) {
        let mut plan = plan("Headline");
        plan["goals"] = json!([{"name": "sale", "kind": "value", "default_value": 2.5}]);
        plan["hypothesis"] = json!({"statement": "shorter sells more", "minimum_effect": 0.01});
        // It is made once, however often it is asked for.
        let headers = format!(
            "Authorization: Bearer {}\r\nContent-Type: application/json\r\nIdempotency-Key: drill\r\n",
            self.token
        );
        let make = || {
            with_headers(
                self.api,
                "POST",
                "/v1/experiments",
                &headers,
                &plan.to_string(),
            )
        };
        let (status, made) = make();
        assert_eq!((status, make().1), (201, made.clone()));
        let id = text(&serde_json::from_str(&made).unwrap(), "id");
        self.api_of(&id).done("start", &json!({}));
        self.visited(&id, 0..60);
        // Kept out by a rule, forgotten by wish, made unreadable.
        let rule = json!({"kind": "visitor", "value": "robot"});
        self.done("POST", "/v1/exclusions", &rule);
        let api = self.api_of(&id);
        api.done(
            "assign",
            &json!({"visitor_id": "robot", "session_id": "s-1"}),
        );
        self.done("DELETE", "/v1/visitors/visitor-6", &json!({}));
        let redaction = json!({"sequence_number": 5, "reason": "it should not stand here"});
        api.done("audit/redactions", &redaction);
        api.checkpoint();
        self.runs(id);
    }

    /// Two elements, each combination an arm.
    fn factorial(&mut self) {
        let mut plan = plan("Both");
        let second = plan["elements"][0].clone();
        plan["elements"].as_array_mut().unwrap().push(second);
        plan["elements"][1]["name"] = json!("picture");
        plan["allocation"] = json!({"mode": "factorial", "warm_up": 5});
        let id = self.started(&plan);
        self.visited(&id, 0..30);
        self.api_of(&id).checkpoint();
        self.runs(id);
    }

    /// A site that shows one, tells what it has shown and what it lacks, and sells something; visitors who go
    /// through a funnel, of whom one becomes a lead; and a shop that is about to let the app in.
    fn pages(&mut self) {
        let site = json!({"name": "Shop", "domain": "shop.example", "platform": "wordpress"});
        let site = self.done("POST", "/v1/installations", &site);
        let (installation, token) = (text(&site, "id"), text(&site, "token"));
        let mut plan = plan("On a page");
        plan["target_url"] = json!(format!("{ORIGIN}/*"));
        plan["goals"] = json!([{"name": "order", "kind": "value"}]);
        let made = self.done("POST", "/v1/experiments", &plan);
        let id = text(&made, "id");
        self.api_of(&id).done("start", &json!({}));
        self.funnel();
        let from = |path: &str, body: &Json| {
            let (status, answer) = from_page(self.api, path, (ORIGIN, "192.0.2.1"), body);
            assert_eq!(status, 200, "{answer}");
            assert!(!answer.contains("ignored"), "{answer}");
        };
        for number in 0..10 {
            let visitor = format!("guest-{number}");
            let url = format!("{ORIGIN}/pricing");
            from(
                "/v1/page",
                &json!({"token": token, "url": url, "visitor_id": visitor}),
            );
            let events = json!([
                {"type": "exposure", "experiment_id": id, "event_id": format!("e-{number}")},
                {"type": "no_match", "experiment_id": id, "event_id": format!("m-{number}"),
                 "element_id": made["elements"][0]["id"], "url": url},
            ]);
            from(
                "/v1/events",
                &json!({"token": token, "visitor_id": visitor, "events": events}),
            );
        }
        let form = json!({"token": token, "url": format!("{ORIGIN}/pricing"), "visitor_id": "guest-1",
            "email": "ann@example.com", "message": "call me"});
        let (status, told) = from_page(self.api, "/v1/leads", (ORIGIN, "192.0.2.1"), &form);
        assert!((200..300).contains(&status), "{told}");
        let path = format!("/v1/installations/{installation}/signing-secret");
        let secret = text(&self.done("POST", &path, &json!({})), "secret");
        self.order(&token, &secret);
        let shop = json!({"shop": "snow-devil.myshopify.com"});
        let shop = self.done("POST", "/integrations/shopify/install", &shop);
        let begin = text(&shop, "url").replace("https://ab.example.org", "");
        assert_eq!(http(self.api, "GET", &begin, None, None).0, 302);
        self.installation = installation;
        self.api_of(&id).checkpoint();
        self.runs(id);
    }

    /// From the prices to a lead.
    fn funnel(&self) {
        let nodes = json!([
            {"type": "page", "name": "Prices", "config": {"url": format!("{ORIGIN}/pricing")}},
            {"type": "conversion", "name": "Lead", "config": {"trigger": {"type": "lead"}}},
        ]);
        let drawn = json!({"name": "Contact", "nodes": nodes});
        let drawn = self.done("POST", "/v1/funnels", &drawn);
        let path = format!("/v1/funnels/{}", text(&drawn, "id"));
        let ends = json!([{"source": drawn["nodes"][0]["id"], "target": drawn["nodes"][1]["id"],
            "condition": {"type": "always"}}]);
        self.done(
            "PATCH",
            &path,
            &json!({"nodes": drawn["nodes"], "edges": ends}),
        );
        self.done("POST", &format!("{path}/activate"), &json!({}));
    }

    /// An order of the site, signed by its plugin.
    fn order(&self, token: &str, secret: &str) {
        let body =
            json!({"order_id": 42, "visitor_id": "guest-1", "total": "19.90", "currency": "EUR"});
        let at = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let mac = mac(secret, &format!("{at}.{body}"));
        let headers = format!(
            "Content-Type: application/json\r\nSamplit-Installation: {token}\r\n\
             Samplit-Timestamp: {at}\r\nSamplit-Delivery: 1\r\nSamplit-Signature: {mac}\r\n"
        );
        let path = "/integrations/wordpress/orders";
        let (status, told) = with_headers(self.api, "POST", path, &headers, &body.to_string());
        assert_eq!(status, 200, "{told}");
        assert!(told.contains("recorded"), "{told}");
    }

    /// Experiments at the end of their lives: completed, sealed, archived.
    fn over(&mut self) {
        for (name, last) in [
            ("Completed", None),
            ("Sealed", Some("audit/seal")),
            ("Archived", Some("archive")),
        ] {
            let mut plan = plan(name);
            plan["allocation"] = json!({"attribution_window_seconds": 0});
            let made = self.done("POST", "/v1/experiments", &plan);
            let (id, element) = (text(&made, "id"), &made["elements"][0]);
            let api = self.api_of(&id);
            api.done("start", &json!({}));
            self.visited(&id, 0..12);
            let winner = json!({text(element, "id"): element["variants"][1]["id"]});
            api.done("complete", &json!({"winner": winner}));
            if let Some(last) = last {
                api.done(last, &json!({}));
            }
            api.checkpoint();
            self.trails.push(id);
        }
    }

    fn runs(&mut self, id: String) {
        self.trails.push(id.clone());
        self.running.push(id);
    }

    /// Waits for what is written down a moment later.
    async fn settle(&self) {
        let client = rows::connect(self.database.url()).await;
        let is_settled = "SELECT EXISTS (SELECT FROM excluded_sessions) \
            AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'pending')";
        let deadline = Instant::now() + Duration::from_secs(60);
        while !client
            .query_one(is_settled, &[])
            .await
            .unwrap()
            .get::<_, bool>(0)
        {
            assert!(Instant::now() < deadline, "it never settles");
            sleep(Duration::from_millis(20)).await;
        }
    }
}

/// HMAC-SHA-256 in hex.
fn mac(secret: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let mac = hmac::sign(&key, text.as_bytes());
    mac.as_ref().iter().map(|b| format!("{b:02x}")).collect()
}

/// A plan with one element and two variants.
fn plan(name: &str) -> Json {
    json!({
        "name": name,
        "elements": [{"name": "buy", "selector": {"type": "id", "value": "buy"}, "variants": [
            {"name": "grey", "content": {}, "is_control": true},
            {"name": "green", "content": {"text": "Buy"}}
        ]}]
    })
}

fn text(json: &Json, name: &str) -> String {
    let text = json[name].as_str();
    text.unwrap_or_else(|| panic!("no {name} in {json}"))
        .to_owned()
}
