//! The frame of every page: navigation, who is signed in, where the page is, what was just done.

use askama::Template;
use hyper::{
    StatusCode,
    header::{CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY},
};
use samplit_engine::{Role, SignedIn};
use time::OffsetDateTime;

use super::{format::Moment, notice};
use crate::{
    call::Call,
    response::{Reply, content},
};

/// Everything comes from this server, nothing is inline or framed, and forms go nowhere else.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const OPENER: HeaderName = HeaderName::from_static("cross-origin-opener-policy");

/// A page of the navigation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Overview,
    Experiments,
    Funnels,
    Leads,
    Forecast,
    Backtest,
    Installations,
    Exclusions,
    Visitors,
    Settings,
    Keys,
    Webhooks,
    Plan,
    Users,
    Plans,
    Activity,
}

/// What stands together in the navigation. The first group needs no heading.
const GROUPS: [(&str, &[Section]); 4] = [
    (
        "",
        &[
            Section::Overview,
            Section::Experiments,
            Section::Funnels,
            Section::Leads,
        ],
    ),
    ("Plan", &[Section::Forecast, Section::Backtest]),
    (
        "Traffic",
        &[
            Section::Installations,
            Section::Exclusions,
            Section::Visitors,
        ],
    ),
    (
        "Account",
        &[
            Section::Settings,
            Section::Keys,
            Section::Webhooks,
            Section::Plan,
            Section::Users,
            Section::Plans,
            Section::Activity,
        ],
    ),
];

impl Section {
    const fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Experiments => "Experiments",
            Self::Funnels => "Funnels",
            Self::Leads => "Leads",
            Self::Forecast => "Forecast",
            Self::Backtest => "Back-test",
            Self::Installations => "Installations",
            Self::Exclusions => "Exclusions",
            Self::Visitors => "Visitors",
            Self::Settings => "Settings",
            Self::Keys => "API keys",
            Self::Webhooks => "Webhooks",
            Self::Plan => "Your plan",
            Self::Users => "Users",
            Self::Plans => "Plans",
            Self::Activity => "Activity",
        }
    }

    /// Where it is.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Experiments => "/experiments",
            Self::Funnels => "/funnels",
            Self::Leads => "/leads",
            Self::Forecast => "/forecast",
            Self::Backtest => "/backtest",
            Self::Installations => "/installations",
            Self::Exclusions => "/exclusions",
            Self::Visitors => "/visitors",
            Self::Settings => "/settings",
            Self::Keys => "/keys",
            Self::Webhooks => "/webhooks",
            Self::Plan => "/plan",
            Self::Users => "/users",
            Self::Plans => "/plans",
            Self::Activity => "/activity",
        }
    }

    /// Whether clients have no use for it.
    const fn is_for_admins(self) -> bool {
        matches!(self, Self::Users | Self::Plans)
    }
}

/// Whose page it is.
#[derive(Clone, Debug)]
pub(crate) struct Viewer {
    /// The name, or the email of those who have given none.
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) role: Role,
}

impl From<&SignedIn> for Viewer {
    fn from(who: &SignedIn) -> Self {
        let name = who.user.name.as_deref().filter(|name| !name.is_empty());
        Self {
            name: name.unwrap_or(&who.user.email).to_owned(),
            email: who.user.email.clone(),
            role: who.user.role,
        }
    }
}

impl Viewer {
    /// Whether everybody's data is there to see.
    pub(crate) fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }
}

/// What `base.html` shows around a page. Every template has it as its field `frame`.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) viewer: Option<Viewer>,
    section: Option<Section>,
    pub(crate) crumbs: Vec<(String, String)>,
    pub(crate) notice: Option<&'static str>,
    now: OffsetDateTime,
}

impl Frame {
    /// Of a page for somebody who is signed in. What was just done is taken from the query.
    pub(crate) fn new(
        call: &Call,
        viewer: impl Into<Viewer>,
        section: Section,
        title: impl Into<String>,
    ) -> Self {
        Self {
            viewer: Some(viewer.into()),
            section: Some(section),
            ..Self::outside(call, title)
        }
    }

    /// Of a page before the door: to sign in, to join.
    pub(crate) fn outside(call: &Call, title: impl Into<String>) -> Self {
        let done = call.query().text("done");
        Self {
            notice: done.and_then(|code| notice::text(&code)),
            ..Self::bare(call.app.engine.now(), None, title)
        }
    }

    /// Of a page that is in no section.
    pub(super) fn bare(
        now: OffsetDateTime,
        viewer: Option<Viewer>,
        title: impl Into<String>,
    ) -> Self {
        Self {
            title: title.into(),
            viewer,
            section: None,
            crumbs: Vec::new(),
            notice: None,
            now,
        }
    }

    /// The page is below another; the outermost comes first.
    pub(crate) fn below(mut self, name: impl Into<String>, path: impl Into<String>) -> Self {
        self.crumbs.push((name.into(), path.into()));
        self
    }

    /// Whether a moment is still to come.
    pub(crate) fn is_ahead(&self, at: &OffsetDateTime) -> bool {
        *at > self.now
    }

    /// A moment as HTML.
    pub(crate) fn time(&self, at: &OffsetDateTime) -> Moment {
        Moment::new(*at, self.now)
    }

    /// A moment as HTML, as the time that has passed.
    pub(crate) fn ago(&self, at: &OffsetDateTime) -> Moment {
        self.time(at).relative()
    }

    /// The navigation: headings with links, of which one may be the page itself.
    pub(crate) fn groups(&self) -> Vec<(&'static str, Vec<Link>)> {
        let is_admin = self.viewer.as_ref().is_some_and(Viewer::is_admin);
        let link = |section: &Section| Link {
            name: section.name(),
            path: section.path(),
            current: match self.section {
                Some(current) if current == *section => {
                    // Below a section, its link still leads somewhere else.
                    Some(if self.crumbs.is_empty() {
                        "page"
                    } else {
                        "true"
                    })
                }
                _ => None,
            },
        };
        let group = |(heading, sections): (&'static str, &[Section])| {
            let shown = sections.iter().filter(|s| is_admin || !s.is_for_admins());
            (heading, shown.map(link).collect())
        };
        GROUPS.into_iter().map(group).collect()
    }
}

/// A link of the navigation.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) name: &'static str,
    pub(crate) path: &'static str,
    /// The value of `aria-current`.
    pub(crate) current: Option<&'static str>,
}

/// A page.
pub(crate) fn html(status: StatusCode, page: &impl Template) -> Reply {
    let mut reply = content("text/html; charset=utf-8", rendered(page));
    *reply.status_mut() = status;
    protect(&mut reply);
    reply
}

/// The HTML of a page, or of a part of one.
pub(crate) fn rendered(page: &impl Template) -> String {
    let html = page.render();
    html.expect("a string can always be written to")
}

/// What browsers must not do with a page.
pub(super) fn protect(reply: &mut Reply) {
    let headers = reply.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(OPENER, HeaderValue::from_static("same-origin"));
    // Without it forms would come from nowhere: browsers would not say that they are from here.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
}

/// `path`, if it leads to a page of this server and nowhere else.
pub(crate) fn local_path(path: &str) -> Option<&str> {
    let is_plain = |b: u8| b.is_ascii_graphic() && b != b'\\';
    let is_local = path.starts_with('/') && !path.starts_with("//") && path.bytes().all(is_plain);
    is_local.then_some(path)
}

#[cfg(test)]
mod tests {
    use samplit_engine::Role;
    use time::OffsetDateTime;

    use super::{Frame, Section, Viewer, local_path};

    fn frame(role: Role) -> Frame {
        let viewer = Viewer {
            name: "Ana".to_owned(),
            email: "ana@example.org".to_owned(),
            role,
        };
        Frame::bare(OffsetDateTime::UNIX_EPOCH, Some(viewer), "Page")
    }

    #[test]
    fn the_navigation_marks_the_page_and_keeps_users_to_admins() {
        let mut frame = frame(Role::Client);
        frame.section = Some(Section::Keys);
        let links = |frame: &Frame| {
            let groups = frame.groups().into_iter();
            groups.flat_map(|(_, links)| links).collect::<Vec<_>>()
        };
        let shown = links(&frame);
        assert!(shown.iter().all(|link| link.path != "/users"));
        let current: Vec<_> = shown.iter().filter(|link| link.current.is_some()).collect();
        assert_eq!(current.len(), 1);
        assert_eq!(
            (current[0].path, current[0].current),
            ("/keys", Some("page"))
        );

        let below = frame.below("API keys", "/keys");
        let current = links(&below).into_iter().find_map(|link| link.current);
        assert_eq!(current, Some("true"));
        let shown = links(&self::frame(Role::Admin));
        assert!(shown.iter().any(|link| link.path == "/users"));
    }

    #[test]
    fn only_paths_of_this_server_are_local() {
        for path in ["/", "/experiments?q=a%20b#c"] {
            assert_eq!(local_path(path), Some(path));
        }
        for path in [
            "",
            "experiments",
            "//evil.test",
            "/\\evil.test",
            "https://evil.test/",
            "/a b",
            "/\n/evil",
            "/ä",
        ] {
            assert_eq!(local_path(path), None, "{path}");
        }
    }
}
