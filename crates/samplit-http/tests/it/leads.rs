//! Leads: forms on pages of other origins, what becomes of them, and who may see them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::num::NonZeroU32;

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::{Request, StatusCode};
use samplit_devpg::TestDatabase;
use samplit_engine::Scope;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::desk::Desk;
use crate::pages::{PRICING, SITE, ask, rows, running, send, site, step};
use crate::support::{Answer, Server, create_key, draft, server};

const FORM: &str = "application/x-www-form-urlencoded";

/// A server that takes as many forms of one address as a test sends.
async fn patient() -> (Server, TestDatabase) {
    server(HttpConfig {
        lead_rate_limit: NonZeroU32::new(10_000).unwrap(),
        ..HttpConfig::default()
    })
    .await
}

/// Sends what a script on a page sends.
async fn leave(server: &Server, body: &Json) -> Answer {
    send(server, "/v1/leads", &[("origin", SITE)], body).await
}

/// Sends what a browser sends of a form.
async fn submit(server: &Server, origin: &str, pairs: &[(&str, &str)]) -> Answer {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    let request = Request::post(format!("http://{}/v1/leads", server.public))
        .header("content-type", FORM)
        .header("origin", origin)
        .header("user-agent", "Mozilla/5.0");
    server.send(request.body(Full::from(body)).unwrap()).await
}

async fn leads(server: &Server, query: &str) -> Vec<Json> {
    let answer = server.get(&format!("/v1/leads{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json()["data"].as_array().unwrap().clone()
}

fn with(mut body: Json, more: Json) -> Json {
    let Json::Object(more) = more else { panic!() };
    body.as_object_mut().unwrap().extend(more);
    body
}

/// A running experiment on all pages whose goal is a lead.
async fn about_leads(server: &Server, form: Option<&str>) -> String {
    let mut draft = draft();
    let mut trigger = json!({"type": "lead"});
    if let Some(form) = form {
        trigger["form"] = form.into();
    }
    draft["goals"] = json!([{"name": "lead", "trigger": trigger}]);
    let id = server.create(&draft).await;
    step(server, &id, "start", json!({})).await;
    id
}

async fn conversions(server: &Server, id: &str) -> u64 {
    let results = server.get(&format!("/v1/experiments/{id}/results")).await;
    results.json()["conversions"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_kept_with_what_its_visitor_saw_and_converts_once() {
    let (server, database) = patient().await;
    let (site_id, token) = site(&server).await;
    let other = running(&server, "another goal", None).await;
    let any = about_leads(&server, None).await;
    let contact = about_leads(&server, Some("contact")).await;
    let newsletter = about_leads(&server, Some("newsletter")).await;
    let page = ask(&server, &token, Some("ada")).await;
    let shown = |id: &str| {
        let mut all = page["experiments"].as_array().unwrap().iter();
        let one = all.find(|one| one["id"] == *id).unwrap();
        one["elements"][0]["variant"]["id"].clone()
    };

    let url = format!("{PRICING}?utm_source=mail&utm_campaign=may#form");
    let body = json!({"token": token, "url": url, "visitor_id": "ada", "form": "contact",
        "email": " Ada@Example.org ", "name": "Ada", "company": "", "phone": null,
        "message": "Hello\nthere", "utm_campaign": "june", "fields": {"team": "10"}, "website": ""});
    let first = leave(&server, &body).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text());
    assert_eq!(first.header("access-control-allow-origin"), SITE);
    assert_eq!(first.json(), json!({"status": "received"}));
    let again = leave(&server, &body).await;
    assert_eq!((again.status, again.body), (first.status, first.body));

    let found = leads(&server, "").await;
    assert_eq!(found.len(), 1);
    let lead = &found[0];
    for (name, expected) in [
        ("status", json!("new")),
        ("email", json!("Ada@Example.org")),
        ("name", json!("Ada")),
        ("company", Json::Null),
        ("message", json!("Hello\nthere")),
        ("source", json!("contact")),
        ("page_url", json!(url)),
        ("fields", json!({"team": "10"})),
        ("visitor_id", json!("ada")),
        ("installation_id", json!(site_id)),
        ("note", Json::Null),
        ("version", json!(1)),
    ] {
        assert_eq!(lead[name], expected, "{name}");
    }
    let utm = json!({"source": "mail", "medium": null, "campaign": "june", "term": null, "content": null});
    assert_eq!(lead["utm"], utm);
    // All were decided in one moment, so any of them is the newest.
    let newest = lead["experiment_id"].as_str().unwrap();
    assert_eq!(lead["variant_id"], shown(newest));
    let all = [&other, &any, &contact, &newsletter];
    for id in all {
        assert_eq!(lead["variants"][id], json!([shown(id)]), "{id}");
    }
    let path = format!("/v1/leads/{}", lead["id"].as_str().unwrap());
    assert_eq!(server.get(&path).await.json(), *lead);

    // It counts where a lead is the goal, once.
    let counted = join_all(all.map(|id| conversions(&server, id))).await;
    assert_eq!(counted, [0, 1, 1, 0]);
    let client = samplit_tests::connect(database.url()).await;
    let event =
        "SELECT DISTINCT conversion_event_id FROM assignments WHERE converted_at IS NOT NULL";
    let event: String = client.query_one(event, &[]).await.unwrap().get(0);
    assert_eq!(event, format!("lead:{}", lead["id"].as_str().unwrap()));

    // Erasing the visitor takes the person out of it, and leaves what was counted.
    assert_eq!(server.delete("/v1/visitors/ada").await.json()["rows"], 5);
    let erased = server.get(&path).await.json();
    for name in ["email", "name", "message", "visitor_id", "page_url", "note"] {
        assert_eq!(erased[name], Json::Null, "{name}");
    }
    assert_eq!(
        (&erased["fields"], &erased["variants"]),
        (&json!({}), &json!({}))
    );
    assert_eq!(erased["source"], "contact");
    assert_eq!(conversions(&server, &any).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_clicks_at_once_are_one_lead() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let id = about_leads(&server, None).await;
    ask(&server, &token, Some("v")).await;
    let base = json!({"token": token, "url": PRICING, "visitor_id": "v"});
    // The same person in other letters, without an id of the submission.
    let clicks = (0..50).map(|click| {
        let email = if click % 2 == 0 {
            "ada@example.org"
        } else {
            "ADA@example.org"
        };
        with(base.clone(), json!({"email": email}))
    });
    // One submission with the contact that it had before and after somebody corrected it.
    let ids = (0..50).map(|click| {
        let phone = format!("+49 30 901 82{}", click % 2);
        with(
            base.clone(),
            json!({"phone": phone, "submission_id": "s-1"}),
        )
    });
    let bodies: Vec<Json> = clicks.chain(ids).collect();
    let sent = bodies.iter().map(|body| leave(&server, body));
    for answer in join_all(sent).await {
        assert_eq!(answer.summary(), "202", "{}", answer.text());
    }
    assert_eq!(rows(&database, "leads").await, 2);
    assert_eq!(conversions(&server, &id).await, 1);

    // Another form, another site and another person are other leads, and so is the same one later.
    let ada = with(base, json!({"email": "ada@example.org"}));
    leave(&server, &with(ada.clone(), json!({"form": "jobs"}))).await;
    let (_, second) = site(&server).await;
    leave(&server, &with(ada.clone(), json!({"token": second}))).await;
    assert_eq!(rows(&database, "leads").await, 4);
    let client = samplit_tests::connect(database.url()).await;
    let earlier = "UPDATE leads SET created_at = created_at - interval '11 minutes'";
    client.execute(earlier, &[]).await.unwrap();
    leave(&server, &ada).await;
    leave(&server, &ada).await;
    assert_eq!(rows(&database, "leads").await, 5);

    // Other words are another lead, and the same ones are not, whatever number a script gives them.
    let words = [
        json!({"message": "Hello"}),
        json!({"message": "And one thing more"}),
        json!({"name": "Ada"}),
        json!({"phone": "+49 30 901"}),
        json!({"fields": {"team": "10"}}),
    ];
    for (more, expected) in words.into_iter().zip(6..) {
        let body = with(ada.clone(), more);
        for id in ["first", "second"] {
            let id = format!("{id} {expected}");
            let body = with(body.clone(), json!({"submission_id": id}));
            assert_eq!(leave(&server, &body).await.summary(), "202");
            assert_eq!(rows(&database, "leads").await, expected, "{body}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_fill_everything_in_learn_nothing() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let body =
        json!({"token": token, "url": PRICING, "email": "spam", "website": "http://spam.test"});
    let trapped = leave(&server, &body).await;
    assert_eq!(trapped.json(), json!({"status": "received"}));
    let body = json!({"token": token, "url": PRICING, "email": "a@b.test"});
    let headers = [("origin", SITE), ("user-agent", "Googlebot/2.1")];
    let bot = send(&server, "/v1/leads", &headers, &body).await;
    assert_eq!(bot.body, trapped.body);
    let pairs = [
        ("token", token.as_str()),
        ("website", "x"),
        ("next", "/thanks"),
    ];
    let form = submit(&server, SITE, &pairs).await;
    assert_eq!(form.status, StatusCode::SEE_OTHER);
    assert_eq!(rows(&database, "leads").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_form_leads_to_a_page_of_the_site() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let base = [
        ("token", token.as_str()),
        ("email", "ada@example.org"),
        ("form", "contact"),
        ("visitor_id", ""),
        ("team", "10"),
    ];
    let sent = |more: &'static [(&'static str, &'static str)]| {
        let pairs: Vec<_> = base.iter().copied().chain(more.iter().copied()).collect();
        let server = &server;
        async move { submit(server, SITE, &pairs).await }
    };
    for (next, place) in [
        ("/thanks?a=b", "https://shop.test/thanks?a=b"),
        ("https://www.shop.test/", "https://www.shop.test/"),
    ] {
        let next: &'static str = next;
        let pairs: &'static [(&str, &str)] = Box::leak(Box::new([("next", next)]));
        let answer = sent(pairs).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text());
        assert_eq!(answer.header("location"), place);
    }
    let thanks = sent(&[]).await;
    assert_eq!(thanks.status, StatusCode::OK);
    assert_eq!(thanks.header("content-type"), "text/html; charset=utf-8");
    assert!(thanks.text().contains("has arrived"), "{}", thanks.text());
    assert_eq!(rows(&database, "leads").await, 1);
    let lead = &leads(&server, "").await[0];
    assert_eq!(lead["fields"], json!({"team": "10"}));
    assert_eq!(lead["page_url"], SITE);

    // Nobody is led elsewhere, and nothing is kept of a form that is refused.
    for next in [
        "https://evil.test/",
        "//evil.test/",
        "/\\evil.test",
        "https://shop.test@evil.test/",
        "javascript:alert(1)",
        "thanks",
    ] {
        let pairs = [
            ("token", token.as_str()),
            ("email", "b@example.org"),
            ("next", next),
        ];
        let answer = submit(&server, SITE, &pairs).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{next}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
    let bad = [("token", token.as_str()), ("email", "<b>"), ("phone", "x")];
    let bad = submit(&server, SITE, &bad).await;
    assert_eq!(bad.status, StatusCode::UNPROCESSABLE_ENTITY);
    let said = bad.text();
    assert!(
        said.contains("Email must be an email") && said.contains("Phone must be"),
        "{said}"
    );
    let policy = bad.header("content-security-policy");
    assert!(policy.contains("default-src 'none'"), "{policy}");
    let elsewhere = submit(&server, "https://evil.test", &base).await;
    assert_eq!(elsewhere.status, StatusCode::FORBIDDEN);
    assert_eq!(rows(&database, "leads").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_named_and_leaves_nothing() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let base = json!({"token": token, "url": PRICING});
    for (more, expected) in [
        (json!({}), "422 invalid /email:required"),
        (json!({"email": "a"}), "422 invalid /email:malformed"),
        (json!({"phone": "12"}), "422 invalid /phone:malformed"),
        (
            json!({"email": "a@b.test", "visitor_id": "erased:1"}),
            "422 invalid /visitor_id:reserved",
        ),
        (
            json!({"email": "a@b.test", "url": "/pricing", "fields": {"a": 1}}),
            "422 invalid /fields:wrong_type",
        ),
        (
            json!({"email": "a@b.test", "url": "/pricing"}),
            "422 invalid /url:malformed",
        ),
        (
            json!({"email": "a@b.test", "message": "\u{1f600}".repeat(10_000)}),
            "422 invalid :too_long",
        ),
        (
            json!({"email": "a@b.test", "message": "a\0"}),
            "422 invalid /message:nul_character",
        ),
        (
            json!({"email": "a@b.test", "budget": "1"}),
            "422 invalid /budget:unknown_field",
        ),
        (
            json!({"email": "a@b.test", "token": "pk_no"}),
            "401 unknown_installation",
        ),
    ] {
        let body = with(base.clone(), more);
        let answer = leave(&server, &body).await;
        assert_eq!(answer.summary(), expected, "{body}");
    }
    let good = with(base, json!({"email": "a@b.test"}));
    let elsewhere = send(
        &server,
        "/v1/leads",
        &[("origin", "https://evil.test")],
        &good,
    )
    .await;
    assert_eq!(elsewhere.summary(), "403 origin_not_allowed");
    let image = [("origin", SITE), ("content-type", "image/png")];
    let image = send(&server, "/v1/leads", &image, &good).await;
    assert_eq!(image.summary(), "415 unsupported_media_type");
    assert_eq!(rows(&database, "leads").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_not_to_be_tracked_is_a_lead_and_no_visitor() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let id = about_leads(&server, None).await;
    ask(&server, &token, Some("ada")).await;
    let body = json!({"token": token, "url": PRICING, "email": "a@b.test", "visitor_id": "ada"});
    let headers = [("origin", SITE), ("sec-gpc", "1")];
    let answer = send(&server, "/v1/leads", &headers, &body).await;
    assert_eq!(answer.summary(), "202");
    let lead = &leads(&server, "").await[0];
    assert_eq!(lead["visitor_id"], Json::Null);
    assert_eq!(lead["experiment_id"], Json::Null);
    assert_eq!(conversions(&server, &id).await, 0);
    assert_eq!(rows(&database, "leads").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_taken_as_often_as_people_send_them() {
    let (server, database) = server(HttpConfig {
        lead_rate_limit: NonZeroU32::new(3).unwrap(),
        lead_site_rate_limit: NonZeroU32::new(4).unwrap(),
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        ..HttpConfig::default()
    })
    .await;
    let (_, token) = site(&server).await;
    // What nobody stores takes up nothing of what all may send.
    for number in 1..=6 {
        let address = format!("198.51.100.{number}");
        let headers = [("origin", SITE), ("x-forwarded-for", &address)];
        let mut body = json!({"token": token, "url": PRICING, "email": "spam", "website": "x"});
        assert_eq!(
            send(&server, "/v1/leads", &headers, &body).await.summary(),
            "202"
        );
        body["website"] = Json::Null;
        let wrong = send(&server, "/v1/leads", &headers, &body).await;
        assert_eq!(wrong.summary(), "422 invalid /email:malformed");
    }
    let mut answers = Vec::new();
    for (address, count) in [("192.0.2.1", 4), ("192.0.2.2", 2)] {
        for one in 0..count {
            let email = format!("{one}@{address}.test");
            let body = json!({"token": token, "url": PRICING, "email": email});
            let headers = [("origin", SITE), ("x-forwarded-for", address)];
            let answer = send(&server, "/v1/leads", &headers, &body).await;
            answers.push(answer.summary());
        }
    }
    // Three of an address, four of the site.
    let refused = "429 rate_limited";
    assert_eq!(answers, ["202", "202", "202", refused, "202", refused]);
    assert_eq!(rows(&database, "leads").await, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_moves_on_step_by_step() {
    let (server, _database) = patient().await;
    let (_, token) = site(&server).await;
    let body = json!({"token": token, "url": PRICING, "email": "a@b.test"});
    leave(&server, &body).await;
    let id = leads(&server, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/leads/{id}");
    let change = async |body: Json| server.patch(&path, &body).await.summary();
    assert_eq!(
        change(json!({"status": "converted"})).await,
        "409 illegal_transition"
    );
    assert_eq!(
        change(json!({"status": "won"})).await,
        "422 invalid /status:unknown_value"
    );
    let long = json!({"note": "x".repeat(10_001)});
    assert_eq!(change(long).await, "422 invalid /note:too_long");
    assert_eq!(
        change(json!({"email": "x@y.test"})).await,
        "422 invalid /email:unknown_field"
    );
    let moved = server
        .patch(
            &path,
            &json!({"status": "contacted", "note": "Called back"}),
        )
        .await;
    assert_eq!(moved.header("etag"), "\"v2\"");
    assert_eq!(moved.json()["note"], "Called back");
    // The same once more changes nothing.
    let again = server.patch(&path, &json!({"status": "contacted"})).await;
    assert_eq!(again.json(), moved.json());
    let request = server.request(hyper::Method::PATCH, &path);
    let stale = request.header("if-match", "\"v1\"");
    let stale = stale.body(Full::from(r#"{"note": "late"}"#)).unwrap();
    assert_eq!(server.send(stale).await.summary(), "412 version_mismatch");
    assert_eq!(
        change(json!({"status": "converted", "note": null})).await,
        "200"
    );
    assert_eq!(
        change(json!({"status": "lost"})).await,
        "409 illegal_transition"
    );
    let done = server.get(&path).await.json();
    assert_eq!(
        (&done["status"], &done["note"]),
        (&json!("converted"), &Json::Null)
    );
    assert_eq!(server.delete(&path).await.summary(), "204");
    assert_eq!(server.get(&path).await.summary(), "404 not_found");
    assert_eq!(server.delete(&path).await.summary(), "404 not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_paged_and_taken_away_as_tables() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let id = about_leads(&server, None).await;
    ask(&server, &token, Some("ada")).await;
    let base = json!({"token": token, "url": PRICING});
    for (form, more) in [
        (
            "contact",
            json!({"email": "ada@example.org", "name": "=1+1", "visitor_id": "ada"}),
        ),
        (
            "contact",
            json!({"phone": "+49 30 90182", "company": "100 % Ltd"}),
        ),
        ("jobs", json!({"email": "bea@example.org"})),
    ] {
        let body = with(with(base.clone(), more), json!({"form": form}));
        assert_eq!(leave(&server, &body).await.summary(), "202");
    }
    let all = leads(&server, "").await;
    let bea = format!("/v1/leads/{}", all[0]["id"].as_str().unwrap());
    server.patch(&bea, &json!({"status": "lost"})).await;
    let client = samplit_tests::connect(database.url()).await;
    let earlier = "UPDATE leads SET created_at = '2026-05-04T12:00:00Z' WHERE email LIKE 'ada%'";
    client.execute(earlier, &[]).await.unwrap();
    for (query, expected) in [
        ("", 3),
        ("?status=new", 2),
        ("?status=lost", 1),
        ("?source=contact", 2),
        ("?q=ADA@", 1),
        ("?q=%25", 1),
        ("?q=_", 0),
        ("?created_before=2026-05-05", 1),
        (
            "?created_after=2026-05-04&created_before=2026-05-04T12:00:00Z",
            0,
        ),
        ("?created_after=2026-05-04T12:00:00Z&status=new", 2),
        (&format!("?experiment_id={id}"), 1),
        (&format!("?experiment_id={id}&status=lost"), 0),
    ] {
        assert_eq!(leads(&server, query).await.len(), expected, "{query}");
    }
    for (query, expected) in [
        ("?status=open", "422 invalid ?status:unknown_value"),
        (
            "?created_after=today",
            "422 invalid ?created_after:malformed",
        ),
        (
            "?limit=0&page=2",
            "422 invalid ?limit:out_of_range ?page:unknown_parameter",
        ),
        ("?cursor=x", "422 invalid ?cursor:malformed"),
    ] {
        let answer = server.get(&format!("/v1/leads{query}")).await;
        assert_eq!(answer.summary(), expected, "{query}");
    }
    let first = server.get("/v1/leads?limit=2").await.json();
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = leads(&server, &format!("?limit=2&cursor={cursor}")).await;
    assert_eq!(second.len(), 1);
    assert_eq!(second[0]["email"], "ada@example.org");

    let table = server.get("/v1/export/leads").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert!(table.header("content-disposition").contains("leads.csv"));
    let lines: Vec<&str> = table.text().lines().collect();
    assert!(lines[0].starts_with("lead_id,created_at,status,source,name,email"));
    // What a spreadsheet would run, it only shows.
    assert!(
        lines.len() == 4 && lines[3].contains(",'=1+1,"),
        "{lines:?}"
    );
    let table = server
        .get("/v1/export/leads?format=ndjson&status=lost")
        .await;
    let one: Json = serde_json::from_str(table.text()).unwrap();
    assert_eq!(one["email"], "bea@example.org");
    let bad = server.get("/v1/export/leads?format=xls").await;
    assert_eq!(bad.summary(), "422 invalid ?format:unknown_value");
}

#[tokio::test(flavor = "multi_thread")]
async fn leads_are_shown_to_their_owner_with_the_right_scope() {
    let (server, database) = patient().await;
    let (_, token) = site(&server).await;
    let body = json!({"token": token, "url": PRICING, "email": "a@b.test"});
    leave(&server, &body).await;
    let id = leads(&server, "").await[0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = format!("/v1/leads/{id}");
    let by = async |scope: Scope, method: &str, path: &str| {
        let email = format!("{scope}@example.org");
        let key = create_key(&server.engine, &email, vec![scope]).await;
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.public))
            .header("authorization", format!("Bearer {key}"))
            .header("content-type", "application/json");
        let body = if method == "PATCH" { "{}" } else { "" };
        server
            .send(request.body(Full::from(body)).unwrap())
            .await
            .summary()
    };
    for (scope, method, path, expected) in [
        (Scope::Assign, "GET", "/v1/leads", "403 forbidden"),
        (Scope::Assign, "GET", "/v1/export/leads", "403 forbidden"),
        (Scope::Read, "GET", "/v1/leads", "200"),
        (Scope::Read, "GET", &path, "404 not_found"),
        (Scope::Read, "PATCH", &path, "403 forbidden"),
        (Scope::Read, "DELETE", &path, "403 forbidden"),
        (Scope::Manage, "PATCH", &path, "404 not_found"),
        (Scope::Manage, "DELETE", &path, "404 not_found"),
    ] {
        assert_eq!(
            by(scope, method, path).await,
            expected,
            "{scope} {method} {path}"
        );
    }
    assert_eq!(rows(&database, "leads").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_work_without_scripts() {
    let mut desk = Desk::open().await;
    desk.get("/leads")
        .await
        .has(&["No lead yet", "Add your site"]);
    let (_, token) = site(&desk.server).await;
    desk.get("/leads").await.has(&["/v1/leads&#34;", &token]);
    let message = "<script>alert(1)</script>";
    for name in ["Ada", "<b>Bea</b>"] {
        let body = json!({"token": token, "url": PRICING, "name": name, "message": message,
            "email": format!("{}@example.org", name.len()), "form": "contact"});
        assert_eq!(leave(&desk.server, &body).await.summary(), "202");
    }
    let list = desk.get("/leads?source=contact&q=ada").await;
    list.has(&["Ada", "/v1/export/leads?q=ada&#38;source=contact"]);
    assert!(!list.text().contains("Bea"), "{}", list.text());
    desk.get("/leads?status=lost").await.has(&["Nothing fits"]);
    let all = leads(&desk.server, "?q=bea").await;
    let path = format!("/leads/{}", all[0]["id"].as_str().unwrap());
    let page = desk.get(&path).await;
    page.has(&[
        "&#60;b&#62;Bea&#60;/b&#62;",
        "&#60;script&#62;alert(1)",
        "Mark as contacted",
    ]);

    let moved = desk.send(&path, &[("do", "move contacted")]).await;
    assert_eq!(moved.goes(), format!("{path}?done=lead_moved"));
    let back = desk.send(&path, &[("do", "move new")]).await;
    assert_eq!(back.status, StatusCode::CONFLICT);
    back.has(&["A lead that is contacted cannot become new"]);
    // Somebody has changed it since the form was shown: what was typed stays.
    let note = [("do", "note"), ("version", "1"), ("/note:clears", "typed")];
    let late = desk.send(&path, &note).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    late.has(&["Somebody changed it meanwhile", "typed</textarea>"]);
    let note = [("do", "note"), ("version", "2"), ("/note:clears", "typed")];
    let saved = desk.send(&path, &note).await;
    assert_eq!(saved.goes(), format!("{path}?done=lead_noted"));
    let wrong = desk
        .send(&path, &[("do", "erase"), ("confirm", "Ada")])
        .await;
    wrong.refuses(&[("f-confirm", "This must be exactly")]);
    let erased = [("do", "erase"), ("confirm", "<b>Bea</b>")];
    assert_eq!(
        desk.send(&path, &erased).await.goes(),
        "/leads?done=lead_erased"
    );
    assert_eq!(desk.get(&path).await.status, StatusCode::NOT_FOUND);
    let odd = desk.send(&path, &[("do", "move away")]).await;
    assert_eq!(odd.status, StatusCode::NOT_FOUND);
    let ada = leads(&desk.server, "").await;
    let path = format!("/leads/{}", ada[0]["id"].as_str().unwrap());
    desk.enter_as("other@example.org").await;
    assert_eq!(desk.get(&path).await.status, StatusCode::NOT_FOUND);
    desk.get("/leads").await.has(&["No lead yet"]);
}
