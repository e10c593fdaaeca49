//! How often somebody may try a password: by email, and by address.
//!
//! In memory of one process. Neither emails nor addresses are kept, only keyed hashes of them.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{Quota, RateLimiter};
use samplit_domain::{Clock, to_micros};

use crate::{Error, ErrorKind};

/// Tries for one email at once, and the time after which there is one more.
const BY_EMAIL: (u32, Duration) = (10, Duration::from_secs(30));

/// Tries from one address at once, and the time after which there is one more. An office shares one.
const BY_ADDRESS: (u32, Duration) = (30, Duration::from_secs(5));

/// After how many tries those are forgotten who have all of theirs again.
const SWEEP_EVERY: u32 = 4_096;

/// The engine's clock, as the limiter wants it: time since 1970.
#[derive(Clone, Debug)]
struct Time(Arc<dyn Clock>);

impl GovernorClock for Time {
    type Instant = Duration;

    fn now(&self) -> Duration {
        let micros = u64::try_from(to_micros(self.0.now())).unwrap_or(0);
        Duration::from_micros(micros)
    }
}

type Limiter = RateLimiter<u64, DefaultKeyedStateStore<u64>, Time, NoOpMiddleware<Duration>>;

#[derive(Debug)]
pub(crate) struct Throttle {
    emails: Limiter,
    addresses: Limiter,
    time: Time,
    hash: RandomState,
    checks: AtomicU32,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let time = Time(clock);
        let limiter = |(burst, pause): (u32, Duration)| {
            let quota =
                Quota::with_period(pause).unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN));
            let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
            RateLimiter::new(quota, DefaultKeyedStateStore::default(), time.clone())
        };
        Self {
            emails: limiter(BY_EMAIL),
            addresses: limiter(BY_ADDRESS),
            time: time.clone(),
            hash: RandomState::new(),
            checks: AtomicU32::new(0),
        }
    }

    /// Whether there may be one more try for `email` from `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Throttled`] with the time after which there may be.
    pub(crate) fn check(&self, email: &str, address: Option<IpAddr>) -> Result<(), Error> {
        if let Some(address) = address {
            // Whoever has an IPv6 address has the whole /64.
            let network = match address.to_canonical() {
                IpAddr::V4(address) => u128::from(address.to_bits()),
                IpAddr::V6(address) => address.to_bits() >> 64 << 64,
            };
            self.take(&self.addresses, &network)?;
        }
        self.take(&self.emails, &email.to_lowercase())
    }

    fn take<K: Hash>(&self, limiter: &Limiter, key: &K) -> Result<(), Error> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks % SWEEP_EVERY == SWEEP_EVERY - 1 {
            self.emails.retain_recent();
            self.addresses.retain_recent();
        }
        limiter
            .check_key(&self.hash.hash_one(key))
            .map_err(|refused| {
                let retry_in = refused.wait_time_from(self.time.now());
                ErrorKind::Throttled { retry_in }.into()
            })
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use samplit_domain::{ManualClock, from_micros};

    use super::{BY_ADDRESS, BY_EMAIL, Throttle};
    use crate::ErrorKind;

    #[test]
    fn tries_run_out_and_come_back_by_and_by() {
        let clock = Arc::new(ManualClock::new(from_micros(1_000_000)));
        let throttle = Throttle::new(Arc::<ManualClock>::clone(&clock));
        let check = |email: &str, address: &str| {
            let address: IpAddr = address.parse().unwrap();
            match throttle.check(email, Some(address)) {
                Ok(()) => None,
                Err(error) => match error.kind() {
                    ErrorKind::Throttled { retry_in } => Some(*retry_in),
                    other => panic!("{other:?}"),
                },
            }
        };
        for n in 0..BY_EMAIL.0 {
            assert_eq!(check("ana@example.org", "192.0.2.1"), None, "{n}");
        }
        // However it is written, and wherever it comes from.
        assert_eq!(check("Ana@Example.org", "192.0.2.2"), Some(BY_EMAIL.1));
        assert_eq!(check("bea@example.org", "192.0.2.1"), None);
        clock.advance(time::Duration::seconds(30));
        assert_eq!(check("ana@example.org", "192.0.2.2"), None);
        assert!(check("ana@example.org", "192.0.2.2").is_some());

        // One network may not try everybody.
        for n in 0..BY_ADDRESS.0 {
            let address = format!("2001:db8::{n:x}");
            assert_eq!(check(&format!("{n}@example.org"), &address), None);
        }
        let refused = check("other@example.org", "2001:db8::ffff");
        assert!(refused.is_some_and(|wait| wait <= BY_ADDRESS.1 && wait > Duration::ZERO));
        assert_eq!(check("other@example.org", "2001:db8:0:1::1"), None);
    }
}
