//! Rules that keep visits out, bots, and what is seen of both.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::time::Duration;

use http_body_util::Full;
use hyper::{Request, StatusCode, header::HeaderValue};
use samplit_engine::Scope;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use tokio::time::{sleep, timeout};

use crate::pages::{SITE, ask, rows, running, send, site};
use crate::support::{Server, create_key, draft, server};

const PRICING: &str = "https://shop.test/pricing";
const BOT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";

async fn rule(server: &Server, body: &Json) -> String {
    let answer = server.post("/v1/exclusions", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), format!("/v1/exclusions/{id}"));
    id
}

/// Why a visitor takes no part in an experiment, by a program of the account.
async fn assign(server: &Server, id: &str, body: &Json) -> Json {
    let answer = server
        .post(&format!("/v1/experiments/{id}/assign"), body)
        .await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()
}

/// A visitor's page, with headers: why nothing is recorded.
async fn page(server: &Server, token: &str, visitor: &str, headers: &[(&str, &str)]) -> Json {
    let mut all = vec![("origin", SITE)];
    all.extend(headers);
    let url = format!("{PRICING}?team=qa");
    let body = json!({"token": token, "url": url, "visitor_id": visitor, "session_id": "s1"});
    let answer = send(server, "/v1/page", &all, &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["experiments"][0]["reason"].clone()
}

/// The excluded visits of an experiment, once there are as many.
async fn excluded(server: &Server, id: &str, wanted: usize) -> Vec<Json> {
    let path = format!("/v1/experiments/{id}/excluded-sessions");
    let seen = async {
        loop {
            let data = server.get(&path).await.json()["data"]
                .as_array()
                .unwrap()
                .clone();
            if data.len() >= wanted {
                return data;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let data = timeout(Duration::from_secs(30), seen).await.unwrap();
    assert_eq!(data.len(), wanted);
    data
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_rule_keeps_a_visit_out_of_the_page_and_says_so_once() {
    let config = HttpConfig {
        trusted_proxies: vec!["127.0.0.1".parse().unwrap()],
        ..HttpConfig::default()
    };
    let (server, database) = server(config).await;
    let (_, token) = site(&server).await;
    let id = running(&server, "pricing", None).await;
    let office = ("x-forwarded-for", "203.0.113.9");
    let agent = ("user-agent", "Mozilla/5.0 InHouse/7");
    for (kind, value, headers) in [
        ("ip", "203.0.113.9", vec![office]),
        ("cidr", "203.0.113.0/24", vec![office]),
        ("user_agent", "inhouse", vec![agent]),
        ("cookie", "staff=1", vec![("cookie", "a=b; staff=1")]),
        ("url_param", "team=qa", vec![]),
        ("visitor", "v-visitor", vec![]),
    ] {
        let visitor = format!("v-{kind}");
        let rule = rule(&server, &json!({"kind": kind, "value": value})).await;
        assert_eq!(
            page(&server, &token, &visitor, &headers).await,
            "excluded",
            "{kind}"
        );
        let path = format!("/v1/exclusions/{rule}");
        let answer = server.patch(&path, &json!({"is_active": false})).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.json()["is_active"], false);
    }
    assert_eq!(rows(&database, "assignments").await, 0);
    assert_eq!(rows(&database, "algorithm_audit_trail").await, 1);

    // All of them in session s1: one row.
    let seen = excluded(&server, &id, 1).await;
    assert_eq!(seen[0]["session_id"], "s1");
    assert_eq!(seen[0]["visitor_id"], "v-ip");
    assert_eq!(seen[0]["reason"], "ip");
    assert!(seen[0]["rule_id"].is_string());

    // Turned off, a rule lets in at once.
    assert_eq!(page(&server, &token, "v-ip", &[office]).await, Json::Null);
    assert_eq!(rows(&database, "assignments").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_known_keeps_the_variant_and_who_is_erased_leaves_no_name() {
    let (server, database) = server(HttpConfig::default()).await;
    let mut draft = draft();
    draft["traffic_allocation"] = 1.into();
    let id = server.create(&draft).await;
    server
        .post(&format!("/v1/experiments/{id}/start"), &json!({}))
        .await;
    let before = assign(&server, &id, &json!({"visitor_id": "ann"})).await;
    let only = json!({"kind": "ip", "value": "203.0.113.9", "experiment_id": id});
    let rule = rule(&server, &only).await;

    let context = json!({"ip": "203.0.113.9"});
    let after = assign(
        &server,
        &id,
        &json!({"visitor_id": "ann", "context": context}),
    )
    .await;
    assert_eq!(after["assignment_id"], before["assignment_id"]);
    assert_eq!(after["reason"], Json::Null);
    let new = assign(
        &server,
        &id,
        &json!({"visitor_id": "bob", "context": context}),
    )
    .await;
    assert_eq!(
        (&new["in_experiment"], &new["reason"]),
        (&json!(false), &json!("excluded"))
    );
    let free = assign(&server, &id, &json!({"visitor_id": "eve"})).await;
    assert_eq!(free["in_experiment"], true);
    assert_eq!(rows(&database, "assignments").await, 2);

    let seen = excluded(&server, &id, 1).await;
    assert_eq!(
        (&seen[0]["visitor_id"], &seen[0]["rule_id"]),
        (&json!("bob"), &json!(rule))
    );
    let answer = server.delete("/v1/visitors/bob").await;
    assert_eq!(answer.json()["rows"], 1, "{}", answer.text());
    let seen = excluded(&server, &id, 1).await;
    assert_eq!(seen[0]["visitor_id"], Json::Null);

    let answer = server.delete(&format!("/v1/exclusions/{rule}")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    let seen = excluded(&server, &id, 1).await;
    assert_eq!(
        (&seen[0]["rule_id"], &seen[0]["reason"]),
        (&Json::Null, &json!("ip"))
    );
    let bob = assign(
        &server,
        &id,
        &json!({"visitor_id": "bob", "context": context}),
    )
    .await;
    assert_eq!(bob["in_experiment"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_one_experiment_or_another_account_keeps_nobody_else_out() {
    let (server, _database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    running(&server, "first", None).await;
    let other = server.create(&draft()).await;
    rule(
        &server,
        &json!({"kind": "visitor", "value": "ann", "experiment_id": other}),
    )
    .await;
    let key = create_key(&server.engine, "stranger@example.org", Scope::ALL.to_vec()).await;
    let mut stranger = Server::start(server.engine.clone(), HttpConfig::default()).await;
    stranger.key = key;
    let theirs = rule(&stranger, &json!({"kind": "visitor", "value": "ann"})).await;
    assert_eq!(
        ask(&server, &token, Some("ann")).await["experiments"][0]["reason"],
        Json::Null
    );

    for answer in [
        server.get(&format!("/v1/exclusions/{theirs}")).await,
        server.delete(&format!("/v1/exclusions/{theirs}")).await,
        stranger
            .post(
                "/v1/exclusions",
                &json!({"kind": "visitor", "value": "a", "experiment_id": other}),
            )
            .await,
        stranger
            .get(&format!("/v1/experiments/{other}/excluded-sessions"))
            .await,
    ] {
        assert_eq!(answer.summary(), "404 not_found", "{}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_listed_by_page_and_bad_ones_named() {
    let (server, _database) = server(HttpConfig::default()).await;
    for (body, summary) in [
        (json!({}), "422 invalid /kind:required /value:required"),
        (
            json!({"kind": "country", "value": "x"}),
            "422 invalid /kind:unknown_value",
        ),
        (
            json!({"kind": "ip", "value": "10.0.0.0/8"}),
            "422 invalid /value:malformed",
        ),
        (
            json!({"kind": "cidr", "value": "10.0.0.0/40", "x": 1}),
            "422 invalid /x:unknown_field",
        ),
        (
            json!({"kind": "visitor", "value": "x".repeat(1_025)}),
            "422 invalid /value:too_long",
        ),
    ] {
        assert_eq!(
            server.post("/v1/exclusions", &body).await.summary(),
            summary
        );
    }
    let mut ids = Vec::new();
    for value in ["a", "b", "c"] {
        ids.push(rule(&server, &json!({"kind": "url_param", "value": value})).await);
    }
    let bad = server
        .patch(
            &format!("/v1/exclusions/{}", ids[0]),
            &json!({"value": "a b"}),
        )
        .await;
    assert_eq!(bad.summary(), "422 invalid /value:malformed");
    let first = server.get("/v1/exclusions?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server
        .get(&format!("/v1/exclusions?limit=2&cursor={cursor}"))
        .await
        .json();
    let listed: Vec<&str> = [&first, &second]
        .iter()
        .flat_map(|page| page["data"].as_array().unwrap())
        .map(|rule| rule["id"].as_str().unwrap())
        .collect();
    ids.reverse();
    assert_eq!(listed, ids);
    assert_eq!(second["next_cursor"], Json::Null);
}

/// Browsers and pages write what they like into both headers, and proxies may part the second.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_ascii_hide_neither_bots_nor_cookies() {
    let (server, _database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Local", "domain": "127.0.0.1:3000"});
    let made = server.post("/v1/installations", &body).await.json();
    running(&server, "pricing", None).await;
    rule(&server, &json!({"kind": "cookie", "value": "staff=1"})).await;
    let page = json!({"token": made["token"], "url": "http://127.0.0.1:3000/"});
    for (name, lines, expected) in [
        ("user-agent", vec![&b"\xf1 Googlebot/2.1"[..]], json!("bot")),
        (
            "cookie",
            vec!["town=K\u{f6}ln; staff=1".as_bytes()],
            json!("excluded"),
        ),
        ("cookie", vec![b"a=\xff; staff=1"], json!("excluded")),
        ("cookie", vec![b"a=b", b"staff=1"], json!("excluded")),
        ("cookie", vec![b"a=\xff; staff=2"], Json::Null),
    ] {
        let mut request = Request::post(format!("http://{}/v1/page", server.public))
            .header("origin", "http://127.0.0.1:3000")
            .header("content-type", "text/plain");
        for line in &lines {
            request = request.header(name, HeaderValue::from_bytes(line).unwrap());
        }
        let asked = server.send(request.body(Full::from(page.to_string())).unwrap());
        let reason = asked.await.json()["experiments"][0]["reason"].clone();
        assert_eq!(reason, expected, "{name} {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bots_get_control_and_nothing_is_stored_of_them() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let id = running(&server, "pricing", None).await;
    assert_eq!(
        page(&server, &token, "b1", &[("user-agent", BOT)]).await,
        "bot"
    );
    let context = json!({"user_agent": BOT});
    let assigned = assign(
        &server,
        &id,
        &json!({"visitor_id": "b2", "context": context}),
    )
    .await;
    assert_eq!(assigned["reason"], "bot");
    let miss = json!([{"type": "no_match", "event_id": "e1", "experiment_id": id,
        "element_id": id, "url": PRICING}]);
    let body = json!({"token": token, "visitor_id": "b1", "events": miss});
    let headers = [("origin", SITE), ("user-agent", BOT)];
    let answer = send(&server, "/v1/events", &headers, &body).await.json();
    assert_eq!(answer["results"][0]["code"], "bot");
    for table in ["assignments", "excluded_sessions", "selector_misses"] {
        assert_eq!(rows(&database, table).await, 0, "{table}");
    }
}
