//! One experiment from its draft to its proof, as a client sees it.

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_http::HttpConfig;
use serde_json::json;

use crate::support::{draft, server};

#[tokio::test(flavor = "multi_thread")]
async fn an_experiment_lives_from_draft_to_archive() {
    let (server, _database) = server(HttpConfig::default()).await;

    let created = server.post("/v1/experiments", &draft()).await;
    assert_eq!(created.summary(), "201");
    let made = created.json();
    let path = format!("/v1/experiments/{}", made["id"].as_str().unwrap());
    assert_eq!(created.header("location"), path);
    assert_eq!(created.header("etag"), "\"v1\"");
    assert_eq!(created.header("cache-control"), "no-store");
    assert_eq!(made["status"], "draft");
    assert_eq!(made["experiment_type"], "ab_test");
    assert_eq!(
        made["elements"][0]["selector"],
        json!({"type": "css", "value": "#buy"})
    );
    assert_eq!(made["goals"][0]["name"], "conversion");
    assert_eq!(server.get(&path).await.json(), made);

    // A draft may get a new tree; what the body does not name stays.
    let more = json!({"allocation": {"warm_up": 5}, "goals": [{"name": "sale", "kind": "value"}]});
    let changed = server.patch(&path, &more).await.json();
    assert_eq!(changed["name"], "Button colour");
    assert_eq!(changed["allocation"]["warm_up"], 5);
    assert_eq!(changed["goals"][0]["name"], "sale");
    assert_eq!(changed["elements"][0]["variants"][1]["name"], "green");

    let started = server.post(&format!("{path}/start"), &json!({})).await;
    assert_eq!(started.json()["status"], "active");

    let first = server
        .post(&format!("{path}/assign"), &json!({"visitor_id": "ada"}))
        .await;
    let first = first.json();
    assert_eq!(first["in_experiment"], true);
    assert_eq!(first["is_new"], true);
    assert_eq!(first["visitor_id"], "ada");
    assert!(first.get("reason").is_none() && first.get("degraded").is_none());
    let variant = &first["variants"][0];
    assert_eq!(variant["element"], "buy");
    assert_eq!(variant["content"]["class"], variant["variant"]);
    let again = server
        .post(&format!("{path}/assign"), &json!({"visitor_id": "ada"}))
        .await
        .json();
    assert_eq!(again["is_new"], false);
    assert_eq!(again["variants"], first["variants"]);
    assert_eq!(again["assignment_id"], first["assignment_id"]);

    let sale = json!({"visitor_id": "ada", "goal": "sale", "value": 12.5, "event_id": "order-1"});
    let converted = server.post(&format!("{path}/convert"), &sale).await.json();
    assert_eq!(converted["value"], 12.5);
    assert_eq!(converted["duplicate"], false);
    assert_eq!(converted["assignment_id"], first["assignment_id"]);
    // The same event is answered as before, another one counts nothing.
    let retried = server.post(&format!("{path}/convert"), &sale).await;
    assert_eq!(retried.json(), converted);
    let other = json!({"visitor_id": "ada"});
    let other = server.post(&format!("{path}/convert"), &other).await;
    assert_eq!(other.json()["duplicate"], true);

    let results = server.get(&format!("{path}/results")).await.json();
    assert_eq!(
        (&results["visitors"], &results["conversions"]),
        (&json!(1), &json!(1))
    );
    let arms = results["elements"][0]["arms"].as_array().unwrap();
    assert_eq!(arms.len(), 2);
    let weights: f64 = arms.iter().map(|arm| arm["weight"].as_f64().unwrap()).sum();
    assert!((weights - 1.0).abs() < 1e-9, "{weights}");
    let unseen = arms.iter().find(|arm| arm["assignments"] == 0).unwrap();
    assert_eq!(unseen["rate"], json!(null));

    let timeline = server.get(&format!("{path}/timeline")).await.json();
    assert_eq!(
        timeline["data"][0]["weights_ppb"],
        json!([[500_000_000, 500_000_000]])
    );
    let svg = server.get(&format!("{path}/weights.svg")).await;
    assert_eq!(svg.header("content-type"), "image/svg+xml");
    assert!(svg.text().starts_with("<svg"));
    let svg = server.get(&format!("{path}/weights.svg?element=1")).await;
    assert_eq!(svg.summary(), "404 not_found");

    let page = server
        .get(&format!("{path}/audit/entries?limit=2"))
        .await
        .json();
    assert_eq!(page["data"][0]["decision_type"], "genesis");
    assert_eq!(page["next_after"], 2);
    let rest = server
        .get(&format!("{path}/audit/entries?after=2"))
        .await
        .json();
    assert_eq!(rest["data"][0]["sequence_number"], 3);
    assert_eq!(
        rest["data"][0]["previous_hash"],
        page["data"][1]["current_hash"]
    );
    assert_eq!(rest["next_after"], json!(null));

    let verdict = server.get(&format!("{path}/audit/verify")).await.json();
    assert_eq!(verdict["sound"], true, "{verdict}");
    assert_eq!(verdict["report"]["replay"]["conversions"], 1);
    let bundle = server.get(&format!("{path}/audit/bundle")).await;
    assert_eq!(bundle.header("content-type"), "application/x-ndjson");
    let entries = verdict["report"]["entries"].as_u64().unwrap();
    // A header, the entries, an end.
    assert_eq!(bundle.text().lines().count() as u64, entries + 2);

    let (element, winner) = (&variant["element_id"], &variant["variant_id"]);
    let body = json!({"winner": {element.as_str().unwrap(): winner}});
    let completed = server.post(&format!("{path}/complete"), &body).await.json();
    assert_eq!(completed["status"], "completed");
    assert_eq!(
        completed["declared_winner"][element.as_str().unwrap()],
        *winner
    );
    let late = server
        .post(&format!("{path}/assign"), &json!({"visitor_id": "bob"}))
        .await
        .json();
    assert_eq!(late["reason"], "completed");
    assert_eq!(late["variants"][0]["variant_id"], *winner);
    let archived = server
        .post(&format!("{path}/archive"), &json!({}))
        .await
        .json();
    assert_eq!(archived["status"], "archived");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_over_a_newer_version_is_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = format!("/v1/experiments/{}", server.create(&draft()).await);
    let change = |tag: &'static str| {
        let request = server.request(Method::PATCH, &path).header("if-match", tag);
        server.send(request.body(Full::from("{\"description\":\"d\"}")).unwrap())
    };
    assert_eq!(change("\"v1\"").await.header("etag"), "\"v2\"");
    assert_eq!(change("\"v1\"").await.summary(), "412 version_mismatch");
    assert_eq!(change("W/\"v2\"").await.summary(), "412 version_mismatch");
    assert_eq!(change("*").await.header("etag"), "\"v3\"");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_paged_and_filtered() {
    let (server, _database) = server(HttpConfig::default()).await;
    for name in ["one", "two", "three"] {
        let mut draft = draft();
        draft["name"] = json!(name);
        server.create(&draft).await;
    }
    let mut names = Vec::new();
    let mut path = "/v1/experiments?limit=2".to_owned();
    loop {
        let page = server.get(&path).await.json();
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= 2);
        names.extend(
            data.iter()
                .map(|one| one["name"].as_str().unwrap().to_owned()),
        );
        let Some(cursor) = page["next_cursor"].as_str() else {
            break;
        };
        path = format!("/v1/experiments?limit=2&cursor={cursor}");
    }
    assert_eq!(names, ["three", "two", "one"]);

    let count = async |query: &str| {
        let page = server.get(&format!("/v1/experiments?{query}")).await.json();
        page["data"].as_array().unwrap().len()
    };
    assert_eq!(count("q=TW").await, 1);
    assert_eq!(count("status=active").await, 0);
    assert_eq!(count("status=draft&q=t").await, 2);
    let bad = server.get("/v1/experiments?cursor=nonsense").await;
    assert_eq!(bad.status, 422, "{}", bad.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_needs_no_key_and_allows_nothing_foreign() {
    let (server, _database) = server(HttpConfig::default()).await;
    let id = server.create(&draft()).await;
    let fetch = async |path: String| {
        let uri = format!("http://{}{path}", server.public);
        server
            .send(Request::builder().uri(uri).body(Full::default()).unwrap())
            .await
    };
    let page = fetch(format!("/live/{id}")).await;
    assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
    let policy = page.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
    assert!(page.text().contains(&id) && !page.text().contains("Button colour"));
    for asset in ["/assets/live.css", "/assets/live.js"] {
        assert!(page.text().contains(asset));
        let answer = fetch(asset.to_owned()).await;
        assert_eq!(answer.summary(), "200");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ops_listener_answers_apart() {
    let (server, _database) = server(HttpConfig::default()).await;
    assert_eq!(server.get_ops("/livez").await.text(), "ok\n");
    assert_eq!(server.get_ops("/readyz").await.text(), "ready\n");
    let version = server.get_ops("/version").await.json();
    assert_eq!(
        version,
        json!({"name": "samplit", "version": env!("CARGO_PKG_VERSION")})
    );
    assert_eq!(server.get_ops("/metrics").await.summary(), "404 not_found");
    assert_eq!(
        server.get_ops("/v1/experiments").await.summary(),
        "404 not_found"
    );
    assert_eq!(server.get("/livez").await.summary(), "404 not_found");
}
