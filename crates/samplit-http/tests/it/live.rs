//! Results as server-sent events.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::time::Duration;

use hyper::Method;
use samplit_engine::{Principal, Redeem, Scope};
use samplit_http::{Drain, HttpConfig};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::browser::set_up;
use crate::support::{Server, check, create_key, draft, server};

/// A stream of events, as it comes over the wire.
struct Events {
    stream: TcpStream,
    text: String,
}

impl Events {
    async fn open(server: &Server, path: &str, key: &str) -> Self {
        let path = format!("{path}/results/stream");
        Self::open_as(server, &path, &format!("authorization: Bearer {key}")).await
    }

    async fn open_as(server: &Server, path: &str, who: &str) -> Self {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{who}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        Self {
            stream,
            text: String::new(),
        }
    }

    /// Reads until `part` came, and gives everything since the last time.
    async fn until(&mut self, part: &str) -> String {
        while !self.text.contains(part) {
            assert!(self.more().await, "it ends before `{part}`: {}", self.text);
        }
        let end = self.text.find(part).unwrap() + part.len();
        self.text.drain(..end).collect()
    }

    async fn more(&mut self) -> bool {
        let mut bytes = vec![0; 65_536];
        let length = self.stream.read(&mut bytes).await.unwrap();
        self.text
            .push_str(&String::from_utf8_lossy(&bytes[..length]));
        length > 0
    }

    /// The data of the next event.
    async fn next(&mut self) -> Json {
        self.until("event: results\nid: ").await;
        self.until("\ndata: ").await;
        let data = self.until("\n\n").await;
        serde_json::from_str(data.trim()).unwrap()
    }

    /// Everything until the server ends it.
    async fn rest(mut self) -> String {
        while self.more().await {}
        self.text
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_when_they_change_until_the_server_drains() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let mut events = Events::open(&server, &path, &server.key).await;
    let head = events.until("\r\n\r\n").await;
    assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
    assert!(head.contains("content-type: text/event-stream"), "{head}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(head.contains("x-accel-buffering: no"), "{head}");
    assert_eq!(events.next().await["visitors"], 0);

    let body = json!({"visitor_id": "anna"});
    let assigned = server.post(&format!("{path}/assign"), &body).await;
    assert_eq!(assigned.status, 200);
    let told = events.next().await;
    let asked = server.get(&format!("{path}/results")).await.json();
    assert_eq!(told["visitors"], 1);
    for part in [
        "experiment_id",
        "snapshot_seq",
        "conversions",
        "registration",
    ] {
        assert_eq!(told[part], asked[part], "{part}");
    }
    assert_eq!(told["elements"][0]["arms"], asked["elements"][0]["arms"]);

    let served = server.stop();
    let rest = events.rest().await;
    // The end of a chunked body: it was not cut.
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_see_results_may_not_watch_them() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let plan = format!("/v1/experiments/{}", server.create(&draft()).await);
    let stream = |path: &str| format!("{path}/results/stream");
    let refused = "409 experiment_not_running";
    check(&server, Method::GET, &stream(&plan), "", refused).await;
    let nobody = stream(crate::support::NOBODY);
    check(&server, Method::GET, &nobody, "", "404 not_found").await;
    let odd = format!("{}?every=1", stream(&path));
    check(
        &server,
        Method::GET,
        &odd,
        "",
        "422 invalid ?every:unknown_parameter",
    )
    .await;

    let of = |email, scopes| create_key(&server.engine, email, scopes);
    for (key, expected) in [
        (of("stranger@example.org", vec![Scope::Read]).await, "404"),
        (of("owner@example.org", vec![Scope::Assign]).await, "403"),
        (format!("sk_{}", "A".repeat(43)), "401"),
    ] {
        let mut events = Events::open(&server, &path, &key).await;
        let head = events.until("\r\n").await;
        assert!(head.starts_with(&format!("HTTP/1.1 {expected}")), "{head}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_says_that_it_is_there_and_ends_with_its_key() {
    let config = HttpConfig {
        heartbeat: Duration::from_millis(20),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let path = server.started().await;
    let key = create_key(&server.engine, "owner@example.org", vec![Scope::Read]).await;
    let mut events = Events::open(&server, &path, &key).await;
    events.next().await;
    for _ in 0..3 {
        events.until("\n:\n\n").await;
    }
    let engine = &server.engine;
    let owner = engine.authenticate(&server.key).await.unwrap();
    let holder = engine.authenticate(&key).await.unwrap();
    engine
        .revoke_key(&owner, holder.key.unwrap())
        .await
        .unwrap();
    let rest = events.rest().await;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dashboard_is_sent_the_same_as_html_as_long_as_the_session_lasts() {
    let config = HttpConfig {
        heartbeat: Duration::from_millis(20),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let path = server.started().await;
    let engine = &server.engine;
    let link = engine
        .sign_in_link(&Principal::system(), "owner@example.org")
        .await;
    let token = link.unwrap().path.unwrap().replace("/join/", "");
    let signed_in = engine.redeem(&token, Redeem::default()).await.unwrap();
    let cookie = format!("cookie: __Host-samplit_session={}", signed_in.token);
    let page = path.replace("/v1", "");
    let stream = format!("{page}/stream");
    let mut one = Events::open_as(&server, &stream, &cookie).await;
    let mut other = Events::open_as(&server, &stream, &cookie).await;
    for events in [&mut one, &mut other] {
        events.until("event: part\nid: 1\ndata: ").await;
        let part = events.until("\n\n").await;
        assert!(part.contains("Waiting for the first visitor"), "{part}");
    }
    let body = json!({"visitor_id": "anna"});
    server.post(&format!("{path}/assign"), &body).await;
    let mut parts = Vec::new();
    for events in [&mut one, &mut other] {
        events.until("event: part\n").await;
        parts.push(events.until("\n\n").await);
    }
    assert!(parts[0].contains("Too early to tell"), "{}", parts[0]);
    assert_eq!(parts[0], parts[1]);

    engine.sign_out(&signed_in.token).await.unwrap();
    for events in [one, other] {
        let rest = events.rest().await;
        assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    }
    let refused = Events::open_as(&server, &stream, "x: y")
        .await
        .until("\r\n")
        .await;
    assert!(refused.starts_with("HTTP/1.1 303"), "{refused}");
}

/// The session goes on, what it may see does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_reader_may_not_see_the_experiment_any_more() {
    let config = HttpConfig {
        heartbeat: Duration::from_millis(20),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let path = server.started().await;
    let admin = set_up(&server).await;
    let (id, second) = admin.welcome("second@example.org", "admin").await;
    let cookie = format!("cookie: __Host-samplit_session={}", second.token());
    let stream = format!("{path}/results/stream");
    let mut events = Events::open_as(&server, &stream, &cookie).await;
    events.next().await;
    let role = json!({"role": "client"});
    let role = admin
        .ask(Method::PATCH, &format!("/v1/users/{id}"), &role)
        .await;
    assert_eq!(role.summary(), "200");
    let rest = events.rest().await;
    assert!(rest.ends_with("0\r\n\r\n"), "{rest}");
    assert_eq!(second.get("/v1/session").await.summary(), "200");
}
