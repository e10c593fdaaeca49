//! Signing in, and what a session is good for.

use std::sync::Arc;

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_devpg::TestDatabase;
use samplit_engine::{EngineConfig, ManualClock, from_micros};
use samplit_http::HttpConfig;
use samplit_tests::connect;
use serde_json::{Value as Json, json};
use time::Duration;

use crate::browser::{Browser, PASSWORD, set_up, setup_token};
use crate::support::{Server, server};

/// A server whose clock stands still.
async fn timed() -> (Server, TestDatabase, Arc<ManualClock>) {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    (server, database, clock)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_admin_comes_in_by_a_link_and_then_by_password() {
    let (server, _database, clock) = timed().await;
    let browser = Browser::new(&server);
    assert_eq!(
        browser.get("/v1/session").await.summary(),
        "401 unauthenticated"
    );
    let token = setup_token(&server.engine).await;
    // What will not do leaves the link good.
    for (body, expected) in [
        (json!({}), "422 invalid /email:required"),
        (json!({"email": "no"}), "422 invalid /email:malformed"),
        (
            json!({"email": "a@b.c", "password": "short"}),
            "422 invalid /password:too_short",
        ),
        (
            json!({"email": "a@b.c", "password": "Password1234"}),
            "422 invalid /password:too_common",
        ),
    ] {
        assert_eq!(browser.join(&token, body).await.summary(), expected);
    }
    let who = json!({"email": "Admin@Example.org", "name": "Ana"});
    let joined = browser.join(&token, who).await;
    assert_eq!(joined.summary(), "201");
    assert_eq!(joined.json()["user"]["email"], "admin@example.org");
    assert_eq!(joined.json()["user"]["role"], "admin");
    assert_eq!(joined.json()["expires_at"], "2026-10-05T14:13:20Z");
    let cookie = joined.header("set-cookie");
    let (pair, attributes) = cookie.split_once(';').unwrap();
    assert!(
        pair.starts_with("__Host-samplit_session=ss_") && pair.len() == 69,
        "{pair}"
    );
    assert_eq!(
        attributes,
        " Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=1209600"
    );
    let me = browser.get("/v1/session").await.json();
    assert_eq!(me["user"]["name"], "Ana");
    assert_eq!(browser.get("/v1/experiments").await.summary(), "200");

    // Nobody sets it up a second time.
    let again = Browser::new(&server)
        .join(&token, json!({"email": "b@b.c"}))
        .await;
    assert_eq!(again.summary(), "410 link_over");
    let refused = server
        .engine
        .setup_link(&samplit_engine::Principal::system())
        .await;
    assert!(refused.is_err());

    let other = Browser::new(&server);
    let signed_in = other.sign_in("ADMIN@example.org", PASSWORD).await;
    assert_eq!(signed_in.summary(), "201");
    assert_ne!(other.token(), browser.token());
    let sessions = other.get("/v1/sessions").await.json();
    assert_eq!(sessions["data"].as_array().unwrap().len(), 2);
    let mut current = sessions["data"].as_array().unwrap().iter();
    assert!(current.any(|s| s["is_current"] == true && s["user_agent"] == "test browser"));

    // Signing out ends this one and no other.
    let token = other.token();
    let out = other.ask(Method::DELETE, "/v1/session", &Json::Null).await;
    assert_eq!(out.summary(), "204");
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    other.plant(&token);
    assert_eq!(
        other.get("/v1/session").await.summary(),
        "401 unauthenticated"
    );
    assert_eq!(browser.get("/v1/session").await.summary(), "200");

    clock.advance(Duration::days(14));
    assert_eq!(
        browser.get("/v1/session").await.summary(),
        "401 unauthenticated"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_who_has_an_account() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    admin.welcome("gone@example.org", "client").await;
    let (id, _) = admin.welcome("off@example.org", "client").await;
    let off = json!({"disabled": true});
    let off = admin
        .ask(Method::PATCH, &format!("/v1/users/{id}"), &off)
        .await;
    assert_eq!(off.summary(), "200");
    let mut answers = Vec::new();
    for (email, password) in [
        ("admin@example.org", "another sentence"),
        ("nobody@example.org", PASSWORD),
        ("off@example.org", PASSWORD),
        // Made by a key, without a password.
        ("owner@example.org", "!"),
    ] {
        let answer = Browser::new(&server).sign_in(email, password).await;
        let mut problem = answer.json();
        problem["request_id"].take();
        let names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
        answers.push((answer.status, names, problem));
    }
    assert_eq!(answers[0].2["code"], "wrong_credentials");
    assert!(answers.iter().all(|answer| *answer == answers[0]));
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_by_email_whoever_it_is() {
    let (server, _database, clock) = timed().await;
    set_up(&server).await;
    let browser = Browser::new(&server);
    for email in ["admin@example.org", "nobody@example.org"] {
        for n in 0..10 {
            let wrong = browser.sign_in(email, &format!("wrong guess {n}")).await;
            assert_eq!(wrong.summary(), "401 wrong_credentials", "{email} {n}");
        }
        let refused = browser.sign_in(email, PASSWORD).await;
        assert_eq!(refused.summary(), "429 sign_in_throttled");
        assert_eq!(refused.header("retry-after"), "31");
    }
    clock.advance(Duration::seconds(31));
    let late = browser.sign_in("admin@example.org", PASSWORD).await;
    assert_eq!(late.summary(), "201");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_site_makes_a_browser_send_is_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let browser = set_up(&server).await;
    let us = format!("http://{}", server.public);
    let upper = us.to_uppercase();
    let allowed: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "same-origin")],
        &[("origin", &us)],
        &[("origin", &upper)],
        &[("sec-fetch-site", "same-origin"), ("origin", &us)],
        // The browser knows best.
        &[("sec-fetch-site", "same-origin"), ("origin", "null")],
    ];
    let refused: [&[(&str, &str)]; 10] = [
        &[],
        &[("referer", &us)],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "cross-site"), ("origin", &us)],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "")],
        &[("origin", "http://127.0.0.1:1")],
    ];
    let name = json!({"name": "Ana"});
    for headers in allowed {
        let answer = browser
            .ask_with(Method::PATCH, "/v1/account", &name, headers)
            .await;
        assert_eq!(answer.summary(), "200", "{headers:?}");
    }
    for headers in refused {
        for (method, path, body) in [
            (Method::PATCH, "/v1/account", &name),
            (Method::POST, "/v1/keys", &name),
            (Method::DELETE, "/v1/session", &Json::Null),
        ] {
            let answer = browser.ask_with(method, path, body, headers).await;
            assert_eq!(answer.summary(), "403 cross_site", "{path} {headers:?}");
        }
        // Looking changes nothing.
        let look = browser
            .ask_with(Method::GET, "/v1/account", &Json::Null, headers)
            .await;
        assert_eq!(look.summary(), "200", "{headers:?}");
    }
    // Signing in needs no cookie: programs may, pages of others may not.
    let login = json!({"email": "admin@example.org", "password": PASSWORD});
    for (headers, expected) in [
        (&[][..], "201"),
        (&[("origin", us.as_str())], "201"),
        (&[("origin", "https://evil.example")], "403 cross_site"),
        (&[("sec-fetch-site", "cross-site")], "403 cross_site"),
    ] {
        let other = Browser::new(&server);
        let answer = other
            .ask_with(Method::POST, "/v1/session", &login, headers)
            .await;
        assert_eq!(answer.summary(), expected, "{headers:?}");
    }
    // A key in the header goes before the cookie, and no page of others can send one.
    let key = format!("Bearer {}", server.key);
    let with_key = [("authorization", key.as_str())];
    let answer = browser
        .ask_with(Method::GET, "/v1/account", &Json::Null, &with_key)
        .await;
    assert_eq!(answer.json()["email"], "owner@example.org");
    let bad = [("authorization", "Bearer sk_wrong")];
    let answer = browser
        .ask_with(Method::GET, "/v1/account", &Json::Null, &bad)
        .await;
    assert_eq!(answer.summary(), "401 unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_session_is_not_used_on() {
    let (server, _database) = server(HttpConfig::default()).await;
    set_up(&server).await;
    // The attacker's own session, or one that never was.
    let attacker = Browser::new(&server);
    attacker.sign_in("admin@example.org", PASSWORD).await;
    for planted in [attacker.token(), format!("ss_{}", "A".repeat(43))] {
        let victim = Browser::new(&server);
        victim.plant(&planted);
        let signed_in = victim.sign_in("admin@example.org", PASSWORD).await;
        assert_eq!(signed_in.summary(), "201");
        assert_ne!(victim.token(), planted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_ends_with_the_password_the_reset_and_the_account() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let over = "401 unauthenticated";
    let (id, first) = admin.welcome("ana@example.org", "client").await;
    let second = Browser::new(&server);
    let signed_in = second.sign_in("ana@example.org", PASSWORD).await;
    assert_eq!(signed_in.summary(), "201");
    let made = first
        .ask(
            Method::POST,
            "/v1/keys",
            &json!({"name": "ci", "scopes": ["read"]}),
        )
        .await;
    let key = format!("Bearer {}", made.json()["token"].as_str().unwrap());
    let by_key = || async {
        let headers = [("authorization", key.as_str())];
        let asked = Browser::new(&server);
        let answer = asked.ask_with(Method::GET, "/v1/keys", &Json::Null, &headers);
        answer.await.summary()
    };

    // Another password.
    for (body, expected) in [
        (
            json!({"current": "wrong sentence", "new": "a new sentence"}),
            "422 invalid /current:wrong_password",
        ),
        (
            json!({"current": PASSWORD, "new": "short"}),
            "422 invalid /new:too_short",
        ),
        (
            json!({"current": PASSWORD, "new": PASSWORD}),
            "422 invalid /new:unchanged",
        ),
        (
            json!({"current": PASSWORD, "new": "ana@example.org"}),
            "422 invalid /new:is_email",
        ),
        (json!({"current": PASSWORD, "new": "a new sentence"}), "204"),
    ] {
        let answer = first.ask(Method::POST, "/v1/account/password", &body).await;
        assert_eq!(answer.summary(), expected, "{body}");
    }
    for browser in [&first, &second] {
        assert_eq!(browser.get("/v1/session").await.summary(), over);
    }
    assert_eq!(by_key().await, "200", "keys are of programs");
    let old = first.sign_in("ana@example.org", PASSWORD).await;
    assert_eq!(old.summary(), "401 wrong_credentials");
    let new = first.sign_in("ana@example.org", "a new sentence").await;
    assert_eq!(new.summary(), "201");

    // A reset.
    let path = format!("/v1/users/{id}/link");
    let stale = admin.ask(Method::POST, &path, &Json::Null).await.json();
    let link = admin.ask(Method::POST, &path, &Json::Null).await.json();
    assert_eq!(
        (&link["kind"], &link["mailed"]),
        (&json!("reset"), &json!(false))
    );
    let token = |link: &Json| crate::browser::token_of(link["url"].as_str().unwrap());
    let stale = second.join(&token(&stale), json!({})).await;
    assert_eq!(stale.summary(), "410 link_over", "one link at a time");
    assert_eq!(first.get("/v1/session").await.summary(), "200");
    assert_eq!(second.join(&token(&link), json!({})).await.summary(), "201");
    assert_eq!(first.get("/v1/session").await.summary(), over);

    // The account, and all that belongs to it.
    let link = admin.ask(Method::POST, &path, &Json::Null).await.json();
    let path = format!("/v1/users/{id}");
    let off = admin
        .ask(Method::PATCH, &path, &json!({"disabled": true}))
        .await;
    assert!(off.json()["disabled_at"].is_string());
    assert_eq!(second.get("/v1/session").await.summary(), over);
    assert_eq!(by_key().await, over);
    let late = first.join(&token(&link), json!({})).await;
    assert_eq!(late.summary(), "410 link_over");
    let again = admin
        .ask(Method::POST, &format!("{path}/link"), &Json::Null)
        .await;
    assert_eq!(again.summary(), "409 user_disabled");
    let on = admin
        .ask(Method::PATCH, &path, &json!({"disabled": false}))
        .await;
    assert!(on.json()["disabled_at"].is_null());
    assert_eq!(by_key().await, over, "it ended for good");
    assert_eq!(second.get("/v1/session").await.summary(), over);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_who_use_one_link_at_once_one_comes_in() {
    let (server, database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (id, token) = admin.invite("ana@example.org", "client").await;
    let (server, token) = (&server, token.as_str());
    let tries = (0..20).map(|_| async move {
        let browser = Browser::new(server);
        let answer = browser.join(token, json!({})).await;
        answer.summary()
    });
    let mut answers = futures_util::future::join_all(tries).await;
    answers.sort();
    assert_eq!(answers[0], "201");
    assert_eq!(answers[1..], vec!["410 link_over"; 19]);
    let client = connect(database.url()).await;
    let sessions = format!("SELECT count(*) FROM sessions WHERE user_id = '{id}'");
    let sessions: i64 = client.query_one(&sessions, &[]).await.unwrap().get(0);
    assert_eq!(sessions, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_holds_no_token_and_no_password() {
    let (server, database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (_, invitation) = admin.invite("ana@example.org", "client").await;
    let key = admin
        .ask(
            Method::POST,
            "/v1/keys",
            &json!({"name": "ci", "scopes": ["read"]}),
        )
        .await;
    let key = key.json()["token"].as_str().unwrap().to_owned();
    let client = connect(database.url()).await;
    let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' \
        AND relnamespace = 'public'::regnamespace";
    let tables = client.query(tables, &[]).await.unwrap();
    assert!(tables.len() > 20);
    let session = admin.token();
    let secrets = [session.as_str(), &invitation, &key, PASSWORD];
    // Of a token its random part, of which a table could hold any piece.
    let pieces = secrets.map(|secret| secret[secret.len() - 12..].to_owned());
    let mut hashes = 0;
    for table in tables {
        let table: String = table.get(0);
        let rows = format!("SELECT coalesce(string_agg(t::text, chr(10)), '') FROM {table} t");
        let rows: String = client.query_one(&rows, &[]).await.unwrap().get(0);
        for piece in &pieces {
            assert!(!rows.contains(piece.as_str()), "{table} holds {piece}");
        }
        for secret in &secrets[..3] {
            let hash = samplit_engine::Hash::of(secret.as_bytes()).to_string();
            hashes += rows.matches(&hash).count();
        }
    }
    assert_eq!(hashes, 3, "each token is known by its hash, once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_has_one_session_at_a_time() {
    let (server, _database) = server(HttpConfig::default()).await;
    let browser = set_up(&server).await;
    let over = async |token: &str| {
        let thief = Browser::new(&server);
        thief.plant(token);
        thief.get("/v1/session").await.summary() == "401 unauthenticated"
    };
    // By a password.
    let first = browser.token();
    let wrong = browser.sign_in("admin@example.org", "another sentence");
    assert_eq!(wrong.await.summary(), "401 wrong_credentials");
    assert!(!over(&first).await);
    let again = browser.sign_in("admin@example.org", PASSWORD).await;
    assert_eq!(again.summary(), "201");
    assert!(over(&first).await);
    // By a link, as somebody else.
    let (_, link) = browser.invite("ana@example.org", "client").await;
    let second = browser.token();
    assert_eq!(browser.join(&link, json!({})).await.summary(), "201");
    assert!(over(&second).await);
    // By the form.
    let third = browser.token();
    let form = format!(
        "%2Femail=admin%40example.org&%2Fpassword={}",
        PASSWORD.replace(' ', "+")
    );
    let request = Request::post(format!("http://{}/login", server.public))
        .header("content-type", "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "same-origin")
        .header("cookie", format!("__Host-samplit_session={third}"));
    let request = request.body(Full::from(form)).unwrap();
    assert_eq!(server.send(request).await.status, 303);
    assert!(over(&third).await);
}

/// What was logged at a former start opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn one_link_sets_the_server_up_for_an_hour() {
    let (server, _database, clock) = timed().await;
    let former = setup_token(&server.engine).await;
    let latest = setup_token(&server.engine).await;
    let join = async |token: &str| {
        let body = json!({"email": "admin@example.org"});
        Browser::new(&server).join(token, body).await.summary()
    };
    assert_eq!(join(&former).await, "410 link_over");
    clock.advance(Duration::HOUR);
    assert_eq!(join(&latest).await, "410 link_over");
    let last = setup_token(&server.engine).await;
    clock.advance(Duration::minutes(59));
    assert_eq!(join(&last).await, "201");
}
