//! `Idempotency-Key`: what is made is made once, whoever asks again.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;

use http_body_util::Full;
use hyper::Method;
use samplit_devpg::TestDatabase;
use samplit_domain::{ManualClock, from_micros};
use samplit_engine::{EngineConfig, Scope, Secret};
use samplit_http::HttpConfig;
use samplit_tests::connect;
use serde_json::{Value as Json, json};

use crate::browser::{Browser, set_up};
use crate::support::{Answer, Server, create_key, draft, server};

/// Posts `body` as the holder of `token`, under a key.
async fn once(server: &Server, token: &str, path: &str, key: &str, body: &Json) -> Answer {
    let mut request = server.request(Method::POST, path);
    let headers = request.headers_mut().unwrap();
    headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
    headers.insert("idempotency-key", key.parse().unwrap());
    let body = Full::from(body.to_string());
    server.send(request.body(body).unwrap()).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.contains_key("idempotent-replayed")
}

async fn count(database: &TestDatabase, table: &str) -> i64 {
    let statement = format!("SELECT count(*) FROM {table}");
    let client = connect(database.url()).await;
    client.query_one(&statement, &[]).await.unwrap().get(0)
}

/// What can be made under a key, its table, and a body that is other and as good.
fn makings() -> [(&'static str, &'static str, Json, Json); 4] {
    let other = {
        let mut other = draft();
        other["name"] = json!("Another");
        other
    };
    [
        ("/v1/experiments", "experiments", draft(), other),
        (
            "/v1/installations",
            "platform_installations",
            json!({"name": "Shop", "domain": "shop.example"}),
            json!({"name": "Shop", "domain": "other.example"}),
        ),
        (
            "/v1/exclusions",
            "exclusion_rules",
            json!({"kind": "ip", "value": "203.0.113.9"}),
            json!({"kind": "ip", "value": "203.0.113.10"}),
        ),
        (
            "/v1/funnels",
            "funnels",
            json!({"name": "Checkout", "nodes": [{"type": "page"}]}),
            json!({"name": "Checkout", "nodes": [{"type": "wait"}]}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gets_the_same_answer_and_another_one_none() {
    let (server, database) = server(HttpConfig::default()).await;
    let client = connect(database.url()).await;
    for (path, table, body, other) in makings() {
        let first = once(&server, &server.key, path, "k-1", &body).await;
        assert_eq!(first.summary(), "201", "{path} {}", first.text());
        assert!(!is_replayed(&first));
        let place = first.header("location").to_owned();
        // Whatever became of it since.
        let change = json!({"name": "Changed"});
        if table == "exclusion_rules" {
            assert_eq!(server.delete(&place).await.summary(), "204");
        } else {
            assert_eq!(server.patch(&place, &change).await.summary(), "200");
        }
        let again = once(&server, &server.key, path, "k-1", &body).await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.status, first.status);
        assert_eq!(again.body, first.body);
        for name in ["location", "etag", "content-type", "cache-control"] {
            assert_eq!(again.header(name), first.header(name), "{name}");
        }
        for (path, body) in [(path, &other), ("/v1/exclusions", &other)] {
            let refused = once(&server, &server.key, path, "k-1", body).await;
            let expected = "422 idempotency_key_reused";
            if refused.summary() != expected {
                // A body of another kind of thing is refused for what it is.
                assert!(
                    refused.summary().starts_with("422 invalid /"),
                    "{}",
                    refused.text()
                );
            }
        }
        client
            .execute("DELETE FROM idempotency_keys", &[])
            .await
            .unwrap();
    }
    let body = draft();
    let first = once(&server, &server.key, "/v1/experiments", "one", &body).await;
    let second = once(&server, &server.key, "/v1/experiments", "two", &body).await;
    let third = server.post("/v1/experiments", &body).await;
    let ids = [first, second, third].map(|made| made.json()["id"].clone());
    assert!(ids[0] != ids[1] && ids[1] != ids[2]);
    assert_eq!(count(&database, "idempotency_keys").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_at_once_one_makes_it() {
    let (server, database) = server(HttpConfig::default()).await;
    let server = Arc::new(server);
    let client = connect(database.url()).await;
    for (path, table, body, _) in makings() {
        let mut posts = tokio::task::JoinSet::new();
        for _ in 0..20 {
            let (server, body) = (Arc::clone(&server), body.clone());
            posts.spawn(async move { once(&server, &server.key, path, "same", &body).await });
        }
        let answers = posts.join_all().await;
        let (mut made, mut bodies) = (0, Vec::new());
        for answer in answers {
            match answer.summary().as_str() {
                "201" => {
                    made += usize::from(!is_replayed(&answer));
                    bodies.push(answer.body);
                }
                // Somebody else is at it.
                "409 idempotency_key_in_use" => {}
                other => panic!("{other}"),
            }
        }
        assert_eq!(made, 1, "{path}");
        assert!(bodies.iter().all(|body| body == &bodies[0]), "{path}");
        assert_eq!(count(&database, table).await, 1, "{path}");
        let again = once(&server, &server.key, path, "same", &body).await;
        assert!(is_replayed(&again) && again.body == bodies[0]);
        client
            .execute("DELETE FROM idempotency_keys", &[])
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_under_way_the_key_is_in_use() {
    let (server, database) = server(HttpConfig::default()).await;
    let server = Arc::new(server);
    let mut client = connect(database.url()).await;
    // Whoever writes an answer waits for this.
    let block = client.transaction().await.unwrap();
    block
        .batch_execute(
            "LOCK TABLE idempotency_keys IN ROW EXCLUSIVE MODE; \
            LOCK TABLE experiments IN SHARE MODE",
        )
        .await
        .unwrap();
    let first = {
        let server = Arc::clone(&server);
        tokio::spawn(
            async move { once(&server, &server.key, "/v1/experiments", "k", &draft()).await },
        )
    };
    let held = "pg_locks WHERE locktype = 'advisory' AND granted AND database = \
        (SELECT oid FROM pg_database WHERE datname = current_database())";
    samplit_tests::eventually(async || count(&database, held).await == 1).await;
    let second = once(&server, &server.key, "/v1/experiments", "k", &draft()).await;
    assert_eq!(second.summary(), "409 idempotency_key_in_use");
    block.rollback().await.unwrap();
    assert_eq!(first.await.unwrap().summary(), "201");
    let third = once(&server, &server.key, "/v1/experiments", "k", &draft()).await;
    assert!(is_replayed(&third));
    assert_eq!(count(&database, "experiments").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_killed_in_between_leaves_nothing_of_either() {
    let (server, database) = server(HttpConfig::default()).await;
    let client = connect(database.url()).await;
    client
        .batch_execute(
            "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS \
                 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END';
             CREATE TRIGGER die AFTER INSERT ON idempotency_keys FOR EACH ROW EXECUTE FUNCTION die()",
        )
        .await
        .unwrap();
    for (path, table, body, _) in makings() {
        let broken = once(&server, &server.key, path, "k", &body).await;
        assert_eq!(broken.status, 503, "{path} {}", broken.text());
        assert_eq!(count(&database, table).await, 0, "{path}");
        assert_eq!(count(&database, "idempotency_keys").await, 0, "{path}");
    }
    client
        .batch_execute("DROP TRIGGER die ON idempotency_keys")
        .await
        .unwrap();
    for (path, table, body, _) in makings() {
        // The breaker may want a moment.
        samplit_tests::eventually(async || {
            once(&server, &server.key, path, table, &body)
                .await
                .summary()
                == "201"
        })
        .await;
        assert_eq!(count(&database, table).await, 1, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_uses_no_key_up() {
    let (server, database) = server(HttpConfig::default()).await;
    let client = connect(database.url()).await;
    for (path, _, body, _) in makings() {
        let bad = once(&server, &server.key, path, "k", &json!({"nonsense": 1})).await;
        assert!(bad.summary().starts_with("422 invalid"), "{path}");
        assert_eq!(count(&database, "idempotency_keys").await, 0);
        let good = once(&server, &server.key, path, "k", &body).await;
        assert_eq!(
            (good.summary().as_str(), is_replayed(&good)),
            ("201", false)
        );
        client
            .execute("DELETE FROM idempotency_keys", &[])
            .await
            .unwrap();
    }
    let long = "k".repeat(256);
    for bad in ["a b", "", long.as_str()] {
        let answer = once(&server, &server.key, "/v1/experiments", bad, &draft()).await;
        assert_eq!(
            answer.summary(),
            "422 invalid Idempotency-Key:malformed",
            "{bad}"
        );
    }
    let request = server
        .request(Method::POST, "/v1/experiments")
        .header("idempotency-key", "a")
        .header("idempotency-key", "b");
    let body = Full::from(draft().to_string());
    let twice = server.send(request.body(body).unwrap()).await;
    assert_eq!(twice.summary(), "422 invalid Idempotency-Key:malformed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_an_account_and_needs_its_scope() {
    let (server, database) = server(HttpConfig::default()).await;
    let other = create_key(&server.engine, "other@example.org", Scope::ALL.to_vec()).await;
    let reader = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    let second = create_key(&server.engine, "owner@example.org", vec![Scope::Manage]).await;
    let mine = once(&server, &server.key, "/v1/experiments", "k", &draft()).await;
    let theirs = once(&server, &other, "/v1/experiments", "k", &draft()).await;
    assert_eq!(theirs.summary(), "201");
    assert!(!is_replayed(&theirs));
    assert_ne!(mine.json()["id"], theirs.json()["id"]);
    let refused = once(&server, &reader, "/v1/experiments", "k", &draft()).await;
    assert_eq!(refused.summary(), "403 forbidden");
    // The account, not the API key: that may have been rotated in between.
    let again = once(&server, &second, "/v1/experiments", "k", &draft()).await;
    assert!(is_replayed(&again) && again.body == mine.body);
    assert_eq!(count(&database, "experiments").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_day_a_key_is_new_and_old_answers_are_swept_away() {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let make = async |key: &str| once(&server, &server.key, "/v1/experiments", key, &draft()).await;
    let first = make("k").await;
    make("other").await;
    clock.advance(time::Duration::hours(24) - time::Duration::SECOND);
    assert!(is_replayed(&make("k").await));
    clock.advance(time::Duration::SECOND);
    let second = make("k").await;
    assert!(!is_replayed(&second));
    assert_ne!(first.json()["id"], second.json()["id"]);
    assert_eq!(count(&database, "idempotency_keys").await, 1);
    assert_eq!(count(&database, "experiments").await, 3);
}

/// Posts `body` under a key, as somebody who is signed in.
async fn signed_in(who: &Browser<'_>, path: &str, key: &str, body: &Json) -> Answer {
    let headers = [("sec-fetch-site", "same-origin"), ("idempotency-key", key)];
    who.ask_with(Method::POST, path, body, &headers).await
}

/// What is made with a secret that is shown once: where, its table, a body, and where the secret is.
fn secret_makings() -> [(&'static str, &'static str, Json, &'static str); 3] {
    [
        (
            "/v1/keys",
            "api_keys WHERE name = 'ci'",
            json!({"name": "ci", "scopes": ["read"]}),
            "/token",
        ),
        (
            "/v1/users",
            "users WHERE email = 'bea@example.org'",
            json!({"email": "bea@example.org"}),
            "/link/url",
        ),
        (
            "/v1/webhooks",
            "webhook_endpoints",
            json!({"url": "https://hooks.example.org/"}),
            "/secret",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_shows_a_secret_once_shows_it_to_a_repeat_and_to_nobody_in_the_database() {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (_, client) = admin.welcome("client@example.org", "client").await;
    let rows = connect(database.url()).await;
    for (path, table, body, secret) in secret_makings() {
        let first = signed_in(&admin, path, path, &body).await;
        assert_eq!(first.summary(), "201", "{path} {}", first.text());
        let again = signed_in(&admin, path, path, &body).await;
        assert!(is_replayed(&again) && !is_replayed(&first), "{path}");
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        assert_eq!(again.headers.get("location"), first.headers.get("location"));
        assert_eq!(count(&database, table).await, 1, "{path}");
        let made = first.json();
        let secret = made.pointer(secret).unwrap().as_str().unwrap();
        let kept = "SELECT count(*) FROM idempotency_keys k WHERE position($1 IN k::text) > 0";
        let kept: i64 = rows.query_one(kept, &[&secret]).await.unwrap().get(0);
        assert_eq!(kept, 0, "{path}");
        let other = signed_in(&admin, "/v1/experiments", path, &draft()).await;
        assert_eq!(other.summary(), "422 idempotency_key_reused", "{path}");
        // The key is that of an account: of another one it is new, or what it may not do.
        let theirs = signed_in(&client, path, path, &body).await;
        assert!(!is_replayed(&theirs), "{path}");
        assert!(!theirs.text().contains(secret), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_of_the_server_nothing_is_made_under_a_key_that_shows_one() {
    let (server, database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    for (path, table, body, _) in secret_makings() {
        let refused = signed_in(&admin, path, "k", &body).await;
        assert_eq!(refused.summary(), "409 no_secret", "{path}");
        assert_eq!(count(&database, table).await, 0, "{path}");
    }
    assert_eq!(count(&database, "idempotency_keys").await, 0);
}
