//! Whatever the body of a request is, the answer is no 5xx, and a refusal is a problem document.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

#[path = "../../../samplit-audit/tests/fuzz/mutate.rs"]
mod mutate;

use http_body_util::Full;
use hyper::{Method, StatusCode};
use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use samplit_http::HttpConfig;
use serde_json::json;
use tokio::{runtime::Handle, task::block_in_place};

use crate::support::{Answer, Server, draft, server};

async fn post(server: &Server, path: &str, body: Vec<u8>) -> Answer {
    let request = server.request(Method::POST, path);
    server.send(request.body(Full::from(body)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn any_body_is_answered() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let assignment = json!({"visitor_id": "ada", "context": {"country": "is"}});
    let conversion =
        json!({"visitor_id": "ada", "goal": "conversion", "value": 1.5, "event_id": "order-1"});
    for (path, sound) in [
        (format!("{path}/assign"), assignment),
        (format!("{path}/convert"), conversion),
        ("/v1/experiments".to_owned(), draft()),
    ] {
        let answer = post(&server, &path, sound.to_string().into_bytes()).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.text());

        let noise = vec(any::<u8>(), 0..256);
        let bodies = prop_oneof![noise, mutate::mutants(vec![sound.to_string().into_bytes()])];
        let mut runner = TestRunner::new(ProptestConfig::with_cases(150));
        let ran = runner.run(&bodies, |body| {
            let answer = block_in_place(|| {
                let answer = post(&server, &path, body.clone());
                Handle::current().block_on(answer)
            });
            let status = answer.status;
            prop_assert!(!status.is_server_error(), "{}", answer.text());
            prop_assert_ne!(status, StatusCode::TOO_MANY_REQUESTS);
            if status.is_success() {
                // Only what is JSON can be meant.
                prop_assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
            } else {
                prop_assert_eq!(answer.header("content-type"), "application/problem+json");
                prop_assert!(answer.json()["code"].is_string());
            }
            Ok(())
        });
        ran.unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    assert_eq!(server.get(&path).await.status, StatusCode::OK);
}
