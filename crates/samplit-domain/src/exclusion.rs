//! Exclusion rules: traffic that is kept out of experiments, such as that of the own office.

use std::net::IpAddr;

use form_urlencoded::parse;
use time::OffsetDateTime;

use crate::{Cidr, ExclusionId, ExperimentId, UserId, Violations, Visit, words};

/// The longest value of a rule, in characters (`VARCHAR(1024)`).
pub const MAX_EXCLUSION_VALUE: usize = 1_024;

words! {
    /// What a rule compares. The column `exclusion_rules.kind`.
    ExclusionKind {
        /// One address.
        Ip => "ip",
        /// A range of addresses.
        Cidr => "cidr",
        /// A part of what the browser says it is, in upper or lower case.
        UserAgent => "user_agent",
        /// A cookie, by its name or as `name=value`.
        Cookie => "cookie",
        /// A parameter in the query of the page, by its name or as `name=value`.
        UrlParam => "url_param",
        /// One visitor.
        Visitor => "visitor",
    }
}

/// A rule as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExclusionRule {
    /// Its id.
    pub id: ExclusionId,
    /// Whose rule it is.
    pub user_id: UserId,
    /// The one experiment that it is for; `None`: all of the account.
    pub experiment_id: Option<ExperimentId>,
    /// What is compared.
    pub kind: ExclusionKind,
    /// With what.
    pub value: String,
    /// Whether it is in force.
    pub is_active: bool,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// Grows by one with every change.
    pub version: i64,
}

/// A rule, taken apart for comparing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExclusionMatch(Match);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Address(Cidr),
    /// In lower case.
    UserAgent(String),
    /// A name, and its value where that counts.
    Cookie(String, Option<String>),
    UrlParam(String, Option<String>),
    Visitor(String),
}

impl ExclusionRule {
    /// Checks the value by the rules of its kind.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.text("/value", &self.value, MAX_EXCLUSION_VALUE);
        if violations.0.is_empty() {
            let _: Option<ExclusionMatch> = self.read(&mut violations);
        }
        violations.into_result(())
    }

    /// What it compares with; `None` for a value that breaks the rules of its kind.
    #[must_use]
    pub fn to_match(&self) -> Option<ExclusionMatch> {
        self.read(&mut Violations::default())
    }

    fn read(&self, violations: &mut Violations) -> Option<ExclusionMatch> {
        let text = self.value.as_str();
        let matched = match self.kind {
            ExclusionKind::Ip => match text.parse::<IpAddr>() {
                Ok(_) => text.parse().ok().map(Match::Address),
                Err(_) => {
                    violations.add("/value", "malformed", "must be an IPv4 or IPv6 address");
                    None
                }
            },
            ExclusionKind::Cidr => match text.parse() {
                Ok(range) => Some(Match::Address(range)),
                Err(error) => {
                    violations.add("/value", "malformed", error.to_string());
                    None
                }
            },
            ExclusionKind::UserAgent => Some(Match::UserAgent(text.to_lowercase())),
            ExclusionKind::Cookie => {
                named(text, violations).map(|(name, value)| Match::Cookie(name, value))
            }
            ExclusionKind::UrlParam => {
                named(text, violations).map(|(name, value)| Match::UrlParam(name, value))
            }
            ExclusionKind::Visitor => {
                let before = violations.0.len();
                violations.visitor("/value", text);
                (violations.0.len() == before).then(|| Match::Visitor(text.to_owned()))
            }
        };
        matched.map(ExclusionMatch)
    }
}

/// `name` or `name=value`.
fn named(text: &str, violations: &mut Violations) -> Option<(String, Option<String>)> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (text, None),
    };
    if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c == ';') {
        let detail = "must be a name without spaces, or `name=value`";
        violations.add("/value", "malformed", detail);
        return None;
    }
    Some((name.to_owned(), value))
}

impl ExclusionMatch {
    /// Whether a visit is meant. What is not known of it is not meant.
    #[must_use]
    pub fn matches(&self, visit: &Visit<'_>) -> bool {
        let fits = |wanted: &Option<String>, value: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == value)
        };
        match &self.0 {
            Match::Address(range) => visit.ip.is_some_and(|ip| range.contains(ip)),
            Match::UserAgent(part) => visit
                .user_agent
                .is_some_and(|agent| agent.to_lowercase().contains(part)),
            Match::Cookie(name, wanted) => {
                visit.cookie(name).is_some_and(|value| fits(wanted, value))
            }
            Match::UrlParam(name, wanted) => visit.url.is_some_and(|url| {
                let query = url.split('#').next().and_then(|url| url.split_once('?'));
                query.is_some_and(|(_, query)| {
                    parse(query.as_bytes()).any(|(key, value)| key == *name && fits(wanted, &value))
                })
            }),
            Match::Visitor(visitor) => visit.visitor == visitor,
        }
    }
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{ExclusionKind, ExclusionRule};
    use crate::{ExclusionId, UserId, Visit};

    fn rule(kind: ExclusionKind, value: &str) -> ExclusionRule {
        ExclusionRule {
            id: ExclusionId(Uuid::nil()),
            user_id: UserId(Uuid::nil()),
            experiment_id: None,
            kind,
            value: value.to_owned(),
            is_active: true,
            created_at: OffsetDateTime::UNIX_EPOCH,
            version: 1,
        }
    }

    #[test]
    fn each_kind_means_some_visits_and_not_others() {
        let visit = Visit {
            visitor: "v1",
            session: None,
            ip: "::ffff:192.0.2.7".parse().ok(),
            user_agent: Some("Mozilla/5.0 (QA-Robot 7)"),
            url: Some("https://shop.test/a?utm=x%20y&b#c?d=1"),
            cookies: Some("internal=1; team=blue"),
            gpc: false,
        };
        for (kind, value, is_meant) in [
            (ExclusionKind::Ip, "192.0.2.7", true),
            (ExclusionKind::Ip, "192.0.2.8", false),
            (ExclusionKind::Cidr, "192.0.2.0/24", true),
            (ExclusionKind::Cidr, "198.51.100.0/24", false),
            (ExclusionKind::UserAgent, "qa-robot", true),
            (ExclusionKind::UserAgent, "qa robot", false),
            (ExclusionKind::Cookie, "internal", true),
            (ExclusionKind::Cookie, "team=blue", true),
            (ExclusionKind::Cookie, "team=red", false),
            (ExclusionKind::Cookie, "tea", false),
            (ExclusionKind::UrlParam, "utm=x y", true),
            (ExclusionKind::UrlParam, "b", true),
            (ExclusionKind::UrlParam, "b=", true),
            (ExclusionKind::UrlParam, "d", false),
            (ExclusionKind::Visitor, "v1", true),
            (ExclusionKind::Visitor, "v", false),
        ] {
            let found = rule(kind, value).to_match().unwrap();
            assert_eq!(found.matches(&visit), is_meant, "{kind} {value}");
            assert!(
                !found.matches(&Visit::default()),
                "{kind} {value}: nothing is known"
            );
        }
    }

    #[test]
    fn a_value_has_the_form_of_its_kind() {
        for (kind, value, code) in [
            (ExclusionKind::Ip, "192.0.2.0/24", "malformed"),
            (ExclusionKind::Cidr, "192.0.2.0/33", "malformed"),
            (ExclusionKind::UserAgent, " ", "required"),
            (ExclusionKind::Cookie, "=1", "malformed"),
            (ExclusionKind::UrlParam, "a b", "malformed"),
            (ExclusionKind::Visitor, "erased:1", "reserved"),
            (ExclusionKind::Visitor, "a\0", "nul_character"),
        ] {
            let violations = rule(kind, value).check().unwrap_err();
            let found: Vec<_> = violations.0.iter().map(|v| v.code).collect();
            assert_eq!(found, [code], "{kind} {value:?}");
        }
        assert_eq!(rule(ExclusionKind::Cidr, "2001:db8::/32").check(), Ok(()));
    }
}
