//! Questions that cannot be answered: about results, about the past, about the future.

use hyper::Method;
use samplit_http::HttpConfig;
use serde_json::json;

use crate::support::{NOBODY, check, draft, server};

#[tokio::test(flavor = "multi_thread")]
async fn bad_questions_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let waiting = format!("/v1/experiments/{}", server.create(&draft()).await);
    let path = server.started().await;
    let long = "x".repeat(256);
    let cases = [
        (
            &path,
            "results?as_of=0&page=1".to_owned(),
            "422 invalid ?as_of:out_of_range ?page:unknown_parameter",
        ),
        (&path, "results?as_of=2".to_owned(), "404 not_found"),
        (
            &path,
            "timeline?evidence=yes&x=1".to_owned(),
            "422 invalid ?evidence:unknown_value ?x:unknown_parameter",
        ),
        (
            &path,
            "weights.svg?element=100".to_owned(),
            "422 invalid ?element:out_of_range",
        ),
        (
            &path,
            "segments?by=device".to_owned(),
            "422 invalid ?key:required ?by:unknown_parameter",
        ),
        (
            &path,
            format!("segments?key={long}"),
            "422 invalid ?key:too_long",
        ),
        (
            &path,
            "combinations?key=a".to_owned(),
            "422 invalid ?key:unknown_parameter",
        ),
        (
            &path,
            "what-if?element=x".to_owned(),
            "422 invalid ?element:out_of_range ?policy:required",
        ),
        (
            &path,
            "what-if?policy=luck&floor=2".to_owned(),
            "422 invalid ?floor:out_of_range ?policy:unknown_value",
        ),
        (
            &path,
            "what-if?policy=even&floor=0.1".to_owned(),
            "422 invalid ?floor:conflict",
        ),
        (
            &path,
            "what-if?policy=even&floor=0.1&shares=0.5,half".to_owned(),
            "422 invalid ?policy:conflict ?floor:conflict ?shares:out_of_range",
        ),
        (&path, "what-if?policy=even".to_owned(), "409 no_visitors"),
        (
            &path,
            "what-if?policy=even&element=1".to_owned(),
            "404 not_found",
        ),
    ];
    for (path, question, expected) in cases {
        check(
            &server,
            Method::GET,
            &format!("{path}/{question}"),
            "",
            expected,
        )
        .await;
    }
    for question in [
        "results",
        "timeline?evidence=true",
        "segments?key=device",
        "combinations",
        "what-if?policy=even",
    ] {
        let of = |path: &str| format!("{path}/{question}");
        let early = "409 experiment_not_running";
        check(&server, Method::GET, &of(&waiting), "", early).await;
        check(&server, Method::GET, &of(NOBODY), "", "404 not_found").await;
    }

    // What depends on the number of arms is judged once there is somebody to judge on.
    let visitor = json!({"visitor_id": "v"});
    server.post(&format!("{path}/assign"), &visitor).await;
    for (query, expected) in [
        ("shares=0.5", "422 invalid ?shares:weights_do_not_sum"),
        (
            "policy=top_two&floor=0.5",
            "422 invalid ?floor:out_of_range",
        ),
    ] {
        let path = format!("{path}/what-if?{query}");
        check(&server, Method::GET, &path, "", expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_forecasts_are_refused() {
    let (server, _database) = server(HttpConfig::default()).await;
    let waiting = server.create(&draft()).await;
    let nobody = NOBODY.rsplit('/').next().unwrap();
    let cases = [
        (
            json!({}),
            "422 invalid /rates:required /visitors_per_day:required",
        ),
        (json!([]), "422 invalid :wrong_type"),
        (
            json!({"rates": [0.1], "visitors_per_day": 0, "days": 0}),
            "422 invalid /rates:out_of_range /days:out_of_range /visitors_per_day:out_of_range",
        ),
        (
            json!({"rates": [0.1, 1], "visitors_per_day": 1_000_000, "days": 5_000_000_000_u64}),
            "422 invalid /rates/1:out_of_range /days:out_of_range /visitors_per_day:out_of_range",
        ),
        // Types and rules, at once.
        (
            json!({
                "rates": [0.1, "x", 2], "visitors_per_day": 1.5, "days": 367, "seed": -1,
                "allocation_strategy": "luck", "stop_at_p_best": 0.5, "min_days": -1,
                "min_visitors_per_arm": "a",
                "allocation": {"floor": 0.4, "prior_alpha": 0, "policy": 3, "x": 1}, "arms": 2
            }),
            "422 invalid /rates/1:wrong_type /visitors_per_day:wrong_type \
             /allocation_strategy:unknown_value /allocation/policy:wrong_type \
             /allocation/x:unknown_field /min_visitors_per_arm:wrong_type /seed:wrong_type \
             /arms:unknown_field /rates/2:out_of_range /days:out_of_range \
             /stop_at_p_best:out_of_range /min_days:out_of_range /allocation/floor:out_of_range \
             /allocation/prior_alpha:out_of_range",
        ),
        (
            json!({"rates": [0.1, 0.2], "visitors_per_day": 10, "allocation": {"floor": 0.5}}),
            "422 invalid /allocation/floor:out_of_range",
        ),
        (
            json!({"rates": [0.1, 0.2], "visitors_per_day": 10, "seed": "a"}),
            "422 invalid /seed:wrong_type",
        ),
        (
            json!({"rates": [0.1, 0.2], "like_experiment": "x", "visitors_per_day": 10}),
            "422 invalid /like_experiment:conflict /like_experiment:unknown_value",
        ),
        (
            json!({"like_experiment": 7, "visitors_per_day": 10}),
            "422 invalid /like_experiment:wrong_type",
        ),
        (
            json!({"like_experiment": nobody, "visitors_per_day": 10}),
            "404 not_found",
        ),
        (
            json!({"like_experiment": waiting, "visitors_per_day": 10}),
            "409 experiment_not_running",
        ),
    ];
    for (body, expected) in cases {
        let body = body.to_string();
        check(&server, Method::POST, "/v1/forecast", &body, expected).await;
    }
    let twice = r#"{"rates": [0.1, 0.2], "rates": []}"#;
    check(
        &server,
        Method::POST,
        "/v1/forecast",
        twice,
        "400 malformed_json",
    )
    .await;
}
