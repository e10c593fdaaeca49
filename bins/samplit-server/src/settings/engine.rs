//! How decisions are batched, remembered and learnt from.

use clap::Args;
use samplit_engine::{EngineConfig, KeyRing};
use serde::Serialize;

use super::duration::Span;

/// How decisions are batched, remembered and learnt from.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Engine")]
pub(crate) struct EngineSettings {
    /// Whose trails these are, like `experiments.example.org`; stands in every trail that begins.
    #[arg(long, env = "SAMPLIT_ORIGIN", default_value = "samplit")]
    origin: String,

    /// Requests that may wait per experiment; more are refused with 503.
    #[arg(long, env = "SAMPLIT_QUEUE_CAPACITY", default_value_t = 16_384)]
    queue_capacity: usize,

    /// Requests that share a transaction at most.
    #[arg(long, env = "SAMPLIT_MAX_BATCH", default_value_t = 1_024)]
    max_batch: usize,

    /// Transactions in flight at once.
    #[arg(long, env = "SAMPLIT_LANES", default_value_t = 2)]
    lanes: usize,

    /// Known visitors kept in memory.
    #[arg(long, env = "SAMPLIT_CACHE_CAPACITY", default_value_t = 200_000)]
    cache_capacity: u64,

    /// How often changes made by other processes are looked for where no notification arrived.
    #[arg(long, env = "SAMPLIT_REFRESH_EVERY", default_value = "5s")]
    refresh_every: Span,

    /// The least time between two changes of an experiment's weights.
    #[arg(long, env = "SAMPLIT_REALLOCATE_EVERY", default_value = "1s")]
    reallocate_every: Span,
}

impl EngineSettings {
    /// As the engine wants it.
    pub(crate) fn to_config(&self, keys: KeyRing) -> EngineConfig {
        EngineConfig {
            origin: self.origin.clone(),
            queue_capacity: self.queue_capacity,
            max_batch: self.max_batch,
            lanes: self.lanes,
            cache_capacity: self.cache_capacity,
            refresh_every: self.refresh_every.0,
            reallocate_every: self.reallocate_every.0,
            ..EngineConfig::new(keys)
        }
    }
}
