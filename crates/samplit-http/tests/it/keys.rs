//! What a key hands out: to programs at most what it has itself, to people nothing.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc3339};

use crate::authority::{by_key, key_of, two};
use crate::browser::set_up;
use crate::support::server;

fn written(at: OffsetDateTime) -> Json {
    json!(at.format(&Rfc3339).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_makes_one_that_outlasts_it_or_may_more() {
    let (server, _other, _database, clock) = two().await;
    let admin = set_up(&server).await;
    let now = samplit_domain::Clock::now(&*clock);
    let end = now + Duration::days(3);
    let (id, token) = key_of(&admin, json!({"expires_at": written(end)})).await;
    let new = |more: Json| {
        let mut new = json!({"name": "next", "scopes": ["read"]});
        new.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        new
    };
    let make = async |body: Json| by_key(&server, &token, Method::POST, "/v1/keys", &body).await;
    let beyond = "422 invalid /expires_at:beyond_own";
    assert_eq!(make(new(json!({}))).await, beyond, "for ever");
    let later = written(end + Duration::SECOND);
    assert_eq!(make(new(json!({"expires_at": later}))).await, beyond);
    let wider = new(json!({"expires_at": written(end), "scopes": ["assign"]}));
    assert_eq!(make(wider).await, "422 invalid /scopes/0:beyond_own");
    assert_eq!(make(new(json!({"expires_at": written(end)}))).await, "201");
    // Whoever is signed in outlasts every key.
    key_of(&admin, json!({})).await;

    // Nor does rotating win time: neither of itself, nor of one that lasts longer.
    clock.advance(Duration::DAY);
    let (for_ever, _) = key_of(&admin, json!({})).await;
    for other in [&for_ever, &id] {
        let path = format!("/v1/keys/{other}/rotate");
        let headers = [("authorization", format!("Bearer {token}"))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let browser = crate::browser::Browser::new(&server);
        let rotated = browser
            .ask_with(Method::POST, &path, &Json::Null, &headers)
            .await;
        assert_eq!(rotated.summary(), "201");
        assert_eq!(rotated.json()["expires_at"], written(end), "{path}");
    }
    let path = format!("/v1/keys/{for_ever}/rotate");
    let again = admin.ask(Method::POST, &path, &Json::Null).await;
    assert_eq!(again.summary(), "409 rotated_lately");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_lets_people_in() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (ana, _) = admin.welcome("ana@example.org", "client").await;
    let (_, token) = key_of(&admin, json!({})).await;
    let path = format!("/v1/users/{ana}");
    let only = "403 session_only";
    for (method, path, body, expected) in [
        (
            Method::POST,
            "/v1/users",
            json!({"email": "eva@example.org"}),
            only,
        ),
        (Method::POST, &format!("{path}/link"), Json::Null, only),
        (Method::PATCH, &path, json!({"role": "admin"}), only),
        (Method::PATCH, &path, json!({"disabled": false}), only),
        (Method::PATCH, &path, json!({"role": "client"}), "200"),
        (Method::PATCH, &path, json!({"disabled": true}), "200"),
        (Method::PATCH, &path, json!({"disabled": false}), only),
        (Method::GET, &path, Json::Null, "200"),
    ] {
        let answer = by_key(&server, &token, method.clone(), path, &body).await;
        assert_eq!(answer, expected, "{method} {path} {body}");
    }
    assert_eq!(admin.get("/v1/users?q=eva").await.json()["data"], json!([]));
    let on = admin
        .ask(Method::PATCH, &path, &json!({"disabled": false}))
        .await;
    assert_eq!(on.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_are_not_told_which_admin_it_was() {
    let (server, _database) = server(HttpConfig::default()).await;
    let admin = set_up(&server).await;
    let (id, ana) = admin.welcome("ana@example.org", "client").await;
    let off = json!({"name": "Shop", "domain": "shop.example"});
    let site = ana
        .ask(Method::POST, "/v1/installations", &off)
        .await
        .json();
    let (key, token) = key_of(&admin, json!({})).await;
    let path = format!("/v1/installations/{}", site["id"].as_str().unwrap());
    let name = json!({"name": "Other"});
    let changed = by_key(&server, &token, Method::PATCH, &path, &name).await;
    assert_eq!(changed, "200");
    let log = ana.get("/v1/activity").await;
    let done = log.json();
    let done = done["data"].as_array().unwrap();
    let by = |action: &str| {
        let mut done = done.iter().filter(|done| done["action"] == action);
        done.next().unwrap()["actor"].clone()
    };
    let hidden = json!({"kind": "administrator", "user_id": null, "email": null, "key_id": null});
    assert_eq!(by("installation.changed"), hidden);
    assert_eq!(by("user.invited"), hidden);
    let own = by("installation.created");
    assert_eq!(
        (&own["email"], &own["user_id"]),
        (&json!("ana@example.org"), &json!(id))
    );
    let page = ana.get("/activity").await;
    for text in [log.text(), page.text()] {
        assert!(
            !text.contains("admin@example.org") && !text.contains(&key),
            "{text}"
        );
    }
    assert!(page.text().contains("An administrator"), "{}", page.text());
    // Admins see who it was.
    let all = admin.get("/v1/activity").await;
    assert!(all.text().contains(&key) && all.text().contains("admin@example.org"));
}
