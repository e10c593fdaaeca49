//! The document for people: one page, made on the server, that loads nothing from elsewhere.

use std::sync::LazyLock;

use askama::Template;
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use serde_json::Value as Json;

use super::document;
use crate::response::{Reply, content};

const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
     frame-ancestors 'none'",
);

static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let page = DocsPage::of(document());
    let html = page.render();
    Bytes::from(html.expect("the template is checked at compile time"))
});

#[derive(Template)]
#[template(path = "docs.html")]
struct DocsPage<'d> {
    about: String,
    version: &'d str,
    sections: Vec<Section<'d>>,
}

struct Section<'d> {
    name: &'d str,
    about: &'d str,
    operations: Vec<Shown<'d>>,
}

/// One operation.
struct Shown<'d> {
    id: &'d str,
    method: String,
    path: &'d str,
    summary: &'d str,
    auth: &'static str,
    parameters: Vec<Parameter<'d>>,
    request: Option<String>,
    answers: Vec<Answer<'d>>,
}

struct Parameter<'d> {
    name: &'d str,
    place: &'d str,
    required: bool,
    about: String,
}

struct Answer<'d> {
    status: &'d str,
    about: String,
    /// Of what succeeds, an example.
    example: Option<String>,
}

/// `GET /docs`
pub(crate) fn docs() -> Reply {
    let mut reply = content("text/html; charset=utf-8", PAGE.clone());
    reply.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    reply
}

/// `GET /assets/docs.css`
pub(crate) fn stylesheet() -> Reply {
    let style = include_str!("../../assets/docs.css");
    let mut reply = content("text/css; charset=utf-8", style);
    let fresh = HeaderValue::from_static("public, max-age=60");
    reply.headers_mut().insert(CACHE_CONTROL, fresh);
    reply
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

/// Text without the marks of Markdown.
fn plain(json: &Json) -> String {
    text(json).replace('`', "")
}

/// The JSON in `content`, as it may be.
fn example(content: &Json) -> Option<String> {
    let media = content.as_object()?.values().next()?;
    serde_json::to_string_pretty(media.get("example")?).ok()
}

impl<'d> DocsPage<'d> {
    fn of(document: &'d Json) -> Self {
        let tags = document["tags"].as_array().into_iter().flatten();
        let sections = tags.map(|tag| Section {
            name: text(&tag["name"]),
            about: text(&tag["description"]),
            operations: operations(document, text(&tag["name"])),
        });
        Self {
            about: plain(&document["info"]["description"]),
            version: text(&document["info"]["version"]),
            sections: sections.collect(),
        }
    }
}

fn operations<'d>(document: &'d Json, tag: &str) -> Vec<Shown<'d>> {
    let mut shown = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            if operation["tags"][0] == tag {
                shown.push(Shown::of(path, method, operation));
            }
        }
    }
    shown
}

impl<'d> Shown<'d> {
    fn of(path: &'d str, method: &str, operation: &'d Json) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let answers = operation["responses"].as_object().into_iter().flatten();
        Self {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path,
            summary: text(&operation["summary"]),
            auth: match operation["security"].as_array().map_or(0, Vec::len) {
                0 => "no key",
                _ if operation["security"][0].get("editor").is_some() => "the token of a link",
                1 => "signed in",
                _ => "API key or signed in",
            },
            parameters: parameters
                .map(|parameter| Parameter {
                    name: text(&parameter["name"]),
                    place: text(&parameter["in"]),
                    required: parameter["required"] == true,
                    about: plain(&parameter["description"]),
                })
                .collect(),
            request: example(&operation["requestBody"]["content"]),
            answers: answers
                .map(|(status, answer)| Answer {
                    status,
                    about: plain(&answer["description"]),
                    example: example(&answer["content"]).filter(|_| status.starts_with('2')),
                })
                .collect(),
        }
    }
}
