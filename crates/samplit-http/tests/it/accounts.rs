//! Accounts: admins and clients, invitations, keys and their rotation, mail.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use hyper::Method;
use parking_lot::Mutex;
use samplit_engine::{
    Device, EngineConfig, ErrorKind, Mail, MailSender, Mailing, ManualClock, Principal, Secret,
    from_micros,
};
use samplit_http::HttpConfig;
use samplit_tests::eventually;
use serde_json::{Value as Json, json};
use time::Duration;

use crate::browser::{Browser, PASSWORD, set_up, token_of};
use crate::support::{Answer, Server, server};

#[tokio::test(flavor = "multi_thread")]
async fn only_admins_see_others() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (ana, hers) = admin.welcome("ana@example.org", "client").await;
    let (bea, _) = admin.welcome("bea@example.org", "client").await;
    let listed = admin
        .get("/v1/users?q=example.org&role=client&limit=2")
        .await;
    let listed = listed.json();
    let emails = |page: &Json| -> Vec<String> {
        let users = page["data"].as_array().unwrap().iter();
        users
            .map(|u| u["email"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(emails(&listed), ["bea@example.org", "ana@example.org"]);
    let next = listed["next_cursor"].as_str().unwrap();
    let rest = admin
        .get(&format!("/v1/users?q=EXAMPLE&role=client&cursor={next}"))
        .await;
    assert_eq!(emails(&rest.json()), ["owner@example.org"]);
    assert_eq!(admin.get("/v1/users?q=%25").await.json()["data"], json!([]));

    let path = format!("/v1/users/{bea}");
    let nothing = json!({"disabled": true});
    for (method, path, body, expected) in [
        (Method::GET, "/v1/users", &Json::Null, "403 admin_only"),
        (
            Method::POST,
            "/v1/users",
            &json!({"email": "c@c.c"}),
            "403 admin_only",
        ),
        (Method::GET, &path, &Json::Null, "404 not_found"),
        (Method::PATCH, &path, &nothing, "403 admin_only"),
        (
            Method::POST,
            &format!("{path}/link"),
            &Json::Null,
            "403 admin_only",
        ),
        (Method::GET, &format!("/v1/users/{ana}"), &Json::Null, "200"),
        (
            Method::PATCH,
            &format!("/v1/users/{ana}"),
            &json!({"role": "admin"}),
            "403 admin_only",
        ),
    ] {
        let answer = hers.ask(method.clone(), path, body).await;
        assert_eq!(answer.summary(), expected, "{method} {path}");
    }
    let changed = hers
        .ask(
            Method::PATCH,
            "/v1/account",
            &json!({"name": "Ana", "company": ""}),
        )
        .await
        .json();
    assert_eq!(
        (&changed["name"], &changed["company"]),
        (&json!("Ana"), &Json::Null)
    );
    let cleared = hers
        .ask(Method::PATCH, "/v1/account", &json!({"name": null}))
        .await;
    assert_eq!(cleared.json()["name"], Json::Null);

    let taken = json!({"email": "ANA@example.org"});
    let taken = admin.ask(Method::POST, "/v1/users", &taken).await;
    assert_eq!(taken.summary(), "409 email_taken");
    let bad = json!({"email": "no", "role": "root", "x": 1});
    let bad = admin.ask(Method::POST, "/v1/users", &bad).await;
    assert_eq!(
        bad.summary(),
        "422 invalid /role:unknown_value /x:unknown_field"
    );
    // A role holds from the next request on.
    let role = json!({"role": "admin"});
    let role = admin
        .ask(Method::PATCH, &format!("/v1/users/{ana}"), &role)
        .await;
    assert_eq!(role.summary(), "200");
    assert_eq!(hers.get("/v1/users").await.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_who_can_sign_in_is_always_left() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let me = admin.get("/v1/account").await.json()["id"].clone();
    let me = format!("/v1/users/{}", me.as_str().unwrap());
    let (demote, disable) = (json!({"role": "client"}), json!({"disabled": true}));
    // An admin who never chose a password is no help.
    let (_, token) = admin.invite("second@example.org", "admin").await;
    for change in [&demote, &disable] {
        let refused = admin.ask(Method::PATCH, &me, change).await;
        assert_eq!(refused.summary(), "409 last_admin", "{change}");
    }
    let second = Browser::new(&server);
    assert_eq!(second.join(&token, json!({})).await.summary(), "201");
    // Both at once: one stays.
    let second_id = second.get("/v1/account").await.json()["id"].clone();
    let second_id = format!("/v1/users/{}", second_id.as_str().unwrap());
    let (one, two) = tokio::join!(
        admin.ask(Method::PATCH, &second_id, &disable),
        second.ask(Method::PATCH, &me, &demote),
    );
    let mut both = [one.summary(), two.summary()];
    both.sort();
    assert!(
        both == ["200", "409 last_admin"]
            || both == ["200", "401 unauthenticated"]
            || both == ["200", "403 admin_only"],
        "{both:?}"
    );
    let admins = [&admin, &second].map(|browser| browser.get("/v1/users"));
    let admins = futures_util::future::join_all(admins).await;
    assert_eq!(admins.iter().filter(|a| a.status == 200).count(), 1);
}

async fn by_key(server: &Server, token: &str, method: Method, path: &str, body: &Json) -> Answer {
    let key = format!("Bearer {token}");
    let headers = [("authorization", key.as_str())];
    Browser::new(server)
        .ask_with(method, path, body, &headers)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_may_at_most_what_its_maker_may_and_two_are_good_while_it_is_rotated() {
    let database = samplit_tests::database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let config = EngineConfig {
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (_, ana) = admin.welcome("ana@example.org", "client").await;
    let end = "2026-10-21T14:13:20Z";
    let new = json!({"name": "ci", "scopes": ["manage"], "expires_at": end});
    let made = ana.ask(Method::POST, "/v1/keys", &new).await.json();
    let old = made["token"].as_str().unwrap().to_owned();
    for (body, expected) in [
        (
            json!({"name": "x", "scopes": ["assign"], "expires_at": end}),
            "422 invalid /scopes/0:beyond_own",
        ),
        (
            json!({"name": "x", "scopes": ["read", "all"], "expires_at": end}),
            "422 invalid /scopes/1:unknown_value",
        ),
        (json!({"name": "x"}), "422 invalid /scopes:required"),
        (
            json!({"name": "", "scopes": [], "expires_at": end}),
            "422 invalid /name:required /scopes:required",
        ),
        (
            json!({"name": "x", "scopes": ["read"], "expires_at": "tomorrow"}),
            "422 invalid /expires_at:malformed",
        ),
        (
            json!({"name": "x", "scopes": ["read"], "expires_at": "2026-09-21T14:13:20Z"}),
            "422 invalid /expires_at:out_of_range",
        ),
        (
            json!({"name": "x", "scopes": ["read"]}),
            "422 invalid /expires_at:beyond_own",
        ),
        (
            json!({"name": "reader", "scopes": ["read"], "expires_at": end}),
            "201",
        ),
    ] {
        let answer = by_key(&server, &old, Method::POST, "/v1/keys", &body).await;
        assert_eq!(answer.summary(), expected, "{body}");
    }

    let path = format!("/v1/keys/{}", made["id"].as_str().unwrap());
    let rotate = format!("{path}/rotate");
    let long = json!({"overlap_seconds": 2_592_001});
    let long = ana.ask(Method::POST, &rotate, &long).await;
    assert_eq!(long.summary(), "422 invalid /overlap_seconds:out_of_range");
    let next = ana.ask(Method::POST, &rotate, &Json::Null).await.json();
    let next_token = next["token"].as_str().unwrap();
    assert_eq!(next["scopes"], json!(["manage"]));
    let works = async |token: &str| {
        let answer = by_key(&server, token, Method::GET, "/v1/keys", &Json::Null);
        answer.await.summary()
    };
    assert_eq!(
        (works(&old).await, works(next_token).await),
        ("200".into(), "200".into())
    );
    let keys = ana.get("/v1/keys").await.json();
    let of = |id: &Json| {
        let mut keys = keys["data"].as_array().unwrap().iter();
        keys.find(|key| key["id"] == *id).unwrap().clone()
    };
    assert_eq!(of(&made["id"])["expires_at"], "2026-09-22T14:13:20Z");
    // As long as the first was to last.
    assert_eq!(of(&next["id"])["expires_at"], "2026-10-21T14:13:20Z");
    assert_eq!(of(&next["id"])["name"], "ci");
    assert!(of(&next["id"])["last_used_at"].is_string());
    clock.advance(Duration::days(1));
    let over = "401 unauthenticated";
    assert_eq!(
        (works(&old).await, works(next_token).await),
        (over.into(), "200".into())
    );
    let again = ana.ask(Method::POST, &rotate, &Json::Null).await;
    assert_eq!(again.summary(), "404 not_found", "it is over");

    let next_path = format!("/v1/keys/{}", next["id"].as_str().unwrap());
    let theirs = admin.ask(Method::DELETE, &next_path, &Json::Null).await;
    assert_eq!(theirs.summary(), "404 not_found", "of another account");
    let revoked = ana.ask(Method::DELETE, &next_path, &Json::Null).await;
    assert_eq!(revoked.summary(), "204");
    assert_eq!(works(next_token).await, over);
    let again = ana.ask(Method::DELETE, &next_path, &Json::Null).await;
    assert_eq!(again.summary(), "404 not_found");
}

/// Keeps the mails, or refuses them.
#[derive(Debug, Default)]
struct Post {
    sent: Mutex<Vec<Mail>>,
    is_down: AtomicBool,
}

impl MailSender for Post {
    fn send(
        &self,
        mail: Mail,
    ) -> BoxFuture<'_, Result<(), Box<dyn std::error::Error + Send + Sync>>> {
        Box::pin(async move {
            if self.is_down.load(Ordering::Relaxed) {
                return Err("the post is closed".into());
            }
            self.sent.lock().push(mail);
            Ok(())
        })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_mailed_where_they_can_be() {
    let database = samplit_tests::database().await;
    let post = Arc::new(Post::default());
    let config = EngineConfig {
        mail: Some(Mailing {
            sender: Arc::<Post>::clone(&post),
            server: "https://ab.example.org".parse().unwrap(),
        }),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let new = json!({"email": "ana@example.org"});
    // Whatever host is asked for, the link leads where it was configured.
    let headers = [("sec-fetch-site", "same-origin"), ("host", "evil.example")];
    let invited = admin
        .ask_with(Method::POST, "/v1/users", &new, &headers)
        .await;
    let link = &invited.json()["link"];
    assert_eq!((&link["mailed"], &link["url"]), (&json!(true), &Json::Null));
    let mails = std::mem::take(&mut *post.sent.lock());
    let [mail] = &mails[..] else {
        panic!("{} mails", mails.len());
    };
    assert_eq!(mail.to, "ana@example.org");
    assert!(
        mail.text.contains("https://ab.example.org/join/ln_"),
        "{}",
        mail.text
    );
    let token = token_in(mail);
    let joined = Browser::new(&server).join(&token, json!({})).await;
    assert_eq!(joined.summary(), "201");

    // Forgotten: the answer is the same for everybody, a mail comes only where it leads somewhere.
    let engine = &server.engine;
    let device = Device::default();
    for email in ["nobody@example.org", "ana@example.org"] {
        engine.forgot(email, &device).unwrap();
    }
    eventually(async || !post.sent.lock().is_empty()).await;
    let mails = std::mem::take(&mut *post.sent.lock());
    assert_eq!(
        mails
            .iter()
            .map(|mail| mail.to.as_str())
            .collect::<Vec<_>>(),
        ["ana@example.org"]
    );
    let ana = Browser::new(&server);
    assert_eq!(
        ana.join(&token_in(&mails[0]), json!({})).await.summary(),
        "201"
    );
    let refused = (0..20).find_map(|_| engine.forgot("nobody@example.org", &device).err());
    assert!(matches!(
        refused.unwrap().kind(),
        ErrorKind::Throttled { .. }
    ));

    // What cannot be mailed is shown.
    post.is_down.store(true, Ordering::Relaxed);
    let bea = json!({"email": "bea@example.org"});
    let shown = admin.ask(Method::POST, "/v1/users", &bea).await.json();
    assert_eq!(shown["link"]["mailed"], false);
    let token = token_of(shown["link"]["url"].as_str().unwrap());
    let joined = Browser::new(&server).join(&token, json!({})).await;
    assert_eq!(joined.summary(), "201");
}

/// A repeat of an invitation is told what came of the mail, and sends no second one.
#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_is_sent_again_is_mailed_once() {
    let database = samplit_tests::database().await;
    let post = Arc::new(Post::default());
    let config = EngineConfig {
        mail: Some(Mailing {
            sender: Arc::<Post>::clone(&post),
            server: "https://ab.example.org".parse().unwrap(),
        }),
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    let admin = set_up(&server).await;
    for (email, is_down) in [("ana@example.org", false), ("bea@example.org", true)] {
        post.is_down.store(is_down, Ordering::Relaxed);
        let headers = [
            ("sec-fetch-site", "same-origin"),
            ("idempotency-key", email),
        ];
        let body = json!({"email": email});
        let invite = async || {
            admin
                .ask_with(Method::POST, "/v1/users", &body, &headers)
                .await
        };
        let first = invite().await;
        assert_eq!(first.summary(), "201", "{}", first.text());
        post.is_down.store(false, Ordering::Relaxed);
        let again = invite().await;
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.body, first.body);
        assert_eq!(first.json()["link"]["mailed"], !is_down);
        assert_eq!(first.json()["link"]["url"].is_string(), is_down);
    }
    assert_eq!(post.sent.lock().len(), 1);
}

fn token_in(mail: &Mail) -> String {
    let line = mail.text.lines().find(|line| line.contains("/join/"));
    token_of(line.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_makes_links_that_nobody_else_can() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let me = admin.server.engine.clone();
    let system = Principal::system();
    let link = me.sign_in_link(&system, "Admin@example.org").await.unwrap();
    let token = token_of(link.path.as_deref().unwrap());
    let info = me.link(&token).await.unwrap();
    assert_eq!(info.email.as_deref(), Some("admin@example.org"));
    let browser = Browser::new(&server);
    let body = json!({"token": token, "password": PASSWORD});
    let asked = browser.ask(Method::POST, "/v1/links/redeem", &body).await;
    assert_eq!(asked.summary(), "422 invalid /password:not_asked_for");
    let body = json!({"token": token});
    let asked = browser.ask(Method::POST, "/v1/links/redeem", &body).await;
    assert_eq!(asked.summary(), "201");
    assert_eq!(
        admin.get("/v1/session").await.summary(),
        "200",
        "others go on"
    );
    let nobody = me.sign_in_link(&system, "nobody@example.org").await;
    assert_eq!(nobody.unwrap_err().kind(), &ErrorKind::NotFound("user"));
    let principal = Principal {
        user_id: None,
        key: None,
        role: samplit_engine::Role::Client,
        ..Principal::system()
    };
    let refused = me.sign_in_link(&principal, "admin@example.org").await;
    assert_eq!(refused.unwrap_err().kind(), &ErrorKind::AdminOnly);
}

/// Anybody may ask for a mail to anybody: that takes no link away, and fills no mailbox.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_for_mails_to_somebody_else_is_no_nuisance() {
    let database = samplit_tests::database().await;
    let post = Arc::new(Post::default());
    let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
    let config = EngineConfig {
        mail: Some(Mailing {
            sender: Arc::<Post>::clone(&post),
            server: "https://ab.example.org".parse().unwrap(),
        }),
        clock: Arc::<ManualClock>::clone(&clock),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    let server = Server::start(engine, HttpConfig::default()).await;
    set_up(&server).await;
    let engine = &server.engine;
    let system = Principal::system();
    let link = engine.sign_in_link(&system, "admin@example.org").await;
    let made_by_hand = token_of(link.unwrap().path.as_deref().unwrap());

    let elsewhere = |n: u8| Device {
        address: Some([198, 51, n, 1].into()),
        ..Device::default()
    };
    let reached = async |mails: usize| {
        eventually(async || post.sent.lock().len() == mails).await;
    };
    engine.forgot("admin@example.org", &elsewhere(1)).unwrap();
    reached(1).await;
    clock.advance(Duration::minutes(5));
    engine.forgot("ADMIN@example.org", &elsewhere(2)).unwrap();
    reached(2).await;
    assert!(engine.link(&made_by_hand).await.is_ok());
    // Both mails work until one was used.
    let first = token_in(&post.sent.lock()[0]);
    let second = token_in(&post.sent.lock()[1]);
    let owner = Browser::new(&server);
    assert_eq!(owner.join(&first, json!({})).await.summary(), "201");
    for token in [second, made_by_hand] {
        assert!(
            engine.link(&token).await.is_err(),
            "a new password ends all"
        );
    }
}

/// A stranger who asks for links, or tries passwords, keeps nobody out of the own account.
#[tokio::test(flavor = "multi_thread")]
async fn asking_for_links_takes_no_try_of_a_password_away() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let here = Device {
        address: Some([127, 0, 0, 1].into()),
        ..Device::default()
    };
    while server.engine.forgot("admin@example.org", &here).is_ok() {}
    let signed_in = admin.sign_in("admin@example.org", PASSWORD).await;
    assert_eq!(signed_in.summary(), "201");
}
