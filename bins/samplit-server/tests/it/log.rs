//! The log: every line of a request names it, its level changes while the server runs, and it holds
//! no secret, whatever happens.

use std::net::SocketAddr;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::accounts::{self, ask, session_of, token_of};
use crate::support::{
    ANY_PORT, Json, KEYS, Running, SigningKey, code, create_key, execute, http, migrated, on,
    send_text, stderr, try_http,
};

/// Planted wherever a secret goes in; none may come out in a log line.
const PASSWORD: &str = "canary-password-7Qz";
const VISITOR: &str = "canary-visitor-4Kx";
const CONTEXT: &str = "canary-context-9Wm";
const SESSION: &str = "canary-session-2Jv";
const EVENT: &str = "canary-event-8Rt";
const EMAIL: &str = "canary-owner-5Hn@example.org";
const KEY_EMAIL: &str = "canary-program-8Rw@example.org";
/// A key that looks right and is none.
const WRONG_KEY: &str = "sk_canaryCanaryCanaryCanaryCanaryCanaryCanary_";

/// Somebody who is invited, and what nobody's password is.
const INVITED: &str = "canary-invited-1Yc@example.org";
const WRONG_PASSWORD: &str = "canary-guess-6Lp of words";

/// A visitor whose row the database is told to refuse.
const REFUSED: &str = "canary-refused-6Pd";

/// An end-to-end run with something planted in every field. Returns the id of a refused request.
fn use_everything(api: SocketAddr, ops: SocketAddr, token: &str) -> String {
    let token = Some(token);
    let draft = json!({
        "name": "logged",
        "elements": [{ "name": "h1", "variants": [
            { "name": "A", "content": {}, "is_control": true },
            { "name": "B", "content": {} },
        ] }],
    });
    let (status, made) = http(api, "POST", "/v1/experiments", token, Some(&draft));
    assert_eq!(status, 201, "{made}");
    let made: Json = serde_json::from_str(&made).unwrap();
    let path = format!("/v1/experiments/{}", made["id"].as_str().unwrap());
    let post =
        |rest: &str, body: &Json| http(api, "POST", &format!("{path}/{rest}"), token, Some(body));
    assert_eq!(post("start", &json!({})).0, 200);
    let visit = |visitor: &str| {
        json!({
            "visitor_id": visitor,
            "session_id": SESSION,
            "context": { "city": CONTEXT },
        })
    };
    assert_eq!(post("assign", &visit(VISITOR)).0, 200);
    assert_eq!(post("assign", &visit(VISITOR)).0, 200, "from memory");
    let both = json!({ "requests": [visit(VISITOR), visit(&format!("{VISITOR}-2"))] });
    assert_eq!(post("assign/batch", &both).0, 200);
    let conversion = json!({ "visitor_id": VISITOR, "event_id": EVENT, "value": 2.5 });
    assert_eq!(post("convert", &conversion).0, 200);
    for rest in [
        "results",
        "timeline",
        "segments?key=city",
        "audit/entries",
        "audit/verify",
        "audit/bundle",
    ] {
        let path = format!("{path}/{rest}");
        assert_eq!(http(api, "GET", &path, token, None).0, 200, "{rest}");
    }
    assert_eq!(post("audit/checkpoint", &json!({})).0, 200);
    let receipt = format!("{path}/audit/receipt?visitor={VISITOR}");
    assert_eq!(http(api, "GET", &receipt, token, None).0, 200);
    let erase = format!("/v1/visitors/{VISITOR}-2");
    assert_eq!(http(api, "DELETE", &erase, token, None).0, 200);
    // What is wrong tempts one to quote it.
    let unknown = json!({ "visitor_id": VISITOR, CONTEXT: 1, "session_id": [SESSION] });
    assert_eq!(post("assign", &unknown).0, 422);
    assert_eq!(post("convert", &json!({ "visitor_id": REFUSED })).0, 404);
    let wrong = http(api, "GET", "/v1/experiments", Some(WRONG_KEY), None);
    assert_eq!(wrong.0, 401);
    // PostgreSQL quotes the whole row.
    let (status, problem) = post("assign", &visit(REFUSED));
    assert_eq!(status, 500, "{problem}");
    let problem: Json = serde_json::from_str(&problem).unwrap();
    for path in ["/metrics", "/readyz?verbose", "/version", "/log-level"] {
        let (status, body) = http(ops, "GET", path, None, None);
        assert_eq!(status, 200, "{path}");
        assert!(!body.contains("canary"), "{path}: {body}");
    }
    problem["request_id"].as_str().unwrap().to_owned()
}

/// People come in, go wrong and go out. Returns every token that was made.
fn come_in(api: SocketAddr, setup: String) -> Vec<String> {
    let session = accounts::set_up(api, &setup, EMAIL);
    let login = |email: &str, password: &str| {
        let body = json!({ "email": email, "password": password });
        ask(api, ("POST", "/v1/session"), None, &body)
    };
    assert_eq!(login(EMAIL, WRONG_PASSWORD).0, 401);
    assert_eq!(login(INVITED, WRONG_PASSWORD).0, 401);
    let second = session_of(&login(EMAIL, accounts::PASSWORD));
    let invite = json!({ "email": INVITED });
    let invited = ask(api, ("POST", "/v1/users"), Some(&session), &invite);
    let invitation = token_of(&invited.2);
    let refused = json!({ "token": invitation, "password": WRONG_PASSWORD, "email": INVITED });
    let refused = ask(api, ("POST", "/v1/links/redeem"), None, &refused);
    assert_eq!(refused.0, 422, "{}", refused.2);
    let key = json!({ "name": "t", "scopes": ["read"] });
    let key = ask(api, ("POST", "/v1/keys"), Some(&session), &key);
    let key: Json = serde_json::from_str(&key.2).unwrap();
    let path = format!("/v1/keys/{}/rotate", key["id"].as_str().unwrap());
    let next = ask(api, ("POST", &path), Some(&session), &json!({}));
    let next: Json = serde_json::from_str(&next.2).unwrap();
    let change = json!({ "current": WRONG_PASSWORD, "new": "canary-guess-6Lp and more" });
    let path = ("POST", "/v1/account/password");
    let changed = ask(api, path, Some(&session), &change);
    assert_eq!(changed.0, 422, "{}", changed.2);
    let out = ask(api, ("DELETE", "/v1/session"), Some(&second), &json!({}));
    assert_eq!(out.0, 204);
    let token = |key: &Json| key["token"].as_str().unwrap().to_owned();
    vec![
        setup,
        session,
        second,
        invitation,
        token(&key),
        token(&next),
    ]
}

#[tokio::test]
async fn no_secret_gets_into_the_log_and_every_line_of_a_request_names_it() {
    let database = migrated().await;
    execute(
        &database,
        &format!(
            "ALTER TABLE assignments ADD CONSTRAINT refused CHECK (user_identifier <> '{REFUSED}')"
        ),
    )
    .await;
    let token = create_key(
        &[
            "--email",
            KEY_EMAIL,
            "--name",
            "t",
            "--scopes",
            "manage,assign,read",
        ],
        &database,
    );
    let url = database.url().replacen('@', &format!(":{PASSWORD}@"), 1);
    assert_ne!(url, database.url(), "there is no user to give a password");
    let mut command = on(&database, &ANY_PORT);
    let signing = SigningKey::make();
    command
        .env("SAMPLIT_DATABASE_URL", url)
        .env("SAMPLIT_SIGNING_KEYS_FILE", signing.file())
        .env("SAMPLIT_LOG", "trace");
    let mut server = Running::start(command);
    let (api, ops) = server.addresses();
    let refused = use_everything(api, ops, &token);
    let setup = accounts::link(&database, &["setup-link"]);
    let tokens = come_in(api, setup);
    // However one asks: what the driver would tell are the parameters of statements.
    let wish = "trace,tokio_postgres=trace,hyper=trace";
    assert_eq!(set_level(ops, wish).0, 200);
    let list = http(api, "GET", "/v1/experiments?limit=1", Some(&token), None);
    assert_eq!(list.0, 200);
    execute(
        &database,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    .await;
    // With its connections cut it may fail once; that is logged, too.
    let _ = try_http(api, "GET", "/v1/experiments", Some(&token), None);
    server.signal(Signal::SIGTERM);
    let ended = server.output();
    assert_eq!(code(&ended), 0);

    let log = stderr(&ended);
    let tokens = tokens.iter().map(String::as_str);
    for secret in tokens.chain([
        accounts::PASSWORD,
        WRONG_PASSWORD,
        INVITED,
        PASSWORD,
        VISITOR,
        CONTEXT,
        SESSION,
        EVENT,
        EMAIL,
        KEY_EMAIL,
        WRONG_KEY,
        REFUSED,
        KEYS,
        &token,
        &signing.secret(),
    ]) {
        let line = log.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "{secret} was logged");
    }
    let lines: Vec<Json> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let answered = lines.iter().filter(|line| line["message"] == "answered");
    let mut named = 0;
    for line in answered {
        assert!(line["span"]["request_id"].is_string(), "{line}");
        named += 1;
    }
    assert!(named > 15, "only {named} requests were logged");
    // The line of the writer, which works for many requests, and that of the answer.
    for message in ["requests could not be written", "answered"] {
        let found = lines.iter().any(|line| {
            line["message"] == message && line["span"]["request_id"] == refused.as_str()
        });
        assert!(found, "no line `{message}` names {refused}");
    }
    let failure = lines
        .iter()
        .find(|line| line["message"] == "requests could not be written");
    let failure = failure.unwrap()["error"].as_str().unwrap();
    assert!(
        failure.contains("SQLSTATE 23514") && failure.contains("constraint refused"),
        "the log still has to say what is wrong: {failure}"
    );
}

fn set_level(ops: SocketAddr, filter: &str) -> (u16, String) {
    send_text(ops, "PUT", "/log-level", filter)
}

#[tokio::test]
async fn the_level_changes_while_the_server_runs() {
    let database = migrated().await;
    let mut server = Running::start(on(&database, &ANY_PORT));
    let (api, ops) = server.addresses();
    let ask = |path: &str| assert_eq!(http(api, "GET", path, None, None).0, 404);
    assert_eq!(http(ops, "GET", "/log-level", None, None).1, "info\n");
    ask("/unheard");
    let debug = "info,samplit_http=debug";
    let (status, now) = set_level(ops, debug);
    assert_eq!(status, 200, "{now}");
    let shown = http(ops, "GET", "/log-level", None, None).1;
    assert_eq!(shown, now);
    assert!(shown.contains("samplit_http=debug"), "{shown}");
    ask("/heard");
    for bad in ["samplit_http=loud", ""] {
        let (status, problem) = set_level(ops, bad);
        assert_eq!(status, 422, "{problem}");
        assert!(problem.contains("invalid_log_filter"), "{problem}");
        let kept = http(ops, "GET", "/log-level", None, None).1;
        assert_eq!(kept, shown, "the filter in force stays");
    }
    assert_eq!(set_level(ops, "info").0, 200);
    ask("/unheard-again");
    server.signal(Signal::SIGTERM);
    let ended = server.output();
    assert_eq!(code(&ended), 0);
    let refusals = |line: &&str| line.contains("\"message\":\"refused\"");
    let log = stderr(&ended);
    let unmatched = log
        .lines()
        .filter(refusals)
        .filter(|line| line.contains("\"route\":\"unmatched\""));
    assert_eq!(unmatched.count(), 1, "{log}");
}
