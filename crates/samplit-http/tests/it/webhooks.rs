//! Webhooks as a client sees them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http_body_util::Full;
use hyper::Method;
use samplit_engine::{
    EngineConfig, Scope, Secret, WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender,
};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::support::{Server, check, create_key};

/// Takes everything.
#[derive(Debug)]
struct Receiver(UnboundedSender<WebhookRequest>);

impl WebhookSender for Receiver {
    fn send<'a>(
        &'a self,
        request: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>> {
        let _ = self.0.send(request.clone());
        Box::pin(async {
            Ok(WebhookAnswer {
                status: 200,
                body: "thanks".to_owned(),
                ..WebhookAnswer::default()
            })
        })
    }
}

async fn sending() -> (
    Server,
    UnboundedReceiver<WebhookRequest>,
    samplit_devpg::TestDatabase,
) {
    let database = samplit_tests::database().await;
    let (sent, arrived) = unbounded_channel();
    let config = EngineConfig {
        secret: Some(Secret::new(&[[9; 32]]).unwrap()),
        webhook_sender: Some(Arc::new(Receiver(sent))),
        webhook_every: Duration::from_millis(10),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    (server, arrived, database)
}

/// The path of a new webhook, and its secret.
async fn made(server: &Server, body: &Json) -> (String, String) {
    let answer = server.post("/v1/webhooks", body).await;
    assert_eq!(answer.summary(), "201", "{}", answer.text());
    let webhook = answer.json();
    let path = format!("/v1/webhooks/{}", webhook["id"].as_str().unwrap());
    assert_eq!(answer.header("location"), path);
    assert_eq!(answer.header("etag"), "\"v1\"");
    let secret = webhook["secret"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("whsec_"), "{secret}");
    (path, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_lives_from_its_secret_to_its_last_delivery() {
    let (server, mut arrived, _database) = sending().await;
    let body = json!({"url": "https://hooks.example.org/t0ken", "description": "team"});
    let (path, secret) = made(&server, &body).await;
    let shown = server.get(&path).await;
    assert_eq!(shown.header("etag"), "\"v1\"");
    let webhook = shown.json();
    assert_eq!(webhook["events"], json!([]));
    assert_eq!(
        (&webhook["is_enabled"], &webhook["disabled_reason"]),
        (&json!(true), &Json::Null)
    );
    assert!(webhook.get("secret").is_none(), "{webhook}");
    let list = server.get("/v1/webhooks").await;
    assert_eq!(list.json()["data"][0], webhook);
    assert!(!list.text().contains(&secret));

    let events = json!({"events": ["experiment.started", "experiment.paused"]});
    let request = server
        .request(Method::PATCH, &path)
        .header("if-match", "\"v1\"");
    let changed = server
        .send(request.body(Full::from(events.to_string())).unwrap())
        .await;
    assert_eq!(changed.json()["events"], events["events"]);
    let request = server
        .request(Method::PATCH, &path)
        .header("if-match", "\"v1\"");
    let stale = server
        .send(request.body(Full::from(events.to_string())).unwrap())
        .await;
    assert_eq!(stale.summary(), "412 version_mismatch");

    let experiment = server.started().await;
    let request = arrived.recv().await.unwrap();
    assert_eq!(request.url, "https://hooks.example.org/t0ken");
    let of = |status: &str| format!("{path}/deliveries?status={status}");
    let delivery = loop {
        let page = server.get(&of("delivered")).await.json();
        if let Some(delivery) = page["data"].get(0) {
            break delivery.clone();
        }
    };
    assert_eq!(delivery["message_id"], request.id);
    assert_eq!(delivery["payload"], request.body);
    assert_eq!(delivery["event"], "experiment.started");
    assert!(experiment.ends_with(delivery["experiment_id"].as_str().unwrap()));
    assert_eq!(
        (&delivery["attempts"], &delivery["answer_status"]),
        (&json!(1), &json!(200))
    );
    assert_eq!(
        (&delivery["answer_body"], &delivery["error"]),
        (&json!("thanks"), &Json::Null)
    );
    assert_eq!(server.get(&of("dead")).await.json()["data"], json!([]));

    let replay = format!(
        "{path}/deliveries/{}/replay",
        delivery["id"].as_str().unwrap()
    );
    let replayed = server.post(&replay, &json!({})).await;
    assert_eq!(replayed.summary(), "202");
    assert_eq!(replayed.json()["status"], "pending");
    assert_eq!(arrived.recv().await.unwrap().id, request.id);

    let rotated = server
        .post(&format!("{path}/rotate"), &json!({}))
        .await
        .json();
    assert_ne!(rotated["secret"], json!(secret));
    assert!(rotated["previous_secret_ends_at"].is_string());
    let tried = server
        .post(&format!("{path}/test"), &json!({}))
        .await
        .json();
    assert_eq!(
        (&tried["event"], &tried["status"]),
        (&json!("webhook.test"), &json!("delivered"))
    );
    assert_eq!(
        arrived.recv().await.unwrap().signature.split(' ').count(),
        2
    );

    let ready = server.get_ops("/readyz?verbose").await.json();
    assert_eq!(ready["parts"]["webhooks"]["ok"], true, "{ready}");
    assert!(ready["parts"]["webhooks"]["pending"].is_u64(), "{ready}");

    assert_eq!(server.delete(&path).await.summary(), "204");
    assert_eq!(server.get(&path).await.summary(), "404 not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_webhooks_are_refused_with_every_field() {
    let (server, _arrived, _database) = sending().await;
    let (path, _) = made(&server, &json!({"url": "https://example.org"})).await;
    let post = Method::POST;
    for (body, expected) in [
        ("{}", "422 invalid /url:required"),
        (r#"{"url": 5}"#, "422 invalid /url:wrong_type"),
        (
            r#"{"url": "http://example.org"}"#,
            "422 invalid /url:malformed",
        ),
        (
            r#"{"url": "https://example.org", "secret": "mine"}"#,
            "422 invalid /secret:unknown_field",
        ),
        (
            r#"{"url": "https://example.org", "events": ["experiment.started", "gone", 5]}"#,
            "422 invalid /events/1:unknown_value /events/2:wrong_type",
        ),
        (
            r#"{"url": "https://example.org", "events": ["webhook.test"]}"#,
            "422 invalid /events/0:unknown_value",
        ),
        (
            r#"{"url": "https://example.org", "events": ["experiment.paused", "experiment.paused"]}"#,
            "422 invalid /events/1:duplicate",
        ),
    ] {
        check(&server, post.clone(), "/v1/webhooks", body, expected).await;
    }
    let long = json!({"url": "https://example.org", "description": "x".repeat(256)}).to_string();
    let expected = "422 invalid /description:too_long";
    check(&server, post.clone(), "/v1/webhooks", &long, expected).await;
    let nul = r#"{"description": "a\u0000b"}"#;
    let expected = "422 invalid /description:nul_character";
    check(&server, Method::PATCH, &path, nul, expected).await;
    let list = format!("{path}/deliveries?status=gone&limit=0");
    let expected = "422 invalid ?status:unknown_value ?limit:out_of_range";
    check(&server, Method::GET, &list, "", expected).await;
    let nobody = format!("{path}/deliveries/0197f0a0-0000-7000-8000-000000000001/replay");
    check(&server, post, &nobody, "{}", "404 not_found").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_nobody_elses() {
    let (mut server, _arrived, _database) = sending().await;
    let (path, _) = made(&server, &json!({"url": "https://example.org"})).await;
    server.post(&format!("{path}/test"), &json!({})).await;
    let tried = server.get(&format!("{path}/deliveries")).await.json();
    let delivery = tried["data"][0]["id"].as_str().unwrap().to_owned();
    let reader = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    let stranger = create_key(&server.engine, "stranger@example.org", Scope::ALL.to_vec()).await;
    let routes = [
        (Method::GET, path.clone(), true),
        (Method::PATCH, path.clone(), false),
        (Method::POST, format!("{path}/rotate"), false),
        (Method::POST, format!("{path}/test"), false),
        (Method::GET, format!("{path}/deliveries"), true),
        (
            Method::POST,
            format!("{path}/deliveries/{delivery}/replay"),
            false,
        ),
        (Method::DELETE, path.clone(), false),
    ];
    for (key, is_reader) in [(reader, true), (stranger, false)] {
        server.key = key;
        for (method, path, reads) in &routes {
            let request = server.request(method.clone(), path);
            let body = if *method == Method::GET { "" } else { "{}" };
            let answer = server.send(request.body(Full::from(body)).unwrap()).await;
            let expected = match (is_reader, reads) {
                (true, true) => "200",
                (true, false) => "403 forbidden",
                (false, _) => "404 not_found",
            };
            assert_eq!(answer.summary(), expected, "{method} {path}");
        }
    }
    let list = server.get("/v1/webhooks").await.json();
    assert_eq!(list["data"], json!([]));
}
