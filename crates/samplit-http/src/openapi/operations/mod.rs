//! Every operation, as the table of routes has them.

mod accounts;
mod experiments;
mod files;
mod funnels;
mod leads;
mod plans;
mod results;
mod sites;
mod trail;
mod webhooks;

use hyper::Method;

use super::operation::{Operation, operation};

pub(super) const EXPERIMENTS: &str = "Experiments";
pub(super) const VISITORS: &str = "Visitors";
pub(super) const RESULTS: &str = "Results";
pub(super) const TRAIL: &str = "Trail";
pub(super) const FLAGS: &str = "Flags";
pub(super) const FUNNELS: &str = "Funnels";
pub(super) const SITES: &str = "Sites";
pub(super) const LEADS: &str = "Leads";
pub(super) const EXCLUSIONS: &str = "Exclusions";
pub(super) const WEBHOOKS: &str = "Webhooks";
pub(super) const ACCOUNTS: &str = "Accounts";
pub(super) const FILES: &str = "Files";

pub(super) fn all() -> Vec<Operation> {
    [
        experiments::operations(),
        results::operations(),
        trail::operations(),
        funnels::operations(),
        sites::operations(),
        leads::operations(),
        webhooks::operations(),
        accounts::operations(),
        plans::operations(),
        files::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// An experiment has a trail, and numbers, from its start on.
fn needs_a_start(operation: Operation) -> Operation {
    if operation.path.starts_with("/v1/audit") {
        return operation;
    }
    operation.refuses(409, &["experiment_not_running"])
}

/// Operations of one section.
#[derive(Clone, Copy)]
struct Section(&'static str);

impl Section {
    fn get(self, path: &'static str, summary: &'static str) -> Operation {
        operation(Method::GET, path, self.0, summary)
    }

    fn post(self, path: &'static str, summary: &'static str) -> Operation {
        operation(Method::POST, path, self.0, summary)
    }

    fn put(self, path: &'static str, summary: &'static str) -> Operation {
        operation(Method::PUT, path, self.0, summary)
    }

    fn patch(self, path: &'static str, summary: &'static str) -> Operation {
        operation(Method::PATCH, path, self.0, summary)
    }

    fn delete(self, path: &'static str, summary: &'static str) -> Operation {
        operation(Method::DELETE, path, self.0, summary)
    }

    /// What a browser asks before a page may ask.
    fn preflight(self, path: &'static str) -> Operation {
        let summary = "What a browser asks before a page of another origin may ask";
        operation(Method::OPTIONS, path, self.0, summary).gives_nothing(204)
    }
}
