//! Plans, subscriptions and first steps over HTTP, and their pages.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_engine::{EngineConfig, StripeSecret};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::browser::{Browser, set_up};
use crate::support::{Answer, Server, check, draft, server};

const STRIPE: &str = "/integrations/stripe/webhooks";
const SECRET: &str = "whsec_c2VjcmV0";

/// Sends a form as a page of the server does.
async fn post_form(browser: &Browser<'_>, path: &str, form: &str) -> Answer {
    let token = browser.token();
    let request = Request::post(format!("http://{}{path}", browser.server.public))
        .header("cookie", format!("__Host-samplit_session={token}"))
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded");
    let request = request.body(Full::from(form.to_owned())).unwrap();
    browser.server.send(request).await
}

async fn put(browser: &Browser<'_>, path: &str, body: Json) -> Answer {
    browser.ask(Method::PUT, path, &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_sold_used_up_and_told_of() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (id, ana) = admin.welcome("ana@example.org", "client").await;
    let own = ana.get("/v1/subscription").await.json();
    assert_eq!(
        (&own["plan"], &own["title"]),
        (&json!("self_hosted"), &json!("Self-hosted"))
    );
    assert_eq!(own["limits"]["active_experiments"], Json::Null);

    let plan =
        json!({"title": "Team", "max_active_experiments": 1, "max_monthly_visitors": 10_000});
    let saved = put(&admin, "/v1/plans/team", plan).await;
    assert_eq!(saved.summary(), "200");
    assert_eq!(saved.json()["max_seats"], Json::Null);
    let path = format!("/v1/users/{id}/subscription");
    let set = put(&admin, &path, json!({"plan": "team"})).await;
    assert_eq!(
        (set.summary().as_str(), &set.json()["plan"]),
        ("200", &json!("team"))
    );
    for body in [json!({"plan": "gold"}), json!({}), json!({"plan": 1})] {
        let refused = put(&admin, &path, body).await;
        assert!(
            refused.summary().starts_with("422 invalid /plan:"),
            "{}",
            refused.text()
        );
    }

    for expected in ["200", "409 plan_limit"] {
        let made = ana
            .ask(Method::POST, "/v1/experiments", &draft())
            .await
            .json();
        let start = format!("/v1/experiments/{}/start", made["id"].as_str().unwrap());
        let started = ana.ask(Method::POST, &start, &Json::Null).await;
        assert_eq!(started.summary(), expected);
    }
    let own = ana.get("/v1/subscription").await.json();
    let warning = json!({"limit": "active_experiments", "percent": 100, "used": 1, "of": 1});
    assert_eq!(own["warnings"], json!([warning]));
    assert_eq!(own["usage"]["active_experiments"], 1);
    let listed = admin.get("/v1/subscriptions?limit=1").await.json();
    assert_eq!(listed["data"][0]["email"], "ana@example.org");
    let page = ana.get("/").await;
    assert!(
        page.text()
            .contains("1 of 1 running experiments: your plan is used up"),
        "{}",
        page.text()
    );
    let page = ana.get("/plan").await;
    assert!(page.text().contains("1 of 1"), "{}", page.text());

    // Only admins keep plans.
    for path in ["/v1/plans", "/v1/subscriptions", "/plans"] {
        assert!(ana.get(path).await.status.as_u16() == 403, "{path}");
    }
    let by_client = put(&ana, "/v1/plans/team", json!({"title": "Mine"})).await;
    assert_eq!(by_client.summary(), "403 admin_only");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_plan_can_be_is_named() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    for (name, body, expected) in [
        (
            "Team%21",
            json!({"title": "T"}),
            "422 invalid {name}:malformed",
        ),
        ("team", json!({}), "422 invalid /title:required"),
        (
            "team",
            json!({"title": "T", "max_seats": -1, "seats": 2}),
            "422 invalid /max_seats:wrong_type /seats:unknown_field",
        ),
        (
            "team",
            json!({"title": "T", "max_seats": 1_000_001}),
            "422 invalid /max_seats:out_of_range",
        ),
        (
            "self_hosted",
            json!({"title": "T", "max_seats": 5}),
            "422 invalid /max_seats:conflict",
        ),
    ] {
        let refused = put(&admin, &format!("/v1/plans/{name}"), body).await;
        assert_eq!(refused.summary(), expected);
    }
    let price = json!({"title": "T", "provider_price_id": "price_1"});
    assert_eq!(
        put(&admin, "/v1/plans/a", price.clone()).await.summary(),
        "200"
    );
    assert_eq!(
        put(&admin, "/v1/plans/b", price).await.summary(),
        "409 price_taken"
    );
    let plans = admin.get("/v1/plans").await.json();
    assert_eq!(plans["data"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stripe_is_heard_by_its_signature_and_only_where_it_is_known() {
    let (deaf, _database) = server(HttpConfig::default()).await;
    check(&deaf, Method::POST, STRIPE, "{}", "404 not_found").await;
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        stripe_secret: Some(StripeSecret::new(SECRET)),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    check(&server, Method::POST, STRIPE, "{}", "401 bad_signature").await;
    let tell = async |body: &str| {
        let at = server.engine.now().unix_timestamp();
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET.as_bytes());
        let mac = ring::hmac::sign(&key, format!("{at}.{body}").as_bytes());
        let mac: String = mac
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let request = Request::post(format!("http://{}{STRIPE}", server.public))
            .header("content-type", "application/json; charset=utf-8")
            .header("stripe-signature", format!("t={at},v1={mac}"));
        let request = request.body(Full::from(body.to_owned())).unwrap();
        server.send(request).await.summary()
    };
    let event =
        json!({"id": "evt_1", "type": "charge.refunded", "created": 1, "data": {"object": {}}});
    assert_eq!(tell(&event.to_string()).await, "200");
    assert_eq!(tell("[]").await, "422 invalid :malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_steps_are_told_and_put_away() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (_, ana) = admin.welcome("ana@example.org", "client").await;
    let told = ana.get("/v1/onboarding").await.json();
    assert_eq!(told["step"], "install");
    let steps: Vec<&str> = told["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["step"].as_str().unwrap())
        .collect();
    let all = [
        "welcome",
        "install",
        "verify",
        "create_experiment",
        "complete",
    ];
    assert_eq!(steps, all);
    assert!(told["steps"][0]["done_at"].is_string());
    assert_eq!(told["steps"][1]["done_at"], Json::Null);
    assert!(ana.get("/").await.text().contains("Your first steps"));

    let away = post_form(&ana, "/onboarding", "do=dismiss").await;
    assert_eq!(away.header("location"), "/?done=onboarding_dismissed");
    assert!(!ana.get("/").await.text().contains("Your first steps"));
    assert!(
        ana.get("/settings")
            .await
            .text()
            .contains("Show the first steps again")
    );
    let back = ana
        .ask(Method::POST, "/v1/onboarding/reopen", &Json::Null)
        .await;
    assert_eq!(back.json()["dismissed_at"], Json::Null);
    assert!(ana.get("/").await.text().contains("Your first steps"));
    let nothing = post_form(&ana, "/onboarding", "do=sing").await;
    assert_eq!(nothing.status.as_u16(), 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_forms_of_plans_say_what_is_wrong_beside_the_field() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (id, _) = admin.welcome("ana@example.org", "client").await;
    let refused = post_form(&admin, "/plans", "name=Team!&%2Ftitle=").await;
    assert_eq!(refused.status.as_u16(), 422);
    for error in ["f-name-error", "f-title-error"] {
        assert!(
            refused.text().contains(error),
            "{error}: {}",
            refused.text()
        );
    }
    let form = "name=team&%2Ftitle=Team&%2Fmax_active_experiments:number=3&%2Fmax_seats:number=";
    let made = post_form(&admin, "/plans", form).await;
    assert_eq!(made.header("location"), "/plans?done=plan_saved");
    let again = post_form(&admin, "/plans", form).await;
    assert!(again.text().contains("f-name-error"), "{}", again.text());
    let page = admin.get("/plans?plan=team").await;
    assert!(page.text().contains("Change “team”"), "{}", page.text());
    let changed = post_form(&admin, "/plans", "save=team&%2Ftitle=The+team").await;
    assert_eq!(changed.header("location"), "/plans?done=plan_saved");
    let plans = admin.get("/v1/plans").await.json();
    assert_eq!(plans["data"][1]["title"], "The team");
    assert_eq!(plans["data"][1]["max_active_experiments"], Json::Null);

    let path = format!("/users/{id}/plan");
    let set = post_form(&admin, &path, "%2Fplan=team").await;
    assert_eq!(set.header("location"), format!("/users/{id}?done=plan_set"));
    let unknown = post_form(&admin, &path, "%2Fplan=gold").await;
    assert_eq!(unknown.status.as_u16(), 422);
    assert!(
        unknown.text().contains("f-plan-error"),
        "{}",
        unknown.text()
    );
    assert!(admin.get("/plans").await.text().contains("ana@example.org"));
}
