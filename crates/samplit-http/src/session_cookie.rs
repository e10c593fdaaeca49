//! The cookie of a session.
//!
//! `__Host-` makes browsers insist on TLS (or this machine), on the whole host and on no other host, so
//! that no other site, not even a neighbour below the same domain, can set or read it. Scripts cannot
//! read it, and pages of other sites cannot have it sent along with more than a link that is followed.

use hyper::{
    HeaderMap,
    header::{COOKIE, HeaderName, HeaderValue, SET_COOKIE},
};
use samplit_engine::SignedInToken;

const NAME: &str = "__Host-samplit_session";
const ATTRIBUTES: &str = "Path=/; Secure; HttpOnly; SameSite=Lax";

/// The token that a browser sends.
pub(crate) fn read(headers: &HeaderMap) -> Option<&str> {
    let lines = headers.get_all(COOKIE).iter();
    let mut cookies = lines.flat_map(|line| line.to_str().unwrap_or_default().split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}

/// Gives a browser the token of a session that began.
pub(crate) fn set(signed_in: &SignedInToken) -> (HeaderName, HeaderValue) {
    let (token, lasts) = (&signed_in.token, signed_in.lasts);
    let cookie = format!("{NAME}={token}; {ATTRIBUTES}; Max-Age={lasts}");
    let cookie = HeaderValue::try_from(cookie);
    let cookie = cookie.expect("a token in Base64 and digits are legal in a header");
    (SET_COOKIE, cookie)
}

/// Takes the token away from a browser.
pub(crate) fn end() -> (HeaderName, HeaderValue) {
    let cookie = HeaderValue::try_from(format!("{NAME}=; {ATTRIBUTES}; Max-Age=0"));
    (SET_COOKIE, cookie.expect("the text is legal in a header"))
}

#[cfg(test)]
mod tests {
    use hyper::{HeaderMap, header::COOKIE};

    use super::read;

    #[test]
    fn the_cookie_is_found_among_others_and_by_its_whole_name() {
        for (lines, expected) in [
            (vec![], None),
            (vec!["__Host-samplit_session=a"], Some("a")),
            (vec!["x=1; __Host-samplit_session=a; y=2"], Some("a")),
            (vec!["x=1", "__Host-samplit_session=a"], Some("a")),
            (vec!["samplit_session=a; __Host-samplit_sessions=b"], None),
            (vec!["x=__Host-samplit_session=a"], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(COOKIE, line.parse().unwrap());
            }
            assert_eq!(read(&headers), expected, "{lines:?}");
        }
    }
}
