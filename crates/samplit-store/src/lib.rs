#![doc = include_str!("../README.md")]

pub mod access;
pub mod account_links;
pub mod activity;
pub mod assignments;
mod breaker;
mod cause;
pub mod checkpoints;
mod columns;
mod database;
pub mod doctor;
pub mod elements;
pub mod erasures;
mod error;
pub mod exclusions;
pub mod experiments;
pub mod exports;
pub mod exposures;
pub mod funnel_results;
pub mod funnel_totals;
pub mod funnel_visits;
pub mod funnels;
pub mod heads;
pub mod idempotency;
pub mod installations;
pub mod keys;
pub mod leads;
mod like;
mod meter;
mod notify;
pub mod onboarding;
pub mod overview;
pub mod plans;
pub mod schema;
pub mod selector_misses;
mod server;
pub mod sessions;
mod settings;
pub mod shops;
mod statement;
pub mod statistics;
pub mod subscriptions;
mod tls;
pub mod trail;
pub mod usage;
pub mod users;
pub mod webhook_outbox;
pub mod webhooks;

pub use breaker::{Admission, BreakerState, CircuitBreaker, Epoch};
pub use database::{Connection, Database, PoolStatus, TxError};
pub use error::Error;
pub use notify::Notifications;
pub use server::Server;
pub use settings::{Settings, redact};
pub use statement::{Session, Statement};

/// Every statement that the store can run, for the test that prepares them all.
#[must_use]
pub fn statements() -> Vec<Statement> {
    [
        access::STATEMENTS,
        account_links::STATEMENTS,
        activity::STATEMENTS,
        assignments::STATEMENTS,
        checkpoints::STATEMENTS,
        doctor::STATEMENTS,
        elements::STATEMENTS,
        erasures::STATEMENTS,
        exclusions::STATEMENTS,
        experiments::STATEMENTS,
        exports::STATEMENTS,
        exposures::STATEMENTS,
        funnel_results::STATEMENTS,
        funnel_totals::STATEMENTS,
        funnel_visits::STATEMENTS,
        funnels::STATEMENTS,
        heads::STATEMENTS,
        idempotency::STATEMENTS,
        installations::STATEMENTS,
        keys::STATEMENTS,
        leads::STATEMENTS,
        onboarding::STATEMENTS,
        overview::STATEMENTS,
        plans::STATEMENTS,
        schema::STATEMENTS,
        selector_misses::STATEMENTS,
        sessions::STATEMENTS,
        shops::STATEMENTS,
        statistics::STATEMENTS,
        subscriptions::STATEMENTS,
        trail::STATEMENTS,
        usage::STATEMENTS,
        webhook_outbox::STATEMENTS,
        webhooks::STATEMENTS,
        users::STATEMENTS,
    ]
    .concat()
}
