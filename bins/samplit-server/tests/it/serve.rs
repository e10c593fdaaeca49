//! `serve` and `admin create-key`.

use nix::sys::signal::Signal;
use samplit_devpg::DevPg;
use serde_json::json;

use crate::support::{
    ANY_PORT, Json, KEYS, Running, code, command, create_key, empty, execute, http, migrated, on,
    run_on, stderr,
};

#[tokio::test]
async fn serve_refuses_to_start_without_keys() {
    let database = migrated().await;
    let refused = command(&ANY_PORT)
        .env("SAMPLIT_DATABASE_URL", database.url())
        .output()
        .unwrap();
    assert_eq!(code(&refused), 1);
    let text = stderr(&refused);
    assert!(
        text.contains("generate-key") && text.contains("SAMPLIT_KEYS"),
        "{text}"
    );
}

#[tokio::test]
async fn serve_refuses_a_database_that_cannot_hold_every_text() {
    let pg = DevPg::shared().await;
    execute(
        &empty().await,
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'",
    )
    .await;
    let database = pg.create_from_template("latin").await.unwrap();
    let refused = run_on(&database, &ANY_PORT);
    assert_eq!(code(&refused), 1);
    let text = stderr(&refused);
    assert!(
        text.contains("LATIN1") && text.contains("createdb -E UTF8 -T template0"),
        "{text}"
    );
}

#[tokio::test]
async fn serve_refuses_a_schema_that_it_does_not_know() {
    let database = empty().await;
    let refused = run_on(&database, &ANY_PORT);
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("`samplit-migrate up`"),
        "{}",
        stderr(&refused)
    );

    let database = migrated().await;
    execute(
        &database,
        "DELETE FROM refinery_schema_history WHERE version = \
         (SELECT max(version) FROM refinery_schema_history)",
    )
    .await;
    let refused = run_on(&database, &ANY_PORT);
    assert_eq!(code(&refused), 1);
    assert!(
        stderr(&refused).contains("`samplit-migrate up`"),
        "{}",
        stderr(&refused)
    );
}

#[tokio::test]
async fn a_created_key_opens_the_api_until_sigterm() {
    let database = migrated().await;
    let who = ["--email", "me@example.org", "--name", "test"];
    let manager = create_key(
        &[&who[..], &["--scopes", "manage,assign,read"]].concat(),
        &database,
    );
    let reader = create_key(
        &[&who[..], &["--scopes", "read", "--expires-in-days", "7"]].concat(),
        &database,
    );

    let mut server = Running::start(on(&database, &ANY_PORT));
    let (api, ops) = server.addresses();
    assert_eq!(http(ops, "GET", "/readyz", None, None).0, 200);
    let draft = json!({
        "name": "Button",
        "elements": [{"name": "buy", "variants": [
            {"name": "grey", "content": {}, "is_control": true},
            {"name": "green", "content": {}}
        ]}]
    });
    let create = |token| http(api, "POST", "/v1/experiments", token, Some(&draft));
    assert_eq!(create(None).0, 401);
    assert_eq!(create(Some(reader.as_str())).0, 403);
    let (status, body) = create(Some(manager.as_str()));
    assert_eq!(status, 201, "{body}");
    let id = serde_json::from_str::<Json>(&body).unwrap()["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = |rest: &str| format!("/v1/experiments/{id}/{rest}");
    let post = |rest: &str, body: Option<&Json>| {
        http(api, "POST", &path(rest), Some(manager.as_str()), body)
    };
    assert_eq!(post("start", None).0, 200);
    let visitor = json!({"visitor_id": "v"});
    assert_eq!(post("assign", Some(&visitor)).0, 200);
    assert_eq!(post("convert", Some(&visitor)).0, 200);
    let (status, results) = http(api, "GET", &path("results"), Some(reader.as_str()), None);
    assert_eq!(status, 200, "{results}");
    let (_, metrics) = http(ops, "GET", "/metrics", None, None);
    assert!(
        metrics.contains("samplit_writer_batch_seconds_bucket"),
        "{metrics}"
    );

    server.signal(Signal::SIGTERM);
    let ended = server.output();
    assert_eq!(code(&ended), 0, "{}", stderr(&ended));
    for secret in [KEYS, manager.as_str(), reader.as_str()] {
        assert!(!stderr(&ended).contains(secret));
    }
}
