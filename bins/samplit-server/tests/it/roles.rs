//! The server as a login role that is a member of `samplit_app` and nothing else.

use serde_json::json;
use tokio_postgres::NoTls;
use tokio_postgres::error::SqlState;

use crate::support::{
    Api, Json, KEYS, Running, SigningKey, code, command, execute, migrated, run, stderr, stdout,
};

/// What such a role may not do to a trail, directly or on detours.
const FORBIDDEN: [&str; 19] = [
    "UPDATE algorithm_audit_trail SET decision_data = '{}'",
    "DELETE FROM algorithm_audit_trail",
    "TRUNCATE algorithm_audit_trail",
    "TRUNCATE experiments CASCADE",
    "SET session_replication_role = replica",
    "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL",
    "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER algorithm_audit_trail_append_only",
    "DROP TRIGGER algorithm_audit_trail_append_only ON algorithm_audit_trail",
    "DROP TABLE algorithm_audit_trail",
    "UPDATE audit_checkpoints SET note = ''",
    "DELETE FROM audit_checkpoints",
    "DELETE FROM audit_heads",
    "UPDATE experiment_keys SET draw_key_sealed = ''",
    "UPDATE assignments SET variant_id = NULL",
    "DELETE FROM assignments",
    "DELETE FROM erasures",
    "DELETE FROM experiments",
    "DELETE FROM activity_log",
    "SET ROLE samplit_owner",
];

#[tokio::test]
async fn the_server_needs_no_right_that_could_alter_a_trail() {
    let database = migrated().await;
    execute(
        &database,
        "CREATE ROLE samplit_server LOGIN; GRANT samplit_app TO samplit_server",
    )
    .await;
    let url = database.url().replace("//postgres@", "//samplit_server@");
    assert_ne!(url, database.url());
    let key = SigningKey::make();
    let as_app = |arguments: &[&str]| {
        let mut command = command(arguments);
        command
            .env("SAMPLIT_DATABASE_URL", &url)
            .env("SAMPLIT_KEYS", KEYS);
        let done = command.output().unwrap();
        assert_eq!(code(&done), 0, "{arguments:?}: {}", stderr(&done));
        stdout(&done)
    };
    let created = as_app(&[
        "admin",
        "create-key",
        "--email",
        "me@example.org",
        "--name",
        "test",
        "--scopes",
        "manage,assign,read",
        "--output",
        "json",
    ]);
    let created: Json = serde_json::from_str(&created).unwrap();
    let mut server = Running::start(key.serve(&url));
    let api = Api::of_new(server.addresses().0, created["token"].as_str().unwrap());

    // All that a server does.
    api.assign(0..20);
    api.done("convert", &json!({"visitor_id": "visitor-1"}));
    api.done("pause", &json!({}));
    api.done("resume", &json!({}));
    api.checkpoint();
    api.get("results");
    api.get("timeline");
    api.get("audit/receipt?visitor=visitor-1");
    let redaction = json!({"sequence_number": 3, "reason": "a test"});
    api.done("audit/redactions", &redaction);
    as_app(&["admin", "erase-visitor", "visitor-2"]);
    api.done("complete", &json!({}));
    api.done("audit/seal", &json!({"close_window": true}));
    let bundle = api.get("audit/bundle");
    api.done("archive", &json!({}));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("bundle.ndjson");
    std::fs::write(&file, bundle).unwrap();
    let file = file.to_str().unwrap();
    let verified = run(&["audit", "verify", file, "--key", &key.public]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    as_app(&["audit", "verify", "--database", "--experiment", &api.id]);
    as_app(&["doctor"]);
    server.terminate();

    // And what it could not do if somebody took it over.
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    for statement in FORBIDDEN {
        let refused = client.batch_execute(statement).await.unwrap_err();
        let code = refused.code().cloned();
        assert_eq!(code, Some(SqlState::INSUFFICIENT_PRIVILEGE), "{statement}");
    }
    let entries = "SELECT count(*) FROM algorithm_audit_trail";
    let entries: i64 = client.query_one(entries, &[]).await.unwrap().get(0);
    assert!(entries > 20);
}
