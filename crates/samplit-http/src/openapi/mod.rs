//! The document that describes the API: OpenAPI 3.1, made from the types that are serialised.

mod bodies;
mod example;
mod operation;
mod operations;
mod page;
#[cfg(test)]
mod tests;

pub(crate) use page::{docs, stylesheet};

use std::{collections::BTreeSet, sync::LazyLock};

use bytes::Bytes;
use serde_json::{Map, Value as Json, json};

use crate::{
    call::Call,
    gzip,
    problem::{Document, Problem},
    response::{Reply, content_tag},
};

const SECTIONS: [(&str, &str); 12] = [
    (
        operations::EXPERIMENTS,
        "Make experiments, start and end them.",
    ),
    (
        operations::VISITORS,
        "Which variant a visitor gets, and that the visitor converted.",
    ),
    (operations::RESULTS, "What came of it, and what may come."),
    (operations::TRAIL, "The audit trail, and what proves it."),
    (
        operations::FLAGS,
        "Experiments as feature flags, by the OpenFeature Remote Evaluation Protocol.",
    ),
    (
        operations::FUNNELS,
        "Paths through a site, and who gets how far.",
    ),
    (
        operations::SITES,
        "Installations on sites, what their pages ask, and shops.",
    ),
    (
        operations::LEADS,
        "What people leave in forms on sites, and what becomes of it.",
    ),
    (operations::EXCLUSIONS, "Rules that keep visits out."),
    (operations::WEBHOOKS, "News that are sent to other servers."),
    (
        operations::ACCOUNTS,
        "Accounts, sessions, API keys, activity.",
    ),
    (operations::FILES, "Pages and files for browsers."),
];

static DOCUMENT: LazyLock<Json> = LazyLock::new(|| put_together(operations::all()));
/// The text, with its entity tag.
static TEXT: LazyLock<(Bytes, String)> = LazyLock::new(|| {
    let text = DOCUMENT.to_string();
    let tag = content_tag(text.as_bytes());
    (text.into(), tag)
});

/// The document that is served at `/openapi.json`.
#[must_use]
pub fn document() -> &'static Json {
    &DOCUMENT
}

/// `GET /openapi.json`
pub(crate) fn openapi(call: &Call) -> Result<Reply, Problem> {
    call.query().finish()?;
    let (text, tag) = &*TEXT;
    let kind = "application/json";
    Ok(gzip::negotiated_as(call, kind, text.clone(), tag))
}

/// # Panics
/// If two types have one name, which every test would show.
fn put_together(operations: Vec<operation::Operation>) -> Json {
    let mut components = Map::new();
    let mut asked = BTreeSet::new();
    let mut paths: Map<String, Json> = Map::new();
    let (problem, mut inner) = operation::schemas::<Document<'_>>();
    inner.push(("Problem".to_owned(), problem));
    for operation in operations {
        inner.extend(operation.components.iter().cloned());
        asked.extend(operation.asked.iter().cloned());
        let (path, method, entry) = operation.into_entry();
        let item = paths.entry(path).or_insert_with(|| json!({}));
        item[method] = entry;
    }
    for (name, schema) in inner {
        let known = components
            .entry(name.clone())
            .or_insert_with(|| schema.clone());
        assert_eq!(*known, schema, "two types are called {name}");
    }
    for name in asked {
        if let Some(schema) = components.get_mut(&name) {
            close(schema);
        }
    }
    let mut components = Json::Object(components);
    let mut paths = Json::Object(paths);
    for part in [&mut components, &mut paths] {
        allow_null(part);
    }
    for operation in operations_mut(&mut paths) {
        add_examples(operation, &components);
    }
    let tags =
        SECTIONS.map(|(name, description)| json!({"name": name, "description": description}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Samplit",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Adaptive experiments with an audit trail. A refusal is a problem document \
                (RFC 9457) with a stable `code`, the `request_id`, and every bad field in `errors`. \
                Unknown fields, unknown parameters and repeated keys are refused.",
            "license": {"name": "MIT OR Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer", "description": "An API key, `sk_...`."},
                "flag_key": {"type": "apiKey", "in": "header", "name": "X-API-Key",
                    "description": "An API key, where OFREP is spoken."},
                "session": {"type": "apiKey", "in": "cookie", "name": "__Host-samplit_session",
                    "description": "The cookie of who is signed in. What changes something has to come \
                        from a page of this server."},
                "editor": {"type": "http", "scheme": "bearer",
                    "description": "The token of a link that opens the editor, `edit....`."},
            },
        },
    })
}

/// Says "null or" by `anyOf`: where anything will do, null is both, and `oneOf` would refuse it.
fn allow_null(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            let is_null = |choice: &Json| choice["type"] == "null";
            let choices = map.get("oneOf").and_then(Json::as_array);
            if choices.is_some_and(|choices| choices.iter().any(is_null))
                && let Some(choices) = map.remove("oneOf")
            {
                map.insert("anyOf".to_owned(), choices);
            }
            map.values_mut().for_each(allow_null);
        }
        Json::Array(items) => items.iter_mut().for_each(allow_null),
        _ => {}
    }
}

fn operations_mut(paths: &mut Json) -> impl Iterator<Item = &mut Json> {
    let items = paths.as_object_mut().into_iter().flat_map(Map::values_mut);
    let items = items.filter_map(Json::as_object_mut);
    items.flat_map(|item| item.values_mut())
}

/// Says that objects have no other fields than those that are named.
fn close(schema: &mut Json) {
    match schema {
        Json::Object(map) => {
            if map.contains_key("properties") {
                map.entry("additionalProperties")
                    .or_insert(Json::Bool(false));
            }
            map.values_mut().for_each(close);
        }
        Json::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

/// An example of every body, asked and answered, that is JSON.
fn add_examples(operation: &mut Json, components: &Json) {
    let add = |content: &mut Json| {
        for (kind, media) in content.as_object_mut().into_iter().flatten() {
            if kind.ends_with("json") && media.get("example").is_none() {
                media["example"] = example::of(&media["schema"], components);
            }
        }
    };
    if let Some(content) = operation.pointer_mut("/requestBody/content") {
        add(content);
    }
    let responses = operation["responses"].as_object_mut();
    for response in responses.into_iter().flat_map(Map::values_mut) {
        if let Some(content) = response.get_mut("content") {
            add(content);
        }
    }
}
