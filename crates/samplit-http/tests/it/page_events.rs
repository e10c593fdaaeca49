//! What pages of other origins report.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use hyper::StatusCode;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::pages::{SITE, ask, rows, running, send, site};
use crate::support::{Server, server};

/// Per event its status, and its code.
pub(crate) async fn report(
    server: &Server,
    token: &str,
    visitor: &str,
    events: &Json,
) -> Vec<String> {
    let body = json!({"token": token, "visitor_id": visitor, "events": events});
    let answer = send(server, "/v1/events", &[("origin", SITE)], &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let json = answer.json();
    let results = json["results"].as_array().unwrap().iter();
    let word = |result: &Json, name: &str| result[name].as_str().unwrap_or_default().to_owned();
    let line = |result: &Json| format!("{} {}", word(result, "status"), word(result, "code"));
    results
        .map(|result| line(result).trim().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_counts_once() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let first = running(&server, "first", None).await;
    let second = running(&server, "second", None).await;
    ask(&server, &token, Some("v")).await;
    ask(&server, &token, Some("w")).await;
    let event = |kind: &str, experiment: &str, id: &str| json!({"type": kind, "experiment_id": experiment, "event_id": id});

    let seen = json!([
        event("exposure", &first, "1"),
        event("exposure", &second, "2"),
        event("exposure", &first, "3"),
    ]);
    let outcome = report(&server, &token, "v", &seen).await;
    assert_eq!(outcome, ["recorded", "recorded", "duplicate"]);
    assert_eq!(report(&server, &token, "v", &seen).await, ["duplicate"; 3]);
    let outcome = report(
        &server,
        &token,
        "w",
        &json!([event("exposure", &first, "1")]),
    )
    .await;
    assert_eq!(outcome, ["recorded"]);
    let outcome = report(
        &server,
        &token,
        "nobody",
        &json!([event("exposure", &first, "1")]),
    )
    .await;
    assert_eq!(outcome, ["ignored not_assigned"]);
    let exposures = |results: &Json| -> u64 {
        let arms = results["elements"][0]["arms"].as_array().unwrap().iter();
        arms.map(|arm| arm["exposures"].as_u64().unwrap()).sum()
    };
    for (id, expected) in [(&first, 2), (&second, 1)] {
        let results = server
            .get(&format!("/v1/experiments/{id}/results"))
            .await
            .json();
        assert_eq!(exposures(&results), expected);
        let arms = results["elements"][0]["arms"].as_array().unwrap();
        for arm in arms {
            assert!(
                arm["exposures"].as_u64() <= arm["assignments"].as_u64(),
                "{arm}"
            );
        }
    }

    let bought = json!([event("conversion", &first, "order-1")]);
    for _ in 0..2 {
        assert_eq!(report(&server, &token, "v", &bought).await, ["recorded"]);
    }
    let mut other = event("conversion", &first, "order-2");
    other["value"] = 5.into();
    let mut unknown_goal = event("conversion", &first, "order-3");
    unknown_goal["goal"] = "signup".into();
    let mut bad_value = event("conversion", &second, "order-4");
    bad_value["value"] = (-1).into();
    let outcome = report(
        &server,
        &token,
        "v",
        &json!([other, unknown_goal, bad_value]),
    )
    .await;
    assert_eq!(outcome, ["duplicate", "ignored invalid", "ignored invalid"]);
    let results = server
        .get(&format!("/v1/experiments/{first}/results"))
        .await
        .json();
    assert_eq!(
        (&results["visitors"], &results["conversions"]),
        (&json!(2), &json!(1))
    );

    let experiment = server.get(&format!("/v1/experiments/{first}")).await.json();
    let miss = |url: &str, id: &str| {
        json!({"type": "no_match", "experiment_id": first, "url": url, "event_id": id,
            "element_id": experiment["elements"][0]["id"]})
    };
    let misses = json!([
        miss("https://www.shop.test/a?email=a@b.test#x", "1"),
        miss("https://shop.test/a/", "2"),
        miss("https://shop.test/b", "3"),
    ]);
    assert_eq!(report(&server, &token, "v", &misses).await, ["recorded"; 3]);
    // The answer was lost, and the page reports again; another visitor's event is another.
    assert_eq!(
        report(&server, &token, "v", &misses).await,
        ["duplicate"; 3]
    );
    let twice = json!([
        miss("https://shop.test/b", "3"),
        miss("https://shop.test/b", "3")
    ]);
    let outcome = report(&server, &token, "w", &twice).await;
    assert_eq!(outcome, ["recorded", "duplicate"]);
    let path = format!("/v1/experiments/{first}/selector-misses");
    let listed = server.get(&path).await.json();
    let listed = listed["data"].as_array().unwrap().iter();
    let listed: Vec<_> = listed
        .map(|miss| (miss["page"].clone(), miss["misses"].clone()))
        .collect();
    assert_eq!(listed[0], (json!("shop.test/b"), json!(2)));
    assert_eq!(listed[1], (json!("shop.test/a"), json!(1)));
    assert_eq!(listed.len(), 3);
    assert_eq!(rows(&database, "exposures").await, 3);
}

/// What is wrong with one event, which some page has put together, spoils no other.
#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_spoils_no_other() {
    let (server, database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let id = running(&server, "first", None).await;
    ask(&server, &token, Some("v")).await;
    let events = json!([
        {"type": "conversion", "experiment_id": id, "event_id": "1", "value": "59.90"},
        {"type": "exposure", "experiment_id": id, "event_id": 2},
        {"type": "exposure", "experiment_id": id, "event_id": "x".repeat(256)},
        {"type": "exposure", "experiment_id": id, "event_id": "3"},
        {"type": "conversion", "experiment_id": id, "event_id": "4", "value": 59.90},
    ]);
    let bad = "ignored invalid";
    let expected = [bad, bad, bad, "recorded", "recorded"];
    assert_eq!(report(&server, &token, "v", &events).await, expected);
    assert_eq!(rows(&database, "exposures").await, 1);
}
