//! How often somebody may try a password, or ask for a link: by address, by email and network, and, for
//! passwords that were wrong, by email alone.
//!
//! What one network does empties no allowance of another, so that nobody is kept out by a stranger who
//! knows the email. Only wrong passwords from many networks slow all of them down.
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

use super::tries::{Allowance, Attempt, Tries};
use crate::{Error, ErrorKind};

/// Tries for one email from one network at once, and the time after which there is one more.
const BY_EMAIL: Allowance = (10, Duration::from_secs(30));

/// Wrong passwords for one email, wherever they come from, at once, and the time after which there may be
/// one more. Faster than one network can go on by [`BY_EMAIL`].
const WRONG: Allowance = (100, Duration::from_secs(5));

/// Links for one email that one network asks for at once, and the time after which there is one more.
const LINKS: Allowance = (5, Duration::from_secs(60));

/// Tries from one address at once, and the time after which there is one more. An office shares one.
const BY_ADDRESS: Allowance = (30, Duration::from_secs(5));

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
    addresses: Limiter,
    emails: Limiter,
    links: Limiter,
    /// Wrong passwords, by email.
    wrong: Tries,
    time: Time,
    hash: RandomState,
    checks: AtomicU32,
}

impl Throttle {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let time = Time(Arc::clone(&clock));
        let limiter = |(burst, pause): Allowance| {
            let quota =
                Quota::with_period(pause).unwrap_or_else(|| Quota::per_minute(NonZeroU32::MIN));
            let quota = quota.allow_burst(NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN));
            RateLimiter::new(quota, DefaultKeyedStateStore::default(), time.clone())
        };
        Self {
            addresses: limiter(BY_ADDRESS),
            emails: limiter(BY_EMAIL),
            links: limiter(LINKS),
            wrong: Tries::new(clock, WRONG),
            time,
            hash: RandomState::new(),
            checks: AtomicU32::new(0),
        }
    }

    /// Whether a password may be tried for `email` from `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Throttled`] with the time after which it may.
    pub(crate) fn check(&self, email: &str, address: Option<IpAddr>) -> Result<Attempt<'_>, Error> {
        let email = email.to_lowercase();
        self.take_of(address)?;
        self.take(&self.emails, &(&email, address.map(network)))?;
        let attempt = self.wrong.begin(&email);
        attempt.map_err(|retry_in| ErrorKind::Throttled { retry_in }.into())
    }

    /// Whether a link may be asked for, to `email` and from `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Throttled`] with the time after which it may.
    pub(crate) fn check_link(&self, email: &str, address: Option<IpAddr>) -> Result<(), Error> {
        self.take_of(address)?;
        self.take(&self.links, &(email.to_lowercase(), address.map(network)))
    }

    fn take_of(&self, address: Option<IpAddr>) -> Result<(), Error> {
        let Some(address) = address else {
            return Ok(());
        };
        self.take(&self.addresses, &whose(address))
    }

    fn take<K: Hash>(&self, limiter: &Limiter, key: &K) -> Result<(), Error> {
        self.sweep();
        limiter
            .check_key(&self.hash.hash_one(key))
            .map_err(|refused| {
                let retry_in = refused.wait_time_from(self.time.now());
                ErrorKind::Throttled { retry_in }.into()
            })
    }

    fn sweep(&self) {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks % SWEEP_EVERY == SWEEP_EVERY - 1 {
            for limiter in [&self.addresses, &self.emails, &self.links] {
                limiter.retain_recent();
            }
        }
    }
}

/// An address as one client has it: whoever has one of IPv6 has the whole /64.
pub(super) fn whose(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// The network of an address, about as much as somebody gets with ease: of IPv4 the /24, of IPv6 the /48.
fn network(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits() >> 8),
        IpAddr::V6(address) => address.to_bits() >> 80 << 80,
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use samplit_domain::{ManualClock, from_micros};

    use super::{BY_ADDRESS, BY_EMAIL, LINKS, Throttle, WRONG};
    use crate::{Error, ErrorKind};

    fn throttle() -> (Throttle, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(from_micros(1_000_000)));
        (Throttle::new(Arc::<ManualClock>::clone(&clock)), clock)
    }

    fn wait<T>(outcome: Result<T, Error>) -> Option<Duration> {
        let error = outcome.err()?;
        match error.kind() {
            ErrorKind::Throttled { retry_in } => Some(*retry_in),
            other => panic!("{other:?}"),
        }
    }

    fn address(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn tries_run_out_and_come_back_by_and_by() {
        let (throttle, clock) = throttle();
        let check = |email: &str, from: &str| wait(throttle.check(email, address(from)));
        for n in 0..BY_EMAIL.0 {
            assert_eq!(check("ana@example.org", "192.0.2.1"), None, "{n}");
        }
        // However it is written, and from wherever in the network.
        assert_eq!(check("Ana@Example.org", "192.0.2.2"), Some(BY_EMAIL.1));
        assert_eq!(check("bea@example.org", "192.0.2.1"), None);
        clock.advance(time::Duration::seconds(30));
        assert_eq!(check("ana@example.org", "192.0.2.2"), None);
        assert!(check("ana@example.org", "192.0.2.2").is_some());

        // One network may not try everybody.
        for n in 0..BY_ADDRESS.0 {
            let from = format!("2001:db8::{n:x}");
            assert_eq!(check(&format!("{n}@example.org"), &from), None);
        }
        let refused = check("other@example.org", "2001:db8::ffff");
        assert!(refused.is_some_and(|wait| wait <= BY_ADDRESS.1 && wait > Duration::ZERO));
        assert_eq!(check("other@example.org", "2001:db8:0:1::1"), None);
    }

    #[test]
    fn a_stranger_elsewhere_keeps_nobody_out() {
        let (throttle, _clock) = throttle();
        let ana = "ana@example.org";
        for stranger in ["198.51.100.7", "2001:db8:1::1"] {
            let stranger = address(stranger);
            while let Ok(attempt) = throttle.check(ana, stranger) {
                attempt.failed();
            }
            while throttle.check_link(ana, stranger).is_ok() {}
        }
        assert_eq!(wait(throttle.check(ana, address("192.0.2.1"))), None);
        assert_eq!(wait(throttle.check(ana, address("2001:db8:2::1"))), None);
        assert_eq!(wait(throttle.check_link(ana, address("192.0.2.1"))), None);
    }

    #[test]
    fn asking_for_links_takes_no_try_away() {
        let (throttle, _clock) = throttle();
        let (ana, here) = ("ana@example.org", address("192.0.2.1"));
        for n in 0..LINKS.0 {
            assert_eq!(wait(throttle.check_link(ana, here)), None, "{n}");
        }
        let refused = throttle.check_link("Ana@example.org", here);
        assert_eq!(wait(refused), Some(LINKS.1));
        for n in 0..BY_EMAIL.0 {
            assert_eq!(wait(throttle.check(ana, here)), None, "{n}");
        }
    }

    #[test]
    fn wrong_passwords_from_everywhere_run_out_and_right_ones_do_not() {
        let (throttle, clock) = throttle();
        let ana = "ana@example.org";
        let from = |n: u32| address(&format!("10.{}.{}.1", n / 256, n % 256));
        for n in 0..2 * WRONG.0 {
            assert_eq!(wait(throttle.check(ana, from(n))), None, "{n}");
        }
        for n in 0..WRONG.0 {
            throttle.check(ana, from(1_000 + n)).unwrap().failed();
        }
        assert_eq!(wait(throttle.check(ana, from(2_000))), Some(WRONG.1));
        assert_eq!(wait(throttle.check("bea@example.org", from(2_000))), None);
        clock.advance(time::Duration::seconds(5));
        // Those that are under way count.
        let under_way = throttle.check(ana, from(2_001)).unwrap();
        assert_eq!(wait(throttle.check(ana, from(2_002))), Some(WRONG.1));
        drop(under_way);
        assert_eq!(wait(throttle.check(ana, from(2_003))), None);
    }
}
