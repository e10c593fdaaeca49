//! Whatever a server answers in any test, the document says that it may.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::{
    collections::{BTreeSet, HashMap},
    io::Read as _,
    sync::{Arc, LazyLock},
};

use flate2::read::GzDecoder;
use http_body_util::Full;
use hyper::{Method, StatusCode};
use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::support::{Answer, server};

/// The document, in which no object has fields that are not named.
static STRICT: LazyLock<Json> = LazyLock::new(|| {
    let mut document = samplit_http::document().clone();
    let mut parts = BTreeSet::new();
    find_parts(&document, &mut parts);
    for item in document["paths"].as_object_mut().unwrap().values_mut() {
        close(item, false);
    }
    let components = document["components"]["schemas"].as_object_mut();
    for (name, schema) in components.unwrap() {
        close(schema, parts.contains(name));
    }
    document
});

static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The names of the components that are a part of something larger.
fn find_parts(schema: &Json, parts: &mut BTreeSet<String>) {
    for part in schema["allOf"].as_array().into_iter().flatten() {
        if let Some(reference) = part["$ref"].as_str() {
            parts.insert(reference.rsplit('/').next().unwrap().to_owned());
        }
    }
    match schema {
        Json::Object(map) => map.values().for_each(|inner| find_parts(inner, parts)),
        Json::Array(items) => items.iter().for_each(|inner| find_parts(inner, parts)),
        _ => {}
    }
}

fn close(schema: &mut Json, is_part: bool) {
    match schema {
        Json::Object(map) => {
            let is_whole = map.contains_key("allOf");
            let names_fields = map
                .get("properties")
                .is_some_and(|p| p.as_object().is_some_and(|fields| !fields.is_empty()));
            let is_schema = is_whole || (names_fields && map.get("type").is_some());
            for (name, inner) in map.iter_mut() {
                // Of a part, each of several choices is as much a part.
                let is_choice = is_part && matches!(name.as_str(), "oneOf" | "anyOf");
                close(inner, is_choice || (is_whole && name == "allOf"));
            }
            if is_schema && !is_part && !map.contains_key("additionalProperties") {
                map.insert("unevaluatedProperties".to_owned(), false.into());
            }
        }
        Json::Array(items) => items.iter_mut().for_each(|inner| close(inner, is_part)),
        _ => {}
    }
}

/// The pattern of the route that answers, as far as the document describes it.
fn pattern(method: &Method, path: &str) -> Option<&'static str> {
    let asked: Vec<&str> = path.split('/').collect();
    let fits = |pattern: &str| {
        let parts: Vec<&str> = pattern.split('/').collect();
        parts.len() == asked.len()
            && parts
                .iter()
                .zip(&asked)
                .all(|(part, asked)| match part.split_once('{') {
                    None => part == asked,
                    Some((before, rest)) => {
                        let after = rest.split_once('}').unwrap().1;
                        asked.len() > before.len() + after.len()
                            && asked.starts_with(before)
                            && asked.ends_with(after)
                    }
                })
    };
    let pages = samplit_http::pages().into_iter();
    let routes = samplit_http::routes().into_iter().chain(pages);
    let mut fitting: Vec<_> = routes
        .filter(|(of, pattern)| of == method && fits(pattern))
        .collect();
    // A word goes before a parameter.
    fitting.sort_by_key(|(_, pattern)| pattern.matches('{').count());
    let (_, pattern) = *fitting.first()?;
    let is_described = STRICT["paths"].get(pattern).is_some();
    is_described.then_some(pattern)
}

/// Panics if the document does not say that this may be answered.
pub(crate) fn check(method: &Method, path: &str, answer: &Answer) {
    let asked = if method == Method::HEAD {
        &Method::GET
    } else {
        method
    };
    let Some(pattern) = pattern(asked, path) else {
        return;
    };
    let status = answer.status.as_u16().to_string();
    let verb = asked.as_str().to_lowercase();
    let shown = || format!("{method} {path} {status}: {:?}", answer.body);
    let described = &STRICT["paths"][pattern][&verb]["responses"][&status];
    assert!(described.is_object(), "not in the document: {}", shown());
    if method == Method::HEAD {
        return;
    }
    let Some(content) = described["content"].as_object() else {
        assert!(
            answer.body.is_empty(),
            "the document has no body: {}",
            shown()
        );
        return;
    };
    let kind = answer.header("content-type");
    let essence = kind.split(';').next().unwrap().trim();
    assert!(
        content.contains_key(essence),
        "of another type, {kind}: {}",
        shown()
    );
    if !essence.ends_with("/json") && !essence.ends_with("+json") {
        return;
    }
    // Of what is compressed the test looks at the content that asked for it.
    if answer.headers.contains_key("content-encoding") {
        return;
    }
    let escape = |part: &str| part.replace('~', "~0").replace('/', "~1");
    let (pattern, essence) = (escape(pattern), escape(essence));
    let pointer = format!("/paths/{pattern}/{verb}/responses/{status}/content/{essence}/schema");
    let validator = validator(pointer);
    let body: Json = serde_json::from_slice(&answer.body).unwrap();
    let errors = validator.iter_errors(&body);
    let errors: Vec<String> = errors
        .map(|e| format!("{} at {}", e, e.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}: {}", shown());
}

fn validator(pointer: String) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock();
    let made = validators.entry(pointer).or_insert_with_key(|pointer| {
        let schema = STRICT.pointer(pointer).unwrap();
        // What it refers to stands at the same place as in the document.
        let whole = json!({"allOf": [schema], "components": STRICT["components"]});
        Arc::new(jsonschema::draft202012::new(&whole).unwrap())
    });
    Arc::clone(made)
}

#[tokio::test]
async fn the_document_is_served_and_its_examples_are_right() {
    let (server, _database) = server(samplit_http::HttpConfig::default()).await;
    let answer = server.get("/openapi.json").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(&answer.json(), samplit_http::document());
    let mut wrong = Vec::new();
    for (path, item) in STRICT["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let request = operation.pointer("/requestBody/content");
            let responses = operation["responses"].as_object().unwrap().values();
            let contents = responses.filter_map(|response| response.get("content"));
            for content in request.into_iter().chain(contents) {
                for media in content.as_object().unwrap().values() {
                    let Some(example) = media.get("example") else {
                        continue;
                    };
                    let whole = json!({
                        "allOf": [media["schema"]], "components": STRICT["components"],
                    });
                    let validator = jsonschema::draft202012::new(&whole).unwrap();
                    let errors = validator.iter_errors(example);
                    wrong.extend(errors.map(|error| format!("{method} {path}: {error}")));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_document_is_sent_small_and_once() {
    let (server, _database) = server(samplit_http::HttpConfig::default()).await;
    let get = async |accepted: &str, known: &str| {
        let request = server.request(Method::GET, "/openapi.json");
        let request = request
            .header("accept-encoding", accepted)
            .header("if-none-match", known);
        server.send(request.body(Full::default()).unwrap()).await
    };
    let (plain, small) = (get("identity", "").await, get("gzip", "").await);
    assert_eq!(small.header("content-encoding"), "gzip");
    assert_eq!(small.header("vary"), "Accept-Encoding");
    assert!(
        small.body.len() * 8 < plain.body.len(),
        "{}",
        small.body.len()
    );
    let mut unpacked = Vec::new();
    GzDecoder::new(&small.body[..])
        .read_to_end(&mut unpacked)
        .unwrap();
    assert!(unpacked == plain.body);
    for (accepted, answer) in [("identity", plain), ("gzip", small)] {
        let again = get(accepted, answer.header("etag")).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{accepted}");
        assert!(again.body.is_empty());
    }
}

#[tokio::test]
async fn the_document_answers_for_no_undocumented_answer() {
    let (server, _database) = server(samplit_http::HttpConfig::default()).await;
    let answer = server.get("/v1/keys").await;
    let mut body = answer.json();
    body["data"][0]["secret"] = "x".into();
    let altered = Answer {
        body: body.to_string().into(),
        ..answer
    };
    let checked = std::panic::catch_unwind(|| check(&Method::GET, "/v1/keys", &altered));
    assert!(checked.is_err(), "an unnamed field passes");
}
