//! Orders of WordPress: signed by the test, and by the plugin itself where there is PHP.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::process::Command;
use std::sync::Arc;

use http_body_util::Full;
use hyper::Request;
use ring::hmac;
use samplit_devpg::TestDatabase;
use samplit_domain::ManualClock;
use samplit_engine::{Clock, EngineConfig, Secret, SystemClock};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{Answer, Server, draft};

const ORDER: &str = r#"{"order_id":42,"visitor_id":"visitor-1","total":"19.90","currency":"EUR"}"#;

struct Stage {
    server: Server,
    database: TestDatabase,
    now: i64,
    id: String,
    token: String,
    secret: String,
}

async fn stage(clock: Arc<dyn Clock>) -> Stage {
    let database = samplit_tests::database().await;
    let now = clock.now().unix_timestamp();
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        clock,
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let site = json!({"name": "shop", "domain": "shop.example.org", "platform": "wordpress"});
    let site = server.post("/v1/installations", &site).await.json();
    let text = |json: &Json, name: &str| json[name].as_str().unwrap().to_owned();
    let id = text(&site, "id");
    let secret = server
        .post(
            &format!("/v1/installations/{id}/signing-secret"),
            &json!({}),
        )
        .await;
    assert_eq!(secret.summary(), "201");
    let mut draft = draft();
    draft["goals"] = json!([{"name": "sale", "kind": "value"}]);
    let path = format!("/v1/experiments/{}", server.create(&draft).await);
    server.post(&format!("{path}/start"), &json!({})).await;
    let visitor = json!({"visitor_id": "visitor-1"});
    let assigned = server.post(&format!("{path}/assign"), &visitor).await;
    assert_eq!(assigned.summary(), "200");
    Stage {
        token: text(&site, "token"),
        secret: text(&secret.json(), "secret"),
        server,
        database,
        now,
        id,
    }
}

fn fixed() -> Arc<ManualClock> {
    let now = samplit_domain::from_micros(1_790_000_000_000_000);
    Arc::new(ManualClock::new(now))
}

impl Stage {
    async fn send(&self, at: i64, delivery: &str, signed: &str, body: &str) -> Answer {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        let mac = hmac::sign(&key, format!("{at}.{signed}").as_bytes());
        let hex: String = mac.as_ref().iter().map(|b| format!("{b:02x}")).collect();
        let url = format!(
            "http://{}/integrations/wordpress/orders",
            self.server.public
        );
        let request = Request::post(url)
            .header("content-type", "application/json")
            .header("samplit-installation", &self.token)
            .header("samplit-timestamp", at)
            .header("samplit-delivery", delivery)
            .header("samplit-signature", hex);
        let body = Full::from(body.to_owned());
        self.server.send(request.body(body).unwrap()).await
    }

    async fn value(&self) -> Option<f64> {
        let client = samplit_tests::connect(self.database.url()).await;
        let sql = "SELECT conversion_value::float8 FROM assignments WHERE converted_at IS NOT NULL";
        let row = client.query_opt(sql, &[]).await.unwrap();
        row.map(|row| row.get(0))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_order_counts_once() {
    let stage = stage(fixed()).await;
    let now = stage.now;
    for (at, delivery) in [(now - 300, "1"), (now + 300, "1"), (now, "2")] {
        let answer = stage.send(at, delivery, ORDER, ORDER).await;
        assert_eq!(answer.summary(), "200", "{}", answer.text());
        let expected = if at > now { "duplicate" } else { "recorded" };
        assert_eq!(answer.json()["status"], expected, "{delivery}");
        assert_eq!(stage.value().await, Some(19.9));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_signed_now_with_the_secret_of_the_site_is_refused() {
    let mut stage = stage(fixed()).await;
    let (now, dearer) = (stage.now, ORDER.replace("19.90", "9999"));
    let refused = "401 bad_signature";
    assert_eq!(
        stage.send(now, "1", ORDER, &dearer).await.summary(),
        refused
    );
    for at in [now - 301, now + 301] {
        assert_eq!(
            stage.send(at, "1", ORDER, ORDER).await.summary(),
            refused,
            "{at}"
        );
    }
    assert_eq!(stage.send(now, "", ORDER, ORDER).await.summary(), refused);
    let sense = stage.send(now, "1", "{}", "{}").await;
    assert_eq!(sense.summary(), "422 invalid :malformed");

    // A new secret ends the old one, and neither is readable in the database.
    let path = format!("/v1/installations/{}/signing-secret", stage.id);
    let fresh = stage.server.post(&path, &json!({})).await.json();
    assert_eq!(stage.send(now, "1", ORDER, ORDER).await.summary(), refused);
    let client = samplit_tests::connect(stage.database.url()).await;
    let sql = "SELECT oauth_data::text FROM platform_installations";
    let kept: String = client.query_one(sql, &[]).await.unwrap().get(0);
    let fresh = fresh["secret"].as_str().unwrap().to_owned();
    assert!(
        !kept.contains(&fresh) && !kept.contains(&stage.secret),
        "{kept}"
    );
    assert_eq!(stage.value().await, None);
    stage.secret = fresh;
    assert_eq!(stage.send(now, "1", ORDER, ORDER).await.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_sites_of_wordpress_have_a_signing_secret_and_only_with_a_secret() {
    let (server, _database) = crate::support::server(HttpConfig::default()).await;
    for (platform, expected) in [
        ("custom", "409 no_wordpress"),
        ("wordpress", "409 no_secret"),
    ] {
        let site = json!({"name": "a", "domain": "example.org", "platform": platform});
        let site = server.post("/v1/installations", &site).await.json();
        let path = format!(
            "/v1/installations/{}/signing-secret",
            site["id"].as_str().unwrap()
        );
        let answer = server.post(&path, &json!({})).await;
        assert_eq!(answer.summary(), expected, "{platform}");
    }
}

#[expect(clippy::print_stdout, reason = "says why a test did nothing")]
fn has_php() -> bool {
    let found = Command::new("php").arg("--version").output().is_ok();
    if !found {
        println!("skipped: there is no php; `./run test` installs it");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plugin_sends_an_order_that_the_server_counts() {
    if !has_php() {
        return;
    }
    let stage = stage(Arc::new(SystemClock)).await;
    let tests = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../integrations/wordpress/tests/run.php"
    );
    let output = Command::new("php")
        .args([
            "-d",
            "error_reporting=-1",
            "-d",
            "display_errors=stderr",
            tests,
        ])
        .arg(format!("http://{}", stage.server.public))
        .args([&stage.token, &stage.secret])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}{wrong}");
    assert_eq!(wrong, "", "{told}");
    assert_eq!(stage.value().await, Some(19.9), "{told}");
}

#[test]
fn every_file_of_the_plugin_is_php() {
    if !has_php() {
        return;
    }
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../integrations/wordpress");
    let mut linted = 0;
    for folder in ["samplit", "samplit/includes", "tests"] {
        for file in std::fs::read_dir(format!("{root}/{folder}")).unwrap() {
            let file = file.unwrap().path();
            if file.extension().is_some_and(|extension| extension == "php") {
                let output = Command::new("php").arg("-l").arg(&file).output().unwrap();
                let told = String::from_utf8_lossy(&output.stdout);
                assert!(output.status.success(), "{told}");
                linted += 1;
            }
        }
    }
    assert!(linted >= 5, "{linted} files");
}
