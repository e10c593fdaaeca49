//! What is known of a visit besides what the visitor's request says.

use std::net::IpAddr;

use crate::Assign;

/// A visitor on a page, or asking through a server. Borrowed from the request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Visit<'a> {
    /// The visitor.
    pub visitor: &'a str,
    /// The visit, for joining with other systems.
    pub session: Option<&'a str>,
    /// Where the request came from, as far as the proxies in between are trusted.
    pub ip: Option<IpAddr>,
    /// What the browser says it is.
    pub user_agent: Option<&'a str>,
    /// The page.
    pub url: Option<&'a str>,
    /// The header `Cookie` as it came. Of another site than the page's it holds nothing of the page.
    pub cookies: Option<&'a str>,
    /// Whether the visitor asks not to be tracked, by Global Privacy Control.
    pub gpc: bool,
}

impl<'a> Visit<'a> {
    /// What the caller of an assignment says of the visit: `ip`, `user_agent` and `url` of the context,
    /// where they are texts. The request itself comes from a server and says nothing of it.
    #[must_use]
    pub fn told(request: &'a Assign) -> Self {
        let text = |name| request.context.get(name).and_then(|told| told.as_str());
        Self {
            visitor: &request.visitor,
            session: request.session.as_deref(),
            ip: text("ip").and_then(|ip| ip.parse().ok()),
            user_agent: text("user_agent"),
            url: text("url"),
            ..Self::default()
        }
    }

    /// The value of a cookie, as it stands in the header.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<&'a str> {
        let pairs = self.cookies?.split(';');
        let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::Visit;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let visit = Visit {
            cookies: Some("xa=1; a=2;b=3=4; ; c"),
            ..Visit::default()
        };
        assert_eq!(visit.cookie("a"), Some("2"));
        assert_eq!(visit.cookie("b"), Some("3=4"));
        assert_eq!(visit.cookie("c"), None);
        assert_eq!(Visit::default().cookie("a"), None);
    }
}
