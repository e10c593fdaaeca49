//! How a page learns what steps of funnels wait for, tells what was done, and what comes of it.

use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::page_events::report;
use crate::pages::{PRICING, ask, site};
use crate::support::{check, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_told_what_to_watch_for_and_tells_what_was_done() {
    let (server, _database) = server(HttpConfig::default()).await;
    let (_, token) = site(&server).await;
    let id = |number: u32| format!("6ba7b810-9dad-41d1-80b4-00c04fd4{number:04}");
    let trial = json!({"type": "event", "name": "trial"});
    let submit = json!({"type": "submit", "selector": {"type": "css", "value": "form"}});
    let funnel = json!({
        "name": "Trial", "nodes": [
            {"id": id(1), "name": "Pricing", "type": "page", "config": {"url": PRICING}},
            {"id": id(2), "name": "Try", "type": "action", "config": {"trigger": trial}},
            {"id": id(3), "name": "Buy", "type": "conversion", "config": {"trigger": submit}},
        ], "edges": [{"source": id(1), "target": id(2)}, {"source": id(2), "target": id(3)}],
    });
    let made = server.post("/v1/funnels", &funnel).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = format!("/v1/funnels/{}", made.json()["id"].as_str().unwrap());
    let shown = ask(&server, &token, Some("v")).await;
    assert_eq!(shown["steps"], json!([]), "a draft");
    let active = server.post(&format!("{path}/activate"), &json!({})).await;
    assert_eq!(active.status, 200, "{}", active.text());

    let shown = ask(&server, &token, Some("v")).await;
    let step = |number: u32, name: &str, trigger: &Json| json!({"id": id(number), "in_experiment": true, "goal": {"name": name, "trigger": trigger, "isDone": false}});
    let expected = json!([step(3, "Buy", &submit), step(2, "trial", &trial)]);
    assert_eq!(shown["steps"], expected);
    let done = |number: u32| json!({"type": "conversion", "experiment_id": id(number), "event_id": format!("{number}"), "goal": "x"});
    let told = report(
        &server,
        &token,
        "v",
        &json!([done(3), done(2), done(2), done(4)]),
    )
    .await;
    let expected = [
        "ignored not_reached",
        "recorded",
        "duplicate",
        "ignored not_found",
    ];
    assert_eq!(told, expected);
    assert_eq!(
        report(&server, &token, "v", &json!([done(3)])).await,
        ["recorded"]
    );

    let results = server.get(&format!("{path}/results")).await;
    assert_eq!(results.status, 200, "{}", results.text());
    let results = results.json();
    let numbers = ["entered", "converted", "in_progress", "abandoned"].map(|name| &results[name]);
    assert_eq!(numbers, [&json!(1), &json!(1), &json!(0), &json!(0)]);
    assert_eq!(results["steps"][0]["node_id"], id(1));
    assert_eq!(results["steps"][0]["median_seconds"], Json::Null);
    assert_eq!(results["steps"][2]["rate_of_entered"], 1.0);
    assert_eq!(
        results["flows"][0],
        json!({"source": id(1), "target": id(2), "visitors": 1})
    );
    assert_eq!(results["experiments"], json!([]));

    let nobody = format!("/v1/funnels/{}/results", id(9));
    for (path, expected) in [
        (nobody, "404 not_found"),
        (
            format!("{path}/results?by=1"),
            "422 invalid ?by:unknown_value",
        ),
        (
            format!("{path}/results?by={}", id(9)),
            "422 invalid ?by:unknown",
        ),
        (
            format!("{path}/results?of=1"),
            "422 invalid ?of:unknown_parameter",
        ),
    ] {
        check(&server, Method::GET, &path, "", expected).await;
    }
}
