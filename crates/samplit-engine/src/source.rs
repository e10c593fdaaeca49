//! Where time, chance and identifiers come from: the only ambient sources of the crate.

use std::sync::Arc;

use parking_lot::Mutex;
use rand::{Rng as _, SeedableRng as _, rngs::ChaCha12Rng};
use ring::rand::{SecureRandom as _, SystemRandom};
use samplit_domain::{Clock, from_micros, to_micros};
use time::OffsetDateTime;
use uuid::Uuid;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> OffsetDateTime {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the real clock"
        )]
        let now = OffsetDateTime::now_utc();
        // Cut to what PostgreSQL stores, so that what is answered is what is read back.
        from_micros(to_micros(now))
    }
}

/// A source of random bytes for keys, nonces and identifiers.
pub trait Entropy: std::fmt::Debug + Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The operating system's random source.
#[derive(Debug)]
pub struct SystemEntropy(SystemRandom);

impl Default for SystemEntropy {
    fn default() -> Self {
        Self(SystemRandom::new())
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0
            .fill(bytes)
            .expect("the operating system has a random source");
    }
}

/// A random source that repeats itself: the same seed gives the same keys and identifiers. For
/// simulations and tests; never for an experiment whose draws must be unpredictable.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<ChaCha12Rng>);

impl SeededEntropy {
    /// Starts from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(ChaCha12Rng::seed_from_u64(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}

/// Makes identifiers: `UUIDv7`, so that rows inserted together lie together in the index.
#[derive(Debug)]
pub(crate) struct IdSource {
    clock: Arc<dyn Clock>,
    rng: Mutex<ChaCha12Rng>,
}

impl IdSource {
    pub(crate) fn new(clock: Arc<dyn Clock>, entropy: &dyn Entropy) -> Self {
        let mut seed = [0; 32];
        entropy.fill(&mut seed);
        Self {
            clock,
            rng: Mutex::new(ChaCha12Rng::from_seed(seed)),
        }
    }

    pub(crate) fn next(&self) -> Uuid {
        let millis = u64::try_from(to_micros(self.clock.now()) / 1_000).unwrap_or(0);
        let mut random = [0; 10];
        self.rng.lock().fill_bytes(&mut random);
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }
}
