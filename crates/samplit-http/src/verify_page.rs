//! The page that verifies a bundle in the browser: one file that loads nothing, so that a copy on
//! disk does the same. It is put together from `assets/verify` once, and knows nothing of the server.

use std::sync::LazyLock;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use ring::digest;

use crate::response::{Reply, content};

const FRAME: &str = include_str!("../assets/verify/index.html");
const STYLE: &str = include_str!("../assets/verify/verify.css");
const SCRIPT: &str = concat!(
    include_str!("../assets/verify/page.js"),
    include_str!("../assets/verify/result.js"),
);
/// What the worker runs.
const LOGIC: &str = concat!(
    include_str!("../assets/verify/sha256.js"),
    include_str!("../assets/verify/cursor.js"),
    include_str!("../assets/verify/note.js"),
    include_str!("../assets/verify/payload.js"),
    include_str!("../assets/verify/replay.js"),
    include_str!("../assets/verify/verifier.js"),
    include_str!("../assets/verify/bundle.js"),
    include_str!("../assets/verify/worker.js"),
);

struct Page {
    html: Bytes,
    policy: HeaderValue,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    // The only script and the only style are those of the page, by their hashes. There is no
    // connect-src: nothing can be sent. A worker from a blob inherits all of it.
    let policy = format!(
        "default-src 'none'; script-src '{}'; style-src '{}'; worker-src blob:; img-src data:; \
         base-uri 'none'; form-action 'none'",
        source(SCRIPT),
        source(STYLE),
    );
    let html = FRAME
        .replace("{{policy}}", &policy)
        .replace("{{style}}", STYLE)
        .replace("{{logic}}", LOGIC)
        .replace("{{page}}", SCRIPT);
    // This one directive means something in a header only.
    let header = format!("{policy}; frame-ancestors 'none'");
    Page {
        html: html.into(),
        policy: HeaderValue::try_from(header).expect("a policy is printable ASCII"),
    }
});

/// A source expression that allows exactly `text`.
fn source(text: &str) -> String {
    let hash = digest::digest(&digest::SHA256, text.as_bytes());
    format!("sha256-{}", STANDARD.encode(hash))
}

/// `GET /verify`
pub(crate) fn verify() -> Reply {
    let mut reply = content("text/html; charset=utf-8", PAGE.html.clone());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, PAGE.policy.clone());
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=60"),
    );
    reply
}

#[cfg(test)]
mod tests {
    use hyper::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};

    use super::{LOGIC, PAGE, SCRIPT, STYLE, verify};

    #[test]
    fn the_page_is_whole_and_names_nothing_to_load() {
        let html = std::str::from_utf8(&PAGE.html).unwrap();
        for part in [
            "{{",
            "}}",
            "src=",
            "@import",
            "url(",
            "fetch(",
            "XMLHttpRequest",
        ] {
            assert!(!html.contains(part), "{part}");
        }
        for part in [STYLE, LOGIC, SCRIPT] {
            assert!(html.contains(part));
            // Either would end or hide the element that the part stands in.
            assert!(!part.contains("</") && !part.contains("<!--"));
        }
        assert!(html.contains("default-src 'none'; script-src 'sha256-"));
    }

    #[test]
    fn the_header_forbids_what_the_page_itself_forbids_and_frames() {
        let reply = verify();
        assert_eq!(reply.headers()[CONTENT_TYPE], "text/html; charset=utf-8");
        let policy = reply.headers()[CONTENT_SECURITY_POLICY].to_str().unwrap();
        let (own, frames) = policy.rsplit_once("; ").unwrap();
        assert_eq!(frames, "frame-ancestors 'none'");
        let html = std::str::from_utf8(&PAGE.html).unwrap();
        assert!(html.contains(&format!("content=\"{own}\"")));
    }
}
