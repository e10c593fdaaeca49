#![doc = include_str!("../README.md")]

pub mod access;
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
pub mod heads;
pub mod idempotency;
pub mod installations;
pub mod keys;
mod meter;
mod notify;
pub mod schema;
pub mod selector_misses;
mod server;
mod settings;
pub mod shops;
mod statement;
pub mod statistics;
mod tls;
pub mod trail;

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
        assignments::STATEMENTS,
        checkpoints::STATEMENTS,
        doctor::STATEMENTS,
        elements::STATEMENTS,
        erasures::STATEMENTS,
        exclusions::STATEMENTS,
        experiments::STATEMENTS,
        exports::STATEMENTS,
        exposures::STATEMENTS,
        heads::STATEMENTS,
        idempotency::STATEMENTS,
        installations::STATEMENTS,
        keys::STATEMENTS,
        schema::STATEMENTS,
        selector_misses::STATEMENTS,
        shops::STATEMENTS,
        statistics::STATEMENTS,
        trail::STATEMENTS,
    ]
    .concat()
}
