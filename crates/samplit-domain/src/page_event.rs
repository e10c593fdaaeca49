//! What a page reports.

use crate::{ElementId, ExperimentId, MAX_IDENTIFIER, Violations};

/// The most events in one report.
pub const MAX_PAGE_EVENTS: usize = 50;

/// Something that happened on a page.
#[derive(Clone, Debug, PartialEq)]
pub struct PageEvent {
    /// The page's own id of it, 1 to 255 characters; a repeat has the same.
    pub id: String,
    /// In which experiment.
    pub experiment_id: ExperimentId,
    /// What.
    pub what: Happened,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    /// The visitor has really seen the variant.
    Exposure,
    /// The visitor did what the experiment is about.
    Conversion {
        /// The goal; none: the primary one.
        goal: Option<String>,
        /// What it was worth; none: the goal's default.
        value: Option<f64>,
    },
    /// No selector of an element found anything.
    NoMatch {
        /// The element.
        element_id: ElementId,
        /// The page.
        url: String,
    },
}

impl PageEvent {
    /// Checks the rules that a whole report depends on; what only spoils the event itself is found
    /// when it is recorded.
    pub fn check(&self, pointer: &str, violations: &mut Violations) {
        violations.text(&format!("{pointer}/event_id"), &self.id, MAX_IDENTIFIER);
        if let Happened::NoMatch { url, .. } = &self.what {
            violations.url(&format!("{pointer}/url"), url);
        }
    }
}
