//! Who may do what.

use http_body_util::Full;
use hyper::{Method, Request};
use samplit_engine::Scope;
use samplit_http::HttpConfig;

use crate::support::{create_key, server};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_opens_what_it_is_for_and_nothing_else() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let of = |email, scopes| create_key(&server.engine, email, scopes);
    let reader = of("owner@example.org", vec![Scope::Read]).await;
    let site = of("owner@example.org", vec![Scope::Assign]).await;
    let stranger = of("stranger@example.org", Scope::ALL.to_vec()).await;

    let visitor = r#"{"visitor_id":"v"}"#;
    let (assign, results) = (format!("{path}/assign"), format!("{path}/results"));
    let cases = [
        (None, Method::GET, &path, "", "401 unauthenticated"),
        (
            Some("Basic YTpi".to_owned()),
            Method::GET,
            &path,
            "",
            "401 unauthenticated",
        ),
        (
            Some("Bearer sk_wrong".to_owned()),
            Method::GET,
            &path,
            "",
            "401 unauthenticated",
        ),
        (
            Some(format!("Bearer sk_{}", "A".repeat(43))),
            Method::GET,
            &path,
            "",
            "401 unauthenticated",
        ),
        (
            Some(format!("bearer {reader}")),
            Method::GET,
            &results,
            "",
            "200",
        ),
        (
            Some(format!("Bearer {reader}")),
            Method::POST,
            &assign,
            visitor,
            "403 forbidden",
        ),
        (
            Some(format!("Bearer {site}")),
            Method::POST,
            &assign,
            visitor,
            "200",
        ),
        (
            Some(format!("Bearer {site}")),
            Method::GET,
            &results,
            "",
            "403 forbidden",
        ),
        (
            Some(format!("Bearer {stranger}")),
            Method::GET,
            &path,
            "",
            "404 not_found",
        ),
        (
            Some(format!("Bearer {stranger}")),
            Method::POST,
            &assign,
            visitor,
            "404 not_found",
        ),
    ];
    for (authorization, method, path, body, expected) in cases {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", server.public))
            .header("content-type", "application/json");
        if let Some(authorization) = &authorization {
            request = request.header("authorization", authorization);
        }
        let answer = server.send(request.body(Full::from(body)).unwrap()).await;
        assert_eq!(answer.summary(), expected, "{authorization:?} {path}");
        if answer.status == 401 {
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer realm=\"samplit\""
            );
        }
    }
}
