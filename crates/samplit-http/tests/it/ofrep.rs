//! OFREP: experiments as flags, in the words of the protocol.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use http_body_util::Full;
use hyper::{Method, StatusCode};
use samplit_http::HttpConfig;
use serde_json::{Value as Json, json};

use crate::pages::{rows, step};
use crate::support::{Answer, Server, draft, server};

const FLAGS: &str = "/ofrep/v1/evaluate/flags";

/// A running experiment with a key.
pub(crate) async fn flag(server: &Server, key: &str, change: impl FnOnce(&mut Json)) -> String {
    let mut draft = draft();
    draft["key"] = key.into();
    draft["traffic_allocation"] = 1.into();
    change(&mut draft);
    let id = server.create(&draft).await;
    step(server, &id, "start", json!({})).await;
    id
}

async fn evaluate(server: &Server, key: &str, context: Json) -> Answer {
    server
        .post(&format!("{FLAGS}/{key}"), &json!({"context": context}))
        .await
}

fn failure(answer: &Answer) -> (u16, String) {
    let json = answer.json();
    let details = json["errorDetails"].as_str().unwrap();
    assert!(!details.is_empty());
    (
        answer.status.as_u16(),
        json["errorCode"].as_str().unwrap().to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flag_is_a_draw_that_stays() {
    let (server, database) = server(HttpConfig::default()).await;
    let id = flag(&server, "buy-button", |_| ()).await;
    let first = evaluate(&server, "buy-button", json!({"targetingKey": "ann"})).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    let first = first.json();
    assert_eq!(
        (&first["key"], &first["reason"]),
        (&json!("buy-button"), &json!("SPLIT"))
    );
    let variant = first["variant"].as_str().unwrap();
    assert_eq!(first["value"], json!({"class": variant}));
    assert_eq!(first["metadata"]["experiment_id"], json!(id));
    assert_eq!(first["metadata"]["in_experiment"], true);
    assert!(first["metadata"]["assignment_id"].is_string());
    assert_eq!(
        evaluate(&server, "buy-button", json!({"targetingKey": "ann"}))
            .await
            .json(),
        first
    );
    // By its id it is the same flag, but for what it is called.
    let by_id = evaluate(&server, &id, json!({"targetingKey": "ann"}))
        .await
        .json();
    assert_eq!(
        (&by_id["key"], &by_id["value"]),
        (&json!(id), &first["value"])
    );
    assert_eq!(rows(&database, "assignments").await, 1);

    // `X-API-Key` opens as well, and parameters of the media type do not matter.
    let request = hyper::Request::post(format!("http://{}{FLAGS}/buy-button", server.public))
        .header("x-api-key", &server.key)
        .header("content-type", "application/json; charset=utf-8")
        .body(Full::from(
            json!({"context": {"targetingKey": "ann"}}).to_string(),
        ));
    assert_eq!(server.send(request.unwrap()).await.json(), first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_says_how_a_value_came_about() {
    let (server, database) = server(HttpConfig::default()).await;
    let plain = flag(&server, "plain", |draft| {
        for (variant, value) in [json!(false), json!(true)].into_iter().enumerate() {
            draft["elements"][0]["variants"][variant]["content"] = value;
        }
    })
    .await;
    let outside = |answer: Json| {
        let word = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let metadata = &answer["metadata"];
        assert_eq!(metadata["in_experiment"], false);
        (
            word(&answer["reason"]),
            word(&metadata["not_recorded"]),
            answer["value"].clone(),
        )
    };
    let told = |reason: &str, why: &str, value: Json| (reason.to_owned(), why.to_owned(), value);
    let bot = json!({"targetingKey": "bot", "user_agent": "curl/8.0"});
    let answer = evaluate(&server, "plain", bot).await.json();
    assert_eq!(outside(answer), told("STATIC", "bot", json!(false)));
    let readonly = json!({"targetingKey": "new", "samplit_read_only": true});
    let answer = evaluate(&server, "plain", readonly).await.json();
    assert_eq!(outside(answer), told("STATIC", "read_only", json!(false)));
    step(&server, &plain, "pause", json!({})).await;
    let new = json!({"targetingKey": "new"});
    let answer = evaluate(&server, "plain", new.clone()).await.json();
    assert_eq!(outside(answer), told("DISABLED", "paused", json!(false)));
    step(&server, &plain, "complete", json!({})).await;
    let answer = evaluate(&server, "plain", new.clone()).await.json();
    assert_eq!(outside(answer), told("STATIC", "completed", json!(false)));
    step(&server, &plain, "archive", json!({})).await;
    let gone = evaluate(&server, "plain", new.clone()).await;
    assert_eq!(failure(&gone), (404, "FLAG_NOT_FOUND".to_owned()));
    assert_eq!(rows(&database, "assignments").await, 0);

    // Nothing to show is the default of the caller; several elements are an object.
    flag(&server, "nothing", |draft| {
        for variant in 0..2 {
            draft["elements"][0]["variants"][variant]["content"] = Json::Null;
        }
    })
    .await;
    let answer = evaluate(&server, "nothing", new.clone()).await.json();
    assert_eq!(answer.get("value"), None);
    flag(&server, "two", |draft| {
        let mut second = draft["elements"][0].clone();
        second["name"] = "title".into();
        draft["elements"].as_array_mut().unwrap().push(second);
    })
    .await;
    let answer = evaluate(&server, "two", new).await.json();
    assert!(answer["value"]["buy"].is_object() && answer["value"]["title"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_be_told_to_store_nothing() {
    let config = HttpConfig {
        ofrep_read_only: true,
        ..HttpConfig::default()
    };
    let (server, database) = server(config).await;
    let id = flag(&server, "buy-button", |_| ()).await;
    // The control is grey; somebody who is known to see green keeps it.
    let mut green = None;
    for visitor in 0..64 {
        let visitor = format!("v{visitor}");
        let path = format!("/v1/experiments/{id}/assign");
        server.post(&path, &json!({"visitor_id": visitor})).await;
        let answer = evaluate(&server, "buy-button", json!({"targetingKey": visitor}))
            .await
            .json();
        assert_eq!(answer["reason"], "SPLIT");
        if answer["variant"] == "green" {
            green = Some(visitor);
            break;
        }
    }
    assert!(green.is_some());
    let known = rows(&database, "assignments").await;
    let answer = evaluate(&server, "buy-button", json!({"targetingKey": "new"}))
        .await
        .json();
    assert_eq!(
        (&answer["variant"], &answer["reason"]),
        (&json!("grey"), &json!("STATIC"))
    );
    assert_eq!(rows(&database, "assignments").await, known);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_shapes_of_the_protocol() {
    let (server, _database) = server(HttpConfig::default()).await;
    flag(&server, "buy-button", |_| ()).await;
    let mut unstarted = draft();
    unstarted["key"] = "unstarted".into();
    server.create(&unstarted).await;
    for key in [
        "unknown",
        "unstarted",
        "0197f0a0-0000-7000-8000-000000000001",
    ] {
        let answer = evaluate(&server, key, json!({"targetingKey": "ann"})).await;
        assert_eq!(failure(&answer), (404, "FLAG_NOT_FOUND".to_owned()));
        assert_eq!(answer.json()["key"], key);
    }
    for (body, code) in [
        ("{", "PARSE_ERROR"),
        ("[]", "PARSE_ERROR"),
        ("{}", "TARGETING_KEY_MISSING"),
        (r#"{"context":{}}"#, "TARGETING_KEY_MISSING"),
        (
            r#"{"context":{"targetingKey":""}}"#,
            "TARGETING_KEY_MISSING",
        ),
        (r#"{"context":7}"#, "INVALID_CONTEXT"),
        (r#"{"context":{"targetingKey":7}}"#, "INVALID_CONTEXT"),
        (
            r#"{"context":{"targetingKey":"erased:1"}}"#,
            "INVALID_CONTEXT",
        ),
        (
            r#"{"context":{"targetingKey":"a","samplit_read_only":1}}"#,
            "INVALID_CONTEXT",
        ),
    ] {
        for path in [format!("{FLAGS}/buy-button"), FLAGS.to_owned()] {
            let request = server.request(Method::POST, &path);
            let answer = server.send(request.body(Full::from(body)).unwrap()).await;
            assert_eq!(failure(&answer), (400, code.to_owned()), "{path} {body}");
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.json().get("key").is_some(), path != FLAGS);
        }
    }
    let request = hyper::Request::post(format!("http://{}{FLAGS}", server.public))
        .header("x-api-key", format!("sk_{}", "x".repeat(43)))
        .body(Full::default());
    let answer = server.send(request.unwrap()).await;
    assert_eq!(failure(&answer), (401, "GENERAL".to_owned()));
    assert!(answer.headers.contains_key("www-authenticate"));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_flags_at_once_are_sent_again_only_when_they_changed() {
    let (server, database) = server(HttpConfig::default()).await;
    flag(&server, "b", |_| ()).await;
    let paused = flag(&server, "a", |_| ()).await;
    // Without a key it is no flag.
    let id = server.create(&draft()).await;
    step(&server, &id, "start", json!({})).await;

    let body = json!({"context": {"targetingKey": "ann"}});
    let first = server.post(FLAGS, &body).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text());
    let flags = first.json()["flags"].clone();
    let keys: Vec<&Json> = flags
        .as_array()
        .unwrap()
        .iter()
        .map(|flag| &flag["key"])
        .collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(rows(&database, "assignments").await, 2);
    let again = async |tag: &str| {
        let request = server
            .request(Method::POST, FLAGS)
            .header("if-none-match", tag);
        let body = Full::from(body.to_string());
        server.send(request.body(body).unwrap()).await
    };
    let tag = first.header("etag");
    let same = again(tag).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);
    assert!(same.body.is_empty());
    assert_eq!(same.header("etag"), tag);
    assert_eq!(again("\"other\"").await.status, StatusCode::OK);
    // What clients of event streams add (0.3) is passed over.
    let told = server
        .post(
            &format!("{FLAGS}?flagConfigEtag=x&flagConfigLastModified=1"),
            &body,
        )
        .await;
    assert_eq!((told.status, told.header("etag")), (StatusCode::OK, tag));

    step(&server, &paused, "pause", json!({})).await;
    step(&server, &paused, "complete", json!({})).await;
    let changed = again(tag).await;
    assert_eq!(changed.status, StatusCode::OK);
    assert_eq!(changed.json()["flags"][0]["reason"], "STATIC");
}
