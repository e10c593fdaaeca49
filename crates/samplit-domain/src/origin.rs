//! Origins: where a page comes from, as browsers say it.

use std::fmt;
use std::str::FromStr;

/// An origin (RFC 6454) of `http` or `https` in its one spelling: scheme and host in lower case,
/// without the scheme's own port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// A text that is no origin of a web page.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be https:// or http:// and a host, perhaps with a port, and nothing behind it")]
pub struct MalformedOrigin;

impl Origin {
    /// The origin as a text, `https://example.com` or `http://localhost:3000`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether pages of it come over TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.0.starts_with("https:")
    }

    /// Whether it is of the machine that asks, where pages need no TLS.
    #[must_use]
    pub fn is_local(&self) -> bool {
        is_local(self.authority())
    }

    /// Whether its host is that of `page`, but for a leading `www.`, or below it.
    #[must_use]
    pub fn is_at_or_below(&self, page: &Self) -> bool {
        let page = page.host();
        self.host() == page
            || is_at_or_below(self.host(), page.strip_prefix("www.").unwrap_or(page))
    }

    /// Host and, where it is not the scheme's own, port.
    #[must_use]
    pub fn authority(&self) -> &str {
        self.0.split_once("://").map_or("", |(_, rest)| rest)
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> &str {
        host_of(self.authority())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Origin {
    type Err = MalformedOrigin;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(MalformedOrigin)?;
        let own_port = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return Err(MalformedOrigin),
        };
        let authority = authority_of(authority, &[own_port]).ok_or(MalformedOrigin)?;
        Ok(Self(format!("{scheme}://{authority}")))
    }
}

/// Whether a host is a domain or below it. Nothing is below a name without a dot, which may be that of
/// everybody: `com`.
pub(crate) fn is_at_or_below(host: &str, domain: &str) -> bool {
    let rest = host.strip_suffix(domain);
    domain.contains('.') && rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Whether `host[:port]` is of the machine that asks.
pub(crate) fn is_local(authority: &str) -> bool {
    matches!(host_of(authority), "localhost" | "127.0.0.1" | "[::1]")
}

/// The host of `host[:port]`.
pub(crate) fn host_of(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

/// The one spelling of a host in lower-case ASCII (names of other alphabets as `xn--`), or of an IPv6
/// address in brackets, perhaps with a port, which is left out where it is one of `own_ports`. `None`
/// for any other text.
pub(crate) fn authority_of(text: &str, own_ports: &[u16]) -> Option<String> {
    let host = host_of(text);
    let port = match text[host.len()..].strip_prefix(':') {
        Some(port) => Some(port.parse::<u16>().ok()?),
        None => None,
    };
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host = match address {
        Some(address) => format!("[{}]", address.parse::<std::net::Ipv6Addr>().ok()?),
        None => is_name(host).then(|| host.to_owned())?,
    };
    Some(match port.filter(|port| !own_ports.contains(port)) {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let inner = |b: u8| is_alphanumeric(b) || matches!(b, b'-' | b'_');
        !label.is_empty() && label.bytes().all(inner)
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::Origin;

    #[test]
    fn an_origin_has_one_spelling() {
        for (text, expected) in [
            ("https://example.com", Some("https://example.com")),
            ("HTTPS://Example.COM", Some("https://example.com")),
            ("https://example.com:443", Some("https://example.com")),
            ("http://example.com:80", Some("http://example.com")),
            ("https://example.com:80", Some("https://example.com:80")),
            ("https://example.com:0443", Some("https://example.com")),
            ("http://example.com:080", Some("http://example.com")),
            ("http://[::1]:80", Some("http://[::1]")),
            ("http://[0:0::1]:08", Some("http://[::1]:8")),
            ("http://localhost:3000", Some("http://localhost:3000")),
            ("http://127.0.0.1:3000", Some("http://127.0.0.1:3000")),
            ("http://[::1]:3000", Some("http://[::1]:3000")),
            ("http://[::1]", Some("http://[::1]")),
            ("https://xn--caa-8na.test", Some("https://xn--caa-8na.test")),
            ("null", None),
            ("", None),
            ("https://", None),
            ("https://example.com/", None),
            ("https://example.com:", None),
            ("https://example.com:99999", None),
            ("https://user@example.com", None),
            ("https://example..com", None),
            ("https://*.example.com", None),
            ("https://[::1", None),
            ("https://a b", None),
            ("https://ñ.test", None),
            ("chrome-extension://abcdef", None),
            ("https://example.com, https://example.org", None),
        ] {
            let origin = text.parse::<Origin>().ok();
            assert_eq!(origin.as_ref().map(Origin::as_str), expected, "{text}");
            if let Some(origin) = origin {
                assert_eq!(origin.as_str().parse(), Ok(origin.clone()));
            }
        }
        let origin: Origin = "http://[::1]:3000".parse().unwrap();
        assert_eq!((origin.authority(), origin.host()), ("[::1]:3000", "[::1]"));
        for (server, page, expected) in [
            ("https://example.com", "https://example.com", true),
            ("https://ab.example.com", "https://www.example.com", true),
            ("https://example.com", "https://www.example.com", true),
            ("https://badexample.com", "https://example.com", false),
            ("https://ab.example.com", "https://shop.example.com", false),
            ("https://example.com", "https://ab.example.com", false),
            ("https://example.com", "https://com", false),
            ("http://localhost:1", "http://localhost:2", true),
        ] {
            let server: Origin = server.parse().unwrap();
            assert_eq!(
                server.is_at_or_below(&page.parse().unwrap()),
                expected,
                "{server} {page}"
            );
        }
        let origin: Origin = "https://a.test".parse().unwrap();
        assert_eq!((origin.authority(), origin.host()), ("a.test", "a.test"));
    }
}
