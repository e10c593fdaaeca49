//! How often one API key may ask.

use std::{
    hash::{BuildHasher as _, RandomState},
    num::NonZeroU32,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};

/// A limit per key. Keys are held as keyed hashes, so that no token stays in memory.
#[derive(Debug)]
pub(crate) struct KeyLimit {
    limiter: RateLimiter<u64, DefaultKeyedStateStore<u64>, DefaultClock>,
    hash: RandomState,
}

impl KeyLimit {
    pub(crate) fn per_second(requests: NonZeroU32) -> Self {
        Self {
            limiter: RateLimiter::keyed(Quota::per_second(requests)),
            hash: RandomState::new(),
        }
    }

    /// Whether `token` may ask now; if not, the whole seconds after which it may.
    pub(crate) fn check(&self, token: &str) -> Result<(), u64> {
        self.limiter
            .check_key(&self.hash.hash_one(token))
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
