//! How answers are made: JSON from a serde value, text, and streams.

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Response, StatusCode,
    header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue},
};
use serde::Serialize;

pub(crate) type Body = Full<Bytes>;

pub(crate) type Reply = Response<Body>;

/// Enough for the answer to one assignment without growing.
const JSON_CAPACITY: usize = 512;

pub(crate) fn full(bytes: Bytes) -> Body {
    Full::new(bytes)
}

/// An answer whose whole body is at hand.
pub(crate) fn content(content_type: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(full(body.into()));
    let content_type = HeaderValue::from_static(content_type);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    reply
}

pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Reply {
    let mut body = Vec::with_capacity(JSON_CAPACITY);
    serde_json::to_writer(&mut body, value)
        .expect("the answers have string keys only, and memory does not fail to be written");
    let mut reply = content("application/json", body);
    *reply.status_mut() = status;
    reply
}

/// The entity tag of a version.
pub(crate) fn etag(version: i64) -> (HeaderName, HeaderValue) {
    let tag = HeaderValue::try_from(format!("\"v{version}\""));
    (ETAG, tag.expect("digits and quotes are legal in a header"))
}
