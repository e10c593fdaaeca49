//! What the store counts and times.
//!
//! The handles are looked up in the recorder once, when the pool is made: a program that wants the
//! figures installs its recorder before.

use std::collections::HashMap;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use parking_lot::Mutex;

use crate::{BreakerState, PoolStatus};

const STATES: [BreakerState; 3] = [
    BreakerState::Closed,
    BreakerState::HalfOpen,
    BreakerState::Open,
];

/// The metrics of one pool.
pub(crate) struct Meter {
    acquire: Histogram,
    unavailable: Counter,
    breaker: [Gauge; STATES.len()],
    breaker_opened: Counter,
    in_use: Gauge,
    idle: Gauge,
    limit: Gauge,
    waiting: Gauge,
    transactions: Mutex<HashMap<&'static str, TransactionMeter>>,
}

/// The metrics of one kind of transaction.
#[derive(Clone)]
pub(crate) struct TransactionMeter {
    commit: Histogram,
    retries: Counter,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe();
        let connections = |state| gauge!("samplit_db_connections", "state" => state);
        Self {
            acquire: histogram!("samplit_db_acquire_seconds"),
            unavailable: counter!("samplit_db_unavailable_total"),
            breaker: STATES.map(|state| gauge!("samplit_db_breaker", "state" => state.as_str())),
            breaker_opened: counter!("samplit_db_breaker_opened_total"),
            in_use: connections("in_use"),
            idle: connections("idle"),
            limit: gauge!("samplit_db_connections_limit"),
            waiting: gauge!("samplit_db_acquire_waiting"),
            transactions: Mutex::default(),
        }
    }

    /// A connection was had, or not, after `waited`.
    pub(crate) fn acquired(&self, waited: Duration) {
        self.acquire.record(waited.as_secs_f64());
    }

    /// PostgreSQL could not be reached, or nobody was let try.
    pub(crate) fn unavailable(&self) {
        self.unavailable.increment(1);
    }

    /// The breaker opened.
    pub(crate) fn breaker_opened(&self) {
        self.breaker_opened.increment(1);
    }

    /// The metrics of the transactions called `name`.
    pub(crate) fn transaction(&self, name: &'static str) -> TransactionMeter {
        let mut transactions = self.transactions.lock();
        let meter = transactions
            .entry(name)
            .or_insert_with(|| TransactionMeter {
                commit: histogram!("samplit_db_commit_seconds", "transaction" => name),
                retries: counter!("samplit_db_retries_total", "transaction" => name),
            });
        meter.clone()
    }

    /// What is looked at and not counted.
    pub(crate) fn show(&self, breaker: BreakerState, pool: PoolStatus) {
        for (state, gauge) in STATES.iter().zip(&self.breaker) {
            gauge.set(f64::from(u8::from(*state == breaker)));
        }
        self.in_use.set(number(pool.in_use));
        self.idle.set(number(pool.idle));
        self.limit.set(number(pool.limit));
        self.waiting.set(number(pool.waiting));
    }
}

impl TransactionMeter {
    /// A COMMIT was answered after `elapsed`.
    pub(crate) fn committed(&self, elapsed: Duration) {
        self.commit.record(elapsed.as_secs_f64());
    }

    /// The transaction runs again.
    pub(crate) fn retried(&self) {
        self.retries.increment(1);
    }
}

#[expect(clippy::cast_precision_loss, reason = "connections are few")]
fn number(connections: usize) -> f64 {
    connections as f64
}

/// The one list of the store's metrics.
fn describe() {
    describe_histogram!(
        "samplit_db_acquire_seconds",
        Unit::Seconds,
        "Time until the pool lent a connection, or gave up"
    );
    describe_histogram!(
        "samplit_db_commit_seconds",
        Unit::Seconds,
        "Time from COMMIT to its answer, by transaction"
    );
    describe_counter!(
        "samplit_db_retries_total",
        "Transactions run again after a conflict, by transaction"
    );
    describe_counter!(
        "samplit_db_unavailable_total",
        "Units of work that found PostgreSQL away, among them those that the breaker refused"
    );
    describe_gauge!(
        "samplit_db_breaker",
        "1 for the state that the circuit breaker is in, 0 for the others"
    );
    describe_counter!(
        "samplit_db_breaker_opened_total",
        "How often the circuit breaker opened"
    );
    describe_gauge!(
        "samplit_db_connections",
        "Connections of the pool, by state: in_use or idle"
    );
    describe_gauge!(
        "samplit_db_connections_limit",
        "Connections that the pool may open"
    );
    describe_gauge!(
        "samplit_db_acquire_waiting",
        "Callers that wait for a connection"
    );
}
