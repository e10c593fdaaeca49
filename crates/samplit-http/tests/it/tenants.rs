//! Tenants: nobody sees, changes or learns of anything that is another account's, whatever the route.
//!
//! The test walks the table of routes itself, so that a route which is added is walked, too: with ids of
//! another account in its path it has to answer 404, and nothing may change. What answers otherwise stands
//! in [`OTHERWISE`], with the reason.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::collections::BTreeMap;

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use samplit_engine::{EngineConfig, Scope, Secret};
use samplit_http::{HttpConfig, pages, routes};
use samplit_tests::{Client, connect};
use serde_json::{Value as Json, json};

use crate::browser::{Browser, set_up};
use crate::support::{Answer, Server, create_key, draft, signer};

/// Routes with something of another account in the path that do not answer 404, and why.
const OTHERWISE: [(&str, &str, &str); 12] = [
    // Of the whole server, for admins; that is asked first.
    ("PATCH", "/v1/users/{user_id}", "403 admin_only"),
    ("POST", "/v1/users/{user_id}/link", "403 admin_only"),
    ("PUT", "/v1/users/{user_id}/subscription", "403 admin_only"),
    ("PUT", "/v1/plans/{name}", "403 admin_only"),
    // A visitor's id is the caller's own word: it erases what the caller has under it, here nothing.
    ("DELETE", "/v1/visitors/{visitor}", "200"),
    // By tokens that are signed for one draft; a key opens nothing.
    (
        "DELETE",
        "/v1/editor/variants/{variant_id}",
        "401 unknown_token",
    ),
    // An address that Shopify alone was told, and signs for; this server knows no shops.
    (
        "POST",
        "/integrations/shopify/webhooks/{hook}",
        "409 no_shopify",
    ),
    // The token is public, and stands in the pages of the site.
    ("GET", "/s/{token}.js", "200"),
    // A page without numbers, which asks for them with the key of whoever looks.
    ("GET", "/live/{id}", "200"),
    // Each request of a batch is answered by itself, with 404.
    ("POST", "/v1/experiments/{id}/assign/batch", "200"),
    ("POST", "/v1/experiments/{id}/convert/batch", "200"),
    // Another protocol says it without a code of ours.
    ("POST", "/ofrep/v1/evaluate/flags/{key}", "404"),
];

/// Everything that one account has.
pub(crate) struct Tenant {
    /// By the name of the parameter in a pattern.
    pub(crate) ids: BTreeMap<&'static str, String>,
}

pub(crate) async fn server() -> (Server, samplit_devpg::TestDatabase) {
    let database = samplit_tests::database().await;
    let config = EngineConfig {
        secret: Some(Secret::new(&[[5; 32]]).unwrap()),
        signers: [signer()].into(),
        ..samplit_tests::config(1)
    };
    let engine = samplit_tests::engine_with(database.url(), config).await;
    (Server::start(engine, HttpConfig::default()).await, database)
}

async fn made(browser: &Browser<'_>, path: &str, body: &Json) -> Json {
    let answer = browser.ask(Method::POST, path, body).await;
    assert!(answer.status.is_success(), "{path}: {}", answer.text());
    answer.json()
}

/// A funnel that could be started.
pub(crate) async fn their_funnel(browser: &Browser<'_>) -> Json {
    let nodes = json!([
        {"type": "page", "name": "Offer", "config": {"url": "https://their.example/*"}},
        {"type": "conversion", "name": "Sale",
         "config": {"trigger": {"type": "event", "name": "sale"}}},
    ]);
    let drawn = json!({"name": "their-funnel", "nodes": nodes});
    let drawn = made(browser, "/v1/funnels", &drawn).await;
    let nodes = &drawn["nodes"];
    let edges = json!([{"source": nodes[0]["id"], "target": nodes[1]["id"],
        "condition": {"type": "always"}}]);
    let path = format!("/v1/funnels/{}", drawn["id"].as_str().unwrap());
    let whole = json!({"nodes": nodes, "edges": edges});
    let answer = browser.ask(Method::PATCH, &path, &whole).await;
    assert_eq!(answer.summary(), "200", "{}", answer.text());
    answer.json()
}

impl Tenant {
    /// An account that has one of everything.
    async fn new(admin: &Browser<'_>, email: &str) -> Self {
        let (user, browser) = admin.welcome(email, "client").await;
        Self::of(&browser, user).await
    }

    /// Makes one of everything for the account `user`, which is signed in.
    pub(crate) async fn of(browser: &Browser<'_>, user: String) -> Self {
        let mut plan = draft();
        plan["key"] = json!("their-flag");
        let experiment = made(browser, "/v1/experiments", &plan).await;
        let id = |json: &Json| json["id"].as_str().unwrap().to_owned();
        let hook = json!({"url": "https://hooks.their.example/"});
        let hook = made(browser, "/v1/webhooks", &hook).await;
        let path = format!("/v1/experiments/{}", id(&experiment));
        made(browser, &format!("{path}/start"), &json!({})).await;
        let told = format!("/v1/webhooks/{}/deliveries", id(&hook));
        let told = browser.get(&told).await.json();
        let visit = json!({"visitor_id": "their-visitor"});
        made(browser, &format!("{path}/assign"), &visit).await;
        let site = json!({"name": "Site", "domain": "their.example", "platform": "wordpress"});
        let site = made(browser, "/v1/installations", &site).await;
        let form = json!({"token": site["token"], "url": "https://their.example/", "email": "lead@their.example"});
        let from = [("origin", "https://their.example")];
        let path = "/v1/leads";
        let sent = browser.ask_with(Method::POST, path, &form, &from).await;
        assert!(sent.status.is_success(), "{}", sent.text());
        let lead = browser.get(path).await.json();
        let rule = json!({"kind": "ip", "value": "192.0.2.77"});
        let rule = made(browser, "/v1/exclusions", &rule).await;
        let funnel = their_funnel(browser).await;
        let key = json!({"name": "their-key", "scopes": ["read"]});
        let key = made(browser, "/v1/keys", &key).await;
        let session = browser.get("/v1/session").await.json();
        let variant = &experiment["elements"][0]["variants"][1];
        let ids = [
            ("id", id(&experiment)),
            ("variant_id", id(variant)),
            ("installation_id", id(&site)),
            ("hook", "their-hook".to_owned()),
            ("token", site["token"].as_str().unwrap().to_owned()),
            ("exclusion_id", id(&rule)),
            ("funnel_id", id(&funnel)),
            ("lead_id", id(&lead["data"][0])),
            ("webhook_id", id(&hook)),
            ("delivery_id", id(&told["data"][0])),
            ("user_id", user),
            ("session_id", id(&session)),
            ("key_id", id(&key)),
            ("key", "their-flag".to_owned()),
            ("visitor", "their-visitor".to_owned()),
            // Plans are of the whole server.
            ("name", "any-plan".to_owned()),
        ];
        Self { ids: ids.into() }
    }

    /// The path of a pattern with the ids of this account.
    pub(crate) fn path(&self, pattern: &str) -> String {
        let mut path = String::new();
        let mut rest = pattern;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}').unwrap();
            let id = self.ids.get(name);
            let id = id.unwrap_or_else(|| panic!("say what {{{name}}} of another account is"));
            path = path + before + id;
            rest = after;
        }
        path + rest
    }

    /// A body with which the owner would succeed, and the words of the query that have to be there.
    pub(crate) fn body(&self, pattern: &str) -> Json {
        let visit = json!({"visitor_id": "v"});
        match pattern {
            "/v1/experiments/{id}/assign" | "/v1/experiments/{id}/convert" => visit,
            "/v1/experiments/{id}/assign/batch" | "/v1/experiments/{id}/convert/batch" => {
                json!({"requests": [visit]})
            }
            "/v1/experiments/{id}" | "/v1/installations/{installation_id}" => {
                json!({"name": "taken over"})
            }
            "/ofrep/v1/evaluate/flags/{key}" => json!({"context": {"targetingKey": "v"}}),
            "/v1/exclusions/{exclusion_id}" => json!({"is_active": false}),
            "/v1/funnels/{funnel_id}" => json!({"name": "taken over"}),
            "/v1/leads/{lead_id}" => json!({"status": "lost"}),
            "/v1/users/{user_id}" => json!({"disabled": true}),
            "/v1/users/{user_id}/subscription" => json!({"plan": "self_hosted"}),
            "/v1/plans/{name}" => json!({"title": "Any"}),
            "/v1/webhooks/{webhook_id}" => json!({"is_enabled": false}),
            "/v1/experiments/{id}/preview" => {
                json!({"variants": {}, "url": "https://their.example/"})
            }
            "/v1/installations/{installation_id}/editor" => {
                json!({"experiment_id": self.ids["id"], "url": "https://their.example/"})
            }
            "/v1/experiments/{id}/audit/redactions" => {
                json!({"sequence_number": 2, "reason": "because"})
            }
            "/v1/experiments/{id}/audit/acknowledge-restore" => json!({"reason": "because"}),
            _ => Json::Null,
        }
    }

    pub(crate) fn query(pattern: &str) -> &'static str {
        match pattern {
            "/v1/experiments/{id}/segments" => "?key=city",
            "/v1/experiments/{id}/audit/receipt" => "?visitor=their-visitor",
            "/v1/experiments/{id}/audit/proof/inclusion" => "?sequence=1",
            "/v1/experiments/{id}/audit/proof/consistency" => "?first=1",
            "/v1/experiments/{id}/what-if" => "?shares=0.5,0.5",
            _ => "",
        }
    }
}

/// What every table holds, but for what looking alone moves.
async fn contents(client: &Client) -> BTreeMap<String, String> {
    let tables = "SELECT relname::text FROM pg_class WHERE relkind = 'r' \
        AND relnamespace = 'public'::regnamespace";
    let mut contents = BTreeMap::new();
    for row in client.query(tables, &[]).await.unwrap() {
        let table: String = row.get(0);
        let moves = "- 'last_used_at' - 'last_seen_at'";
        let rows = format!(
            "SELECT coalesce(string_agg((to_jsonb(t) {moves})::text, chr(10) \
             ORDER BY (to_jsonb(t) {moves})::text), '') FROM {table} t"
        );
        let rows: String = client.query_one(&rows, &[]).await.unwrap().get(0);
        contents.insert(table, rows);
    }
    contents
}

async fn send(server: &Server, key: &str, method: Method, path: &str, body: &Json) -> Answer {
    let body = match body {
        Json::Null => String::new(),
        body => body.to_string(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(format!("http://{}{path}", server.public))
        .header("authorization", format!("Bearer {key}"));
    if !body.is_empty() {
        request = request.header("content-type", "application/json");
    }
    server.send(request.body(Full::from(body)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_route_lets_an_account_at_what_is_another_ones() {
    let (server, database) = server().await;
    let admin = set_up(&server).await;
    let theirs = Tenant::new(&admin, "their@example.org").await;
    let key = create_key(&server.engine, "stranger@example.org", Scope::ALL.to_vec()).await;
    let (_, stranger) = admin.welcome("other@example.org", "client").await;
    let client = connect(database.url()).await;
    let before = contents(&client).await;
    let mut walked = 0;
    for (method, pattern) in routes() {
        if method == Method::OPTIONS || !pattern.contains('{') {
            continue;
        }
        // Files are everybody's.
        if pattern.starts_with("/assets/") {
            continue;
        }
        let path = theirs.path(pattern) + Tenant::query(pattern);
        let body = match method {
            Method::GET | Method::DELETE => Json::Null,
            _ => theirs.body(pattern),
        };
        let listed = OTHERWISE
            .iter()
            .find(|(listed, other, _)| *listed == method.as_str() && *other == pattern);
        let expected = listed.map_or("404 not_found", |(_, _, expected)| *expected);
        // Programs come with a key, people with a session.
        let by_key = send(&server, &key, method.clone(), &path, &body).await;
        assert_eq!(by_key.summary(), expected, "{method} {pattern} with a key");
        let by_session = stranger.ask(method.clone(), &path, &body).await;
        // Flags have no sessions.
        if !pattern.starts_with("/ofrep/") {
            assert_eq!(
                by_session.summary(),
                expected,
                "{method} {pattern} signed in"
            );
        }
        if pattern.ends_with("/batch") {
            let within = by_session.text().matches("\"not_found\"").count();
            assert_eq!(within, 1, "{pattern}: {}", by_session.text());
        }
        walked += 1;
    }
    assert!(walked > 50, "{walked}");
    for (method, pattern, _) in OTHERWISE {
        let is_there = routes().iter().any(|(m, p)| m == method && *p == pattern);
        assert!(is_there, "{method} {pattern} is no route any more");
    }
    let mut after = contents(&client).await;
    // That a visitor was to be erased is noted of the account that asked, and of it alone.
    let log = after.insert("activity_log".to_owned(), before["activity_log"].clone());
    let log = log.unwrap();
    let noted: Vec<Json> = log
        .lines()
        .filter(|line| !before["activity_log"].contains(line))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for entry in &noted {
        assert_eq!(entry["action"], "visitor.erased");
        assert_eq!(
            (&entry["detail"]["rows"], &entry["subject_id"]),
            (&json!(0), &Json::Null)
        );
        assert_ne!(entry["user_id"], theirs.ids["user_id"]);
    }
    assert_eq!(noted.len(), 2);
    for (table, rows) in &before {
        assert_eq!(&after[table], rows, "{table} changed");
    }
}

/// Routes without an id in the path answer what is one's own.
#[tokio::test(flavor = "multi_thread")]
async fn no_list_shows_what_is_another_ones() {
    let (server, _database) = server().await;
    let admin = set_up(&server).await;
    let theirs = Tenant::new(&admin, "their@example.org").await;
    let (_, stranger) = admin.welcome("other@example.org", "client").await;
    let mut words: Vec<&str> = theirs.ids.values().map(String::as_str).collect();
    words.extend([
        "their@example.org",
        "their.example",
        "192.0.2.77",
        "their-key",
        "their-funnel",
    ]);
    let mut answered = 0;
    for (method, pattern) in routes() {
        if method != Method::GET || pattern.contains('{') {
            continue;
        }
        let answer = stranger.get(pattern).await;
        answered += usize::from(answer.status == StatusCode::OK);
        let text = String::from_utf8_lossy(&answer.body);
        for word in &words {
            assert!(!text.contains(word), "{pattern} shows {word}");
        }
    }
    assert!(answered >= 8, "{answered}");
    let subject = format!("/v1/activity?subject={}", theirs.ids["id"]);
    assert_eq!(stranger.get(&subject).await.json()["data"], json!([]));
}

/// The pages of the dashboard with ids of another account, and the forms on them.
#[tokio::test(flavor = "multi_thread")]
async fn no_page_lets_an_account_at_what_is_another_ones() {
    let (server, database) = server().await;
    let admin = set_up(&server).await;
    let theirs = Tenant::new(&admin, "their@example.org").await;
    let (_, stranger) = admin.welcome("other@example.org", "client").await;
    let client = connect(database.url()).await;
    let before = contents(&client).await;
    let headers = [
        ("sec-fetch-site", "same-origin"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let mut walked = 0;
    for (method, pattern) in pages() {
        // Whoever has a link is whom it lets in.
        if !pattern.contains('{') || pattern == "/join/{token}" {
            continue;
        }
        // Accounts are for admins, which is asked first.
        let expected = if pattern.starts_with("/users/") {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::NOT_FOUND
        };
        let path = theirs.path(pattern);
        let answer = stranger
            .ask_with(method.clone(), &path, &Json::Null, &headers)
            .await;
        assert_eq!(answer.status, expected, "{method} {pattern}");
        let answer = Browser::new(&server)
            .ask_with(method.clone(), &path, &Json::Null, &headers)
            .await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{method} {pattern}");
        walked += 1;
    }
    assert!(walked >= 8, "{walked}");
    assert_eq!(contents(&client).await, before);

    let mut words: Vec<&str> = theirs.ids.values().map(String::as_str).collect();
    words.extend([
        "their@example.org",
        "their.example",
        "192.0.2.77",
        "their-key",
        "their-funnel",
    ]);
    for (_, pattern) in pages() {
        if !pattern.contains('{') {
            let answer = stranger.get(pattern).await;
            for word in &words {
                assert!(!answer.text().contains(word), "{pattern} shows {word}");
            }
        }
    }
}

/// Ids of another account in a body.
#[tokio::test(flavor = "multi_thread")]
async fn no_body_lets_an_account_at_what_is_another_ones() {
    let (server, database) = server().await;
    let admin = set_up(&server).await;
    let theirs = Tenant::new(&admin, "their@example.org").await;
    let (_, stranger) = admin.welcome("other@example.org", "client").await;
    let site = json!({"name": "Site", "domain": "own.example"});
    let own = made(&stranger, "/v1/installations", &site).await;
    let editor = format!("/v1/installations/{}/editor", own["id"].as_str().unwrap());
    let id = &theirs.ids["id"];
    let client = connect(database.url()).await;
    let before = contents(&client).await;
    for (path, body) in [
        (
            "/v1/exclusions",
            json!({"kind": "ip", "value": "192.0.2.1", "experiment_id": id}),
        ),
        (
            &editor,
            json!({"experiment_id": id, "url": "https://own.example/"}),
        ),
    ] {
        let answer = stranger.ask(Method::POST, path, &body).await;
        assert_eq!(answer.summary(), "404 not_found", "{path}");
    }
    // An experiment that nobody has is refused alike.
    for id in [id.as_str(), "0197f0a0-0000-7000-8000-000000000001"] {
        let body = json!({"name": "F", "nodes": [{"type": "page", "experiment_id": id}]});
        let answer = stranger.ask(Method::POST, "/v1/funnels", &body).await;
        let expected = "422 invalid /nodes/0/experiment_id:unknown";
        assert_eq!(answer.summary(), expected);
    }
    assert_eq!(contents(&client).await, before);
}
