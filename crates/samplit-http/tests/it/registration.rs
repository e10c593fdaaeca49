//! What is announced before the start, and what becomes of it.

use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::json;

use crate::support::{check, draft, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_hypothesis_is_set_changed_cleared_and_then_fixed() {
    let (server, _database) = server(HttpConfig::default()).await;
    let mut draft = draft();
    draft["hypothesis"] = json!({"statement": "Green sells more.", "minimum_effect": 0.05});
    let path = format!("/v1/experiments/{}", server.create(&draft).await);
    let shown = server.get(&path).await.json()["hypothesis"].clone();
    assert_eq!(shown, draft["hypothesis"]);
    let change = json!({"hypothesis": {"statement": "Green sells less."}});
    let changed = server.patch(&path, &change).await.json();
    assert_eq!(changed["hypothesis"], change["hypothesis"]);
    let cleared = server
        .patch(&path, &json!({"hypothesis": null}))
        .await
        .json();
    assert_eq!(cleared["hypothesis"], json!(null));
    server.patch(&path, &change).await;
    server.post(&format!("{path}/start"), &json!({})).await;
    let late = server.patch(&path, &json!({"hypothesis": null})).await;
    assert_eq!(late.status, 409, "{}", late.text());

    let registered = server.get(&format!("{path}/registration")).await;
    assert_eq!(registered.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_hypotheses_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let long = "x".repeat(2_001);
    for (hypothesis, expected) in [
        (
            json!("Green sells more."),
            "422 invalid /hypothesis:wrong_type",
        ),
        (json!({}), "422 invalid /hypothesis/statement:required"),
        (
            json!({"statement": long}),
            "422 invalid /hypothesis/statement:too_long",
        ),
        (
            json!({"statement": "s", "minimum_effect": 0, "p": 0.05}),
            "422 invalid /hypothesis/p:unknown_field /hypothesis/minimum_effect:out_of_range",
        ),
        (
            json!({"statement": 1, "minimum_effect": "5 %"}),
            "422 invalid /hypothesis/statement:wrong_type /hypothesis/minimum_effect:wrong_type",
        ),
    ] {
        let mut draft = draft();
        draft["hypothesis"] = hypothesis;
        let body = draft.to_string();
        check(&server, Method::POST, "/v1/experiments", &body, expected).await;
    }
}
