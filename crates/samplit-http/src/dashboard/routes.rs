//! The routes of the dashboard. A refusal of theirs is a page as well.

use hyper::Method;

use super::{door, join, overview};
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
    vec![
        shown("/", |call| Box::pin(overview::show(call))),
        shown("/login", |call| Box::pin(door::login(call))),
        sent("/login", |call| Box::pin(door::sign_in(call))),
        sent("/logout", |call| Box::pin(door::sign_out(call))),
        shown("/forgot", |call| Box::pin(door::forgot(call))),
        sent("/forgot", |call| Box::pin(door::send_link(call))),
        shown("/join/{token}", |call| Box::pin(join::show(call))),
        sent("/join/{token}", |call| Box::pin(join::join(call))),
    ]
}
