//! Installations over their life, and keys and triggers of experiments.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use parking_lot::Mutex;
use samplit_engine::Scope;
use samplit_http::{FetchFailure, FetchedPage, HttpConfig, PageFetcher};
use serde_json::{Value as Json, json};

use tokio::sync::Semaphore;

use crate::pages::send;
use crate::support::{check, create_key, draft, server};

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_made_changed_rotated_and_turned_off() {
    let (server, _database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Shop", "domain": "WWW.Shop.test"});
    let made = server.post("/v1/installations", &body).await;
    assert_eq!(
        (made.status, made.header("etag")),
        (StatusCode::CREATED, "\"v1\"")
    );
    let mut expected = made.json();
    assert_eq!(expected["domain"], "shop.test");
    assert_eq!(expected["status"], "active");
    let path = made.header("location").to_owned();
    assert_eq!(server.get(&path).await.json(), expected);
    let token = expected["token"].as_str().unwrap().to_owned();
    assert!(token.starts_with("pk_") && token.len() == 46);

    let changed = server
        .patch(&path, &json!({"origins": ["https://A.test:443"]}))
        .await;
    assert_eq!(changed.header("etag"), "\"v2\"");
    expected["origins"] = json!(["https://a.test"]);
    for name in ["version", "updated_at"] {
        expected[name] = changed.json()[name].clone();
    }
    assert_eq!(changed.json(), expected);
    let request = server
        .request(Method::PATCH, &path)
        .header("if-match", "\"v1\"");
    let late = server
        .send(request.body(Full::from("{\"name\":\"x\"}")).unwrap())
        .await;
    assert_eq!(late.summary(), "412 version_mismatch");

    let ask = |token: String| {
        let request = Request::post(format!("http://{}/v1/page", server.public))
            .header("origin", "https://shop.test")
            .header("content-type", "text/plain");
        let body = json!({"token": token, "url": "https://shop.test/"}).to_string();
        let sent = server.send(request.body(Full::from(body)).unwrap());
        async move { sent.await.summary() }
    };
    assert_eq!(ask(token.clone()).await, "200");
    let rotated = server
        .post(&format!("{path}/rotate"), &json!({}))
        .await
        .json();
    let next = rotated["token"].as_str().unwrap().to_owned();
    assert_ne!(next, token);
    assert!(rotated["previous_token_ends_at"].is_string());
    assert_eq!(
        (ask(token.clone()).await, ask(next.clone()).await),
        ("200".into(), "200".into())
    );
    // Pages that still run would lose theirs; whoever wants that says so.
    let again = server.post(&format!("{path}/rotate"), &json!({})).await;
    assert_eq!(again.summary(), "409 rotated_lately");
    let ends_at = rotated["previous_token_ends_at"].as_str().unwrap();
    assert!(again.json()["detail"].as_str().unwrap().contains(ends_at));
    assert_eq!(ask(token.clone()).await, "200");
    let bad = server
        .post(&format!("{path}/rotate"), &json!({"now": 1}))
        .await;
    assert_eq!(bad.summary(), "422 invalid /now:wrong_type");
    let forced = server
        .post(&format!("{path}/rotate"), &json!({"now": true}))
        .await;
    let (token, next) = (next, forced.json()["token"].as_str().unwrap().to_owned());
    assert_eq!(
        (ask(token.clone()).await, ask(next.clone()).await),
        ("200".into(), "200".into())
    );

    assert_eq!(server.delete(&path).await.json()["status"], "disabled");
    let unknown = "401 unknown_installation".to_owned();
    assert_eq!(
        (ask(token).await, ask(next.clone()).await),
        (unknown.clone(), unknown)
    );
    server.patch(&path, &json!({"status": "active"})).await;
    assert_eq!(ask(next).await, "200");
    let seen = async || server.get(&path).await.json()["last_seen_at"].is_string();
    samplit_tests::eventually(seen).await;
    assert!(server.get(&path).await.json()["verified_at"].is_string());

    for number in 0..2 {
        let body = json!({"name": format!("More {number}"), "domain": "more.test"});
        server.post("/v1/installations", &body).await;
    }
    let mut cursor = String::new();
    let mut names = Vec::new();
    loop {
        let page = server
            .get(&format!("/v1/installations?limit=2{cursor}"))
            .await
            .json();
        let data = page["data"].as_array().unwrap().iter();
        names.extend(data.map(|found| found["name"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(names, ["More 1", "More 0", "Shop"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_a_rule_is_named() {
    let (server, _database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Shop", "domain": "shop.test"});
    let made = server.post("/v1/installations", &body).await;
    let path = made.header("location").to_owned();
    let bad = r#"{"name": "", "domain": "https://shop.test", "origins": ["x", 1],
        "hide_timeout_ms": 2000, "platform": "own", "token": "pk_"}"#;
    let expected = "422 invalid /platform:unknown_value /origins/1:wrong_type /token:unknown_field";
    check(&server, Method::POST, "/v1/installations", bad, expected).await;
    let bad =
        r#"{"name": "", "domain": "https://shop.test", "origins": ["x"], "hide_timeout_ms": 2000}"#;
    let expected = "422 invalid /name:required /domain:malformed /origins/0:malformed \
        /hide_timeout_ms:out_of_range";
    for (method, path) in [(Method::POST, "/v1/installations"), (Method::PATCH, &path)] {
        check(&server, method, path, bad, expected).await;
    }
    let bad = r#"{"status": "uninstalled"}"#;
    check(
        &server,
        Method::PATCH,
        &path,
        bad,
        "422 invalid /status:conflict",
    )
    .await;
    let nobody = "/v1/installations/0197f0a0-0000-7000-8000-000000000001";
    check(&server, Method::GET, nobody, "", "404 not_found").await;
    check(
        &server,
        Method::GET,
        "/v1/installations/7",
        "",
        "404 not_found",
    )
    .await;
}

/// Gives every page the same answer, and knows what was asked for.
#[derive(Debug)]
struct Canned {
    answer: Mutex<Result<FetchedPage, FetchFailure>>,
    asked: Mutex<Vec<String>>,
    /// One permit for each page that may be answered.
    may_answer: Semaphore,
}

impl PageFetcher for Canned {
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<FetchedPage, FetchFailure>> {
        Box::pin(async move {
            self.asked.lock().push(url.to_owned());
            let permit = self.may_answer.acquire().await;
            permit.expect("nobody closes it").forget();
            self.answer.lock().clone()
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snippet_is_looked_for_on_pages_of_the_site() {
    let page = |status, body: &str| FetchedPage {
        status,
        body: body.to_owned(),
    };
    let canned = Arc::new(Canned {
        answer: Mutex::new(Ok(page(200, "<html>"))),
        asked: Mutex::default(),
        may_answer: Semaphore::new(100),
    });
    let fetcher: Arc<dyn PageFetcher> = Arc::<Canned>::clone(&canned);
    let config = HttpConfig {
        page_fetcher: Some(fetcher),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let body = json!({"name": "Shop", "domain": "shop.test", "origins": ["https://cdn.test"]});
    let made = server.post("/v1/installations", &body).await;
    let token = made.json()["token"].as_str().unwrap().to_owned();
    let path = format!("{}/verify", made.header("location"));
    let verify = async |answer, body: Json| {
        *canned.answer.lock() = answer;
        let answer = server.post(&path, &body).await.json();
        (answer["verified"].clone(), answer["reason"].clone())
    };
    let no = |reason: &str| (json!(false), json!(reason));
    assert_eq!(
        verify(Ok(page(200, "<html>")), json!({})).await,
        no("no_snippet")
    );
    assert_eq!(verify(Ok(page(301, &token)), json!({})).await, no("status"));
    let refused = Err(FetchFailure::AddressRefused);
    assert_eq!(verify(refused, json!({})).await, no("address_refused"));
    let away = Err(FetchFailure::Unreachable("closed".to_owned()));
    assert_eq!(verify(away, json!({})).await, no("unreachable"));
    for bad in [
        "https://evil.test/",
        "http://shop.test/",
        "https://shop.test@evil.test/",
        // May use the token, and is not the domain.
        "https://cdn.test/",
    ] {
        let body = json!({"url": bad}).to_string();
        check(
            &server,
            Method::POST,
            &path,
            &body,
            "422 invalid /url:conflict",
        )
        .await;
    }
    let shop = json!({"url": "https://www.shop.test/a?b"});
    let found = verify(Ok(page(200, &format!("src=/s/{token}.js"))), shop).await;
    assert_eq!(found, (json!(true), Json::Null));
    // From now on it is known.
    let known = verify(Err(FetchFailure::AddressRefused), json!({})).await;
    assert_eq!(known, (json!(true), Json::Null));
    let asked = canned.asked.lock().clone();
    assert_eq!(asked.len(), 5);
    // Whoever may only read makes the server fetch nothing.
    let reader = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    let request = Request::post(format!("http://{}{path}", server.public))
        .header("authorization", format!("Bearer {reader}"));
    let refused = server.send(request.body(Full::default()).expect("a request"));
    assert_eq!(refused.await.summary(), "403 forbidden");
    assert_eq!(canned.asked.lock().len(), 5);
    assert_eq!(asked[0], "https://shop.test/");
    assert_eq!(asked[4], "https://www.shop.test/a?b");
    // Another site has to show it again.
    let location = made.header("location");
    let moved = server
        .patch(location, &json!({"domain": "shop.example"}))
        .await;
    assert_eq!(moved.json()["verified_at"], Json::Null);
}

/// What was found on one domain says nothing of another that was put in its place meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_domain_that_changes_while_it_is_looked_at_is_not_verified() {
    let canned = Arc::new(Canned {
        answer: Mutex::new(Err(FetchFailure::AddressRefused)),
        asked: Mutex::default(),
        may_answer: Semaphore::new(0),
    });
    let fetcher: Arc<dyn PageFetcher> = Arc::<Canned>::clone(&canned);
    let config = HttpConfig {
        page_fetcher: Some(fetcher),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let body = json!({"name": "Shop", "domain": "mine.test"});
    let made = server.post("/v1/installations", &body).await;
    *canned.answer.lock() = Ok(FetchedPage {
        status: 200,
        body: made.json()["token"].as_str().unwrap().to_owned(),
    });
    let path = made.header("location").to_owned();
    let (verify, nothing) = (format!("{path}/verify"), json!({}));
    let verified = server.post(&verify, &nothing);
    let moved = async {
        samplit_tests::eventually(async || !canned.asked.lock().is_empty()).await;
        let moved = server.patch(&path, &json!({"domain": "theirs.test"})).await;
        canned.may_answer.add_permits(1);
        moved
    };
    let (verified, moved) = tokio::join!(verified, moved);
    assert_eq!(moved.summary(), "200");
    assert_eq!(verified.summary(), "409 domain_changed");
    assert_eq!(server.get(&path).await.json()["verified_at"], Json::Null);
}

/// Other origins may use the token, and prove nothing of the domain.
#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_the_domain_itself_verify_it() {
    let (server, database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Shop", "domain": "shop.test", "origins": ["https://mine.test"]});
    let made = server.post("/v1/installations", &body).await;
    let (path, made) = (made.header("location").to_owned(), made.json());
    let page = json!({"token": made["token"], "url": "https://shop.test/"});
    let seen = async || server.get(&path).await.json()["last_seen_at"].is_string();
    let verified = async || server.get(&path).await.json()["verified_at"].is_string();
    let ask = async |origin| send(&server, "/v1/page", &[("origin", origin)], &page).await;
    assert_eq!(ask("https://mine.test").await.summary(), "200");
    samplit_tests::eventually(seen).await;
    assert!(!verified().await);
    // Within the same minute.
    assert_eq!(ask("https://www.shop.test").await.summary(), "200");
    samplit_tests::eventually(verified).await;
    drop(database);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_is_the_schemes_own_says_nothing() {
    let (server, _database) = server(HttpConfig::default()).await;
    for (domain, expected, origins) in [
        (
            "shop.test:443",
            "shop.test",
            ["https://shop.test", "https://www.shop.test"],
        ),
        (
            "shop.test:0443",
            "shop.test",
            ["https://shop.test", "https://shop.test:443"],
        ),
        (
            "localhost:80",
            "localhost",
            ["http://localhost", "http://localhost:80"],
        ),
        (
            "shop.test:08443",
            "shop.test:8443",
            ["https://shop.test:8443"; 2],
        ),
    ] {
        let body = json!({"name": "Shop", "domain": domain, "origins": ["http://app.test:080"]});
        let made = server.post("/v1/installations", &body).await.json();
        assert_eq!(made["domain"], expected);
        assert_eq!(made["origins"], json!(["http://app.test"]));
        let page = json!({"token": made["token"], "url": "https://shop.test/"});
        for origin in origins
            .into_iter()
            .chain(["http://app.test", "http://app.test:80"])
        {
            let answer = send(&server, "/v1/page", &[("origin", origin)], &page).await;
            assert_eq!(answer.summary(), "200", "{domain} {origin}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_has_a_key_of_its_own_and_goals_have_triggers() {
    let (server, _database) = server(HttpConfig::default()).await;
    let mut first = draft();
    first["key"] = "checkout".into();
    let trigger = json!({"type": "click", "selector": {"type": "css", "value": "#buy"}});
    first["goals"] = json!([{"name": "bought", "trigger": trigger}]);
    let id = server.create(&first).await;
    let path = format!("/v1/experiments/{id}");
    let made = server.get(&path).await.json();
    assert_eq!(made["key"], "checkout");
    assert_eq!(made["goals"][0]["trigger"], trigger);

    check(
        &server,
        Method::POST,
        "/v1/experiments",
        &first.to_string(),
        "409 key_taken",
    )
    .await;
    let second = server.create(&draft()).await;
    let other = format!("/v1/experiments/{second}");
    check(
        &server,
        Method::PATCH,
        &other,
        r#"{"key":"checkout"}"#,
        "409 key_taken",
    )
    .await;
    assert_eq!(
        server.patch(&other, &json!({"key": "header"})).await.json()["key"],
        "header"
    );
    assert_eq!(
        server.patch(&other, &json!({"key": null})).await.json()["key"],
        Json::Null
    );
    let renamed = server.patch(&path, &json!({"name": "Till"})).await.json();
    assert_eq!(
        (&renamed["key"], &renamed["goals"]),
        (&made["key"], &made["goals"])
    );
    server.post(&format!("{path}/start"), &json!({})).await;
    check(
        &server,
        Method::PATCH,
        &path,
        r#"{"key":"till"}"#,
        "409 not_a_draft",
    )
    .await;

    for (trigger, expected) in [
        (json!({}), "/goals/0/trigger/type:required"),
        (
            json!({"type": "hover"}),
            "/goals/0/trigger/type:unknown_value",
        ),
        (
            json!({"type": "click"}),
            "/goals/0/trigger/selector:required",
        ),
        (
            json!({"type": "click", "selector": {"type": "jquery", "value": "a"}}),
            "/goals/0/trigger/selector/type:unknown_value",
        ),
        (
            json!({"type": "page_view", "url": "thanks"}),
            "/goals/0/trigger/url:malformed",
        ),
        (
            json!({"type": "event", "name": "a", "x": 1}),
            "/goals/0/trigger/x:unknown_field",
        ),
    ] {
        let mut draft = draft();
        draft["goals"] = json!([{"name": "bought", "trigger": trigger}]);
        let expected = format!("422 invalid {expected}");
        check(
            &server,
            Method::POST,
            "/v1/experiments",
            &draft.to_string(),
            &expected,
        )
        .await;
    }
    let mut bad = draft();
    bad["key"] = "Check out".into();
    check(
        &server,
        Method::POST,
        "/v1/experiments",
        &bad.to_string(),
        "422 invalid /key:malformed",
    )
    .await;
}
