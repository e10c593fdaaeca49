//! What does a page show? Every experiment that runs there, decided at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use samplit_domain::{
    Assign, FunnelDeed, FunnelWatch, Installation, SelectorType, Status, Violations, Visit,
};
use serde_json::{Map, Value as Json};
use tokio::time::Instant;

use crate::assign::{Asking, Assigned, NotRecorded, outside};
use crate::live::Live;
use crate::{Engine, Error, ErrorKind, Principal, Role, Scope};

/// The longest address of a page, in characters. Every pattern and rule of the account looks at it.
const MAX_URL: usize = 8_192;

/// What a page shows.
#[derive(Clone, Debug)]
pub struct PageView {
    /// The experiments of this page, in the order in which they were made.
    pub experiments: Vec<Assigned>,
    /// What pages of the site have under test.
    pub selectors: Vec<SelectorHint>,
    /// What this page and those after it watch for, because steps of funnels wait for it.
    pub steps: Vec<FunnelWatch>,
}

/// What pages have under test, for the next page, which can hide it before it asks.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SelectorHint {
    /// Which pages, a [`PagePattern`](samplit_domain::PagePattern); `*` alone is every page.
    pub url: String,
    /// CSS selectors. What is found by XPath is missing.
    pub css: Vec<String>,
}

impl Engine {
    /// An identifier for a visitor who has none yet.
    #[must_use]
    pub fn new_visitor(&self) -> String {
        self.core.ids.next().to_string()
    }

    /// Decides what a visitor sees on a page. Each experiment is decided as by [`Self::assign`], all
    /// of them at once; one that cannot be decided now shows control
    /// ([`NotRecorded::Degraded`]). Of a visitor who asks not to be tracked nothing is recorded
    /// ([`NotRecorded::Privacy`]).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a visitor, a session, a context or an address that cannot be.
    pub async fn page(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        context: &Map<String, Json>,
    ) -> Result<PageView, Error> {
        let is_private = installation.is_private(visit);
        let request = Assign {
            visitor: visit.visitor.to_owned(),
            session: visit.session.map(str::to_owned),
            context: context.clone(),
        };
        if !is_private {
            request.check()?;
        }
        let url = visit.url.unwrap_or_default();
        let mut violations = Violations::default();
        violations.text("/url", url, MAX_URL);
        violations.into_result(())?;
        let who = owner_of(installation);
        let running = self.running(installation).await;
        let here = running.iter().filter(|live| is_meant(live, url));
        let asking = Asking::new(&request, *visit);
        let decided = here.map(|live| self.decide_on_page(&who, live, &asking, is_private));
        let experiments = join_all(decided).await.into_iter().flatten().collect();
        // Behind the experiments, as a way of a funnel may be open to a variant only.
        let steps = if is_private || asking.is_bot {
            Vec::new()
        } else {
            self.step_on_page(installation, visit, context, url).await
        };
        Ok(PageView {
            experiments,
            selectors: hints(&running),
            steps,
        })
    }

    /// Moves a visitor who sees a page through the funnels of the installation's account. A page shows what
    /// it shows also where that cannot be recorded, or takes long.
    async fn step_on_page(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        context: &Map<String, Json>,
        url: &str,
    ) -> Vec<FunnelWatch> {
        let Some(owner) = installation.user_id else {
            return Vec::new();
        };
        let seen = vec![FunnelDeed::Page(url.to_owned())];
        match self
            .core
            .move_visitor_soon(owner, visit, context, seen)
            .await
        {
            Ok(walked) => walked.map_or_else(Vec::new, |walked| walked.watched),
            Err(error) => {
                tracing::warn!(installation = %installation.id, error = ?error, "a page is no step of a funnel");
                Vec::new()
            }
        }
    }

    /// What pages of an installation have under test.
    pub async fn selector_hints(&self, installation: &Installation) -> Vec<SelectorHint> {
        hints(&self.running(installation).await)
    }

    /// The experiments that run on the pages of an installation; none while they cannot be read.
    async fn running(&self, installation: &Installation) -> Vec<Arc<Live>> {
        let Some(owner) = installation.user_id else {
            return Vec::new();
        };
        let running = self.on_pages(owner).await;
        running.unwrap_or_else(|error| {
            tracing::warn!(installation = %installation.id, error = ?error, "a page stays as it is");
            Vec::new()
        })
    }

    /// `None` for an experiment that was ended meanwhile.
    async fn decide_on_page(
        &self,
        who: &Principal,
        live: &Arc<Live>,
        asking: &Asking<'_>,
        is_private: bool,
    ) -> Option<Assigned> {
        if is_private {
            // Of one that is over everybody sees the winner, and nothing is recorded anyway.
            let reason = match live.experiment.status {
                Status::Completed => NotRecorded::Completed,
                _ => NotRecorded::Privacy,
            };
            let private = Ok(outside(live, reason));
            self.core.meter.assigned(Instant::now(), &private);
            return private.ok();
        }
        match self.assign_as(who, live.experiment.id, asking).await {
            Ok(assigned) => Some(assigned),
            Err(error) => match error.kind() {
                ErrorKind::NotRunning(_) | ErrorKind::NotFound(_) => None,
                _ => {
                    let experiment = live.experiment.id;
                    tracing::warn!(%experiment, error = ?error, "a page shows control");
                    Some(outside(live, NotRecorded::Degraded))
                }
            },
        }
    }
}

/// Whoever comes in by the token of an installation: may do for visitors what its owner may.
pub(crate) fn owner_of(installation: &Installation) -> Principal {
    Principal {
        user_id: installation.user_id,
        role: Role::Client,
        scopes: vec![Scope::Assign],
        key: None,
    }
}

fn is_meant(live: &Live, url: &str) -> bool {
    live.pages.as_ref().is_none_or(|pages| pages.matches(url))
}

fn hints(running: &[Arc<Live>]) -> Vec<SelectorHint> {
    let mut by_page = BTreeMap::<&str, Vec<String>>::new();
    for live in running {
        let experiment = &live.experiment;
        let selectors = experiment
            .elements
            .iter()
            .filter_map(|e| e.selector.as_ref());
        let css = selectors.filter_map(|selector| match selector.kind {
            SelectorType::Css => Some(selector.value.clone()),
            SelectorType::Id => Some(format!("[id={}]", css_string(&selector.value))),
            SelectorType::Class => Some(format!("[class~={}]", css_string(&selector.value))),
            SelectorType::XPath => None,
        });
        let page = experiment.target_url.as_deref().unwrap_or("*");
        for css in css {
            let known = by_page.entry(page).or_default();
            if !known.contains(&css) {
                known.push(css);
            }
        }
    }
    let hints = by_page.into_iter().map(|(url, css)| SelectorHint {
        url: url.to_owned(),
        css,
    });
    hints.collect()
}

/// A text as a string of CSS.
fn css_string(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => {
                out.push('\\');
                out.push(char);
            }
            '\n' | '\r' | '\u{c}' => out.push_str(&format!("\\{:x} ", u32::from(char))),
            _ => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::css_string;

    #[test]
    fn nothing_leaves_a_string_of_css() {
        assert_eq!(css_string("main"), r#""main""#);
        assert_eq!(css_string(r#"a"]\b"#), r#""a\"]\\b""#);
        assert_eq!(css_string("a\nb"), r#""a\a b""#);
    }
}
