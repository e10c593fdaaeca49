//! How long and by which chances a fault runs.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use rand::SeedableRng as _;
use rand::rngs::ChaCha12Rng;

use crate::Fault;

/// What a fault is given.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    /// What its moments follow from, and the requests of its clients.
    pub(crate) seed: u64,
}

impl Plan {
    pub(crate) fn of(fault: &Fault) -> Self {
        Self {
            name: fault.name,
            what: fault.what,
            seed: seed(),
        }
    }

    /// The figure of the short form, or of the long one.
    pub(crate) fn pick<T>(self, short: T, long: T) -> T {
        if is_long() { long } else { short }
    }

    /// The seed of one stream of chances of this fault.
    pub(crate) fn stream(self, label: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (self.seed, self.name, label).hash(&mut hasher);
        hasher.finish()
    }

    /// The chances by which the moments of this fault are chosen.
    pub(crate) fn chances(self) -> ChaCha12Rng {
        ChaCha12Rng::seed_from_u64(self.stream("moments"))
    }
}

/// Whether the figures of docs/RELIABILITY.md are asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("SAMPLIT_FAULTS").is_some_and(|form| form == "long")
}

/// What everything follows from; 1 unless `SAMPLIT_FAULT_SEED` says otherwise.
pub(crate) fn seed() -> u64 {
    let seed = std::env::var_os("SAMPLIT_FAULT_SEED");
    seed.map_or(1, |seed| {
        seed.to_str().and_then(|seed| seed.parse().ok()).unwrap()
    })
}
