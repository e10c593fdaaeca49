//! How often one may ask: by API key, or by installation and address.

use std::{
    hash::{BuildHasher as _, Hash, RandomState},
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering},
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

/// After how many requests those are forgotten who have their whole burst again: addresses come and
/// go, and are not to fill the memory.
const SWEEP_EVERY: u32 = 16_384;

/// A limit per key. Keys are held as keyed hashes, so that no token stays in memory.
#[derive(Debug)]
pub(crate) struct KeyLimit {
    limiter: RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock>,
    hash: RandomState,
    checks: AtomicU32,
}

impl KeyLimit {
    pub(crate) fn per_second(requests: NonZeroU32) -> Self {
        Self::new(Quota::per_second(requests))
    }

    pub(crate) fn per_minute(requests: NonZeroU32) -> Self {
        Self::new(Quota::per_minute(requests))
    }

    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            hash: RandomState::new(),
            checks: AtomicU32::new(0),
        }
    }

    /// Whether `key` may ask now; if not, the whole seconds after which it may.
    pub(crate) fn check<K: Hash + ?Sized>(&self, key: &K) -> Result<(), u64> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter
            .check_key(&self.hash.hash_one(key))
            .map_err(|refused| {
                let wait = refused.wait_time_from(DefaultClock::default().now());
                wait.as_secs() + 1
            })
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::KeyLimit;

    #[test]
    fn the_burst_is_granted_and_each_key_has_its_own() {
        let limit = KeyLimit::per_second(NonZeroU32::new(1).unwrap());
        assert_eq!(limit.check("a"), Ok(()));
        assert_eq!(limit.check("a"), Err(1));
        assert_eq!(limit.check("b"), Ok(()));
    }
}
