//! Time as an argument.

use std::sync::atomic::{AtomicI64, Ordering};

use time::OffsetDateTime;

/// Where the time comes from. The real clock lives at the edge, tests drive a [`ManualClock`].
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// The current time, truncated to whole microseconds (PostgreSQL's resolution).
    fn now(&self) -> OffsetDateTime;
}

/// A clock that moves only when it is told to.
#[derive(Debug)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// Starts at `now`.
    #[must_use]
    pub fn new(now: OffsetDateTime) -> Self {
        Self(AtomicI64::new(to_micros(now)))
    }

    /// Moves the clock by `by`, which may be negative.
    pub fn advance(&self, by: time::Duration) {
        let micros = i64::try_from(by.whole_microseconds()).unwrap_or(i64::MAX);
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> OffsetDateTime {
        from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Microseconds since the Unix epoch.
#[must_use]
pub fn to_micros(at: OffsetDateTime) -> i64 {
    // Every `OffsetDateTime` is within +-10,000 years, and an i64 of microseconds spans +-292,000.
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000)).unwrap_or(i64::MAX)
}

/// The instant `micros` microseconds after the Unix epoch; out of range saturates at the epoch.
#[must_use]
pub fn from_micros(micros: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
