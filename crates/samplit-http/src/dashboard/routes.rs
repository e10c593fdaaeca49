//! The routes of the dashboard. A refusal of theirs is a page as well.

use hyper::Method;

use crate::router::{Handler, Route};

/// A page.
fn shown(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        pattern,
        handler,
        timed: true,
        page: true,
    }
}

/// A form that is sent.
fn sent(pattern: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::POST,
        ..shown(pattern, handler)
    }
}

pub(crate) fn table() -> Vec<Route> {
    vec![]
}
