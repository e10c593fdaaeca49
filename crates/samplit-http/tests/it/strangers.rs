//! Tokens that nobody has: how many one address may try, and what that does to others.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;

use http_body_util::Full;
use hyper::Request;
use samplit_devpg::TestDatabase;
use samplit_engine::{EngineConfig, ManualClock, from_micros};
use samplit_http::HttpConfig;
use samplit_tests::connect;
use time::Duration;

use crate::support::{Answer, Server};

/// A server behind a proxy, whose clock stands still.
async fn behind_proxy() -> (Server, TestDatabase, Arc<ManualClock>) {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let http = HttpConfig {
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        ..HttpConfig::default()
    };
    (Server::start(engine, http).await, database, clock)
}

/// A token of this sort that nobody was given.
fn token(prefix: &str, number: u32) -> String {
    format!("{prefix}{number:043}")
}

async fn ask(server: &Server, from: &str, token: &str) -> Answer {
    let path = match token.split_once('_').unwrap().0 {
        "pk" => format!("/s/{token}.js"),
        _ => "/v1/account".to_owned(),
    };
    let request = Request::get(format!("http://{}{path}", server.public));
    let request = request.header("x-forwarded-for", from);
    let request = if token.starts_with("ss_") {
        request.header("cookie", format!("__Host-samplit_session={token}"))
    } else {
        request.header("authorization", format!("Bearer {token}"))
    };
    server.send(request.body(Full::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_tries_so_many_and_keeps_nobody_out() {
    let (server, _database, clock) = behind_proxy().await;
    let (bad, good) = ("198.51.100.7", "192.0.2.1");
    assert_eq!(ask(&server, bad, &server.key).await.summary(), "200");
    for number in 0..1_000 {
        let (prefix, expected) = match number % 3 {
            0 => ("sk_", "401 unauthenticated"),
            1 => ("ss_", "401 unauthenticated"),
            _ => ("pk_", "401 unknown_installation"),
        };
        let answer = ask(&server, bad, &token(prefix, number)).await;
        assert_eq!(answer.summary(), expected, "{number}");
    }
    for prefix in ["sk_", "ss_", "pk_"] {
        let answer = ask(&server, bad, &token(prefix, 1_001)).await;
        assert_eq!(answer.summary(), "429 rate_limited", "{prefix}");
        assert_eq!(answer.header("retry-after"), "1");
    }
    // Who is known comes in from there as well, and everybody from elsewhere.
    assert_eq!(ask(&server, bad, &server.key).await.summary(), "200");
    let elsewhere = ask(&server, good, &token("sk_", 1_001)).await;
    assert_eq!(elsewhere.summary(), "401 unauthenticated");
    // A key that has to be read again is known all the same.
    clock.advance(Duration::milliseconds(50));
    assert_eq!(ask(&server, bad, &server.key).await.summary(), "200");
    // By and by there is one more.
    clock.advance(Duration::milliseconds(50));
    let more = ask(&server, bad, &token("sk_", 1_002)).await;
    assert_eq!(more.summary(), "401 unauthenticated");
    let over = ask(&server, bad, &token("sk_", 1_003)).await;
    assert_eq!(over.summary(), "429 rate_limited");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opened_nothing_is_not_asked_about_again_at_once() {
    let (server, database, clock) = behind_proxy().await;
    let token = token("sk_", 7);
    let from = "192.0.2.1";
    let refused = "401 unauthenticated";
    assert_eq!(ask(&server, from, &token).await.summary(), refused);
    let client = connect(database.url()).await;
    let hash = samplit_audit::Hash::of(token.as_bytes()).to_string();
    let insert = "INSERT INTO api_keys (id, user_id, name, key_prefix, key_hash, scopes) \
        SELECT gen_random_uuid(), id, 'late', 'sk_0', $1, '{read}' FROM users";
    client.execute(insert, &[&hash]).await.unwrap();
    clock.advance(Duration::milliseconds(9_999));
    assert_eq!(ask(&server, from, &token).await.summary(), refused);
    clock.advance(Duration::milliseconds(1));
    assert_eq!(ask(&server, from, &token).await.summary(), "200");
}
