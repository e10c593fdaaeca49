//! Slow, broken, greedy and late clients.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::{num::NonZeroU32, time::Duration};

use samplit_http::{Drain, HttpConfig};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use crate::support::{Server, server};

const SHORT: Duration = Duration::from_millis(100);

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.public).await.unwrap()
}

/// Everything until the server closes.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is an end like any other.
    let _ = stream.read_to_end(&mut bytes).await;
    String::from_utf8(bytes).unwrap()
}

/// One part of an answer.
async fn some(stream: &mut TcpStream) -> String {
    let mut bytes = vec![0; 4096];
    let length = stream.read(&mut bytes).await.unwrap();
    String::from_utf8(bytes[..length].to_vec()).unwrap()
}

/// The head of an assign whose body will have `length` bytes.
fn head(server: &Server, path: &str, length: usize) -> String {
    format!(
        "POST {path}/assign HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n",
        server.key
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_ends_the_connection() {
    let config = HttpConfig {
        header_timeout: SHORT,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    for start in ["", "GET /v1/exp", "GET / HTTP/1.1\r\nhost: x\r\nx-a: "] {
        let mut stream = connect(&server).await;
        stream.write_all(start.as_bytes()).await.unwrap();
        let answer = rest(&mut stream).await;
        assert!(!answer.contains(" 200 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_408() {
    let config = HttpConfig {
        request_timeout: SHORT,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let mut stream = connect(&server).await;
    let head = head(
        &server,
        "/v1/experiments/0197f0a0-0000-7000-8000-000000000001",
        100,
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"{\"visitor_id\"").await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("\"code\":\"body_timeout\""), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut() {
    let config = HttpConfig {
        write_timeout: SHORT,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let mut stream = connect(&server).await;
    // Pipelined until what lies between is full; then only the server can end it.
    let cut = async {
        let request = "GET /verify HTTP/1.1\r\nhost: x\r\n\r\n".repeat(100);
        while stream.write_all(request.as_bytes()).await.is_ok() {}
    };
    timeout(Duration::from_secs(60), cut).await.unwrap();
    assert_eq!(server.get("/v1/experiments").await.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_http_is_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let huge = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx-a: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let many = format!(
        "GET / HTTP/1.1\r\nhost: x\r\n{}\r\n",
        "x-a: 1\r\n".repeat(200)
    );
    let cases = [
        ("nonsense\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/9.9\r\n\r\n", "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\nbad header\r\n\r\n", "HTTP/1.1 400 "),
        (&huge, "HTTP/1.1 431 "),
        (&many, "HTTP/1.1 431 "),
    ];
    for (request, expected) in cases {
        let mut stream = connect(&server).await;
        // The server may close before it has read everything.
        let _ = stream.write_all(request.as_bytes()).await;
        let answer = some(&mut stream).await;
        assert!(
            answer.starts_with(expected),
            "{:?}: {answer}",
            &request[..20.min(request.len())]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_is_measured_as_it_comes() {
    let config = HttpConfig {
        body_limit: 1_000,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let mut stream = connect(&server).await;
    let head = format!(
        "POST /v1/experiments HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        server.key
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let chunk = format!("258\r\n{}\r\n", " ".repeat(0x258));
    stream.write_all(chunk.repeat(2).as_bytes()).await.unwrap();
    let answer = rest(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn beyond_the_limit_a_connection_waits_for_its_turn() {
    let config = HttpConfig {
        max_connections: 1,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let request = b"GET /assets/live.css HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = connect(&server).await;
    first.write_all(request).await.unwrap();
    assert!(some(&mut first).await.starts_with("HTTP/1.1 200 "));

    let mut second = connect(&server).await;
    second.write_all(request).await.unwrap();
    timeout(SHORT, some(&mut second)).await.unwrap_err();
    drop(first);
    assert!(some(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_asks_too_often_is_told_to_wait() {
    let config = HttpConfig {
        rate_limit: NonZeroU32::new(2),
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    for _ in 0..100 {
        let answer = server.get("/v1/experiments").await;
        if answer.status == 429 {
            assert_eq!(answer.summary(), "429 rate_limited");
            assert_eq!(answer.header("retry-after"), "1");
            return;
        }
    }
    panic!("100 requests passed a limit of 2 a second");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_in_flight_is_answered_before_the_end() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let body = json!({"visitor_id": "late"}).to_string();

    let mut idle = connect(&server).await;
    let mut busy = connect(&server).await;
    let head = head(&server, &path, body.len());
    busy.write_all(head.as_bytes()).await.unwrap();
    busy.write_all(&body.as_bytes()[..5]).await.unwrap();
    // An answer on a connection made later shows that both are accepted.
    assert_eq!(server.get("/v1/experiments").await.summary(), "200");

    let (public, ops) = (server.public, server.ops);
    let served = server.stop();
    assert_eq!(rest(&mut idle).await, "");
    TcpStream::connect(public).await.unwrap_err();
    let mut probe = TcpStream::connect(ops).await.unwrap();
    probe
        .write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let ready = some(&mut probe).await;
    assert!(
        ready.starts_with("HTTP/1.1 503 ") && ready.contains("draining"),
        "{ready}"
    );

    busy.write_all(&body.as_bytes()[5..]).await.unwrap();
    let answer = rest(&mut busy).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains("\"late\""),
        "{answer}"
    );
    assert_eq!(served.await.unwrap(), Drain::Complete);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_does_not_end_is_cut() {
    let config = HttpConfig {
        drain_timeout: SHORT,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let path = server.started().await;
    let mut busy = connect(&server).await;
    busy.write_all(head(&server, &path, 100).as_bytes())
        .await
        .unwrap();
    busy.write_all(b"{").await.unwrap();
    assert_eq!(server.get("/v1/experiments").await.summary(), "200");
    assert_eq!(server.stop().await.unwrap(), Drain::Cut(1));
    assert_eq!(rest(&mut busy).await, "");
}
