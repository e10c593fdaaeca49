//! Compressing for clients that take gzip what is the same for many of them: once per process and
//! content.

use std::io::Write as _;

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use hyper::{
    StatusCode,
    header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY},
};
use moka::sync::Cache;

use crate::{
    call::Call,
    response::{Reply, content, content_tag, empty},
};

/// The most contents whose compressed form is kept; of snippets that is 8 MiB.
const KEPT: u64 = 1_000;

/// Contents that were compressed, by their entity tag.
#[derive(Debug)]
pub(crate) struct Gzipped(Cache<String, Bytes>);

impl Gzipped {
    pub(crate) fn new() -> Self {
        Self(Cache::new(KEPT))
    }

    fn of(&self, tag: &str, plain: &[u8]) -> Bytes {
        self.0.get_with(tag.to_owned(), || {
            let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
            gzip.write_all(plain)
                .and_then(|()| gzip.finish())
                .expect("memory does not fail to be written")
                .into()
        })
    }
}

/// A text as the client takes it, with an entity tag for each form, or 304 where it has that one.
pub(crate) fn negotiated(call: &Call, content_type: &'static str, plain: String) -> Reply {
    let tag = content_tag(plain.as_bytes());
    negotiated_as(call, content_type, plain.into(), &tag)
}

/// As [`negotiated`], of what has the entity tag `plain_tag` as it is.
pub(crate) fn negotiated_as(
    call: &Call,
    content_type: &'static str,
    plain: Bytes,
    plain_tag: &str,
) -> Reply {
    let is_small = takes_gzip(&call.head.headers);
    let tag = if is_small {
        format!("{}.gz\"", plain_tag.trim_end_matches('"'))
    } else {
        plain_tag.to_owned()
    };
    let is_known = call.knows(&tag);
    let mut reply = if is_known {
        empty(StatusCode::NOT_MODIFIED)
    } else if is_small {
        content(content_type, call.app.gzipped.of(plain_tag, &plain))
    } else {
        content(content_type, plain)
    };
    let headers = reply.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if is_small && !is_known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let tag = HeaderValue::try_from(tag).expect("base64 in quotes is legal in a header");
    headers.insert(ETAG, tag);
    reply
}

/// Whether a client takes gzip (RFC 9110, section 12.5.3). One that says nothing may not.
fn takes_gzip(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter();
    let codings = lines.flat_map(|line| line.to_str().unwrap_or_default().split(','));
    let (mut gzip, mut any) = (None, false);
    for coding in codings {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().to_ascii_lowercase();
        let weight = weight.strip_prefix("q=").unwrap_or("1");
        let is_taken = weight.trim().parse().is_ok_and(|weight: f32| weight > 0.0);
        match name.trim() {
            "*" => any = is_taken,
            name if name.eq_ignore_ascii_case("gzip") => gzip = Some(is_taken),
            _ => {}
        }
    }
    gzip.unwrap_or(any)
}

#[cfg(test)]
mod tests {
    use hyper::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};

    use super::takes_gzip;

    #[test]
    fn only_who_says_so_takes_gzip() {
        for (lines, expected) in [
            (&[][..], false),
            (&[""], false),
            (&["gzip"], true),
            (&["br, gzip, zstd"], true),
            (&["br", "gzip"], true),
            (&["GZip ; Q=0.001"], true),
            (&["gzip;q=0"], false),
            (&["gzip; q=0.000, *"], false),
            (&["*"], true),
            (&["*;q=0"], false),
            (&["identity"], false),
            (&["gzip;q=nonsense"], false),
            (&["xgzip"], false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(takes_gzip(&headers), expected, "{lines:?}");
        }
    }
}
