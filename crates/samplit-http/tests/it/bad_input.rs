//! Whatever is wrong with a request is answered by a 4xx that names every bad field at once.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::support::{NOBODY, check, draft, server, summary};

/// The draft with the value at `pointer` replaced.
fn with(pointer: &str, value: Json) -> Json {
    let mut draft = draft();
    *draft.pointer_mut(pointer).unwrap() = value;
    draft
}

/// The draft with one more field at the object `pointer`.
fn plus(pointer: &str, name: &str, value: Json) -> Json {
    let mut draft = draft();
    draft.pointer_mut(pointer).unwrap()[name] = value;
    draft
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_experiments_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let long = "x".repeat(256);
    let variant = |name: &str, weight: f64| json!({"name": name, "weight": weight});
    let mut weighted = plus("", "allocation_strategy", json!("fixed"));
    weighted["elements"][0]["variants"] = json!([
        {"name": "a", "weight": 0.5, "is_control": true}, variant("b", 0.4)
    ]);
    let mut adaptive = weighted.clone();
    adaptive["allocation_strategy"] = json!("adaptive");
    adaptive["elements"][0]["variants"][1]["weight"] = json!(0.5);

    let cases = [
        (json!({}), "422 invalid /name:required /elements:required"),
        (json!([]), "422 invalid :wrong_type"),
        (with("/name", json!("")), "422 invalid /name:required"),
        (with("/name", json!(long)), "422 invalid /name:too_long"),
        (
            with("/name", json!("a\0b")),
            "422 invalid /name:nul_character",
        ),
        (with("/name", json!(7)), "422 invalid /name:wrong_type"),
        (
            plus("", "colour", json!(1)),
            "422 invalid /colour:unknown_field",
        ),
        (
            plus("", "id", json!(NOBODY)),
            "422 invalid /id:unknown_field",
        ),
        (
            with("/elements", json!([])),
            "422 invalid /elements:out_of_range",
        ),
        (
            with("/elements", json!({})),
            "422 invalid /elements:wrong_type",
        ),
        (
            json!({"name": "n", "elements": [draft()["elements"][0], draft()["elements"][0]]}),
            "422 invalid /elements/1/name:duplicate",
        ),
        (
            with("/elements/0/selector/type", json!("jquery")),
            "422 invalid /elements/0/selector/type:unknown_value",
        ),
        (
            with("/elements/0/selector", json!({"value": "#a"})),
            "422 invalid /elements/0/selector/type:required",
        ),
        (
            plus(
                "/elements/0",
                "fallback_selectors",
                json!([{"type": "dom", "value": ""}]),
            ),
            "422 invalid /elements/0/fallback_selectors/0/type:unknown_value \
             /elements/0/fallback_selectors/0/value:required",
        ),
        (
            plus("/elements/0", "element_type", json!("video")),
            "422 invalid /elements/0/element_type:unknown_value",
        ),
        (
            with("/elements/0/variants", json!([])),
            "422 invalid /elements/0/variants:out_of_range /elements/0/variants:one_control",
        ),
        (
            with(
                "/elements/0/variants",
                json!([{"name": "a", "is_control": true}]),
            ),
            "422 invalid /elements/0/variants:out_of_range",
        ),
        (
            with("/elements/0/variants/1/name", json!("grey")),
            "422 invalid /elements/0/variants/1/name:duplicate",
        ),
        (
            plus("/elements/0/variants/1", "is_control", json!(true)),
            "422 invalid /elements/0/variants:one_control",
        ),
        (
            with("/elements/0/variants/0/is_control", json!("yes")),
            "422 invalid /elements/0/variants/0/is_control:wrong_type",
        ),
        (
            weighted,
            "422 invalid /elements/0/variants:weights_do_not_sum",
        ),
        (adaptive, "422 invalid /allocation_strategy:conflict"),
        (
            plus("", "traffic_allocation", json!(1.5)),
            "422 invalid /traffic_allocation:out_of_range",
        ),
        (
            plus("", "traffic_allocation", json!(-0.1)),
            "422 invalid /traffic_allocation:out_of_range",
        ),
        (
            plus("", "target_url", json!("ftp://example.org")),
            "422 invalid /target_url:malformed",
        ),
        (
            plus(
                "",
                "allocation",
                json!({
                    "policy": "luck", "mode": 1, "warm_up": -1, "floor": 0.5, "prior_alpha": 0,
                    "weights": []
                }),
            ),
            "422 invalid /allocation/policy:unknown_value /allocation/mode:wrong_type \
             /allocation/warm_up:wrong_type /allocation/weights:unknown_field \
             /allocation/floor:out_of_range /allocation/prior_alpha:out_of_range",
        ),
        (
            plus(
                "",
                "goals",
                json!([
                    {"name": "g", "default_value": -1}, {"name": "g", "kind": "fame"}
                ]),
            ),
            "422 invalid /goals/1/kind:unknown_value /goals/0/default_value:out_of_range \
             /goals/1/name:duplicate",
        ),
        (
            plus("", "experiment_type", json!("multi_element")),
            "422 invalid /experiment_type:conflict",
        ),
        (
            plus("", "metadata", json!([1])),
            "422 invalid /metadata:wrong_type",
        ),
        // Types and rules, at once.
        (
            json!({
                "name": "", "colour": "red", "target_url": "x",
                "elements": [{"name": 5, "variants": [{"name": "a"}, {"name": "a", "weight": "1"}]}]
            }),
            "422 invalid /elements/0/name:wrong_type /elements/0/variants/1/weight:wrong_type \
             /colour:unknown_field /name:required /target_url:malformed \
             /elements/0/variants/1/name:duplicate",
        ),
    ];
    for (body, expected) in cases {
        let body = body.to_string();
        check(&server, Method::POST, "/v1/experiments", &body, expected).await;
    }
    let texts = [
        ("", "400 malformed_json"),
        ("{\"name\": NaN}", "400 malformed_json"),
        ("{\"name\": \"a\", \"name\": \"b\"}", "400 malformed_json"),
        ("{\"traffic_allocation\": 1e999}", "400 malformed_json"),
    ];
    for (body, expected) in texts {
        check(&server, Method::POST, "/v1/experiments", body, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_visits_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let path = server.started().await;
    let long = "x".repeat(256);
    let cases = [
        ("assign", json!({}), "422 invalid /visitor_id:required"),
        (
            "assign",
            json!({"visitor_id": long}),
            "422 invalid /visitor_id:too_long",
        ),
        (
            "assign",
            json!({"visitor_id": "", "session_id": long, "context": 1, "user": 1}),
            "422 invalid /context:wrong_type /user:unknown_field /visitor_id:required \
             /session_id:too_long",
        ),
        (
            "assign",
            json!({"visitor_id": "v", "context": {"a": "x".repeat(9000)}}),
            "422 invalid /context:too_long",
        ),
        (
            "convert",
            json!({"visitor_id": "v", "value": -0.5}),
            "422 invalid /value:out_of_range",
        ),
        (
            "convert",
            json!({"visitor_id": long, "goal": long, "event_id": long, "value": "1"}),
            "422 invalid /value:wrong_type /visitor_id:too_long /goal:too_long /event_id:too_long",
        ),
        (
            "convert",
            json!({"visitor_id": "stranger"}),
            "404 not_assigned",
        ),
        (
            "assign/batch",
            json!({"requests": []}),
            "422 invalid /requests:out_of_range",
        ),
        ("convert/batch", json!([]), "422 invalid :wrong_type"),
    ];
    for (verb, body, expected) in cases {
        let path = format!("{path}/{verb}");
        check(&server, Method::POST, &path, &body.to_string(), expected).await;
    }
    let body = r#"{"visitor_id":"v","value":NaN}"#;
    check(
        &server,
        Method::POST,
        &format!("{path}/convert"),
        body,
        "400 malformed_json",
    )
    .await;

    let batch = json!({"requests": [
        {"visitor_id": "a"}, {"visitor_id": " "}, {"visitor_id": "a"}, {"x": 1}
    ]});
    let answer = server.post(&format!("{path}/assign/batch"), &batch).await;
    let results = answer.json()["results"].clone();
    let results = results.as_array().unwrap().iter();
    let status = |json: &Json| u16::try_from(json["status"].as_u64().unwrap()).unwrap();
    assert_eq!(
        results
            .map(|json| summary(status(json), json))
            .collect::<Vec<_>>(),
        [
            "200",
            "422 invalid /requests/1/visitor_id:required",
            "200",
            "422 invalid /requests/3/visitor_id:required /requests/3/x:unknown_field",
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wrong_path_method_status_or_query_is_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let id = server.create(&draft()).await;
    let path = format!("/v1/experiments/{id}");
    let visitor = r#"{"visitor_id":"v"}"#;
    let cases = [
        (Method::GET, "/v1/nothing".to_owned(), "", "404 not_found"),
        (Method::GET, NOBODY.to_owned(), "", "404 not_found"),
        (
            Method::GET,
            "/v1/experiments/7".to_owned(),
            "",
            "404 not_found",
        ),
        (Method::GET, "/live/7".to_owned(), "", "404 not_found"),
        (
            Method::POST,
            format!("{NOBODY}/assign"),
            visitor,
            "404 not_found",
        ),
        (
            Method::POST,
            format!("{NOBODY}/convert"),
            visitor,
            "404 not_found",
        ),
        (
            Method::POST,
            format!("{path}/variants/{id}/deactivate"),
            "",
            "404 not_found",
        ),
        (Method::DELETE, path.clone(), "", "405 method_not_allowed"),
        (
            Method::POST,
            format!("{path}/assign"),
            visitor,
            "409 experiment_not_running",
        ),
        (
            Method::POST,
            format!("{path}/convert"),
            visitor,
            "409 experiment_not_running",
        ),
        (
            Method::POST,
            format!("{path}/pause"),
            "",
            "409 illegal_transition",
        ),
        (
            Method::POST,
            format!("{path}/start"),
            "{\"at\":1}",
            "422 invalid /at:unknown_field",
        ),
        (
            Method::POST,
            format!("{path}/complete"),
            "{\"winner\":{\"x\":1}}",
            "422 invalid /winner/x:malformed",
        ),
        (
            Method::GET,
            "/v1/experiments?status=gone&limit=0&page=2".to_owned(),
            "",
            "422 invalid ?status:unknown_value ?limit:out_of_range ?page:unknown_parameter",
        ),
        (
            Method::GET,
            format!("{path}/audit/entries?after=-1"),
            "",
            "422 invalid ?after:out_of_range",
        ),
        (
            Method::PATCH,
            path.clone(),
            "{\"nme\":1}",
            "422 invalid /nme:unknown_field",
        ),
        (
            Method::PATCH,
            path.clone(),
            "{\"name\":\"\",\"traffic_allocation\":2,\"target_url\":null}",
            "422 invalid /name:required /traffic_allocation:out_of_range",
        ),
        (
            Method::PATCH,
            path.clone(),
            "{\"elements\":[]}",
            "422 invalid /elements:out_of_range",
        ),
    ];
    for (method, path, body, expected) in cases {
        check(&server, method, &path, body, expected).await;
    }
    let answer = server.send(
        server
            .request(Method::DELETE, &path)
            .body(Full::default())
            .unwrap(),
    );
    assert_eq!(answer.await.header("allow"), "GET, PATCH, HEAD");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_have_to_be_json_and_not_too_large() {
    let config = HttpConfig {
        body_limit: 1_000,
        ..HttpConfig::default()
    };
    let (server, _database) = server(config).await;
    let large = format!("{{\"name\":\"{}\"}}", "x".repeat(1_000));
    check(
        &server,
        Method::POST,
        "/v1/experiments",
        &large,
        "413 body_too_large",
    )
    .await;

    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
    ] {
        let mut request = server.request(Method::POST, "/v1/experiments");
        request
            .headers_mut()
            .unwrap()
            .insert("content-type", content_type.parse().unwrap());
        let answer = server.send(request.body(Full::from("{}")).unwrap()).await;
        assert_eq!(
            answer.summary(),
            "415 unsupported_media_type",
            "{content_type}"
        );
    }
    let mut request = server.request(Method::POST, "/v1/experiments");
    let json = "Application/JSON; charset=utf-8".parse().unwrap();
    request.headers_mut().unwrap().insert("content-type", json);
    let answer = server.send(request.body(Full::from("[]")).unwrap()).await;
    assert_eq!(answer.summary(), "422 invalid :wrong_type");
}
