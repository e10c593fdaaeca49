//! Entity tags: what is known is not sent again, and nobody overwrites what he has not seen. And lists by page.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::collections::BTreeSet;

use http_body_util::Full;
use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::authority::two;
use crate::browser::set_up;
use crate::support::{Answer, Server, check, draft, server};

async fn with(
    server: &Server,
    method: Method,
    path: &str,
    header: (&str, &str),
    body: &Json,
) -> Answer {
    let request = server.request(method, path).header(header.0, header.1);
    server
        .send(request.body(Full::from(body.to_string())).unwrap())
        .await
}

async fn if_none_match(server: &Server, path: &str, tag: &str) -> Answer {
    with(
        server,
        Method::GET,
        path,
        ("if-none-match", tag),
        &json!({}),
    )
    .await
}

/// Something of each kind that has versions, with two changes.
async fn things(server: &Server) -> Vec<(String, Json, Json)> {
    let mut things = Vec::new();
    for (path, body, one, two) in [
        (
            "/v1/experiments",
            draft(),
            json!({"name": "a"}),
            json!({"name": "b"}),
        ),
        (
            "/v1/installations",
            json!({"name": "Shop", "domain": "shop.example"}),
            json!({"name": "a"}),
            json!({"name": "b"}),
        ),
        (
            "/v1/exclusions",
            json!({"kind": "ip", "value": "203.0.113.9"}),
            json!({"is_active": false}),
            json!({"is_active": true}),
        ),
        (
            "/v1/funnels",
            json!({"name": "Checkout"}),
            json!({"name": "a"}),
            json!({"name": "b"}),
        ),
    ] {
        let made = server.post(path, &body).await;
        assert_eq!(made.header("etag"), "\"v1\"", "{path}");
        things.push((made.header("location").to_owned(), one, two));
    }
    things
}

#[tokio::test(flavor = "multi_thread")]
async fn every_single_thing_has_a_tag_by_which_it_is_changed_and_not_sent_again() {
    let (server, _database) = server(HttpConfig::default()).await;
    for (path, one, two) in things(&server).await {
        let shown = server.get(&path).await;
        let tag = shown.header("etag").to_owned();
        assert_eq!(tag, "\"v1\"", "{path}");
        for known in [tag.as_str(), "*", "W/\"v1\"", "\"v9\", \"v1\""] {
            let answer = if_none_match(&server, &path, known).await;
            assert_eq!(answer.status, 304, "{path} {known}");
            assert_eq!(answer.header("etag"), tag);
            assert!(answer.body.is_empty());
        }
        assert_eq!(
            if_none_match(&server, &path, "\"v2\"").await.body,
            shown.body
        );

        let patch = async |tag: &str, change: &Json| {
            with(&server, Method::PATCH, &path, ("if-match", tag), change).await
        };
        let changed = patch(&tag, &one).await;
        assert_eq!(
            (changed.summary().as_str(), changed.header("etag")),
            ("200", "\"v2\"")
        );
        for stale in ["\"v1\"", "\"v7\"", "\"nonsense\""] {
            assert_eq!(
                patch(stale, &two).await.summary(),
                "412 version_mismatch",
                "{path}"
            );
        }
        assert_eq!(server.get(&path).await.body, changed.body, "{path}");
        assert_eq!(if_none_match(&server, &path, &tag).await.status, 200);
        for good in ["\"v2\"", "*"] {
            assert_eq!(patch(good, &two).await.summary(), "200", "{path}");
        }
        assert_eq!(server.get(&path).await.header("etag"), "\"v4\"", "{path}");
    }
}

/// They have no version of their own: each change has a time of its own, however many there are at once.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_have_tags_that_grow_with_each_change() {
    let (server, _other, _database, _clock) = two().await;
    let admin = set_up(&server).await;
    let (id, ana) = admin.welcome("ana@example.org", "client").await;
    let theirs = format!("/v1/users/{id}");
    let mut tags = BTreeSet::new();
    for (browser, path, one, two) in [
        (
            &ana,
            "/v1/account",
            json!({"name": "a"}),
            json!({"company": "b"}),
        ),
        (
            &admin,
            theirs.as_str(),
            json!({"role": "admin"}),
            json!({"disabled": true}),
        ),
    ] {
        let ask = async |method: Method, header: (&str, &str), body: &Json| {
            let headers = [("sec-fetch-site", "same-origin"), header];
            browser.ask_with(method, path, body, &headers).await
        };
        let shown = browser.get(path).await;
        let seen = shown.header("etag").to_owned();
        let again = ask(Method::GET, ("if-none-match", &seen), &Json::Null).await;
        assert_eq!(
            (again.status.as_u16(), again.header("etag")),
            (304, seen.as_str())
        );
        tags.insert(seen.clone());
        let changed = ask(Method::PATCH, ("if-match", &seen), &one).await;
        assert_eq!(changed.summary(), "200");
        for stale in [&seen, "\"v7\"", "\"nonsense\""] {
            let refused = ask(Method::PATCH, ("if-match", stale), &two).await;
            assert_eq!(refused.summary(), "412 version_mismatch", "{path} {stale}");
        }
        assert_eq!(browser.get(path).await.body, changed.body, "{path}");
        let current = changed.header("etag");
        let changed = ask(Method::PATCH, ("if-match", current), &two).await;
        assert_eq!(changed.summary(), "200");
        tags.extend([current.to_owned(), changed.header("etag").to_owned()]);
        // What changes nothing makes no new version.
        let same = ask(Method::PATCH, ("if-match", "*"), &two).await;
        assert_eq!(same.header("etag"), changed.header("etag"));
    }
    assert_eq!(tags.len(), 5, "the clock stands still: {tags:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_that_move_are_sent_again_and_are_in_nobodys_way() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let visitor = json!({"visitor_id": "ann"});
    let mut tags = vec![server.get(&path).await.header("etag").to_owned()];
    for step in ["assign", "convert"] {
        let done = server.post(&format!("{path}/{step}"), &visitor).await;
        assert_eq!(done.summary(), "200");
        let known = tags.last().unwrap();
        let shown = if_none_match(&server, &path, known).await;
        assert_eq!(shown.status, 200, "{known}");
        tags.push(shown.header("etag").to_owned());
    }
    assert_eq!(if_none_match(&server, &path, &tags[2]).await.status, 304);
    // The version is still the one that was seen first.
    let header = ("if-match", tags[0].as_str());
    let change = json!({"description": "which sells?"});
    let changed = with(&server, Method::PATCH, &path, header, &change).await;
    assert_eq!(changed.summary(), "200");
    let header = ("if-match", changed.header("etag"));
    let changed = with(&server, Method::PATCH, &path, header, &change).await;
    assert_eq!(changed.summary(), "200");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_list_comes_by_pages_of_at_most_a_hundred() {
    let (server, database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let id: uuid::Uuid = path.rsplit('/').next().unwrap().parse().unwrap();
    for number in 0..3 {
        server.create(&draft()).await;
        let site = json!({"name": "Shop", "domain": format!("{number}.example")});
        assert_eq!(
            server.post("/v1/installations", &site).await.summary(),
            "201"
        );
        let rule = json!({"kind": "visitor", "value": format!("v{number}")});
        assert_eq!(server.post("/v1/exclusions", &rule).await.summary(), "201");
    }
    let client = samplit_tests::connect(database.url()).await;
    client
        .execute(
            "INSERT INTO excluded_sessions (experiment_id, session_id, reason) \
             SELECT $1, 's' || n, 'bot' FROM generate_series(1, 3) n",
            &[&id],
        )
        .await
        .unwrap();
    client
        .execute(
            "INSERT INTO selector_misses (experiment_id, element_id, page, misses) \
             SELECT $1, gen_random_uuid(), 'shop.example/' || n % 2, n / 2 FROM generate_series(1, 5) n",
            &[&id],
        )
        .await
        .unwrap();
    for list in [
        "/v1/experiments".to_owned(),
        "/v1/installations".to_owned(),
        "/v1/exclusions".to_owned(),
        format!("{path}/excluded-sessions"),
        format!("{path}/selector-misses"),
    ] {
        let whole = server.get(&list).await.json();
        assert!(whole["next_cursor"].is_null(), "{list}: {whole}");
        let all = whole["data"].as_array().unwrap();
        assert!(all.len() >= 3, "{list}");
        let (mut pages, mut question) = (Vec::new(), format!("{list}?limit=2"));
        loop {
            let page = server.get(&question).await.json();
            pages.extend(page["data"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else {
                break;
            };
            question = format!("{list}?limit=2&cursor={cursor}");
        }
        assert_eq!(&pages, all, "{list}");
        for (query, expected) in [
            ("limit=0", "422 invalid ?limit:out_of_range"),
            ("limit=101", "422 invalid ?limit:out_of_range"),
            ("page=2", "422 invalid ?page:unknown_parameter"),
        ] {
            check(
                &server,
                Method::GET,
                &format!("{list}?{query}"),
                "",
                expected,
            )
            .await;
        }
        let odd = server.get(&format!("{list}?cursor=nonsense")).await;
        assert!(
            odd.summary().ends_with("cursor:malformed"),
            "{list} {}",
            odd.summary()
        );
    }
    let entries = server
        .get(&format!("{path}/audit/entries?limit=1"))
        .await
        .json();
    assert_eq!(entries["next_after"], 1);
    let expected = "422 invalid ?limit:out_of_range";
    check(
        &server,
        Method::GET,
        &format!("{path}/audit/entries?limit=101"),
        "",
        expected,
    )
    .await;
}
