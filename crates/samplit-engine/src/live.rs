//! Experiments as they run: configuration, keys and the weights in force, kept in memory.
//!
//! A change made by another process arrives by NOTIFY, and where that is lost by a periodic look at
//! the versions. What is recorded does not depend on either: the writer compares the version under
//! the lock of the head and sends a batch built on an old one back. What memory decides is how soon
//! a change is seen where nothing is recorded: a visitor who is known, or new to an experiment that
//! this process still believes to be paused or completed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock};
use samplit_audit::payload::{Genesis, Reallocation};
use samplit_audit::{DrawKey, Payload, PidKey, Place, Pseudonym, TypedPayload as _};
use samplit_bandit::Weights;
use samplit_domain::{ArmSet, Experiment, ExperimentId, PagePattern, Status, arm_sets, to_micros};
use samplit_store::heads::HeadRow;
use samplit_store::trail::EntryRow;
use samplit_store::{Database, Notifications, Session, erasures, experiments, heads, keys, trail};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use uuid::Uuid;

use crate::auto_complete::is_registered;
use crate::core::Core;
use crate::trail::{signed, unsigned};
use crate::{Error, ErrorKind, start};

/// An experiment in memory.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) experiment: Arc<Experiment>,
    pub(crate) arm_sets: Vec<ArmSet>,
    /// The pages that it is on; `None`: all.
    pub(crate) pages: Option<PagePattern>,
    /// `None` before the start.
    pub(crate) trail: Option<LiveTrail>,
    /// One permit per request that may wait.
    pub(crate) waiting: Arc<Semaphore>,
}

/// What an experiment has once it has started.
#[derive(Debug)]
pub(crate) struct LiveTrail {
    pub(crate) draw_key: DrawKey,
    /// `None` once it was destroyed.
    pub(crate) pid_key: Option<PidKey>,
    /// Visitors who were erased. They have had their turn: a second one would give their pseudonym
    /// two assignments in one trail.
    pub(crate) erased: HashSet<Pseudonym>,
    pub(crate) genesis: Genesis,
    /// When the trail began, in microseconds since the epoch.
    pub(crate) began_us: i64,
    /// Why nothing may be appended.
    pub(crate) hold: Option<String>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// When the posteriors were last looked at, in microseconds since the epoch; stays the same
    /// number when the experiment is read anew.
    pub(crate) evaluated_us: Arc<AtomicI64>,
}

/// The weights in force.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Snapshot {
    /// The genesis or reallocation entry.
    pub(crate) seq: u64,
    pub(crate) at_us: i64,
    /// How they came about.
    pub(crate) method: &'static str,
    /// Per element.
    pub(crate) weights: Vec<Weights>,
}

impl LiveTrail {
    /// Takes newer weights into memory. Two lanes may come in either order; the newer ones stay.
    pub(crate) fn advance(&self, snapshot: &Arc<Snapshot>) {
        self.snapshot.rcu(|current| {
            Arc::clone(if snapshot.seq > current.seq {
                snapshot
            } else {
                current
            })
        });
    }
}

impl Snapshot {
    pub(crate) fn from_entry(row: &EntryRow) -> Result<Self, Error> {
        let payload = Payload::from_text(row.decision_data.as_bytes()).map_err(Error::internal)?;
        let (method, weights): (_, Vec<Vec<u32>>) = match row.decision_type.as_str() {
            "genesis" => {
                let genesis = Genesis::parse(payload.bytes()).map_err(Error::internal)?;
                let elements = genesis.elements.as_slice().iter();
                (
                    start::first_method(&genesis),
                    elements.map(|e| e.weights_ppb.clone()).collect(),
                )
            }
            _ => {
                let entry = Reallocation::parse(payload.bytes()).map_err(Error::internal)?;
                let elements = entry.elements.as_slice().iter();
                (
                    entry.method.as_str(),
                    elements.map(|b| b.weights_ppb.clone()).collect(),
                )
            }
        };
        let weights = weights
            .into_iter()
            .map(Weights::from_ppb)
            .collect::<Result<_, _>>();
        Ok(Self {
            seq: unsigned(row.sequence_number)?,
            at_us: to_micros(row.created_at),
            method,
            weights: weights.map_err(Error::internal)?,
        })
    }

    /// Reads the snapshot with a sequence number.
    pub(crate) async fn read(
        session: &Session<'_>,
        experiment: ExperimentId,
        seq: u64,
    ) -> Result<Self, Error> {
        let entry = trail::entry(session, experiment, signed(seq)).await?;
        let entry = entry.ok_or_else(|| {
            samplit_store::Error::inconsistent(
                "audit_heads",
                "snapshot_seq",
                format!("{experiment} has no entry {seq}"),
            )
        })?;
        Self::from_entry(&entry)
    }
}

impl Live {
    /// What the experiment has once it has started.
    pub(crate) fn started(&self) -> Result<&LiveTrail, Error> {
        self.trail
            .as_ref()
            .ok_or_else(|| ErrorKind::NotRunning(self.experiment.status).into())
    }

    /// Checks that the trail is not on hold.
    pub(crate) fn not_on_hold(&self) -> Result<(), Error> {
        match self.trail.as_ref().and_then(|trail| trail.hold.clone()) {
            Some(reason) => Err(ErrorKind::OnHold { reason }.into()),
            None => Ok(()),
        }
    }

    /// What the trail calls a visitor.
    pub(crate) fn pseudonym(&self, visitor: &str) -> Result<Pseudonym, Error> {
        let key = self.started()?.pid_key.as_ref().ok_or_else(|| {
            Error::conflict(
                "pseudonyms_destroyed",
                "the pseudonym key of the experiment is gone",
            )
        })?;
        Ok(key.pseudonym(self.experiment.id.0, visitor))
    }
}

impl Live {
    /// Whether a visitor was erased. Costs nothing where nobody was.
    pub(crate) fn is_erased(&self, visitor: &str) -> bool {
        let trail = self.trail.as_ref().filter(|t| !t.erased.is_empty());
        trail.is_some_and(|trail| {
            let key = trail.pid_key.as_ref();
            key.is_some_and(|key| {
                let pseudonym = key.pseudonym(self.experiment.id.0, visitor);
                trail.erased.contains(&pseudonym)
            })
        })
    }
}

/// All experiments in memory.
#[derive(Debug)]
pub(crate) struct Registry {
    experiments: RwLock<HashMap<ExperimentId, Arc<Live>>>,
    /// Held while an experiment is read, so that a crowd that waits for it reads it once.
    loading: Mutex<HashMap<ExperimentId, Arc<tokio::sync::Mutex<()>>>>,
    /// When all that was in memory was last known to be what the database holds.
    checked_at: Mutex<Instant>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            experiments: RwLock::default(),
            loading: Mutex::default(),
            checked_at: Mutex::new(Instant::now()),
        }
    }
}

impl Registry {
    fn get(&self, id: ExperimentId) -> Option<Arc<Live>> {
        self.experiments.read().get(&id).cloned()
    }

    /// All of them, in no order.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.experiments.read().values().cloned().collect()
    }

    /// When all of them were last compared with the database.
    pub(crate) fn checked_at(&self) -> Instant {
        *self.checked_at.lock()
    }

    /// Places left in the line of an experiment that is in memory.
    pub(crate) fn free_places(&self, id: ExperimentId) -> Option<usize> {
        self.get(id).map(|live| live.waiting.available_permits())
    }

    /// The turn to read one experiment.
    async fn turn(&self, id: ExperimentId) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = Arc::clone(self.loading.lock().entry(id).or_default());
        turn.lock_owned().await
    }

    fn put(&self, live: Live) -> Arc<Live> {
        let live = Arc::new(live);
        self.experiments
            .write()
            .insert(live.experiment.id, Arc::clone(&live));
        live
    }
}

impl Core {
    /// The experiment, from memory if it is there.
    pub(crate) async fn live(&self, id: ExperimentId) -> Result<Arc<Live>, Error> {
        if let Some(live) = self.registry.get(id) {
            return Ok(live);
        }
        let _turn = self.registry.turn(id).await;
        match self.registry.get(id) {
            Some(live) => Ok(live),
            None => self.load(id).await,
        }
    }

    /// The experiment, read anew unless it is at least at `version` by now.
    pub(crate) async fn refreshed(
        &self,
        id: ExperimentId,
        version: i64,
    ) -> Result<Arc<Live>, Error> {
        let _turn = self.registry.turn(id).await;
        match self.registry.get(id) {
            Some(live) if live.experiment.version >= version => Ok(live),
            _ => self.load(id).await,
        }
    }

    async fn load(&self, id: ExperimentId) -> Result<Arc<Live>, Error> {
        let read = self
            .database
            .run(|session| Box::pin(experiments::read(session, id)));
        let experiment = read.await?.ok_or(ErrorKind::NotFound("experiment"))?;
        let arm_sets = arm_sets(&experiment);
        let mut trail = self.load_trail(id).await?;
        let runs = matches!(
            experiment.status,
            Status::Active | Status::Paused | Status::Completed
        );
        if trail.is_none() && runs {
            // Rows older than the trail: it begins now, with the counts they bring along.
            start::adopt(self, &experiment).await?;
            trail = self.load_trail(id).await?;
        }
        let before = self.registry.get(id);
        let before_trail = before.as_ref().and_then(|before| before.trail.as_ref());
        if let (Some(trail), Some(before)) = (&mut trail, before_trail) {
            trail.evaluated_us = Arc::clone(&before.evaluated_us);
        }
        let waiting = before.map_or_else(
            || Arc::new(Semaphore::new(self.config.queue_capacity)),
            |before| Arc::clone(&before.waiting),
        );
        let pages = experiment.target_url.as_deref().map(PagePattern::new);
        let experiment = Arc::new(experiment);
        Ok(self.registry.put(Live {
            experiment,
            arm_sets,
            pages,
            trail,
            waiting,
        }))
    }

    async fn load_trail(&self, id: ExperimentId) -> Result<Option<LiveTrail>, Error> {
        let read = self
            .database
            .run(|session| Box::pin(read_trail(session, id)));
        let Some(ReadTrail {
            head,
            sealed,
            genesis: (genesis, began_us),
            snapshot,
        }) = read.await?
        else {
            return Ok(None);
        };
        let row = id.to_string();
        let open = |column, sealed: &[u8]| -> Result<[u8; 32], Error> {
            let place = Place {
                table: "experiment_keys",
                row: &row,
                column,
            };
            let plain = self
                .config
                .keys
                .open(place, sealed)
                .map_err(Error::internal)?;
            plain
                .try_into()
                .map_err(|_| Error::internal("a sealed key is not 32 bytes"))
        };
        let pid_key = sealed
            .pid
            .map(|sealed| open("pid_key_sealed", &sealed))
            .transpose()?;
        Ok(Some(LiveTrail {
            draw_key: DrawKey::from_bytes(open("draw_key_sealed", &sealed.draw)?),
            pid_key: pid_key.map(PidKey::from_bytes),
            erased: self.read_erased(id).await?,
            genesis,
            began_us,
            hold: head.hold,
            snapshot: ArcSwap::from_pointee(snapshot),
            evaluated_us: Arc::default(),
        }))
    }

    async fn read_erased(&self, id: ExperimentId) -> Result<HashSet<Pseudonym>, Error> {
        let read = self
            .database
            .run(|session| Box::pin(erasures::pseudonyms(session, id)));
        let digits = read.await?;
        let pseudonyms = digits.iter().map(|digits| {
            digits.parse().map_err(|error| {
                let what = format!("{id}: `{digits}`: {error}");
                samplit_store::Error::inconsistent("erasures", "pseudonym", what).into()
            })
        });
        pseudonyms.collect()
    }

    /// The experiments in memory that complete by themselves.
    pub(crate) fn registered_to_complete(&self) -> Vec<ExperimentId> {
        let experiments = self.registry.experiments.read();
        let wanted = experiments
            .values()
            .filter(|live| is_registered(&live.experiment));
        wanted.map(|live| live.experiment.id).collect()
    }

    /// Reads anew what has changed among the experiments in memory.
    pub(crate) async fn refresh_changed(&self) -> Result<(), Error> {
        let began = Instant::now();
        let known: HashMap<ExperimentId, i64> = {
            let experiments = self.registry.experiments.read();
            experiments
                .iter()
                .map(|(id, live)| (*id, live.experiment.version))
                .collect()
        };
        let ids: Vec<Uuid> = known.keys().map(|id| id.0).collect();
        if ids.is_empty() {
            *self.registry.checked_at.lock() = began;
            return Ok(());
        }
        let versions = self.database.run(|session| {
            let ids = ids.clone();
            Box::pin(async move { experiments::versions(session, &ids).await })
        });
        for (id, version) in versions.await? {
            if known.get(&id).is_some_and(|known| *known != version) {
                self.refreshed(id, version).await?;
            }
        }
        *self.registry.checked_at.lock() = began;
        Ok(())
    }

    /// Reads anew an experiment that somebody says has changed, if it is in memory and has.
    pub(crate) async fn refresh_notified(&self, id: ExperimentId) -> Result<(), Error> {
        let Some(known) = self.registry.get(id) else {
            return Ok(());
        };
        let versions = self
            .database
            .run(|session| Box::pin(async move { experiments::versions(session, &[id.0]).await }));
        match versions.await?.first() {
            Some((_, version)) if *version > known.experiment.version => {
                self.refreshed(id, *version).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Takes an experiment out of memory; whoever needs it next reads it.
    pub(crate) fn forget(&self, id: ExperimentId) {
        self.registry.experiments.write().remove(&id);
    }
}

/// Follows changes made by other processes, until the core is gone.
pub(crate) async fn follow(core: Weak<Core>, database: Database, every: Duration) {
    let mut look = tokio::time::interval(every);
    let mut channel = None;
    loop {
        let refreshed = match &mut channel {
            None => {
                look.tick().await;
                channel = database.listen(experiments::CHANNEL).await.ok();
                // What changed before we listened, we have not heard.
                with(&core, async |core| core.refresh_changed().await).await
            }
            Some(listening) => tokio::select! {
                heard = Notifications::next(listening) => match heard {
                    None => {
                        channel = None;
                        Some(Ok(()))
                    }
                    Some(payload) => match payload.parse() {
                        Ok(id) => with(&core, async |core| core.refresh_notified(id).await).await,
                        Err(_) => Some(Ok(())),
                    },
                },
                // However many notifications arrive: one may still have been lost.
                _ = look.tick() => with(&core, async |core| core.refresh_changed().await).await,
            },
        };
        match refreshed {
            None => return,
            Some(Err(error)) if !error.is_unavailable() => {
                tracing::warn!(error = ?error, "changed experiments could not be read");
            }
            Some(_) => {}
        }
    }
}

/// Runs `work` on the core; `None` once it is gone.
async fn with<W>(core: &Weak<Core>, work: W) -> Option<Result<(), Error>>
where
    W: AsyncFnOnce(Arc<Core>) -> Result<(), Error>,
{
    Some(work(core.upgrade()?).await)
}

/// The first entry of a trail, and when it was made, in microseconds since the epoch.
pub(crate) async fn read_genesis(
    session: &Session<'_>,
    id: ExperimentId,
) -> Result<(Genesis, i64), Error> {
    let row = trail::entry(session, id, 1)
        .await?
        .ok_or_else(|| missing(id, "decision_data"))?;
    let payload = Payload::from_text(row.decision_data.as_bytes()).map_err(Error::internal)?;
    let genesis = Genesis::parse(payload.bytes()).map_err(Error::internal)?;
    Ok((genesis, to_micros(row.created_at)))
}

fn missing(id: ExperimentId, column: &'static str) -> samplit_store::Error {
    samplit_store::Error::inconsistent("algorithm_audit_trail", column, format!("{id} has none"))
}

/// What of the database a [`LiveTrail`] is made of.
struct ReadTrail {
    head: HeadRow,
    sealed: keys::SealedKeys,
    genesis: (Genesis, i64),
    snapshot: Snapshot,
}

async fn read_trail(session: &Session<'_>, id: ExperimentId) -> Result<Option<ReadTrail>, Error> {
    let Some(head) = heads::read(session, id).await? else {
        return Ok(None);
    };
    let sealed = keys::read(session, id)
        .await?
        .ok_or_else(|| missing(id, "draw_key_sealed"))?;
    let genesis = read_genesis(session, id).await?;
    let snapshot = Snapshot::read(session, id, unsigned(head.snapshot_seq)?).await?;
    Ok(Some(ReadTrail {
        head,
        sealed,
        genesis,
        snapshot,
    }))
}
