//! Webhooks out of the real server into a real receiver, which verifies them by the library that others
//! use. Where that cannot be had from its registry the test says so and verifies nothing by it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::publish::{answer, receive};
use crate::support::{
    ANY_PORT, Api, Json, Running, code, http, manager, migrated, on, stderr, stdout,
};

/// 32 bytes.
const SECRET: &str = "ISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+P0A=";

const VERIFY: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/fixtures/verify_webhook.py"
);

/// The Python that has the library.
#[expect(
    clippy::print_stdout,
    reason = "the only way to say that something was skipped"
)]
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("webhooks-python");
    let _ = std::fs::remove_dir_all(&folder);
    let python = folder.join("bin/python");
    let made = Command::new("python3")
        .args(["-m", "venv"])
        .arg(&folder)
        .output();
    let installed = made.and_then(|_| {
        let install = ["-m", "pip", "install", "--quiet", "standardwebhooks==1.1.0"];
        Command::new(&python).args(install).output()
    });
    match installed {
        Ok(output) if output.status.success() => Some(python),
        Ok(output) => {
            println!("skipped: no standardwebhooks: {}", stderr(&output));
            None
        }
        Err(error) => {
            println!("skipped: no python: {error}");
            None
        }
    }
}

/// What the library says of a message to a receiver who knows `secret`.
fn verify(python: &Path, secret: &str, headers: &Json, body: &str) -> String {
    let said = Command::new(python)
        .args([VERIFY, secret, &headers.to_string(), body])
        .output()
        .unwrap();
    assert_eq!(code(&said), 0, "{}", stderr(&said));
    stdout(&said).trim().to_owned()
}

#[tokio::test]
async fn a_receiver_verifies_what_it_is_sent_and_the_log_holds_no_secret() {
    let database = migrated().await;
    let token = manager(&database);
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut serve = on(&database, &ANY_PORT);
    serve
        .env("SAMPLIT_SECRET", SECRET)
        .env("SAMPLIT_WEBHOOK_ALLOW_PRIVATE", "true")
        .env("SAMPLIT_LOG", "trace");
    let mut server = Running::start(serve);
    let (api, ops) = server.addresses();
    let url = format!("http://{}/hook?key=hunter2", hook.local_addr().unwrap());
    let (status, made) = http(
        api,
        "POST",
        "/v1/webhooks",
        Some(&token),
        Some(&json!({"url": url, "events": ["experiment.started"]})),
    );
    assert_eq!(status, 201, "{made}");
    let made: Json = serde_json::from_str(&made).unwrap();
    let secret = made["secret"].as_str().unwrap();
    let experiment = Api::of_new(api, &token);

    let (first, _) = hook.accept().unwrap();
    let (headers, body) = receive(&first);
    assert_eq!(headers["request"], "POST /hook?key=hunter2 HTTP/1.1");
    assert_eq!(headers["content-type"], "application/json");
    let said: Json = serde_json::from_str(&body).unwrap();
    assert_eq!(said["data"]["experiment_id"], experiment.id);
    // It is not lost: it comes again, signed anew.
    answer(first, "503 Service Unavailable");
    let (second, _) = hook.accept().unwrap();
    let (again, same) = receive(&second);
    assert_eq!(
        (&again["webhook-id"], &same),
        (&headers["webhook-id"], &body)
    );
    assert_ne!(again["webhook-signature"], headers["webhook-signature"]);
    answer(second, "204 No Content");
    if let Some(python) = python() {
        let headers = json!(again);
        assert_eq!(
            verify(&python, secret, &headers, &body),
            "experiment.started"
        );
        let altered = body.replace("Button", "Bottom");
        assert_eq!(verify(&python, secret, &headers, &altered), "refused");
        let other = format!("whsec_{SECRET}");
        assert_eq!(verify(&python, &other, &headers, &body), "refused");
    }

    let path = format!("/v1/webhooks/{}/deliveries", made["id"].as_str().unwrap());
    let (_, list) = http(api, "GET", &path, Some(&token), None);
    assert!(list.contains(&experiment.id), "{list}");
    let (_, metrics) = http(ops, "GET", "/metrics", None, None);
    let refused = "samplit_webhook_attempts_total{outcome=\"refused\"} 1";
    assert!(metrics.contains(refused), "{metrics}");
    let log = stderr(&server.terminate());
    let bare = secret.strip_prefix("whsec_").unwrap();
    for hidden in [bare, "hunter2", SECRET] {
        assert!(!log.contains(hidden) && !list.contains(hidden), "{hidden}");
    }
}

#[tokio::test]
async fn without_being_told_so_the_server_sends_nothing_into_its_own_network() {
    let database = migrated().await;
    let token = manager(&database);
    let mut serve = on(&database, &ANY_PORT);
    serve.env("SAMPLIT_SECRET", SECRET);
    let mut server = Running::start(serve);
    let (api, _) = server.addresses();
    let post = |path: &str, body: &Json| http(api, "POST", path, Some(&token), Some(body));
    let (status, refused) = post("/v1/webhooks", &json!({"url": "http://127.0.0.1:1/"}));
    assert_eq!(status, 422, "{refused}");
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/", hook.local_addr().unwrap());
    let (_, made) = post("/v1/webhooks", &json!({"url": url}));
    let made: Json = serde_json::from_str(&made).unwrap();
    let path = format!("/v1/webhooks/{}/test", made["id"].as_str().unwrap());
    let (status, tried) = post(&path, &json!({}));
    assert_eq!(status, 200, "{tried}");
    let tried: Json = serde_json::from_str(&tried).unwrap();
    assert_eq!(tried["status"], "dead");
    assert_eq!(
        tried["error"],
        "the receiver is at an address that is not public"
    );
    hook.set_nonblocking(true).unwrap();
    assert!(hook.accept().is_err(), "nobody has connected");
    server.terminate();
}
