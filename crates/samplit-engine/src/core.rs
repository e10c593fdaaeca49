//! What every use case and the writer share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moka::sync::Cache;
use samplit_domain::{ExperimentId, Installation, InstallationId, UserId};
use samplit_store::Database;
use tokio::sync::Semaphore;

use crate::EngineConfig;
use crate::access::{KnownKey, REMEMBERED_FOR};
use crate::accounts::{KnownSession, Passwords, Strangers, Throttle};
use crate::checkpoints::{Directory, Rounds, Sinks, Turns, Unfiled, turns};
use crate::excluded::Excluded;
use crate::exclusions::Rules;
use crate::flags::Flags;
use crate::funnels::{Recorder, RunningFunnels};
use crate::glance::{self, Glance};
use crate::installations::SEEN_FOR;
use crate::live::Registry;
use crate::live_results::Hub;
use crate::meter::Meter;
use crate::misses::{self, MissDigest};
use crate::proof::Trees;
use crate::remembered::Remembered;
use crate::segments;
use crate::site::Site;
use crate::source::IdSource;
use crate::visitor::{Digest, KnownVisitor};
use crate::webhooks::Postman;

/// The most API keys remembered, and the most installations.
const MAX_KEYS: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) database: Database,
    pub(crate) config: EngineConfig,
    pub(crate) ids: IdSource,
    pub(crate) registry: Registry,
    pub(crate) meter: Meter,
    pub(crate) visitors: Cache<Digest, KnownVisitor>,
    pub(crate) api_keys: Cache<String, Arc<Remembered<KnownKey>>>,
    /// By the hash of the token.
    pub(crate) sessions: Cache<String, KnownSession>,
    /// How often sessions, keys or tokens of installations were ended here, so that one that was being read
    /// meanwhile is not remembered.
    pub(crate) endings: AtomicU64,
    pub(crate) passwords: Passwords,
    /// How often passwords may be tried.
    pub(crate) throttle: Throttle,
    /// Turns at computing segments.
    pub(crate) segmenting: Arc<Semaphore>,
    /// Tokens that are not remembered as good.
    pub(crate) strangers: Strangers,
    /// By token.
    pub(crate) installations: Cache<String, Arc<Remembered<Arc<Installation>>>>,
    /// What is on the pages of an account.
    pub(crate) sites: Cache<UserId, Arc<Remembered<Site>>>,
    /// What an account keeps out of its experiments.
    pub(crate) rules: Cache<UserId, Arc<Remembered<Rules>>>,
    /// What programs of an account may ask for by name.
    pub(crate) flags: Cache<UserId, Arc<Remembered<Flags>>>,
    /// The funnels that visitors of an account move through.
    pub(crate) running_funnels: Cache<UserId, Arc<Remembered<RunningFunnels>>>,
    /// Visitors who wait for their steps to be written.
    pub(crate) recorder: Recorder,
    pub(crate) excluded: Excluded,
    /// Installations of which a page was seen within the last minute, and whether it was one of the
    /// domain itself.
    pub(crate) seen: Cache<(InstallationId, bool), ()>,
    /// Reports of elements that were not there, so that one which comes again counts once.
    pub(crate) misses: Cache<MissDigest, ()>,
    pub(crate) trees: Trees,
    pub(crate) directory: Option<Directory>,
    pub(crate) unfiled: Unfiled,
    pub(crate) sinks: Sinks,
    pub(crate) rounds: Rounds,
    pub(crate) turns: Turns,
    pub(crate) postman: Postman,
    /// The experiments whose results somebody watches.
    pub(crate) hub: Hub,
    /// Results as they were a moment ago.
    pub(crate) glances: Cache<ExperimentId, Arc<Glance>>,
}

impl Core {
    pub(crate) fn new(database: Database, config: EngineConfig) -> Self {
        Self {
            ids: IdSource::new(Arc::clone(&config.clock), &*config.entropy),
            registry: Registry::default(),
            meter: Meter::new(),
            visitors: Cache::new(config.cache_capacity),
            api_keys: remembering(REMEMBERED_FOR),
            sessions: remembering(REMEMBERED_FOR),
            endings: AtomicU64::new(0),
            passwords: Passwords::default(),
            throttle: Throttle::new(Arc::clone(&config.clock)),
            segmenting: Arc::new(Semaphore::new(segments::AT_ONCE)),
            strangers: Strangers::new(Arc::clone(&config.clock)),
            installations: remembering(REMEMBERED_FOR),
            sites: remembering(REMEMBERED_FOR),
            rules: remembering(REMEMBERED_FOR),
            flags: remembering(REMEMBERED_FOR),
            running_funnels: remembering(REMEMBERED_FOR),
            recorder: Recorder::default(),
            excluded: Excluded::default(),
            seen: remembering(SEEN_FOR),
            misses: misses::counted(),
            trees: Trees::default(),
            directory: config.checkpoint_directory.clone().map(Directory::new),
            unfiled: Unfiled::default(),
            sinks: Sinks::start(&config.checkpoint_sinks),
            rounds: Rounds::default(),
            turns: turns(),
            postman: Postman::default(),
            hub: Hub::default(),
            glances: glance::remembered(),
            database,
            config,
        }
    }
}

/// What lets somebody in, as long as it is remembered.
impl Core {
    /// Remembers what was read while `endings` had passed, unless there were more meanwhile.
    pub(crate) fn remember<T: Send + Sync + 'static>(
        &self,
        memory: &Cache<String, Arc<T>>,
        (hash, known): (&str, T),
        endings: u64,
    ) {
        memory.insert(hash.to_owned(), Arc::new(known));
        if self.endings.load(Ordering::Acquire) != endings {
            memory.invalidate(hash);
        }
    }

    /// A session or key has ended, in the database already.
    pub(crate) fn forget_token<T: Send + Sync + 'static>(
        &self,
        memory: &Cache<String, Arc<T>>,
        hash: &str,
    ) {
        self.endings.fetch_add(1, Ordering::AcqRel);
        memory.invalidate(hash);
    }

    /// What a token of an installation opens has changed, in the database already.
    pub(crate) fn forget_installation(&self, token: &str) {
        self.strangers.forget(token);
        self.forget_token(&self.installations, token);
    }
}

fn remembering<K, V>(time_to_live: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let builder = Cache::builder().max_capacity(MAX_KEYS);
    builder.time_to_live(time_to_live).build()
}
