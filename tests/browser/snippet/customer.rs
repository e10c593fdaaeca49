//! What a customer does, by the API alone: the line is copied into a page, a variant is shown, an order of
//! the shop counts for who has seen it, and a preview leaves nothing behind.

use fantoccini::Client;
use ring::hmac;
use samplit_engine::{Clock as _, EngineConfig, NewApiKey, Role, Scope, Secret, SystemClock};
use samplit_http::{Drain, HttpConfig, Listeners, serve};
use serde_json::{Value as Json, json};
use tokio::{net::TcpListener, sync::oneshot};

use crate::http::Api;

use super::site::{PATIENT, Site, on_a_site, open, until, value};

/// What the plugin of WordPress adds: it leaves the visitor where the checkout reads it.
const PLUGIN: &str = include_str!("../../../integrations/wordpress/samplit/assets/visitor.js");
const READY: &str = "window.ready_";
const TEXT: &str = "document.querySelector('h1').textContent";

/// A shop of WordPress with the snippet on its page, and an experiment that runs on it.
struct Shop<'a> {
    page: &'a Client,
    site: &'a Site,
    api: Api,
    /// `/v1/installations/{id}`
    installation: String,
    token: String,
    /// `/v1/experiments/{id}`
    experiment: String,
}

async fn in_a_shop(test: impl AsyncFnOnce(&Shop<'_>)) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let key = NewApiKey {
        email: "owner@example.com".to_owned(),
        role: Role::Client,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(key).await.unwrap().token;
    let public = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api = Api::new(&format!("http://{}", public.local_addr().unwrap()), &key);
    let (stop, stopped) = oneshot::channel::<()>();
    let listeners = Listeners { public, ops: None };
    let served = tokio::spawn(serve(
        listeners,
        engine,
        HttpConfig::default(),
        async move {
            let _ = stopped.await;
        },
    ));
    on_a_site(async |page, site| test(&Shop::open(page, site, api).await).await).await;
    drop(stop);
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

impl<'a> Shop<'a> {
    async fn open(page: &'a Client, site: &'a Site, api: Api) -> Self {
        let domain = site.origin.strip_prefix("http://").unwrap();
        let new = json!({"name": "Shop", "domain": domain, "platform": "wordpress"});
        let made = api.post("/v1/installations", &new).await;
        let installation = format!("/v1/installations/{}", made["id"].as_str().unwrap());
        let snippet = api.get(&format!("{installation}/snippet")).await;
        let line = snippet["html"].as_str().unwrap();
        let listen = "<script>document.addEventListener('samplit:ready', (event) => window.ready_ = event.detail)</script>";
        let html = format!(
            "<!doctype html><head>{PATIENT}{listen}<script>{PLUGIN}</script>{line}</head><h1>Control</h1>"
        );
        site.plain_page("/", html);
        let draft = json!({
            "name": "Headline", "target_url": format!("{}/", site.origin),
            "goals": [{"name": "sale", "kind": "value"}],
            "elements": [{"name": "headline", "selector": {"type": "css", "value": "h1"}, "variants": [
                {"name": "A", "is_control": true, "content": {}},
                {"name": "B", "content": {"text": "Variant"}},
            ]}],
        });
        let draft = api.post("/v1/experiments", &draft).await;
        let experiment = format!("/v1/experiments/{}", draft["id"].as_str().unwrap());
        let token = made["token"].as_str().unwrap().to_owned();
        Self {
            page,
            site,
            api,
            installation,
            token,
            experiment,
        }
    }

    async fn start(&self) {
        self.api
            .post(&format!("{}/start", self.experiment), &json!({}))
            .await;
    }

    /// Visits as somebody new; says whether that is shown the variant.
    async fn visit(&self) -> bool {
        let forget = "localStorage.clear(); sessionStorage.clear(); window.ready_ = undefined";
        let _ = self.page.execute(forget, Vec::new()).await;
        self.page.delete_all_cookies().await.unwrap();
        open(self.page, self.site, "/", READY).await;
        until(self.page, "window.dataLayer?.length").await;
        let text = value(self.page, TEXT).await;
        let is_control = value(self.page, "ready_.variants[0].variant.is_control").await;
        assert_eq!(
            text,
            if is_control == true {
                "Control"
            } else {
                "Variant"
            }
        );
        is_control == false
    }

    /// What is counted of the arms A and B.
    async fn counts(&self, what: &str) -> Json {
        let results = self.api.get(&format!("{}/results", self.experiment)).await;
        let arms = &results["elements"][0]["arms"];
        json!([arms[0][what], arms[1][what]])
    }

    /// Tells of an order, signed with the secret of the site.
    async fn order(&self, secret: &str, delivery: &str, body: &Json) -> Json {
        let (body, at) = (body.to_string(), SystemClock.now().unix_timestamp());
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let signature: String = signature
            .as_ref()
            .iter()
            .map(|b| format!("{b:02x}"))
            .collect();
        let headers = [
            ("samplit-installation", self.token.as_str()),
            ("samplit-timestamp", &at.to_string()),
            ("samplit-delivery", delivery),
            ("samplit-signature", &signature),
        ];
        let asked = self
            .api
            .ask("POST", "/integrations/wordpress/orders", &headers, &body);
        let (status, answer) = asked.await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_of_the_shop_counts_for_the_visitor_who_saw_the_variant() {
    in_a_shop(async |shop| {
        shop.start().await;
        let secret = shop
            .api
            .post(&format!("{}/signing-secret", shop.installation), &json!({}))
            .await;
        let secret = secret["secret"].as_str().unwrap();

        let mut visits = [0, 0];
        while visits[1] == 0 {
            visits[usize::from(shop.visit().await)] += 1;
            assert!(visits[0] < 50, "nobody is ever shown the variant");
        }
        // The exposure of this visit is on its way, or there.
        samplit_tests::eventually(async || shop.counts("exposures").await == json!(visits)).await;
        assert_eq!(shop.counts("assignments").await, json!(visits));
        assert_eq!(shop.counts("conversions").await, json!([0, 0]));

        // The checkout takes the visitor from the cookie of the plugin.
        until(
            shop.page,
            "document.cookie.includes('samplit_order_visitor=')",
        )
        .await;
        let visitor = value(
            shop.page,
            "document.cookie.match(/samplit_order_visitor=([^;]+)/)[1]",
        )
        .await;
        let order =
            json!({"order_id": 42, "visitor_id": visitor, "total": "59.90", "currency": "EUR"});
        let answer = shop.order(secret, "order-42", &order).await;
        assert_eq!(answer, json!({"status": "recorded", "experiments": 1}));
        assert_eq!(shop.counts("conversions").await, json!([0, 1]));
        assert_eq!(shop.counts("value_sum").await, json!([0.0, 59.9]));

        // Neither the shop nor the page of the same visitor makes two of it.
        assert_eq!(
            shop.order(secret, "order-42", &order).await["status"],
            "duplicate"
        );
        let another =
            json!({"order_id": 43, "visitor_id": visitor, "total": "1", "currency": "EUR"});
        assert_eq!(
            shop.order(secret, "order-43", &another).await["experiments"],
            0
        );
        value(shop.page, "samplit.convert('sale', {value: 1000})").await;
        let is_done = "JSON.parse(localStorage.samplit_goals)[0].isDone";
        until(shop.page, is_done).await;
        assert_eq!(shop.counts("conversions").await, json!([0, 1]));
        assert_eq!(shop.counts("value_sum").await, json!([0.0, 59.9]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_link_shows_what_it_names_and_leaves_nothing_behind() {
    in_a_shop(async |shop| {
        let draft = shop.api.get(&shop.experiment).await;
        let element = &draft["elements"][0];
        for started in [false, true] {
            for (at, expected) in ["Control", "Variant"].into_iter().enumerate() {
                let chosen = json!({"variants": {element["id"].as_str().unwrap(): element["variants"][at]["id"]}});
                let link = shop.api.post(&format!("{}/preview", shop.experiment), &chosen).await;
                let path = link["url"].as_str().unwrap().strip_prefix(&shop.site.origin).unwrap();
                open(shop.page, shop.site, path, READY).await;
                assert_eq!(value(shop.page, TEXT).await, expected, "{started}");
                assert_eq!(value(shop.page, "ready_.in_time").await, true);
                value(shop.page, "samplit.convert('sale', {value: 5})").await;
                // Ends after what was asked before.
                value(shop.page, "(window.ready_ = undefined, samplit.refresh())").await;
                until(shop.page, READY).await;
                let kept = "[Object.keys(localStorage), Object.keys(sessionStorage), window.dataLayer ?? null]";
                assert_eq!(value(shop.page, kept).await, json!([[], [], null]));
            }
            if !started {
                shop.start().await;
            }
        }
        let cookies = shop.page.get_all_cookies().await.unwrap();
        assert!(cookies.iter().all(|cookie| cookie.name() != "samplit_visitor"), "{cookies:?}");

        // A real visit afterwards is the only one that is counted, as nothing else has ever been.
        let counted = if shop.visit().await { json!([0, 1]) } else { json!([1, 0]) };
        samplit_tests::eventually(async || shop.counts("exposures").await == counted).await;
        assert_eq!(shop.counts("assignments").await, counted);
        assert_eq!(shop.counts("conversions").await, json!([0, 0]));
    })
    .await;
}
