//! How answers are made: JSON from a serde value, text, and streams.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use http_body_util::{BodyExt as _, Either, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{CONTENT_TYPE, ETAG, HeaderValue},
};
use ring::digest;
use samplit_engine::Error;
use serde::Serialize;

/// Nearly every body is in memory; only the bundle is a stream.
pub(crate) type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Error>>;

pub(crate) type Reply = Response<Body>;

/// Enough for the answer to one assignment without growing.
const JSON_CAPACITY: usize = 512;

pub(crate) fn full(bytes: Bytes) -> Body {
    Either::Left(Full::new(bytes))
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

/// A streamed answer. Its first part is waited for, so that a refusal is still a status.
pub(crate) async fn stream(
    content_type: &'static str,
    parts: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
) -> Result<Reply, Error> {
    let mut parts = Box::pin(parts);
    let first = parts.next().await.transpose()?;
    let first = futures_util::stream::iter(first.map(Ok));
    let body = StreamBody::new(first.chain(parts).map_ok(Frame::data));
    let mut reply = Response::new(Either::Right(body.boxed_unsync()));
    let content_type = HeaderValue::from_static(content_type);
    reply.headers_mut().insert(CONTENT_TYPE, content_type);
    Ok(reply)
}

/// An answer that says nothing but its status.
pub(crate) fn empty(status: StatusCode) -> Reply {
    let mut reply = Response::new(full(Bytes::new()));
    *reply.status_mut() = status;
    reply
}

/// The entity tag of what an answer says.
pub(crate) fn content_tag(content: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, content);
    format!("\"{}\"", &URL_SAFE_NO_PAD.encode(hash)[..22])
}

/// The entity tag of a version. `moving` are numbers that the answer shows and that move without a new
/// version; as long as they are all 0 they are left out.
pub(crate) fn etag(version: i64, moving: &[i64]) -> HeaderValue {
    let mut tag = format!("\"v{version}");
    if moving.iter().any(|number| *number != 0) {
        for number in moving {
            tag.push_str(&format!(".{number}"));
        }
    }
    tag.push('"');
    HeaderValue::try_from(tag).expect("digits, dots and quotes are legal in a header")
}

/// An answer with its entity tag.
pub(crate) fn tagged(mut reply: Reply, tag: HeaderValue) -> Reply {
    reply.headers_mut().insert(ETAG, tag);
    reply
}
