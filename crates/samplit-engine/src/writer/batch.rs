//! One transaction for a batch of requests.
//!
//! Rows of new visitors first, before any lock, then the heads in id order, then everything that
//! depends on a place in a trail. What was prepared may turn out to be out of date under the lock:
//! the transaction is rolled back and prepared anew.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use samplit_domain::{ExperimentId, Strategy, to_micros};
use samplit_store::assignments::{self, AssignmentRow};
use samplit_store::heads::HeadRow;
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{Session, TxError, elements, heads};
use uuid::Uuid;

use super::plan::{Plan, Planned};
use super::prepare::{Group, Prepared};
use super::{Answer, Job};
use crate::core::Core;
use crate::failpoint::failpoint;
use crate::live::{Live, Snapshot};
use crate::reallocation::{self, Proposal};
use crate::start::MAX_SNAPSHOT_LAG_US;
use crate::trail::{self, Trail};
use crate::{Error, ErrorKind};

/// How often a batch is prepared anew before it is given up.
const MAX_TRIES: usize = 5;

/// Why a transaction was rolled back.
enum Stop {
    /// The weights that the draws used were superseded too long ago; newer ones are in memory now.
    OldWeights,
    /// Some experiments are at another version than requests in the batch.
    OldVersions(HashMap<ExperimentId, i64>),
    Failed(Error),
}

impl From<samplit_store::Error> for Stop {
    fn from(error: samplit_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl TxError for Stop {
    fn store(&self) -> Option<&samplit_store::Error> {
        match self {
            Self::Failed(error) => error.store(),
            Self::OldWeights | Self::OldVersions(_) => None,
        }
    }
}

/// Writes a batch in one transaction and says what became of each request, in order.
pub(super) async fn write(core: &Core, jobs: &[&Job]) -> Result<Vec<Answer>, Error> {
    for _ in 0..MAX_TRIES {
        let started = tokio::time::Instant::now();
        let prepared = Prepared::new(core, jobs)?;
        let written = core
            .database
            .run_tx("write_batch", |session| {
                Box::pin(write_in(core, session, &prepared))
            })
            .await;
        match written {
            Ok(written) => {
                failpoint!(AfterCommit);
                core.meter.batch.record(started.elapsed().as_secs_f64());
                remember(core, jobs, &written);
                return Ok(written.answers);
            }
            Err(Stop::OldWeights) => {}
            Err(Stop::OldVersions(versions)) => return without_stale(core, jobs, &versions).await,
            Err(Stop::Failed(error)) => return Err(error),
        }
    }
    Err(ErrorKind::Overloaded.into())
}

/// Sends back the requests that were thought over under an old version, and writes the others.
async fn without_stale(
    core: &Core,
    jobs: &[&Job],
    versions: &HashMap<ExperimentId, i64>,
) -> Result<Vec<Answer>, Error> {
    let stale = |job: &Job| {
        let version = versions.get(&job.live.experiment.id).copied();
        version.filter(|version| *version != job.live.experiment.version)
    };
    let others: Vec<&Job> = jobs
        .iter()
        .copied()
        .filter(|job| stale(job).is_none())
        .collect();
    let mut written = if others.is_empty() {
        Vec::new()
    } else {
        Box::pin(write(core, &others)).await?
    }
    .into_iter();
    let answers = jobs.iter().map(|job| match stale(job) {
        Some(version) => Answer::Stale { version },
        None => written
            .next()
            .expect("one answer for each job that was written"),
    });
    Ok(answers.collect())
}

/// Takes into memory what a committed batch has brought about.
fn remember(core: &Core, jobs: &[&Job], written: &Written) {
    for (live, snapshot) in &written.snapshots {
        if let Some(trail) = &live.trail {
            trail.advance(snapshot);
        }
    }
    for (job, answer) in jobs.iter().zip(&written.answers) {
        if let Answer::Assigned { visitor, .. } = answer {
            core.visitors.insert(job.digest, visitor.clone());
        }
    }
}

struct Written {
    answers: Vec<Answer>,
    /// Weights that are in force from this batch on.
    snapshots: Vec<(Arc<Live>, Arc<Snapshot>)>,
}

async fn write_in(
    core: &Core,
    session: &Session<'_>,
    batch: &Prepared<'_>,
) -> Result<Written, Stop> {
    failpoint!(BeforeInsert);
    let inserted: HashSet<Uuid> = if batch.rows.is_empty() {
        HashSet::new()
    } else {
        assignments::insert(session, &batch.rows)
            .await?
            .into_iter()
            .collect()
    };
    failpoint!(AfterInsert);
    let (mut heads, mut rows) = lock(session, batch, &inserted).await?;
    failpoint!(UnderLock);
    check_versions(batch, &heads)?;

    let now_us = to_micros(core.config.clock.now());
    let mut answers: Vec<Option<Answer>> = vec![None; batch.jobs.len()];
    let mut open = Vec::with_capacity(batch.groups.len());
    for (id, group) in &batch.groups {
        let head = heads.remove(id).ok_or_else(|| {
            samplit_store::Error::inconsistent("audit_heads", "experiment_id", format!("no {id}"))
        })?;
        let mut trail = Trail::open(head)?;
        check_weights(session, group, &trail, now_us).await?;
        let rows = rows.remove(id).unwrap_or_default();
        let mut plan = Plan::new(core, group, &mut trail, now_us, &rows);
        for &index in &group.jobs {
            answers[index] = Some(plan.add(batch.jobs[index], &batch.draws, &inserted)?);
        }
        let planned = plan.finish();
        open.push((group, trail, planned));
    }
    let snapshots = learn(core, session, &mut open, now_us).await?;
    let mut store = Store::default();
    for (snapshot, (group, trail, planned)) in snapshots.iter().zip(open) {
        if let Some((_, proposal)) = snapshot {
            let upto = trail.size();
            store
                .states
                .push(proposal.sealed_states(core, &group.live.arm_sets, upto)?);
        }
        store.add(planned, trail);
    }
    store.run(session).await?;
    failpoint!(BeforeCommit);
    let lives = batch.groups.values().map(|group| Arc::clone(&group.live));
    let moved = lives
        .zip(snapshots)
        .filter_map(|(live, new)| Some((live, new?.0)));
    let answers = answers
        .into_iter()
        .map(|answer| answer.expect("each job is in one group"));
    Ok(Written {
        answers: answers.collect(),
        snapshots: moved.collect(),
    })
}

/// Locks the heads, and under them reads the rows of those visitors who were not inserted just now.
async fn lock(
    session: &Session<'_>,
    batch: &Prepared<'_>,
    inserted: &HashSet<Uuid>,
) -> Result<
    (
        HashMap<ExperimentId, HeadRow>,
        HashMap<ExperimentId, Vec<AssignmentRow>>,
    ),
    Stop,
> {
    let new: HashSet<(Uuid, &str)> = batch
        .rows
        .iter()
        .filter(|row| inserted.contains(&row.id))
        .map(|row| (row.experiment_id, row.visitor.as_str()))
        .collect();
    let mut wanted = HashSet::new();
    let (experiments, visitors): (Vec<Uuid>, Vec<&str>) = batch
        .jobs
        .iter()
        .map(|job| (job.live.experiment.id.0, job.visitor.as_str()))
        .filter(|key| !new.contains(key) && wanted.insert(*key))
        .unzip();
    let ids: Vec<Uuid> = batch.groups.keys().map(|id| id.0).collect();
    // Sent together; PostgreSQL runs them in order, so the rows are read under the locks.
    let (locked, found) = tokio::try_join!(biased; heads::lock(session, &ids), async {
        if visitors.is_empty() {
            return Ok(Vec::new());
        }
        assignments::find(session, &experiments, &visitors).await
    })?;
    let mut rows = HashMap::<ExperimentId, Vec<AssignmentRow>>::new();
    for row in found {
        rows.entry(row.experiment_id).or_default().push(row);
    }
    Ok((
        locked
            .into_iter()
            .map(|head| (head.experiment_id, head))
            .collect(),
        rows,
    ))
}

/// Every request has to be thought over under the version that is in force: a pause, for one, is in
/// the head from the moment it commits.
fn check_versions(
    batch: &Prepared<'_>,
    heads: &HashMap<ExperimentId, HeadRow>,
) -> Result<(), Stop> {
    let mut old = HashMap::new();
    for job in batch.jobs {
        let id = job.live.experiment.id;
        if let Some(head) = heads.get(&id)
            && head.config_version != job.live.experiment.version
        {
            old.insert(id, head.config_version);
        }
    }
    if old.is_empty() {
        Ok(())
    } else {
        Err(Stop::OldVersions(old))
    }
}

/// The weights that the draws used may be superseded, but not for long. Since when is not known, as
/// several may have followed; it was not before they came into force themselves.
async fn check_weights(
    session: &Session<'_>,
    group: &Group,
    trail: &Trail,
    now_us: i64,
) -> Result<(), Stop> {
    if group.snapshot.seq == trail.snapshot_seq {
        return Ok(());
    }
    let current = Snapshot::read(session, group.live.experiment.id, trail.snapshot_seq).await?;
    // What is committed may be remembered even if this transaction rolls back.
    group.live.started()?.advance(&Arc::new(current));
    let lag = now_us.max(trail.last_us()) - group.snapshot.at_us;
    if u64::try_from(lag).is_ok_and(|lag| lag <= MAX_SNAPSHOT_LAG_US) {
        Ok(())
    } else {
        Err(Stop::OldWeights)
    }
}

type Moved = Option<(Arc<Snapshot>, Proposal)>;

/// Turns counts that have moved into new weights, at the end of the batch that moved them.
async fn learn(
    core: &Core,
    session: &Session<'_>,
    open: &mut [(&Group, Trail, Planned)],
    now_us: i64,
) -> Result<Vec<Moved>, Stop> {
    let due: Vec<Uuid> = open
        .iter()
        .filter(|(group, trail, _)| is_due(core, &group.live, trail, now_us))
        .map(|(group, ..)| group.live.experiment.id.0)
        .collect();
    let mut moved: Vec<Moved> = open.iter().map(|_| None).collect();
    if due.is_empty() {
        return Ok(moved);
    }
    let stored = statistics::totals(session, &due).await?;
    for (slot, (group, trail, planned)) in moved.iter_mut().zip(open) {
        let id = group.live.experiment.id;
        if !due.contains(&id.0) {
            continue;
        }
        let own = stored.iter().filter(|row| row.experiment_id == id);
        let rows: Vec<ArmStatistics> = own.chain(&planned.statistics).copied().collect();
        *slot = reallocate(core, &group.live, trail, &rows, now_us)?;
    }
    Ok(moved)
}

/// Whether it is time to look at the posteriors of an experiment.
fn is_due(core: &Core, live: &Live, trail: &Trail, now_us: i64) -> bool {
    let Some(started) = &live.trail else {
        return false;
    };
    // By the clock of the trail, which does not go back when that of the machine does.
    let now_us = now_us.max(trail.last_us());
    let every = i64::try_from(core.config.reallocate_every.as_micros()).unwrap_or(i64::MAX);
    live.experiment.strategy == Strategy::Adaptive
        && !trail.is_sealed()
        && trail.size() > trail.snapshot_seq
        && now_us - trail.snapshot_us >= every
        && now_us - started.evaluated_us.load(Ordering::Relaxed) >= every
}

/// Appends an entry with new weights if they have moved enough.
fn reallocate(
    core: &Core,
    live: &Live,
    trail: &mut Trail,
    rows: &[ArmStatistics],
    now_us: i64,
) -> Result<Moved, Error> {
    let started = live.started()?;
    let totals = reallocation::totals(&live.arm_sets, rows)?;
    let proposal = reallocation::propose(&started.genesis, &live.arm_sets, &totals)?;
    let now_us = now_us.max(trail.last_us());
    started.evaluated_us.store(now_us, Ordering::Relaxed);
    let in_force = started.snapshot.load();
    if in_force.seq == trail.snapshot_seq && !proposal.is_worth(&in_force, now_us) {
        return Ok(None);
    }
    let snapshot = proposal.append(core, &started.genesis, trail, now_us)?;
    Ok(Some((Arc::new(snapshot), proposal)))
}

/// Everything that a batch writes under the locks, over all its experiments.
#[derive(Default)]
struct Store {
    trails: Vec<Trail>,
    planned: Planned,
    states: Vec<(Vec<Uuid>, Vec<String>)>,
}

impl Store {
    fn add(&mut self, planned: Planned, trail: Trail) {
        self.planned.extend(planned);
        self.trails.push(trail);
    }

    /// Sends all statements at once; the connection runs them in order.
    async fn run(self, session: &Session<'_>) -> Result<(), Error> {
        let Planned {
            conversions,
            statistics,
            counts,
        } = self.planned;
        let (variants, states): (Vec<_>, Vec<_>) = self.states.into_iter().unzip();
        let (variants, states) = (variants.concat(), states.concat());
        tokio::try_join!(
            biased;
            async {
                if !conversions.is_empty() {
                    assignments::convert(session, &conversions).await?;
                }
                Ok(())
            },
            trail::store(session, self.trails),
            async {
                if !statistics.is_empty() {
                    statistics::add(session, &statistics).await?;
                    elements::count(session, &counts).await?;
                }
                Ok::<_, Error>(())
            },
            async {
                if !variants.is_empty() {
                    elements::set_algorithm_state(session, &variants, &states).await?;
                }
                Ok(())
            },
        )?;
        Ok(())
    }
}
