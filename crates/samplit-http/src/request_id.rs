//! The id that joins an answer, its problem and its log lines.

use std::sync::atomic::{AtomicU64, Ordering};

use hyper::{HeaderMap, header::HeaderName, header::HeaderValue};
use uuid::Uuid;

pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_LENGTH: usize = 64;

/// The id of one request: 1 to 64 of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().expect("it is made of letters and digits")
    }

    pub(crate) fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

/// Hands out ids: a prefix of this process and a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    prefix: String,
    next: AtomicU64,
}

impl RequestIds {
    /// A source whose ids differ from those of any other process.
    pub(crate) fn random() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "names this process, decides nothing"
        )]
        let process = Uuid::new_v4().simple().to_string();
        Self::new(&process[..10])
    }

    fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
            next: AtomicU64::new(1),
        }
    }

    /// The id that the client gave, if it is a sane one, else a new one.
    pub(crate) fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(X_REQUEST_ID) {
            Some(given) if is_sane(given.as_bytes()) => RequestId(given.clone()),
            _ => {
                let number = self.next.fetch_add(1, Ordering::Relaxed);
                let id = HeaderValue::try_from(format!("{}-{number:x}", self.prefix));
                RequestId(id.expect("letters, digits and a hyphen are legal in a header"))
            }
        }
    }
}

fn is_sane(id: &[u8]) -> bool {
    let legal = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    (1..=MAX_LENGTH).contains(&id.len()) && id.iter().all(legal)
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::HeaderValue};

    use super::{RequestIds, X_REQUEST_ID};

    #[test]
    fn a_sane_id_is_taken_and_any_other_replaced() {
        let ids = RequestIds::new("p");
        let long = "x".repeat(65);
        let cases = [
            ("abc_DEF-1", "abc_DEF-1"),
            (&long[..64], &long[..64]),
            (&long, "p-1"),
            ("", "p-2"),
            ("a b", "p-3"),
            ("a\"b", "p-4"),
        ];
        for (given, expected) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_str(given).unwrap());
            assert_eq!(ids.of(&headers).as_str(), expected);
        }
        assert_eq!(ids.of(&HeaderMap::new()).as_str(), "p-5");
    }
}
