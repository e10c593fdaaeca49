//! Whoever was let in and may not come in any more: nothing is handed out or taken away in that name.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;

use hyper::Method;
use samplit_devpg::TestDatabase;
use samplit_engine::{
    AccountChange, ApiKeyId, Device, Engine, EngineConfig, ErrorKind, ManualClock, NewKey, NewUser,
    Principal, Role, Scope, SessionId, UserChange, UserId, from_micros,
};
use samplit_http::HttpConfig;
use samplit_tests::{connect, eventually};
use serde_json::{Value as Json, json};
use time::Duration;

use crate::browser::{Browser, PASSWORD, set_up, setup_token};
use crate::support::{Server, server};

const OVER: &str = "401 unauthenticated";

/// A server whose clock stands still, and another one of the same database.
pub(crate) async fn two() -> (Server, Engine, TestDatabase, Arc<ManualClock>) {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let engine = async || {
        let config = EngineConfig {
            clock: Arc::<ManualClock>::clone(&clock),
            ..samplit_tests::config(1)
        };
        samplit_tests::engine_with(database.url(), config).await
    };
    let (one, other) = (engine().await, engine().await);
    let server = Server::start(one, HttpConfig::default()).await;
    (server, other, database, clock)
}

pub(crate) async fn by_key(
    server: &Server,
    token: &str,
    method: Method,
    path: &str,
    body: &Json,
) -> String {
    let key = format!("Bearer {token}");
    let headers = [("authorization", key.as_str())];
    let browser = Browser::new(server);
    let answer = browser.ask_with(method, path, body, &headers).await;
    answer.summary()
}

/// A key of whoever is signed in: its id and its token.
pub(crate) async fn key_of(browser: &Browser<'_>, more: Json) -> (String, String) {
    let mut new = json!({"name": "ci", "scopes": ["manage"]});
    let fields = new.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let made = browser.ask(Method::POST, "/v1/keys", &new).await;
    assert_eq!(made.summary(), "201");
    let made = made.json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("id"), text("token"))
}

/// The details of what was done to an account, newest first.
async fn noted(admin: &Browser<'_>, id: &str, action: &str) -> Vec<Json> {
    let done = admin.get(&format!("/v1/activity?subject={id}")).await;
    let done = done.json();
    let done = done["data"].as_array().unwrap().iter();
    done.filter(|done| done["action"] == action)
        .map(|done| done["detail"].clone())
        .collect()
}

/// What an admin may do to others; how each is refused: what gives access, then what takes it away.
async fn of_admins(
    engine: &Engine,
    who: &Principal,
    victim: UserId,
) -> ([ErrorKind; 3], ErrorKind) {
    let new = NewUser {
        email: "new@example.org".to_owned(),
        name: None,
        role: Role::Admin,
    };
    let change = |role, disabled| UserChange { role, disabled };
    let rise = change(Some(Role::Admin), None);
    let gives = [
        engine.invite(who, new).await.unwrap_err(),
        engine
            .update_user(who, victim, rise, None)
            .await
            .unwrap_err(),
        engine.reset_link(who, victim).await.unwrap_err(),
    ];
    let off = change(None, Some(true));
    let takes = engine.update_user(who, victim, off, None).await;
    let gives = gives.map(|error| error.kind().clone());
    (gives, takes.unwrap_err().kind().clone())
}

/// What anybody may do to the own account; how each is refused.
async fn of_oneself(
    engine: &Engine,
    who: &Principal,
    key: ApiKeyId,
    session: SessionId,
) -> [ErrorKind; 4] {
    let name = AccountChange {
        name: Some("Mallory".to_owned()),
        company: None,
    };
    let (old, new) = (PASSWORD.into(), "another long sentence".into());
    let device = Device::default();
    [
        engine.update_account(who, name, None).await.unwrap_err(),
        engine
            .change_password(who, &old, &new, &device)
            .await
            .unwrap_err(),
        engine.revoke_key(who, key).await.unwrap_err(),
        engine.end_session(who, session).await.unwrap_err(),
    ]
    .map(|error| error.kind().clone())
}

/// What anybody may do with keys; how each is refused.
async fn of_keys(engine: &Engine, who: &Principal, key: ApiKeyId) -> [ErrorKind; 2] {
    let new = NewKey {
        name: "for later".to_owned(),
        scopes: vec![Scope::Manage],
        expires_at: None,
    };
    [
        engine.create_key(who, new).await.unwrap_err(),
        engine.rotate_key(who, key, None).await.unwrap_err(),
    ]
    .map(|error| error.kind().clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_remembered_is_not_believed_where_it_would_outlast_itself() {
    let (server, other, database, clock) = two().await;
    let engine = &server.engine;
    let admin = set_up(&server).await;
    let (ana, _) = admin.welcome("ana@example.org", "client").await;
    let (eva, eva_s) = admin.welcome("eva@example.org", "admin").await;
    let (ana, eva) = (ana.parse().unwrap(), eva.parse::<UserId>().unwrap());
    let short = json!({"expires_at": "2026-09-21T15:13:20Z"});
    let (_, short) = key_of(&eva_s, short).await;
    let (revoked_id, revoked) = key_of(&eva_s, json!({})).await;
    let (kept_id, kept) = key_of(&eva_s, json!({})).await;
    let kept_id: ApiKeyId = kept_id.parse().unwrap();
    let eva_session = engine.session(&eva_s.token()).await.unwrap();
    let (signed_in, session) = (eva_session.principal, eva_session.session);
    let by_short = engine.authenticate(&short).await.unwrap();
    let by_revoked = engine.authenticate(&revoked).await.unwrap();
    let by_kept = engine.authenticate(&kept).await.unwrap();
    let client = connect(database.url()).await;
    let all = "SELECT (SELECT count(*) FROM users), (SELECT count(*) FROM api_keys), \
        (SELECT count(*) FROM account_links), (SELECT count(*) FROM users WHERE role = 'admin')";
    let count = async || -> [i64; 4] {
        let row = client.query_one(all, &[]).await.unwrap();
        [row.get(0), row.get(1), row.get(2), row.get(3)]
    };

    // A key that is revoked elsewhere, and one that is over.
    let id = revoked_id.parse().unwrap();
    other.revoke_key(&by_kept, id).await.unwrap();
    clock.advance(Duration::hours(1));
    let before = count().await;
    for who in [&by_revoked, &by_short] {
        let (gives, takes) = of_admins(engine, who, ana).await;
        assert_eq!(gives, [const { ErrorKind::SessionOnly }; 3]);
        assert_eq!(takes, ErrorKind::Unauthenticated);
        let refused = of_keys(engine, who, kept_id).await;
        assert_eq!(refused, [const { ErrorKind::Unauthenticated }; 2]);
        let refused = of_oneself(engine, who, kept_id, session).await;
        assert_eq!(refused, [const { ErrorKind::Unauthenticated }; 4]);
    }
    assert_eq!(count().await, before);

    // Somebody who is no admin any more.
    let change = |role, disabled| UserChange { role, disabled };
    let system = Principal::system();
    let demote = change(Some(Role::Client), None);
    other.update_user(&system, eva, demote, None).await.unwrap();
    let before = count().await;
    let (gives, takes) = of_admins(engine, &signed_in, ana).await;
    assert_eq!(gives, [const { ErrorKind::AdminOnly }; 3]);
    assert_eq!(takes, ErrorKind::AdminOnly);
    let (gives, takes) = of_admins(engine, &by_kept, ana).await;
    assert_eq!(gives, [const { ErrorKind::SessionOnly }; 3]);
    assert_eq!(takes, ErrorKind::AdminOnly);
    // Somebody who may not come in any more.
    let disable = change(Some(Role::Admin), Some(true));
    other
        .update_user(&system, eva, disable, None)
        .await
        .unwrap();
    let (gives, _) = of_admins(engine, &signed_in, ana).await;
    assert_eq!(gives, [const { ErrorKind::Unauthenticated }; 3]);
    for who in [&signed_in, &by_kept] {
        let (_, takes) = of_admins(engine, who, ana).await;
        assert_eq!(takes, ErrorKind::Unauthenticated);
        let [name, password, key, end] = of_oneself(engine, who, kept_id, session).await;
        // Nobody is told of a password that it was right.
        assert!(matches!(password, ErrorKind::Invalid(_)), "{password:?}");
        assert_eq!([name, key, end], [const { ErrorKind::Unauthenticated }; 3]);
        let refused = of_keys(engine, who, kept_id).await;
        assert_eq!(refused, [const { ErrorKind::Unauthenticated }; 2]);
    }
    let [users, keys, links, admins] = before;
    assert_eq!(count().await, [users, keys, links, admins + 1], "only hers");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_changes_something_is_read_again_first() {
    let (server, other, _database, clock) = two().await;
    let admin = set_up(&server).await;
    let (id, token) = key_of(&admin, json!({})).await;
    let path = "/v1/account";
    let read = by_key(&server, &token, Method::GET, path, &Json::Null).await;
    assert_eq!(read, "200");
    let who = other.authenticate(&token).await.unwrap();
    let id = id.parse().unwrap();
    other.revoke_key(&who, id).await.unwrap();
    clock.advance(Duration::seconds(30));
    let name = json!({"name": "Mallory"});
    let changed = by_key(&server, &token, Method::PATCH, path, &name).await;
    assert_eq!(changed, OVER, "however long ago it was read");
    assert_eq!(admin.get(path).await.json()["name"], Json::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_is_disabled_or_rises_loses_its_keys() {
    let (server, _database) = server(HttpConfig::default()).await;
    // One that was made for a key is taken on by whoever sets the server up.
    let admin = Browser::new(&server);
    let token = setup_token(&server.engine).await;
    let owner = json!({"email": "owner@example.org"});
    assert_eq!(admin.join(&token, owner).await.summary(), "201");
    assert_eq!(server.get("/v1/account").await.summary(), OVER);
    let me = admin.get("/v1/account").await.json()["id"].clone();
    let set_up = noted(&admin, me.as_str().unwrap(), "server.set_up").await;
    let expected = json!({"email": "owner@example.org", "keys_revoked": 1});
    assert_eq!(set_up, [expected]);

    let (id, ana) = admin.welcome("ana@example.org", "client").await;
    let path = format!("/v1/users/{id}");
    let change = async |change: Json| {
        let changed = admin.ask(Method::PATCH, &path, &change).await;
        assert_eq!(changed.summary(), "200", "{change}");
    };
    let works =
        async |token: &str| by_key(&server, token, Method::GET, "/v1/account", &Json::Null).await;
    let (_, low) = key_of(&ana, json!({})).await;
    assert_eq!(works(&low).await, "200");
    change(json!({"role": "admin"})).await;
    assert_eq!(works(&low).await, OVER, "it was to see less");
    let (_, high) = key_of(&ana, json!({})).await;
    let (_, other) = key_of(&ana, json!({})).await;
    change(json!({"role": "client"})).await;
    assert_eq!(works(&high).await, "200", "it sees less by itself");
    change(json!({"disabled": true})).await;
    change(json!({"disabled": false})).await;
    assert_eq!([works(&high).await, works(&other).await], [OVER, OVER]);
    let disabled = noted(&admin, &id, "user.disabled").await;
    assert_eq!(disabled, [json!({"keys_revoked": 2})]);
    let changed = noted(&admin, &id, "user.changed").await;
    let rise = json!({"role": "admin", "role_before": "client", "keys_revoked": 1});
    assert!(changed.contains(&rise), "{changed:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_one_successor_that_lasts_as_long() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let rotate = async |id: &str| {
        let path = format!("/v1/keys/{id}/rotate");
        admin.ask(Method::POST, &path, &Json::Null).await
    };
    let (id, _) = key_of(&admin, json!({})).await;
    let next = rotate(&id).await.json();
    let next = next["id"].as_str().unwrap();
    let again = rotate(&id).await;
    assert_eq!(again.summary(), "409 rotated_lately");
    let last = rotate(next).await.json();
    let keys = admin.get("/v1/keys").await.json();
    let keys = keys["data"].as_array().unwrap();
    let last = keys.iter().find(|key| key["id"] == last["id"]).unwrap();
    assert_eq!(last["expires_at"], Json::Null, "for ever, as the first");

    for _ in keys.len()..100 {
        key_of(&admin, json!({})).await;
    }
    let last = last["id"].as_str().unwrap();
    assert_eq!(rotate(last).await.summary(), "409 too_many_keys");
}

/// Somebody else may have ended it, or the answer to the commit was lost: it is not believed any longer.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_end_is_forgotten_whatever_comes_of_it() {
    let (server, other, database, _clock) = two().await;
    let admin = set_up(&server).await;
    let (id, ana) = admin.welcome("ana@example.org", "client").await;
    let client = connect(database.url()).await;
    let (key, token) = key_of(&ana, json!({})).await;
    let works = async || by_key(&server, &token, Method::GET, "/v1/keys", &Json::Null).await;
    assert_eq!(works().await, "200");
    let who = other.authenticate(&token).await.unwrap();
    let key_id = key.parse().unwrap();
    other.revoke_key(&who, key_id).await.unwrap();
    assert_eq!(works().await, "200", "it is remembered");
    let path = format!("/v1/keys/{key}");
    let gone = ana.ask(Method::DELETE, &path, &Json::Null).await;
    assert_eq!(gone.summary(), "404 not_found");
    assert_eq!(works().await, OVER);

    // The same of sessions.
    let second = Browser::new(&server);
    let signed_in = second.sign_in("ana@example.org", PASSWORD);
    assert_eq!(signed_in.await.summary(), "201");
    assert_eq!(second.get("/v1/session").await.summary(), "200");
    let session = other.session(&second.token()).await.unwrap();
    let (who, session) = (session.principal, session.session);
    other.end_session(&who, session).await.unwrap();
    let path = format!("/v1/sessions/{session}");
    let gone = ana.ask(Method::DELETE, &path, &Json::Null).await;
    assert_eq!(gone.summary(), "404 not_found");
    assert_eq!(second.get("/v1/session").await.summary(), OVER);

    // And of whole accounts: the change and the link break, and what was remembered is read again.
    let path = format!("/v1/users/{id}/link");
    let link = admin.ask(Method::POST, &path, &Json::Null).await.json();
    let link = crate::browser::token_of(link["url"].as_str().unwrap());
    let breaks = "CREATE FUNCTION break() RETURNS trigger LANGUAGE plpgsql AS \
        $$ BEGIN RAISE EXCEPTION 'broken'; END $$; \
        CREATE TRIGGER breaks BEFORE INSERT ON activity_log EXECUTE FUNCTION break()";
    client.batch_execute(breaks).await.unwrap();
    let path = format!("/v1/users/{id}");
    let rise = json!({"role": "admin"});
    for is_link in [false, true] {
        // One that opened nothing is remembered for a while.
        let token = format!("ss_{}", if is_link { "A" } else { "B" }.repeat(43));
        let hash = samplit_audit::Hash::of(token.as_bytes()).to_string();
        let begin = "INSERT INTO sessions (id, user_id, token_hash, created_at, expires_at, \
            last_seen_at) SELECT gen_random_uuid(), id, $1, now(), '2099-01-01', now() FROM users \
            WHERE email = 'ana@example.org'";
        client.execute(begin, &[&hash]).await.unwrap();
        let third = Browser::new(&server);
        third.plant(&token);
        assert_eq!(third.get("/v1/session").await.summary(), "200");
        let end = "DELETE FROM sessions WHERE token_hash = $1";
        client.execute(end, &[&hash]).await.unwrap();
        assert_eq!(third.get("/v1/session").await.summary(), "200");
        let broken = if is_link {
            Browser::new(&server).join(&link, json!({})).await
        } else {
            admin.ask(Method::PATCH, &path, &rise).await
        };
        assert!(broken.status.is_server_error(), "{}", broken.summary());
        assert_eq!(third.get("/v1/session").await.summary(), OVER);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_link_is_made_to_an_account_that_is_being_disabled() {
    let (server, _other, database, _clock) = two().await;
    let admin = set_up(&server).await;
    let (id, _) = admin.welcome("ana@example.org", "client").await;
    let mut client = connect(database.url()).await;
    let watcher = connect(database.url()).await;
    let tx = client.transaction().await.unwrap();
    let disable = format!("UPDATE users SET disabled_at = now() WHERE id = '{id}'");
    tx.batch_execute(&disable).await.unwrap();
    let engine = server.engine.clone();
    let link = tokio::spawn(async move {
        let system = Principal::system();
        engine.sign_in_link(&system, "ana@example.org").await
    });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock'";
    eventually(async || {
        let row = watcher.query_one(waits, &[]).await.unwrap();
        link.is_finished() || row.get::<_, i64>(0) > 0
    })
    .await;
    tx.commit().await.unwrap();
    let refused = link.await.unwrap().unwrap_err();
    let is_refused = matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "user_disabled",
            ..
        }
    );
    assert!(is_refused, "{refused:?}");
    let links = "SELECT count(*) FROM account_links";
    let row = watcher.query_one(links, &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 0);
}
