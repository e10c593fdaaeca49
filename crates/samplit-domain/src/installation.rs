//! An installation: a site that carries the snippet, and what it may.

use time::OffsetDateTime;

use crate::origin::{authority_of, host_of, is_at_or_below, is_local};
use crate::{InstallationId, Origin, UserId, Violations, Visit, words};

/// The most origins besides those of the domain.
const MAX_ORIGINS: usize = 20;

/// The longest time that elements under test stay hidden, in milliseconds.
pub const MAX_HIDE_TIMEOUT_MS: u32 = 1_000;

words! {
    /// What kind of site it is. The column `platform_installations.platform`.
    Platform {
        /// Any site that somebody can put a line into.
        Custom => "custom",
        /// A shop of Shopify.
        Shopify => "shopify",
        /// A site of WordPress.
        WordPress => "wordpress",
    }
}

words! {
    /// Whether the token opens. The column `platform_installations.status`.
    InstallationStatus {
        /// It does.
        Active => "active",
        /// Its owner has turned it off.
        Disabled => "disabled",
        /// The platform says that the site has taken it out.
        Uninstalled => "uninstalled",
    }
}

/// A site that carries the snippet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Installation {
    /// Its id.
    pub id: InstallationId,
    /// The account whose experiments it shows; none for rows older than that rule.
    pub user_id: Option<UserId>,
    /// What people call it.
    pub name: String,
    /// Host of the site, perhaps with a port, in lower case and without `www.`; empty in rows older
    /// than that rule.
    pub domain: String,
    /// What kind of site it is.
    pub platform: Platform,
    /// Origins besides those of the domain.
    pub origins: Vec<Origin>,
    /// What pages say who they are by: `pk_` and 43 characters. Public.
    pub token: String,
    /// The token before the last rotation, and until when it is good.
    pub previous_token: Option<(String, OffsetDateTime)>,
    /// Whether the token opens.
    pub status: InstallationStatus,
    /// Whether HTML of variants is put into pages as it is, scripts included.
    pub allow_raw_html: bool,
    /// Whether Global Privacy Control means that nothing is recorded.
    pub respect_gpc: bool,
    /// How long elements under test stay hidden at most, in milliseconds, up to
    /// [`MAX_HIDE_TIMEOUT_MS`].
    pub hide_timeout_ms: u32,
    /// When the snippet was first seen on the site.
    pub verified_at: Option<OffsetDateTime>,
    /// When a page last asked, to within a minute or so.
    pub last_seen_at: Option<OffsetDateTime>,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
    /// Grows by one with every change; the `ETag`.
    pub version: i64,
}

/// An installation as somebody asks for it, not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstallationDraft {
    /// 1 to 255 characters.
    pub name: String,
    /// Host of the site, perhaps with a port; `www.` in front counts for nothing.
    pub domain: String,
    /// What kind of site it is.
    pub platform: Platform,
    /// Origins besides those of the domain, at most 20.
    pub origins: Vec<String>,
    /// Whether HTML of variants is put into pages as it is, scripts included.
    pub allow_raw_html: bool,
    /// Whether Global Privacy Control means that nothing is recorded.
    pub respect_gpc: bool,
    /// How long elements under test stay hidden at most, in milliseconds, 0 to 1,000.
    pub hide_timeout_ms: u64,
}

impl InstallationDraft {
    /// An installation with the defaults: HTML is cleaned, Global Privacy Control respected, nothing
    /// hidden for more than half a second.
    #[must_use]
    pub fn new(name: impl Into<String>, domain: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            domain: domain.into(),
            platform: Platform::Custom,
            origins: Vec::new(),
            allow_raw_html: false,
            respect_gpc: true,
            hide_timeout_ms: 500,
        }
    }

    /// Checks every rule, and gives the installation that the draft describes: of nobody yet, with
    /// `token`, made `now`.
    ///
    /// # Errors
    /// All the rules that are broken, each with its field.
    pub fn check(
        &self,
        id: InstallationId,
        token: String,
        now: OffsetDateTime,
    ) -> Result<Installation, Violations> {
        let mut violations = Violations::default();
        violations.name("/name", &self.name);
        let domain = check_domain(&self.domain, &mut violations);
        let origins = self.check_origins(&mut violations);
        let hide_timeout_ms = u32::try_from(self.hide_timeout_ms).ok();
        let hide_timeout_ms = hide_timeout_ms.filter(|ms| *ms <= MAX_HIDE_TIMEOUT_MS);
        if hide_timeout_ms.is_none() {
            violations.add(
                "/hide_timeout_ms",
                "out_of_range",
                format!("must be between 0 and {MAX_HIDE_TIMEOUT_MS}"),
            );
        }
        violations.into_result(Installation {
            id,
            user_id: None,
            name: self.name.clone(),
            domain,
            platform: self.platform,
            origins,
            token,
            previous_token: None,
            status: InstallationStatus::Active,
            allow_raw_html: self.allow_raw_html,
            respect_gpc: self.respect_gpc,
            hide_timeout_ms: hide_timeout_ms.unwrap_or_default(),
            verified_at: None,
            last_seen_at: None,
            created_at: now,
            updated_at: now,
            version: 1,
        })
    }

    fn check_origins(&self, violations: &mut Violations) -> Vec<Origin> {
        if self.origins.len() > MAX_ORIGINS {
            let detail = format!("at most {MAX_ORIGINS} are allowed");
            violations.add("/origins", "out_of_range", detail);
        }
        let mut origins: Vec<Origin> = Vec::new();
        for (index, text) in self.origins.iter().enumerate() {
            match text.parse() {
                Ok(origin) if !origins.contains(&origin) => origins.push(origin),
                Ok(_) => {}
                Err(malformed) => {
                    let malformed: crate::MalformedOrigin = malformed;
                    let pointer = format!("/origins/{index}");
                    violations.add(pointer, "malformed", malformed.to_string());
                }
            }
        }
        origins
    }
}

/// The domain in its one spelling: as browsers say it, without `www.`.
fn check_domain(text: &str, violations: &mut Violations) -> String {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix("www.").unwrap_or(&lower);
    violations.text("/domain", bare, 255);
    // Only this machine's pages come without TLS, so only there is 80 what browsers leave out.
    let is_own = authority_of(bare, &[]).is_some_and(|domain| is_local(&domain));
    let own_ports: &[u16] = if is_own { &[443, 80] } else { &[443] };
    let domain = authority_of(bare, own_ports).unwrap_or_default();
    // A name without a dot is either this machine or everybody's: `com`.
    let is_site = host_of(&domain).contains('.') || is_local(&domain);
    if !bare.is_empty() && !is_site {
        violations.add(
            "/domain",
            "malformed",
            "must be the host of a site such as example.com, without scheme and path",
        );
    }
    domain
}

impl Installation {
    /// Whether pages of `origin` may use the token: those of the domain with and without `www.`, over
    /// TLS unless the domain is of this machine, and those of [`Self::origins`].
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        self.is_of_domain(origin) || self.origins.contains(origin)
    }

    /// Whether pages of `origin` are those of the domain, with or without `www.`, over TLS unless the
    /// domain is of this machine. What is seen on them is seen on the site.
    #[must_use]
    pub fn is_of_domain(&self, origin: &Origin) -> bool {
        let authority = origin.authority();
        let is_its = authority == self.domain
            || authority.strip_prefix("www.") == Some(self.domain.as_str());
        let is_safe = origin.is_secure() || is_local(&self.domain);
        is_its && is_safe && !self.domain.is_empty()
    }

    /// Whether `server` is on the same site as the page at `origin`, so that a cookie of the one is the
    /// first party's on the other: they are one host, or both are the domain of the installation or
    /// below it.
    #[must_use]
    pub fn is_same_site(&self, origin: &Origin, server: &Origin) -> bool {
        let domain = host_of(&self.domain);
        let within = |origin: &Origin| is_at_or_below(origin.host(), domain);
        server.host() == origin.host() || (within(server) && within(origin))
    }

    /// Whether nothing of a visit may be recorded.
    #[must_use]
    pub const fn is_private(&self, visit: &Visit<'_>) -> bool {
        self.respect_gpc && visit.gpc
    }

    /// Whether `token` opens at `now`.
    #[must_use]
    pub fn opens(&self, token: &str, now: OffsetDateTime) -> bool {
        let by_previous = || {
            let previous = self.previous_token.as_ref();
            previous.is_some_and(|(previous, ends_at)| previous == token && now < *ends_at)
        };
        self.status == InstallationStatus::Active && (self.token == token || by_previous())
    }
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};
    use uuid::Uuid;

    use super::{Installation, InstallationDraft, InstallationId, InstallationStatus};
    use crate::Violations;

    fn check(draft: &InstallationDraft) -> Result<Installation, Violations> {
        let id = InstallationId(Uuid::from_u128(1));
        draft.check(id, "pk_1".to_owned(), OffsetDateTime::UNIX_EPOCH)
    }

    fn site(domain: &str, origins: &[&str]) -> Installation {
        let mut draft = InstallationDraft::new("a site", domain);
        draft.origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        check(&draft).unwrap()
    }

    #[test]
    fn exactly_the_origins_of_the_site_are_allowed() {
        let allowed = |site: &Installation, origin: &str| site.allows(&origin.parse().unwrap());
        let example = site("www.Example.com", &["https://shop.example.com:8443"]);
        for (origin, expected) in [
            ("https://example.com", true),
            ("https://www.example.com", true),
            ("https://example.com:443", true),
            ("http://example.com", false),
            ("https://example.com:8443", false),
            ("https://shop.example.com", false),
            ("https://shop.example.com:8443", true),
            ("https://www.www.example.com", false),
            ("https://badexample.com", false),
            ("https://example.com.evil.test", false),
        ] {
            assert_eq!(allowed(&example, origin), expected, "{origin}");
        }
        assert!(!example.is_of_domain(&"https://shop.example.com:8443".parse().unwrap()));
        assert!(example.is_of_domain(&"https://www.example.com".parse().unwrap()));
        let local = site("localhost:3000", &[]);
        assert!(allowed(&local, "http://localhost:3000"));
        assert!(allowed(&local, "https://localhost:3000"));
        assert!(!allowed(&local, "http://localhost"));
        let older = Installation {
            domain: String::new(),
            ..local
        };
        assert!(!allowed(&older, "https://www.example.com"));
    }

    #[test]
    fn a_cookie_is_the_sites_own_only_where_server_and_page_are_one_site() {
        for (domain, origin, server, expected) in [
            ("example.com", "https://example.com", "example.com", true),
            (
                "example.com",
                "https://example.com",
                "ab.example.com:443",
                true,
            ),
            (
                "example.com",
                "https://www.example.com",
                "ab.example.com",
                true,
            ),
            (
                "example.com",
                "https://shop.example.com",
                "ab.example.com",
                true,
            ),
            (
                "shop.example.com",
                "https://shop.example.com",
                "ab.example.com",
                false,
            ),
            (
                "example.com",
                "https://example.com",
                "badexample.com",
                false,
            ),
            (
                "example.com",
                "https://example.com",
                "example.com.test",
                false,
            ),
            ("example.com", "https://example.com", "samplit.test", false),
            (
                "localhost:3000",
                "http://localhost:3000",
                "localhost:4000",
                true,
            ),
            (
                "localhost:3000",
                "http://localhost:3000",
                "127.0.0.1:4000",
                false,
            ),
        ] {
            let server = format!("https://{server}").parse().unwrap();
            let found = site(domain, &[]).is_same_site(&origin.parse().unwrap(), &server);
            assert_eq!(found, expected, "{origin} and {server}");
        }
    }

    #[test]
    fn the_previous_token_opens_until_it_ends_and_nothing_opens_a_site_turned_off() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let mut site = site("example.com", &[]);
        site.previous_token = Some(("pk_0".to_owned(), now));
        assert!(site.opens("pk_1", now));
        assert!(site.opens("pk_0", now - Duration::SECOND));
        assert!(!site.opens("pk_0", now));
        assert!(!site.opens("pk_2", now));
        site.status = InstallationStatus::Disabled;
        assert!(!site.opens("pk_1", now));
    }

    #[test]
    fn a_domain_has_one_spelling() {
        for (domain, expected) in [
            ("WWW.Example.com:443", "example.com"),
            ("example.com:0443", "example.com"),
            ("example.com:08443", "example.com:8443"),
            // Over TLS that is a port like any other.
            ("example.com:80", "example.com:80"),
            ("localhost:80", "localhost"),
            ("127.0.0.1:443", "127.0.0.1"),
            ("[0:0::1]:80", "[::1]"),
        ] {
            assert_eq!(site(domain, &[]).domain, expected, "{domain}");
        }
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let draft = InstallationDraft {
            origins: vec!["https://a.test".to_owned(), "a.test".to_owned()],
            hide_timeout_ms: 1_001,
            ..InstallationDraft::new("", "com")
        };
        let found = check(&draft).unwrap_err().0;
        let found: Vec<_> = found
            .iter()
            .map(|v| format!("{} {}", v.pointer, v.code))
            .collect();
        assert_eq!(
            found,
            [
                "/name required",
                "/domain malformed",
                "/origins/1 malformed",
                "/hide_timeout_ms out_of_range"
            ]
        );
        for bad in [
            "https://example.com",
            "example.com/",
            "exa mple.com",
            "*.com",
            "www.com",
        ] {
            let draft = InstallationDraft::new("a", bad);
            assert!(check(&draft).is_err(), "{bad}");
        }
    }
}
