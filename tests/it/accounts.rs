//! Accounts over several engines and in races.

use std::sync::Arc;

use samplit_devpg::TestDatabase;
use samplit_engine::{
    Device, Engine, EngineConfig, ErrorKind, ManualClock, NewKey, NewSession, Page, Principal,
    Redeem, Role, Scope, SignedInToken, UserChange, from_micros,
};
use samplit_tests::{config, connect, database, engine, engine_with, eventually};
use time::Duration;

const PASSWORD: &str = "a long sentence";

/// Two engines over one database and one clock.
async fn two() -> (Engine, Engine, Arc<ManualClock>, TestDatabase) {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let with_clock = |seed| EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..config(seed)
    };
    let here = engine_with(database.url(), with_clock(1)).await;
    let there = engine_with(database.url(), with_clock(2)).await;
    (here, there, clock, database)
}

async fn setup_token(engine: &Engine) -> String {
    let link = engine.setup_link(&Principal::system()).await.unwrap();
    token_of(link.path)
}

fn token_of(path: Option<String>) -> String {
    path.unwrap().strip_prefix("/join/").unwrap().to_owned()
}

fn first_admin(email: &str) -> Redeem {
    Redeem {
        email: Some(email.to_owned()),
        password: Some(PASSWORD.into()),
        ..Redeem::default()
    }
}

async fn set_up(engine: &Engine) -> (SignedInToken, Principal) {
    let token = setup_token(engine).await;
    let admin = engine
        .redeem(&token, first_admin("admin@example.org"))
        .await;
    let admin = admin.unwrap();
    let who = engine.session(&admin.token).await.unwrap().principal;
    (admin, who)
}

fn login(password: &str) -> NewSession {
    NewSession {
        email: "admin@example.org".to_owned(),
        password: password.into(),
        device: Device::default(),
    }
}

#[tokio::test]
async fn another_engine_believes_a_session_for_thirty_seconds() {
    let (here, there, clock, _database) = two().await;
    let (session, _) = set_up(&here).await;
    let signed_in = there.session(&session.token).await.unwrap();
    assert_eq!(signed_in.user.email, "admin@example.org");
    here.sign_out(&session.token).await.unwrap();
    let over = |error: samplit_engine::Error| error.kind().clone();
    let ended = here.session(&session.token).await.unwrap_err();
    assert_eq!(over(ended), ErrorKind::Unauthenticated, "here at once");
    clock.advance(Duration::seconds(29));
    assert!(there.session(&session.token).await.is_ok());
    clock.advance(Duration::seconds(1));
    let ended = there.session(&session.token).await.unwrap_err();
    assert_eq!(over(ended), ErrorKind::Unauthenticated);
}

#[tokio::test]
async fn another_engine_believes_a_key_of_a_disabled_account_not_for_long() {
    let (here, there, clock, _database) = two().await;
    let (_, admin) = set_up(&here).await;
    let new = samplit_engine::NewUser {
        email: "ana@example.org".to_owned(),
        name: None,
        role: Role::Client,
    };
    let (ana, link) = here.invite(&admin, new).await.unwrap();
    let redeem = Redeem {
        password: Some(PASSWORD.into()),
        ..Redeem::default()
    };
    let session = here.redeem(&token_of(link.path), redeem).await.unwrap();
    let who = here.session(&session.token).await.unwrap().principal;
    let key = NewKey {
        name: "ci".to_owned(),
        scopes: vec![Scope::Read],
        expires_at: None,
    };
    let key = here.create_key(&who, key).await.unwrap();
    let by_key = there.authenticate(&key.token).await.unwrap();
    assert_eq!((by_key.key, by_key.user_id), (Some(key.id), Some(ana.id)));
    let off = UserChange {
        disabled: Some(true),
        ..UserChange::default()
    };
    here.update_user(&admin, ana.id, off, None).await.unwrap();
    assert!(here.authenticate(&key.token).await.is_err(), "here at once");
    assert!(there.authenticate(&key.token).await.is_ok());
    clock.advance(Duration::seconds(30));
    eventually(async || there.authenticate(&key.token).await.is_err()).await;
}

/// Whoever signs in with a password that is being changed is not signed in afterwards.
#[tokio::test]
async fn no_session_begins_with_a_password_that_is_no_more() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let (admin, _) = set_up(&engine).await;
    let client = connect(database.url()).await;
    let watcher = connect(database.url()).await;
    // The change is there, and not yet committed.
    let change = format!(
        "BEGIN; UPDATE users SET password_hash = '!' WHERE id = '{0}'; \
         DELETE FROM sessions WHERE user_id = '{0}'",
        admin.user.id
    );
    client.batch_execute(&change).await.unwrap();
    let late = tokio::spawn({
        let engine = engine.clone();
        async move { engine.sign_in(login(PASSWORD)).await }
    });
    // The password was right when it was looked at; now the sign-in waits for the row.
    let waits = "SELECT count(*) FROM pg_stat_activity \
        WHERE wait_event_type = 'Lock' AND query LIKE '-- SIGNED_IN%'";
    eventually(async || {
        let waiting: i64 = watcher.query_one(waits, &[]).await.unwrap().get(0);
        waiting == 1
    })
    .await;
    client.batch_execute("COMMIT").await.unwrap();
    let refused = late.await.unwrap().unwrap_err();
    assert_eq!(refused.kind(), &ErrorKind::WrongCredentials);
    let left = "SELECT count(*) FROM sessions";
    let left: i64 = client.query_one(left, &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
}

#[tokio::test]
async fn a_server_is_set_up_once_however_many_try() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    // An account that has been used by keys alone becomes the first admin's.
    let key = samplit_engine::NewApiKey {
        email: "me@example.org".to_owned(),
        role: Role::Client,
        name: "t".to_owned(),
        scopes: vec![Scope::Read],
        expires_at: None,
    };
    let key = engine.create_api_key(key).await.unwrap();
    let before = engine.authenticate(&key.token).await.unwrap();
    assert_eq!(before.role, Role::Client);
    let link = setup_token(&engine).await;
    let (one, two) = tokio::join!(
        engine.redeem(&link, first_admin("ME@example.org")),
        engine.redeem(&link, first_admin("you@example.org")),
    );
    let (won, lost) = match (one, two) {
        (Ok(won), Err(lost)) | (Err(lost), Ok(won)) => (won, lost),
        both => panic!("{both:?}"),
    };
    assert_eq!(lost.kind(), &ErrorKind::LinkOver);
    assert_eq!(won.user.role, Role::Admin);
    let client = connect(database.url()).await;
    let admins = "SELECT count(*) FROM users WHERE role = 'admin'";
    let admins: i64 = client.query_one(admins, &[]).await.unwrap().get(0);
    assert_eq!(admins, 1);
    assert!(engine.is_set_up().await.unwrap());
    if won.user.id == key.user_id {
        let after = engine.authenticate(&key.token).await.unwrap_err();
        assert_eq!(after.kind(), &ErrorKind::Unauthenticated, "its keys end");
    }
    let refused = engine.setup_link(&Principal::system()).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "already_set_up",
            ..
        }
    ));
}

#[tokio::test]
async fn activity_is_of_ones_own_account_and_comes_in_pages() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let (_, admin) = set_up(&engine).await;
    let owner = crate::pages::account(&engine, "owner@example.org").await;
    let experiment = samplit_tests::draft(&[2]);
    let experiment = engine.create_experiment(&owner, experiment).await.unwrap();
    let page = |cursor| Page { cursor, limit: 2 };
    let of = async |who: &Principal, subject| {
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let next = engine.activity(who, subject, &page(cursor)).await.unwrap();
            all.extend(next.data);
            cursor = next.next_cursor;
            if cursor.is_none() {
                return all;
            }
        }
    };
    let words = |all: &[samplit_engine::Activity]| {
        let words = all.iter().map(|done| done.action.clone());
        words.collect::<Vec<_>>()
    };
    let own = of(&owner, None).await;
    assert_eq!(words(&own), ["experiment.created", "key.created"]);
    assert_eq!(own[0].subject_id, Some(experiment.id.0));
    assert_eq!(own[0].actor_email.as_deref(), Some("owner@example.org"));
    assert_eq!(own[1].actor.user_id, None, "the operator made the key");
    assert_eq!(own[0].request_id, None, "nobody asked over HTTP");
    let all = of(&admin, None).await;
    assert_eq!(all.len(), 2 + 4, "{:?}", words(&all));
    let mut ids: Vec<_> = all.iter().map(|done| done.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    assert_eq!(of(&admin, Some(experiment.id.0)).await.len(), 1);
    assert!(of(&admin, Some(admin.user_id.unwrap().0)).await.len() >= 2);
}
