//! Pages of other origins: who may ask, how often, and what a browser keeps of it.

use futures_util::future::join_all;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::pages::{PRICING, SITE, install, rows, running, send, site};
use crate::support::{Answer, server, summary};

#[tokio::test(flavor = "multi_thread")]
async fn only_pages_of_the_site_may_ask_and_read() {
    let (server, _database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Shop", "domain": "shop.test", "origins": ["https://app.test:8443"]});
    let (_, token) = install(&server, &body).await;
    let good = json!({"token": token, "url": PRICING});
    let unknown = json!({"token": format!("pk_{}", "A".repeat(43)), "url": PRICING});
    let nonsense = json!({"token": "pk_", "url": PRICING});
    let bad_url = json!({"token": token, "url": ""});
    let no_token = json!({"url": PRICING});
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a Json, &'a str, Option<&'a str>);
    let cases: [Case<'_>; 16] = [
        (&[("origin", SITE)], &good, "200", Some(SITE)),
        (
            &[("origin", "https://www.shop.test")],
            &good,
            "200",
            Some("https://www.shop.test"),
        ),
        (
            &[("origin", "https://app.test:8443")],
            &good,
            "200",
            Some("https://app.test:8443"),
        ),
        (
            &[("origin", SITE), ("content-type", "application/json")],
            &good,
            "200",
            Some(SITE),
        ),
        (
            &[("origin", "http://shop.test")],
            &good,
            "403 origin_not_allowed",
            None,
        ),
        (
            &[("origin", "https://app.test")],
            &good,
            "403 origin_not_allowed",
            None,
        ),
        (
            &[("origin", "https://evil.test")],
            &good,
            "403 origin_not_allowed",
            None,
        ),
        (&[("origin", "null")], &good, "403 origin_not_allowed", None),
        (&[], &good, "403 origin_not_allowed", None),
        (
            &[("origin", SITE)],
            &unknown,
            "401 unknown_installation",
            Some("*"),
        ),
        (
            &[("origin", SITE)],
            &nonsense,
            "401 unknown_installation",
            Some("*"),
        ),
        (
            &[("origin", SITE)],
            &bad_url,
            "422 invalid /url:required",
            Some(SITE),
        ),
        (
            &[("origin", SITE), ("content-type", "text/html")],
            &good,
            "415 unsupported_media_type",
            Some("*"),
        ),
        // Asked by no page: nobody needs leave to read it.
        (&[], &unknown, "401 unknown_installation", None),
        (
            &[("origin", SITE)],
            &no_token,
            "422 invalid /token:required",
            Some("*"),
        ),
        (
            &[("origin", "null"), ("cookie", "samplit_visitor=v")],
            &unknown,
            "401 unknown_installation",
            Some("*"),
        ),
    ];
    for (headers, body, expected, readable) in cases {
        for path in ["/v1/page", "/v1/events"] {
            let mut body = body.clone();
            if path == "/v1/events" {
                if expected.contains("/url") {
                    continue;
                }
                body.as_object_mut().unwrap().remove("url");
                body["visitor_id"] = "v".into();
                body["events"] = json!([{"type": "exposure", "event_id": "1",
                    "experiment_id": "0197f0a0-0000-7000-8000-000000000001"}]);
            }
            let answer = send(&server, path, headers, &body).await;
            assert_eq!(answer.summary(), expected, "{path} {headers:?} {body}");
            assert_eq!(answer.header("vary"), "Origin");
            let allowed = answer.headers.get("access-control-allow-origin");
            assert_eq!(
                allowed.map(|value| value.to_str().unwrap()),
                readable,
                "{headers:?}"
            );
            // The server is of another site.
            assert!(
                !answer
                    .headers
                    .contains_key("access-control-allow-credentials")
            );
            assert!(!answer.headers.contains_key("set-cookie"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_names_the_origin_and_nothing_else() {
    let (server, _database) = server(HttpConfig::default()).await;
    for path in ["/v1/page", "/v1/events"] {
        let preflight = |origin: &str| {
            let request = Request::builder()
                .method(Method::OPTIONS)
                .uri(format!("http://{}{path}", server.public))
                .header("origin", origin)
                .header("access-control-request-method", "POST");
            server.send(request.body(Full::default()).unwrap())
        };
        let answer = preflight(SITE).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert_eq!(answer.header("access-control-allow-origin"), SITE);
        assert_eq!(answer.header("access-control-allow-methods"), "POST");
        assert_eq!(
            answer.header("access-control-allow-headers"),
            "Content-Type"
        );
        assert_eq!(answer.header("access-control-max-age"), "7200");
        assert_eq!(answer.header("vary"), "Origin");
        assert!(
            !answer
                .headers
                .contains_key("access-control-allow-credentials")
        );
        let answer = preflight("null").await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT);
        assert!(!answer.headers.contains_key("access-control-allow-origin"));
        let answer = preflight("http://127.0.0.1:3000").await;
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_is_set_and_believed_on_the_same_site_only() {
    let (server, _database) = server(HttpConfig::default()).await;
    let page = "http://127.0.0.1:3000";
    let body = json!({"name": "Local", "domain": "127.0.0.1:3000", "origins": [SITE]});
    let (_, token) = install(&server, &body).await;
    let ask = |origin: &'static str, cookie: &'static str, visitor: Option<&'static str>| {
        let body = json!({"token": token, "url": "http://127.0.0.1:3000/", "visitor_id": visitor});
        let server = &server;
        async move {
            send(
                server,
                "/v1/page",
                &[("origin", origin), ("cookie", cookie)],
                &body,
            )
            .await
        }
    };
    let made = ask(page, "", None).await;
    let json = made.json();
    let visitor = json["visitor_id"].as_str().unwrap();
    let cookie =
        format!("samplit_visitor={visitor}; Path=/; Max-Age=34560000; HttpOnly; SameSite=Lax");
    assert_eq!(made.header("set-cookie"), cookie);
    assert_eq!(made.header("access-control-allow-credentials"), "true");
    for (origin, cookie, named, expected) in [
        (
            page,
            "a=b; samplit_visitor=from%20cookie",
            Some("from page"),
            "from cookie",
        ),
        (page, "samplit_visitor=", Some("from page"), "from page"),
        (
            page,
            "samplit_visitor=erased%3A1",
            Some("from page"),
            "from page",
        ),
        (page, "samplit_visitor=%ff", Some("from page"), "from page"),
        (
            SITE,
            "samplit_visitor=cookie",
            Some("from page"),
            "from page",
        ),
    ] {
        let answer = ask(origin, cookie, named).await;
        assert_eq!(answer.json()["visitor_id"], expected, "{cookie}");
        assert_eq!(answer.headers.contains_key("set-cookie"), origin == page);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn global_privacy_control_records_nothing_where_it_is_respected() {
    let (server, database) = server(HttpConfig::default()).await;
    let body = json!({"name": "Local", "domain": "127.0.0.1:3000"});
    let (site, token) = install(&server, &body).await;
    let id = running(&server, "a", None).await;
    let headers = [("origin", "http://127.0.0.1:3000"), ("sec-gpc", "1")];
    let page = json!({"token": token, "url": "http://127.0.0.1:3000/", "visitor_id": "v"});
    let events = json!({"token": token, "visitor_id": "v", "events": [
        {"type": "exposure", "experiment_id": id, "event_id": "1"},
        {"type": "conversion", "experiment_id": id, "event_id": "2"},
    ]});
    let answer = send(&server, "/v1/page", &headers, &page).await;
    let json = answer.json();
    assert_eq!(json["visitor_id"], Json::Null);
    let shown = &json["experiments"][0];
    assert_eq!(
        (&shown["reason"], &shown["in_experiment"]),
        (&json!("privacy"), &json!(false))
    );
    assert_eq!(shown["elements"][0]["variant"]["is_control"], true);
    assert!(!answer.headers.contains_key("set-cookie"));
    let answer = send(&server, "/v1/events", &headers, &events).await.json();
    assert_eq!(answer["results"][1]["code"], "privacy");
    for table in ["assignments", "exposures", "selector_misses"] {
        assert_eq!(rows(&database, table).await, 0, "{table}");
    }

    let path = format!("/v1/installations/{site}");
    server.patch(&path, &json!({"respect_gpc": false})).await;
    let answer = send(&server, "/v1/page", &headers, &page).await;
    assert_eq!(answer.json()["experiments"][0]["reason"], Json::Null);
    let answer = send(&server, "/v1/events", &headers, &events).await.json();
    assert_eq!(answer["results"][0]["status"], "recorded");
    assert_eq!(rows(&database, "exposures").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_address_has_its_own_limit_as_far_as_proxies_are_trusted() {
    let config = HttpConfig {
        page_rate_limit: std::num::NonZeroU32::new(1),
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let (_, token) = site(&server).await;
    let body = json!({"token": token, "url": PRICING});
    let from = |address: &'static str| {
        let (server, body) = (&server, &body);
        async move {
            let headers = [("origin", SITE), ("x-forwarded-for", address)];
            send(server, "/v1/page", &headers, body).await
        }
    };
    // One a second, and many at once.
    let answers = join_all((0..20).map(|_| from("192.0.2.1"))).await;
    let is_refused = |answer: &&Answer| answer.status == StatusCode::TOO_MANY_REQUESTS;
    let refused = answers.iter().find(is_refused);
    let refused = refused.unwrap();
    assert_eq!(summary(429, &refused.json()), "429 rate_limited");
    assert_eq!(refused.header("access-control-allow-origin"), SITE);
    assert!(
        refused
            .header("access-control-expose-headers")
            .contains("Retry-After")
    );
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(from("192.0.2.2").await.status, StatusCode::OK);
    // One visitor has a whole /64.
    let own = ["2001:db8::1", "2001:db8::2", "2001:db8::ffff:1"];
    let answers = join_all((0..21).map(|number| from(own[number % 3]))).await;
    assert!(answers.iter().any(|answer| is_refused(&answer)));
    assert_eq!(from("2001:db8:0:1::1").await.status, StatusCode::OK);
}
