//! Which pages are meant: a URL in whose host and path `*` stands for any characters.
//!
//! What pages the snippet matches goals by itself, it has to agree with what stands here; the cases
//! in `tests/vectors/page_patterns.json` are checked on both sides. The rules:
//!
//! - `*` alone is every page. The scheme does not count, nor does a name with a password before the
//!   host; only `http` and `https` have pages.
//! - Hosts are compared in lower case, without the ports 80 and 443, and without `www.` in front.
//!   A pattern that begins with `*.` means the domain itself and everything below it.
//! - A path without a slash at its end gets one, except that of a pattern which ends in `*`. So
//!   `/a` is `/a/`, and `/a/*` is `/a` with everything below it.
//! - Characters other than printable ASCII count as their UTF-8 in percent escapes, and the digits of
//!   escapes in upper case.
//! - Every query parameter of the pattern has to be there with its value, others may be. They are
//!   read as forms are.
//! - A fragment counts where the pattern has one, and then has to be the same.

use std::fmt::Write as _;

/// A pattern, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagePattern {
    /// `None`: every page.
    parts: Option<Parts>,
}

/// A URL or a pattern in the form in which they are compared.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    host: String,
    path: String,
    query: Vec<(String, String)>,
    fragment: Option<String>,
}

impl PagePattern {
    /// Reads a pattern. Any text is one, if perhaps of no page.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let parts = (text != "*").then(|| {
            let text = web(text).unwrap_or(text);
            let mut parts = Parts::read(text);
            if !parts.path.ends_with('*') {
                end_with_slash(&mut parts.path);
            }
            parts
        });
        Self { parts }
    }

    /// Whether the page at `url` is meant.
    #[must_use]
    pub fn matches(&self, url: &str) -> bool {
        let Some(rest) = web(url) else { return false };
        let Some(pattern) = &self.parts else {
            return true;
        };
        let mut page = Parts::read(rest);
        end_with_slash(&mut page.path);
        matches_host(&pattern.host, &page.host)
            && glob(&pattern.path, &page.path)
            && pattern.query.iter().all(|pair| page.query.contains(pair))
            && (pattern.fragment.is_none() || pattern.fragment == page.fragment)
    }
}

/// Host and path of a page, for lists of pages: without what may name a person, such as a query. At
/// most 512 characters; what is longer is cut.
#[must_use]
pub fn page_name(url: &str) -> String {
    let Parts { host, path, .. } = Parts::read(web(url).unwrap_or(url));
    format!("{host}{path}").chars().take(512).collect()
}

impl Parts {
    /// Takes a URL apart that has no scheme any more.
    fn read(text: &str) -> Self {
        let (text, fragment) = match text.split_once('#') {
            Some((text, fragment)) => (text, Some(escaped(fragment))),
            None => (text, None),
        };
        let (text, query) = text.split_once('?').unwrap_or((text, ""));
        let (authority, path) = match text.find('/') {
            Some(at) => text.split_at(at),
            None => (text, "/"),
        };
        let host = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let host = host.to_lowercase();
        let host = [":443", ":80"]
            .iter()
            .find_map(|port| host.strip_suffix(port))
            .unwrap_or(&host);
        let query = form_urlencoded::parse(query.as_bytes()).into_owned();
        Self {
            host: host.strip_prefix("www.").unwrap_or(host).to_owned(),
            path: escaped(path),
            query: query.collect(),
            fragment,
        }
    }
}

/// What stands behind `http://` or `https://`.
fn web(url: &str) -> Option<&str> {
    let (scheme, rest) = url.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    is_web.then_some(rest)
}

fn end_with_slash(path: &mut String) {
    if !path.ends_with('/') {
        path.push('/');
    }
}

fn matches_host(pattern: &str, host: &str) -> bool {
    glob(pattern, host) || pattern.strip_prefix("*.") == Some(host)
}

/// Percent escapes for all but printable ASCII, and every escape with upper-case digits.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let bytes = text.as_bytes();
    for (at, &byte) in bytes.iter().enumerate() {
        let is_digit = |back: usize| {
            let place = at.checked_sub(back);
            place.is_some_and(|place| {
                bytes[place] == b'%'
                    && bytes.len() > place + 2
                    && bytes[place + 1..place + 3]
                        .iter()
                        .all(u8::is_ascii_hexdigit)
            })
        };
        if !byte.is_ascii_graphic() {
            write!(out, "%{byte:02X}").expect("a string takes what is written to it");
        } else if is_digit(1) || is_digit(2) {
            out.push(char::from(byte.to_ascii_uppercase()));
        } else {
            out.push(char::from(byte));
        }
    }
    out
}

/// Whether `text` is `pattern` with something, perhaps nothing, in place of each `*`.
///
/// Where a character does not fit, the last `*` takes one more: earlier ones never have to, as what
/// they would gain the last one can have. At most `pattern.len() * text.len()` steps.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    // Behind the last `*`, and how far it reaches.
    let mut star = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            p += 1;
            star = Some((p, t));
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((behind, reach)) = star {
            p = behind;
            t = reach + 1;
            star = Some((behind, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PagePattern, escaped, glob, page_name};

    /// What `*` means, said without an algorithm.
    fn plain(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| plain(rest, &text[at..])),
            Some((byte, rest)) => text
                .split_first()
                .is_some_and(|(b, t)| b == byte && plain(rest, t)),
        }
    }

    #[test]
    fn the_vectors_that_the_snippet_shares() {
        let cases: Vec<(String, String, bool)> =
            serde_json::from_str(include_str!("../tests/vectors/page_patterns.json")).unwrap();
        for (pattern, url, expected) in cases {
            let found = PagePattern::new(&pattern).matches(&url);
            assert_eq!(found, expected, "{pattern} and {url}");
        }
    }

    #[test]
    fn a_page_is_named_without_what_may_name_a_person() {
        let name = page_name("https://me:secret@www.Example.com:443/caña?email=a@b.test#me");
        assert_eq!(name, "example.com/ca%C3%B1a");
        let long = format!("https://example.com/{}", "x".repeat(2_000));
        assert_eq!(page_name(&long).chars().count(), 512);
    }

    proptest! {
        #[test]
        fn a_star_is_any_characters(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
            prop_assert_eq!(glob(&pattern, &text), plain(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn every_page_is_meant_by_its_own_url(
            host in "[a-z]{1,8}\\.[a-z]{2,3}", path in "(/[a-zA-Z0-9ñ%._~-]{0,6}){0,4}",
            query in "([a-z]{1,3}=[a-z0-9%+]{0,3}&?){0,3}", fragment in "[a-z/]{0,5}",
        ) {
            let url = format!("https://{host}{path}?{query}#{fragment}");
            let pattern = PagePattern::new(&url);
            prop_assert!(pattern.matches(&url));
            prop_assert!(pattern.matches(&url.replacen("https://", "http://www.", 1)));
            prop_assert!(pattern.matches(&url.replacen('?', "?more=1&", 1)));
            let elsewhere = url.replacen(&host, &format!("not-{host}"), 1);
            prop_assert!(!pattern.matches(&elsewhere));
            let site = PagePattern::new(&format!("https://*.{host}/*"));
            prop_assert!(site.matches(&url));
        }

        #[test]
        fn nothing_makes_it_panic(pattern in ".{0,40}", url in ".{0,40}") {
            let pattern = PagePattern::new(&pattern);
            let _ = pattern.matches(&url);
            let _ = pattern.matches(&format!("https://{url}"));
        }

        #[test]
        fn escaping_twice_is_escaping_once(text in ".{0,20}") {
            let once = escaped(&text);
            prop_assert_eq!(escaped(&once), once.clone());
        }
    }
}
