//! Erasing visitors and redacting payloads: what goes is gone, and the trail still verifies.

use hyper::{Method, Request};
use samplit_engine::Scope;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{Server, check, create_key, server};

async fn assign(server: &Server, path: &str, visitor: &str) -> Json {
    let body =
        json!({"visitor_id": visitor, "context": {"mail": format!("{visitor}@example.org")}});
    server.post(&format!("{path}/assign"), &body).await.json()
}

async fn verdict(server: &Server, path: &str) -> Json {
    server.get(&format!("{path}/audit/verify")).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_visitor_is_forgotten_everywhere() {
    let (server, database) = server(HttpConfig::default()).await;
    let (one, other) = (server.started().await, server.started().await);
    let visitor = "ada lovelace/1815 é";
    for path in [&one, &other] {
        assert_eq!(assign(&server, path, visitor).await["in_experiment"], true);
        assign(&server, path, "bob").await;
    }
    let route = "/v1/visitors/ada%20lovelace%2F1815%20%C3%A9";
    let erased = server.delete(route).await.json();
    assert_eq!(erased, json!({"experiments": 2, "rows": 2}));
    // Whoever is unknown is erased already.
    let again = server.delete(route).await.json();
    assert_eq!(again, json!({"experiments": 0, "rows": 0}));

    let client = samplit_tests::connect(database.url()).await;
    let left = "SELECT count(*) FROM assignments WHERE user_identifier LIKE 'ada%' \
                OR strpos(context::text || metadata::text, 'ada') > 0";
    let left: i64 = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
    let returned = assign(&server, &one, visitor).await;
    assert_eq!(returned["in_experiment"], false, "{returned}");
    assert_eq!(verdict(&server, &one).await["sound"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_erasures_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let long = format!("/v1/visitors/{}", "x".repeat(256));
    for (path, expected) in [
        (long.as_str(), "422 invalid {visitor}:too_long"),
        ("/v1/visitors/%00", "422 invalid {visitor}:nul_character"),
        ("/v1/visitors/%ff", "422 invalid {visitor}:malformed"),
        ("/v1/visitors/%20", "422 invalid {visitor}:required"),
        ("/v1/visitors/", "404 not_found"),
    ] {
        check(&server, Method::DELETE, path, "", expected).await;
    }
    let body = "{\"why\":1}";
    let expected = "422 invalid /why:unknown_field";
    check(&server, Method::DELETE, "/v1/visitors/v", body, expected).await;
    let reader = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    let uri = format!("http://{}/v1/visitors/v", server.public);
    let request = Request::delete(uri).header("authorization", format!("Bearer {reader}"));
    let refused = server.send(request.body(Default::default()).unwrap()).await;
    assert_eq!(refused.summary(), "403 forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_erases_the_visitors_of_others() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    assign(&server, &path, "ada").await;
    let stranger = create_key(&server.engine, "stranger@example.org", Scope::ALL.to_vec()).await;
    let uri = format!("http://{}/v1/visitors/ada", server.public);
    let request = Request::delete(uri).header("authorization", format!("Bearer {stranger}"));
    let erased = server.send(request.body(Default::default()).unwrap()).await;
    assert_eq!(erased.json(), json!({"experiments": 0, "rows": 0}));
    assert_eq!(assign(&server, &path, "ada").await["is_new"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_is_redacted_in_the_open() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    assign(&server, &path, "ada").await;
    let redactions = format!("{path}/audit/redactions");
    let body = json!({"sequence_number": 2, "reason": "by order of a court"});
    let redacted = server.post(&redactions, &body).await;
    assert_eq!(redacted.summary(), "201");
    let told = redacted.json();
    assert_eq!(told["sequence_number"], 2);
    let entries = format!("{path}/audit/entries");
    let entries = server.get(&entries).await.json()["data"].clone();
    assert_eq!(entries[1]["decision_data"].as_object().unwrap().len(), 1);
    let last = entries.as_array().unwrap().last().unwrap();
    assert_eq!(last["decision_type"], "redaction");
    assert_eq!(last["sequence_number"], told["redaction"]);
    let verdict = verdict(&server, &path).await;
    assert_eq!(verdict["report"]["redactions"], 1, "{verdict}");

    let long = "x".repeat(501);
    for (body, expected) in [
        (
            json!({}),
            "422 invalid /sequence_number:required /reason:required",
        ),
        (
            json!({"sequence_number": "2", "reason": "", "x": 1}),
            "422 invalid /sequence_number:wrong_type /x:unknown_field",
        ),
        (
            json!({"sequence_number": 2, "reason": ""}),
            "422 invalid /reason:required",
        ),
        (
            json!({"sequence_number": 2, "reason": long}),
            "422 invalid /reason:too_long",
        ),
    ] {
        let body = body.to_string();
        check(&server, Method::POST, &redactions, &body, expected).await;
    }
}
