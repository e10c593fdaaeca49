//! Tries that may fail: each counts as a failure until it turns out to be none, and failures are forgotten
//! one after another.
//!
//! So many at once do not get past a limit, and those that succeed take nothing away from anybody. In
//! memory of one process, which knows keyed hashes only.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use samplit_domain::{Clock, to_micros};

/// After how many tries those are forgotten who have all of theirs again.
const SWEEP_EVERY: u32 = 4_096;

/// Of how many failures are remembered, of a few dozen bytes each. Beyond, further ones do not count: it
/// takes as many addresses, or emails, to get there.
const KEPT: usize = 100_000;

/// Failures at once, and the time after which there may be one more.
pub(super) type Allowance = (u32, Duration);

#[derive(Debug)]
pub(super) struct Tries {
    allowance: Allowance,
    /// Per whoever failed: when the last of the failures is forgotten, as time since 1970.
    failed: Mutex<HashMap<u64, Duration>>,
    clock: Arc<dyn Clock>,
    hash: RandomState,
    count: AtomicU32,
}

/// A try. Until it is dropped it counts as a failure; from then on only if it was one.
#[derive(Debug)]
#[must_use]
pub(crate) struct Attempt<'t> {
    tries: &'t Tries,
    by: u64,
    is_failure: bool,
}

impl Attempt<'_> {
    /// It came to nothing.
    pub(crate) fn failed(mut self) {
        self.is_failure = true;
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if !self.is_failure {
            self.tries.forgive(self.by);
        }
    }
}

impl Tries {
    pub(super) fn new(clock: Arc<dyn Clock>, allowance: Allowance) -> Self {
        Self {
            allowance,
            failed: Mutex::default(),
            clock,
            hash: RandomState::new(),
            count: AtomicU32::new(0),
        }
    }

    /// One more try by `by`.
    ///
    /// # Errors
    /// The time after which there may be one.
    pub(super) fn begin<K: Hash + ?Sized>(&self, by: &K) -> Result<Attempt<'_>, Duration> {
        let by = self.hash.hash_one(by);
        let (burst, pause) = self.allowance;
        let now = self.now();
        let mut failed = self.failed.lock();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        if count % SWEEP_EVERY == SWEEP_EVERY - 1 {
            failed.retain(|_, until| *until > now);
        }
        let known = failed.get(&by).map_or(now, |until| now.max(*until));
        let until = known + pause;
        let wait = until.saturating_sub(now + pause * burst);
        if wait > Duration::ZERO {
            return Err(wait);
        }
        if failed.len() < KEPT || failed.contains_key(&by) {
            failed.insert(by, until);
        }
        Ok(Attempt {
            tries: self,
            by,
            is_failure: false,
        })
    }

    /// It was no failure.
    fn forgive(&self, by: u64) {
        let now = self.now();
        let mut failed = self.failed.lock();
        if let Some(until) = failed.get_mut(&by) {
            *until = until.saturating_sub(self.allowance.1);
            if *until <= now {
                failed.remove(&by);
            }
        }
    }

    fn now(&self) -> Duration {
        let micros = u64::try_from(to_micros(self.clock.now())).unwrap_or(0);
        Duration::from_micros(micros)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use samplit_domain::{ManualClock, from_micros};

    use super::{KEPT, Tries};

    #[test]
    fn failures_run_out_and_what_succeeds_does_not() {
        let clock = Arc::new(ManualClock::new(from_micros(1_000_000)));
        let pause = Duration::from_secs(5);
        let tries = Tries::new(Arc::<ManualClock>::clone(&clock), (2, pause));
        for _ in 0..10 {
            drop(tries.begin("a").unwrap());
        }
        tries.begin("a").unwrap().failed();
        // One that is under way counts.
        let under_way = tries.begin("a").unwrap();
        assert_eq!(tries.begin("a").unwrap_err(), pause);
        assert!(tries.begin("b").is_ok());
        drop(under_way);
        tries.begin("a").unwrap().failed();
        assert_eq!(tries.begin("a").unwrap_err(), pause);
        clock.advance(time::Duration::seconds(5));
        tries.begin("a").unwrap().failed();
        assert!(tries.begin("a").is_err());
    }

    #[test]
    fn memory_is_bounded_and_what_is_forgiven_is_forgotten() {
        let clock = Arc::new(ManualClock::new(from_micros(1_000_000)));
        let tries = Tries::new(
            Arc::<ManualClock>::clone(&clock),
            (1, Duration::from_secs(1)),
        );
        drop(tries.begin(&0).unwrap());
        assert_eq!(tries.failed.lock().len(), 0);
        for by in 0..KEPT + 10 {
            tries.begin(&by).unwrap().failed();
        }
        assert_eq!(tries.failed.lock().len(), KEPT);
        clock.advance(time::Duration::seconds(2));
        for _ in 0..super::SWEEP_EVERY {
            drop(tries.begin("somebody").unwrap());
        }
        assert_eq!(tries.failed.lock().len(), 0);
    }
}
