//! Where checkpoints go, and what comes of it when the database does not agree with them.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use samplit_devpg::DevPg;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{
    Api, Json, KEYS, Running, SigningKey, code, command, manager, migrated, run, stderr, stdout,
};

/// Headers, by lower-case name, and body of the request that comes in.
pub(crate) fn receive(stream: &TcpStream) -> (HashMap<String, String>, String) {
    let mut reader = BufReader::new(stream);
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end().split_once(": ") {
            Some((name, value)) => headers.insert(name.to_lowercase(), value.to_owned()),
            None if line.trim_end().is_empty() => break,
            None => headers.insert("request".to_owned(), line.trim_end().to_owned()),
        };
    }
    let mut body = vec![0; headers["content-length"].parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    (headers, String::from_utf8(body).unwrap())
}

pub(crate) fn answer(mut stream: TcpStream, status: &str) {
    let reply = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    stream.write_all(reply.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_webhook_gets_every_checkpoint_at_least_once() {
    let database = migrated().await;
    let key = SigningKey::make();
    let token = manager(&database);
    let hook = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut serve = key.serve(database.url());
    let address = format!("http://{}/hook?secret=hunter2", hook.local_addr().unwrap());
    serve.env("SAMPLIT_CHECKPOINT_WEBHOOK", address);
    serve.env("SAMPLIT_CHECKPOINT_EVERY", "50ms");
    let mut server = Running::start(serve);
    let api = Api::of_new(server.addresses().0, &token);

    let (first, _) = hook.accept().unwrap();
    let (headers, note) = receive(&first);
    assert_eq!(headers["request"], "POST /hook?secret=hunter2 HTTP/1.1");
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(headers["samplit-experiment"], api.id);
    assert_eq!(headers["samplit-incarnation"], "1");
    assert_eq!(api.get("audit/checkpoint"), note);
    answer(first, "500 Internal Server Error");
    // It is not lost: it comes again, until it is taken.
    let (second, _) = hook.accept().unwrap();
    assert_eq!(receive(&second).1, note);
    answer(second, "204 No Content");
    api.assign(0..1);
    let (third, _) = hook.accept().unwrap();
    let (_, newer) = receive(&third);
    assert_eq!(api.get("audit/checkpoint"), newer);
    assert_ne!(newer, note);
    answer(third, "200 OK");
    let log = stderr(&server.terminate());
    assert!(log.contains("answered 500"), "{log}");
    for secret in ["hunter2", &key.secret(), KEYS] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn why_a_webhook_is_not_reached_is_logged_and_its_address_is_not() {
    let database = migrated().await;
    let key = SigningKey::make();
    let token = manager(&database);
    let closed = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut serve = key.serve(database.url());
    let address = format!("http://me:hunter2@{closed}/t0ken?key=s3cret");
    serve.env("SAMPLIT_CHECKPOINT_WEBHOOK", address);
    let mut server = Running::start(serve);
    Api::of_new(server.addresses().0, &token);
    // The last checkpoint is signed at the end, and tried once.
    let log = stderr(&server.terminate());
    assert!(log.contains("Connection refused"), "{log}");
    for secret in ["hunter2", "t0ken", "s3cret"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_database_that_was_set_back_takes_nothing_until_somebody_says_why() {
    let database = migrated().await;
    let (key, exported) = (SigningKey::make(), tempfile::tempdir().unwrap());
    let token = manager(&database);
    let serve = |url: &str| {
        let mut serve = key.serve(url);
        serve.env("SAMPLIT_CHECKPOINT_DIR", exported.path());
        Running::start(serve)
    };
    let mut server = serve(database.url());
    let api = Api::of_new(server.addresses().0, &token);
    api.assign(0..3);
    api.checkpoint();
    server.terminate();
    let pg = DevPg::shared().await;
    let backup = pg.create_from_template(database.name()).await.unwrap();
    let mut server = serve(database.url());
    let api = api.at(server.addresses().0);
    api.assign(3..5);
    let lost = api.checkpoint();
    server.terminate();

    let mut server = serve(backup.url());
    let api = api.at(server.addresses().0);
    let visitor = json!({"visitor_id": "visitor-0"});
    let (status, refused) = api.ask("POST", "convert", Some(&visitor));
    assert_eq!(status, 503, "{refused}");
    assert!(refused.contains("trail_on_hold"), "{refused}");
    let known: Json = serde_json::from_str(&api.done("assign", &visitor)).unwrap();
    assert_eq!(known["in_experiment"], true, "{known}");
    let new = api.done("assign", &json!({"visitor_id": "new"}));
    let new: Json = serde_json::from_str(&new).unwrap();
    assert_eq!(
        (&new["in_experiment"], &new["degraded"]),
        (&json!(false), &json!(true))
    );

    let acknowledge = ["audit", "acknowledge-restore", "--experiment", &api.id];
    let acknowledge = [&acknowledge[..], &["--reason", "a test of the backup"]].concat();
    let mut acknowledged = command(&acknowledge);
    let acknowledged = acknowledged
        .env("SAMPLIT_DATABASE_URL", backup.url())
        .env("SAMPLIT_KEYS", KEYS)
        .env("SAMPLIT_SIGNING_KEYS_FILE", key.file())
        .env("SAMPLIT_CHECKPOINT_DIR", exported.path())
        .output()
        .unwrap();
    assert_eq!(code(&acknowledged), 0, "{}", stderr(&acknowledged));
    // The server hears of it from the database.
    let deadline = Instant::now() + Duration::from_secs(60);
    while api.ask("POST", "convert", Some(&visitor)).0 == 503 {
        assert!(Instant::now() < deadline, "it never heard");
    }
    api.checkpoint();
    let bundle = api.get("audit/bundle");
    // What was signed and is lost stands in the trail, in the open.
    let line = json!({"kind": "abandoned", "note": lost}).to_string();
    assert!(bundle.lines().any(|other| other == line), "{bundle}");
    let file = exported.path().join("bundle.ndjson");
    std::fs::write(&file, bundle).unwrap();
    let file = file.to_str().unwrap();
    let verified = run(&["audit", "verify", file, "--key", &key.public]);
    assert_eq!(code(&verified), 0, "{}", stdout(&verified));
    assert!(
        stdout(&verified).contains("incarnation 2"),
        "{}",
        stdout(&verified)
    );
    server.terminate();
}
