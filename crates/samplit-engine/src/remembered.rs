//! What was read some time ago and is believed for a while.

use std::sync::atomic::{AtomicBool, Ordering};

use time::{Duration, OffsetDateTime};

/// A value with the time when it was read.
#[derive(Debug)]
pub(crate) struct Remembered<T> {
    pub(crate) value: T,
    read_at: OffsetDateTime,
    /// Whether somebody is reading it again already.
    is_asked: AtomicBool,
}

impl<T> Remembered<T> {
    pub(crate) const fn new(value: T, read_at: OffsetDateTime) -> Self {
        Self {
            value,
            read_at,
            is_asked: AtomicBool::new(false),
        }
    }

    /// Whether it is older than `believed_for` and the caller is the one who has to read it again.
    pub(crate) fn is_due(&self, now: OffsetDateTime, believed_for: Duration) -> bool {
        now - self.read_at >= believed_for && !self.is_asked.swap(true, Ordering::Relaxed)
    }

    /// Whether it was read less than `believed_for` ago.
    pub(crate) fn is_younger_than(&self, believed_for: Duration, now: OffsetDateTime) -> bool {
        now - self.read_at < believed_for
    }

    /// It could not be read again; the next caller has to.
    pub(crate) fn ask_again(&self) {
        self.is_asked.store(false, Ordering::Relaxed);
    }
}
