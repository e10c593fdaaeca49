//! Pages of other origins: what they are shown, and who may ask.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::io::Read as _;

use flate2::read::GzDecoder;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use samplit_engine::Scope;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::page_events::report;
use crate::support::{Answer, Server, create_key, draft, server};

pub(crate) const SITE: &str = "https://shop.test";
pub(crate) const PRICING: &str = "https://shop.test/pricing";

/// Makes an installation and gives its id and token.
pub(crate) async fn install(server: &Server, body: &Json) -> (String, String) {
    let answer = server.post("/v1/installations", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

pub(crate) async fn site(server: &Server) -> (String, String) {
    install(server, &json!({"name": "Shop", "domain": "shop.test"})).await
}

/// An experiment on the pages of a pattern, which is running.
pub(crate) async fn running(server: &Server, name: &str, target_url: Option<&str>) -> String {
    let mut draft = draft();
    draft["name"] = name.into();
    draft["target_url"] = target_url.into();
    draft["traffic_allocation"] = 1.into();
    let id = server.create(&draft).await;
    step(server, &id, "start", json!({})).await;
    id
}

pub(crate) async fn step(server: &Server, id: &str, step: &str, body: Json) {
    let path = format!("/v1/experiments/{id}/{step}");
    let answer = server.post(&path, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

/// What a browser sends from a page.
pub(crate) async fn send(
    server: &Server,
    path: &str,
    headers: &[(&str, &str)],
    body: &Json,
) -> Answer {
    let mut request = Request::post(format!("http://{}{path}", server.public));
    if !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header("content-type", "text/plain;charset=UTF-8");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::from(body.to_string());
    server.send(request.body(body).unwrap()).await
}

pub(crate) async fn ask(server: &Server, token: &str, visitor: Option<&str>) -> Json {
    let body = json!({"token": token, "url": PRICING, "visitor_id": visitor});
    let answer = send(server, "/v1/page", &[("origin", SITE)], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

fn ids(page: &Json) -> Vec<&str> {
    let experiments = page["experiments"].as_array().unwrap().iter();
    experiments
        .map(|experiment| experiment["id"].as_str().unwrap())
        .collect()
}

pub(crate) async fn rows(database: &samplit_devpg::TestDatabase, table: &str) -> i64 {
    let client = samplit_tests::connect(database.url()).await;
    let count = format!("SELECT count(*) FROM {table}");
    client.query_one(&count, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_shows_what_runs_on_it_and_the_same_again() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let pricing = running(&server, "pricing", Some("https://shop.test/pri*")).await;
    let everywhere = running(&server, "everywhere", None).await;
    running(&server, "elsewhere", Some("https://shop.test/cart")).await;
    let mut on_server = draft();
    on_server["elements"][0]
        .as_object_mut()
        .unwrap()
        .remove("selector");
    let on_server = server.create(&on_server).await;
    step(&server, &on_server, "start", json!({})).await;
    server.create(&draft()).await;

    let first = ask(&server, &token, None).await;
    assert_eq!(ids(&first), [pricing.as_str(), everywhere.as_str()]);
    assert_eq!(rows(&database, "assignments").await, 2);
    let visitor = first["visitor_id"].as_str().unwrap();
    let shown = &first["experiments"][0];
    assert_eq!(shown["in_experiment"], true);
    assert_eq!(shown["reason"], Json::Null);
    assert_eq!(shown["name"], "pricing");
    let selectors = &shown["elements"][0]["selectors"];
    assert_eq!(*selectors, json!([{"type": "css", "value": "#buy"}]));
    let goal =
        json!({"name": "conversion", "kind": "conversion", "default_value": 1.0, "trigger": null});
    assert_eq!(shown["goal"], goal);
    assert_eq!(
        (&first["hide_ms"], &first["raw_html"]),
        (&json!(500), &json!(false))
    );
    let hints = json!([
        {"url": "*", "css": ["#buy"]},
        {"url": "https://shop.test/cart", "css": ["#buy"]},
        {"url": "https://shop.test/pri*", "css": ["#buy"]},
    ]);
    assert_eq!(first["selectors"], hints);

    let again = ask(&server, &token, Some(visitor)).await;
    assert_eq!(again, first);
    let assigned = server
        .post(
            &format!("/v1/experiments/{pricing}/assign"),
            &json!({"visitor_id": visitor}),
        )
        .await
        .json();
    assert_eq!(assigned["is_new"], false);
    let variant = &shown["elements"][0]["variant"];
    assert_eq!(assigned["variants"][0]["variant_id"], variant["id"]);
    assert_eq!(assigned["assignment_id"], shown["assignment_id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lifecycle_decides_what_pages_show() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let id = running(&server, "a", None).await;
    let known = ask(&server, &token, Some("known")).await;

    step(&server, &id, "pause", json!({})).await;
    let reason = |page: &Json| page["experiments"][0]["reason"].clone();
    assert_eq!(
        ask(&server, &token, Some("known")).await["experiments"],
        known["experiments"]
    );
    let new = ask(&server, &token, Some("new")).await;
    assert_eq!(reason(&new), "paused");
    assert_eq!(
        new["experiments"][0]["elements"][0]["variant"]["is_control"],
        true
    );

    let experiment = server.get(&format!("/v1/experiments/{id}")).await.json();
    let element = &experiment["elements"][0];
    let winner = &element["variants"][1]["id"];
    let body = json!({"winner": {element["id"].as_str().unwrap(): winner}});
    step(&server, &id, "complete", body).await;
    for visitor in ["known", "another"] {
        let page = ask(&server, &token, Some(visitor)).await;
        assert_eq!(reason(&page), "completed");
        assert_eq!(
            page["experiments"][0]["elements"][0]["variant"]["id"],
            *winner
        );
    }
    let exposure = json!([{"type": "exposure", "experiment_id": id, "event_id": "1"}]);
    let refused = report(&server, &token, "known", &exposure).await;
    assert_eq!(refused, ["ignored experiment_not_running"]);
    step(&server, &id, "archive", json!({})).await;
    assert_eq!(ids(&ask(&server, &token, None).await), [""; 0]);
    assert_eq!(rows(&database, "assignments").await, 1);

    // Completed without a winner: the page is as it is without us.
    let undecided = running(&server, "b", None).await;
    step(&server, &undecided, "complete", json!({})).await;
    assert_eq!(ids(&ask(&server, &token, None).await), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_account_neither_shows_nor_counts_for_another() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let own = running(&server, "own", None).await;
    let stranger = create_key(&server.engine, "stranger@example.org", Scope::ALL.to_vec()).await;
    let as_stranger = |method: Method, path: &str, body: &Json| {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.public))
            .header("authorization", format!("Bearer {stranger}"))
            .header("content-type", "application/json");
        server.send(request.body(Full::from(body.to_string())).unwrap())
    };
    let body = json!({"name": "Theirs", "domain": "shop.test"});
    let theirs = as_stranger(Method::POST, "/v1/installations", &body)
        .await
        .json();
    let their_token = theirs["token"].as_str().unwrap();

    assert_eq!(ids(&ask(&server, &token, Some("v")).await), [own.as_str()]);
    assert_eq!(ids(&ask(&server, their_token, Some("v")).await), [""; 0]);
    let element =
        server.get(&format!("/v1/experiments/{own}")).await.json()["elements"][0]["id"].clone();
    let events = json!([
        {"type": "exposure", "experiment_id": own, "event_id": "1"},
        {"type": "conversion", "experiment_id": own, "event_id": "2"},
        {"type": "no_match", "experiment_id": own, "element_id": element, "url": PRICING, "event_id": "3"},
    ]);
    let refused = report(&server, their_token, "v", &events).await;
    assert_eq!(refused, vec!["ignored not_found"; 3]);
    for table in ["exposures", "selector_misses"] {
        assert_eq!(rows(&database, table).await, 0, "{table}");
    }

    let (id, _) = site(&server).await;
    let path = format!("/v1/installations/{id}");
    for (method, path, body) in [
        (Method::GET, path.clone(), json!({})),
        (Method::PATCH, path.clone(), json!({"name": "mine"})),
        (Method::DELETE, path.clone(), json!({})),
        (Method::POST, format!("{path}/rotate"), json!({})),
        (Method::POST, format!("{path}/verify"), json!({})),
        (Method::GET, format!("{path}/snippet"), json!({})),
        (
            Method::GET,
            format!("/v1/experiments/{own}/selector-misses"),
            json!({}),
        ),
    ] {
        let answer = as_stranger(method.clone(), &path, &body).await;
        assert_eq!(answer.summary(), "404 not_found", "{method} {path}");
    }
    let listed = as_stranger(Method::GET, "/v1/installations", &json!({}))
        .await
        .json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_snippet_comes_with_the_settings_of_its_site() {
    let config = HttpConfig {
        public_url: Some("https://ab.shop.test".parse().unwrap()),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let body = json!({"name": "Shop", "domain": "shop.test", "hide_timeout_ms": 250});
    let (id, token) = install(&server, &body).await;
    running(&server, "a", Some("https://shop.test/a")).await;
    let code = server
        .get(&format!("/v1/installations/{id}/snippet"))
        .await
        .json();
    let url = format!("https://ab.shop.test/s/{token}.js");
    assert_eq!(code["script_url"], url.as_str());
    assert!(code["html"].as_str().unwrap().contains(&url));

    let path = format!("/s/{token}.js");
    let answer = server.get(&path).await;
    assert_eq!(
        answer.header("content-type"),
        "text/javascript; charset=utf-8"
    );
    assert_eq!(
        answer.header("cache-control"),
        "public, max-age=60, stale-while-revalidate=600"
    );
    assert_eq!(
        answer.header("cross-origin-resource-policy"),
        "cross-origin"
    );
    for part in [
        r#""api":"https://ab.shop.test""#,
        &format!(r#""token":"{token}""#),
        r#""hide_ms":250"#,
        r##""selectors":[{"url":"https://shop.test/a","css":["#buy"]}]"##,
    ] {
        assert!(answer.text().contains(part), "{part} in {}", answer.text());
    }
    let request = server
        .request(Method::GET, &path)
        .header("if-none-match", answer.header("etag"));
    let again = server.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(
        (again.status, again.body.len()),
        (StatusCode::NOT_MODIFIED, 0)
    );
    // Compressed by the server itself, as another representation of the same.
    let plain = answer.text().to_owned();
    let get = |accepted: &'static str, known: &str| {
        let request = server
            .request(Method::GET, &path)
            .header("accept-encoding", accepted)
            .header("if-none-match", known);
        server.send(request.body(Full::default()).unwrap())
    };
    let small = get("gzip, deflate, br, zstd", "").await;
    assert_eq!(small.header("content-encoding"), "gzip");
    assert_eq!(small.header("content-length"), small.body.len().to_string());
    assert!(small.body.len() * 2 < plain.len(), "{}", small.body.len());
    let mut unpacked = String::new();
    GzDecoder::new(&small.body[..])
        .read_to_string(&mut unpacked)
        .unwrap();
    assert_eq!(unpacked, plain);
    assert_ne!(small.header("etag"), answer.header("etag"));
    for (accepted, known, expected) in [
        ("gzip", small.header("etag"), "304"),
        ("identity", answer.header("etag"), "304"),
        ("gzip", answer.header("etag"), "gzip"),
        ("identity", small.header("etag"), "plain"),
        ("gzip;q=0, *", "", "plain"),
        ("br", "", "plain"),
        ("*", "", "gzip"),
        ("br;q=1.0, GZIP;q=0.5", "", "gzip"),
    ] {
        let found = get(accepted, known).await;
        let told = match (found.status, found.headers.get("content-encoding")) {
            (StatusCode::NOT_MODIFIED, None) => "304",
            (StatusCode::OK, None) => "plain",
            (StatusCode::OK, Some(coding)) => coding.to_str().unwrap(),
            _ => "neither",
        };
        assert_eq!(told, expected, "{accepted} {known}");
        assert_eq!(found.header("vary"), "Accept-Encoding");
    }

    running(&server, "b", Some("https://shop.test/b")).await;
    let request = server
        .request(Method::GET, &path)
        .header("if-none-match", answer.header("etag"));
    let changed = server.send(request.body(Full::default()).unwrap()).await;
    assert_eq!(changed.status, StatusCode::OK);
    let nobody = server.get(&format!("/s/pk_{}.js", "A".repeat(43))).await;
    assert_eq!(nobody.summary(), "401 unknown_installation");
    assert_eq!(
        server.get(&format!("/s/{token}")).await.summary(),
        "404 not_found"
    );
}

/// The script says where it asks. Where only the request says what that is, no cache may give what one
/// client made of it to another.

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_names_the_host_of_its_request_is_in_no_cache() {
    let (server, _database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let request = server
        .request(Method::GET, &format!("/s/{token}.js"))
        .header("host", "evil.test");
    let answer = server.send(request.body(Full::default()).unwrap()).await;
    assert!(answer.text().contains(r#""api":"https://evil.test""#));
    assert_eq!(answer.header("cache-control"), "private, no-store");
}
