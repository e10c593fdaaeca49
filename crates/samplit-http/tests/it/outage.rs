//! PostgreSQL goes away and comes back.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::time::Duration;

use http_body_util::Full;
use hyper::{Method, StatusCode};
use samplit_devpg::{DevPg, Mode};
use samplit_engine::Engine;
use samplit_http::HttpConfig;
use samplit_store::{Database, Settings};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::support::{Answer, Server};

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_the_service_says_so_and_recovers() {
    let pg = DevPg::start().await.unwrap();
    pg.create_database("away").await.unwrap();
    let mut client = samplit_tests::connect(&pg.url("away")).await;
    let options = samplit_sql::Options::default();
    samplit_sql::up(&mut client, &options).await.unwrap();
    let settings = Settings {
        recovery_timeout: Duration::from_millis(200),
        ..samplit_tests::settings(&pg.url("away"))
    };
    let database = Database::connect(settings).await.unwrap();
    let engine = Engine::start(database, samplit_tests::config(1))
        .await
        .unwrap();
    let config = HttpConfig {
        schema_version: Some(samplit_sql::expected_version()),
        ..HttpConfig::default()
    };
    let server = Server::start(engine, config).await;
    let (status, parts) = parts(&server).await;
    assert_eq!(status, StatusCode::OK);
    for part in ["database", "schema", "breaker", "pool", "drain"] {
        assert_eq!(parts[part]["ok"], true, "{part}: {parts}");
    }
    let path = server.started().await;
    let (assign, convert) = (format!("{path}/assign"), format!("{path}/convert"));
    let known = json!({"visitor_id": "known"});
    let before = server.post(&assign, &known).await.json();
    let site = json!({"name": "Shop", "domain": "shop.test"});
    let site = server.post("/v1/installations", &site).await.json();
    let token = site["token"].as_str().unwrap();
    let shown = page(&server, token, "known").await;
    assert_eq!(shown["reason"], Json::Null);

    pg.stop(Mode::Immediate).await.unwrap();
    assert_eq!(server.get_ops("/livez").await.summary(), "200");
    let ready = server.get_ops("/readyz").await;
    assert_eq!(ready.summary(), "503 database_unavailable");
    assert!(ready.headers.contains_key("retry-after"));
    let (status, parts) = self::parts(&server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(parts["database"]["state"], "away", "{parts}");
    assert_eq!(parts["schema"]["version"], json!(null), "{parts}");
    assert_eq!(parts["drain"]["ok"], true, "{parts}");
    let again = server.post(&assign, &known).await.json();
    assert_eq!(again["variants"], before["variants"]);
    let new = server
        .post(&assign, &json!({"visitor_id": "new"}))
        .await
        .json();
    assert_eq!(
        (&new["degraded"], &new["in_experiment"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(new["reason"], "degraded");
    // A page is shown in any case.
    assert_eq!(page(&server, token, "known").await, shown);
    assert_eq!(page(&server, token, "new").await["reason"], "degraded");
    let id = shown["id"].as_str().unwrap();
    let seen = json!([{"type": "exposure", "experiment_id": id, "event_id": "1"}]);
    let body = json!({"token": token, "visitor_id": "known", "events": seen});
    let reported = from_page(&server, "/v1/events", &body).await;
    assert_eq!(reported.summary(), "503 database_unavailable");
    assert!(reported.headers.contains_key("retry-after"));
    let converted = server.post(&convert, &known).await;
    assert_eq!(converted.summary(), "503 database_unavailable");
    assert!(converted.headers.contains_key("retry-after"));

    pg.restart().await.unwrap();
    let recovered = async {
        while server.post(&convert, &known).await.status != StatusCode::OK {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), recovered)
        .await
        .expect("it comes back by itself");
    assert_eq!(server.get_ops("/readyz").await.summary(), "200");

    // Somebody restores an older schema under a running server.
    client = samplit_tests::connect(&pg.url("away")).await;
    let older = "DELETE FROM refinery_schema_history WHERE version > 1";
    client.batch_execute(older).await.unwrap();
    let ready = server.get_ops("/readyz").await;
    assert_eq!(ready.summary(), "503 schema_outdated");
    let (status, parts) = self::parts(&server).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        (&parts["schema"]["version"], &parts["database"]["ok"]),
        (&json!(1), &json!(true)),
        "{parts}"
    );
}

/// What `/readyz?verbose` says of each part.
async fn parts(server: &Server) -> (StatusCode, Json) {
    let answer = server.get_ops("/readyz?verbose").await;
    let document = answer.json();
    assert_eq!(document["ready"], answer.status.is_success());
    (answer.status, document["parts"].clone())
}

async fn from_page(server: &Server, path: &str, body: &Json) -> Answer {
    let request = server
        .request(Method::POST, path)
        .header("origin", "https://shop.test");
    server
        .send(request.body(Full::from(body.to_string())).unwrap())
        .await
}

/// What a page shows of the one experiment there is.
async fn page(server: &Server, token: &str, visitor: &str) -> Json {
    let body = json!({"token": token, "url": "https://shop.test/", "visitor_id": visitor});
    let answer = from_page(server, "/v1/page", &body).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["experiments"][0].clone()
}
