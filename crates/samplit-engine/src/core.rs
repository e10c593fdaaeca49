//! What every use case and the writer share.

use std::sync::Arc;

use moka::sync::Cache;
use samplit_store::Database;

use crate::EngineConfig;
use crate::access::{KnownKey, REMEMBERED_FOR};
use crate::checkpoints::{Directory, Rounds, Sinks, Turns, Unfiled, turns};
use crate::live::Registry;
use crate::meter::Meter;
use crate::proof::Trees;
use crate::source::IdSource;
use crate::visitor::{Digest, KnownVisitor};

/// The most API keys remembered.
const MAX_KEYS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) config: EngineConfig,
    pub(crate) ids: IdSource,
    pub(crate) registry: Registry,
    pub(crate) meter: Meter,
    pub(crate) visitors: Cache<Digest, KnownVisitor>,
    pub(crate) api_keys: Cache<String, Arc<KnownKey>>,
    pub(crate) trees: Trees,
    pub(crate) directory: Option<Directory>,
    pub(crate) unfiled: Unfiled,
    pub(crate) sinks: Sinks,
    pub(crate) rounds: Rounds,
    pub(crate) turns: Turns,
}

impl Core {
    pub(crate) fn new(database: Database, config: EngineConfig) -> Self {
        Self {
            ids: IdSource::new(Arc::clone(&config.clock), &*config.entropy),
            registry: Registry::default(),
            meter: Meter::new(),
            visitors: Cache::new(config.cache_capacity),
            api_keys: Cache::builder()
                .max_capacity(MAX_KEYS)
                .time_to_live(REMEMBERED_FOR)
                .build(),
            trees: Trees::default(),
            directory: config.checkpoint_directory.clone().map(Directory::new),
            unfiled: Unfiled::default(),
            sinks: Sinks::start(&config.checkpoint_sinks),
            rounds: Rounds::default(),
            turns: turns(),
            database,
            config,
        }
    }
}
