//! One transaction for a batch of requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use samplit_domain::{ExperimentId, Strategy, to_micros};
use samplit_store::assignments::{self, AssignmentRow};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{Session, elements, heads};
use uuid::Uuid;

use super::plan::{Plan, Planned};
use super::{Answer, Job};
use crate::Error;
use crate::core::Core;
use crate::live::{Live, Snapshot};
use crate::reallocation::{self, Proposal};
use crate::trail::{self, Trail};

/// Writes a batch in one transaction and says what became of each request, in order.
pub(super) async fn write(core: &Core, jobs: &[Job]) -> Result<Vec<Answer>, Error> {
    let started = tokio::time::Instant::now();
    let written = core
        .database
        .run_tx("write_batch", |session| {
            Box::pin(write_in(core, session, jobs))
        })
        .await?;
    metrics::histogram!("samplit_writer_batch_seconds").record(started.elapsed().as_secs_f64());

    for (live, snapshot) in written.snapshots {
        if let Some(trail) = &live.trail {
            trail.snapshot.store(Arc::new(snapshot));
        }
    }
    for (job, answer) in jobs.iter().zip(&written.answers) {
        if let Answer::Assigned { visitor, .. } = answer {
            core.visitors.insert(job.digest, visitor.clone());
        }
    }
    Ok(written.answers)
}

struct Written {
    answers: Vec<Answer>,
    /// Weights that are in force from this batch on.
    snapshots: Vec<(Arc<Live>, Snapshot)>,
}

/// The requests of one experiment.
struct Group<'a> {
    live: Arc<Live>,
    jobs: Vec<(usize, &'a Job)>,
}

async fn write_in(core: &Core, session: &Session<'_>, jobs: &[Job]) -> Result<Written, Error> {
    let groups = group(jobs);
    let ids: Vec<Uuid> = groups.keys().map(|id| id.0).collect();
    let experiments: Vec<Uuid> = jobs.iter().map(|job| job.live.experiment.id.0).collect();
    let visitors: Vec<&str> = jobs.iter().map(|job| job.visitor.as_str()).collect();
    // Sent together; PostgreSQL runs them in order, so the rows are read under the locks.
    let (locked, rows) = tokio::try_join!(
        heads::lock(session, &ids),
        assignments::find(session, &experiments, &visitors),
    )?;
    let mut heads: HashMap<_, _> = locked.into_iter().map(|h| (h.experiment_id, h)).collect();
    let mut rows = rows_by_experiment(rows);
    let now_us = to_micros(core.config.clock.now());

    let mut answers: Vec<Option<Answer>> = vec![None; jobs.len()];
    let mut ready = Vec::new();
    for (id, group) in groups {
        let head = heads.remove(&id).ok_or_else(|| {
            samplit_store::Error::inconsistent("audit_heads", "experiment_id", format!("no {id}"))
        })?;
        if head.config_version != group.live.experiment.version {
            for (index, _) in group.jobs {
                answers[index] = Some(Answer::Stale {
                    version: head.config_version,
                });
            }
            continue;
        }
        let trail = Trail::open(head)?;
        let snapshot = current_snapshot(session, &group.live, &trail).await?;
        ready.push((group, trail, snapshot, rows.remove(&id).unwrap_or_default()));
    }

    let due: Vec<Uuid> = ready
        .iter()
        .filter(|(group, trail, snapshot, _)| is_due(core, &group.live, trail, snapshot, now_us))
        .map(|(group, ..)| group.live.experiment.id.0)
        .collect();
    let mut totals = HashMap::<ExperimentId, Vec<ArmStatistics>>::new();
    if !due.is_empty() {
        for row in statistics::totals(session, &due).await? {
            totals.entry(row.experiment_id).or_default().push(row);
        }
    }

    let mut written = Written {
        answers: Vec::new(),
        snapshots: Vec::new(),
    };
    let mut store = Store::default();
    for (group, mut trail, mut snapshot, rows) in ready {
        let live = &group.live;
        if let Some(totals) = totals.remove(&live.experiment.id)
            && let Some((next, proposal)) =
                reallocate(core, live, &mut trail, &snapshot, &totals, now_us)?
        {
            store
                .states
                .push(proposal.sealed_states(core, &live.arm_sets, trail.size())?);
            written.snapshots.push((Arc::clone(live), next.clone()));
            snapshot = Arc::new(next);
        }
        let mut plan = Plan::new(core, live, &mut trail, &snapshot, now_us, &rows);
        for (index, job) in group.jobs {
            answers[index] = Some(plan.add(job)?);
        }
        let planned = plan.finish();
        store.add(planned, trail);
    }
    store.run(session).await?;
    written.answers = answers.into_iter().flatten().collect();
    Ok(written)
}

/// The requests by experiment, in id order; each group knows the newest configuration among its
/// requests.
fn group(jobs: &[Job]) -> BTreeMap<ExperimentId, Group<'_>> {
    let mut groups = BTreeMap::<ExperimentId, Group<'_>>::new();
    for (index, job) in jobs.iter().enumerate() {
        let group = groups
            .entry(job.live.experiment.id)
            .or_insert_with(|| Group {
                live: Arc::clone(&job.live),
                jobs: Vec::new(),
            });
        if job.live.experiment.version > group.live.experiment.version {
            group.live = Arc::clone(&job.live);
        }
        group.jobs.push((index, job));
    }
    groups
}

fn rows_by_experiment(rows: Vec<AssignmentRow>) -> HashMap<ExperimentId, Vec<AssignmentRow>> {
    let mut by_experiment = HashMap::<ExperimentId, Vec<AssignmentRow>>::new();
    for row in rows {
        by_experiment
            .entry(row.experiment_id)
            .or_default()
            .push(row);
    }
    by_experiment
}

/// The weights in force: those in memory, unless another process has moved them.
async fn current_snapshot(
    session: &Session<'_>,
    live: &Live,
    trail: &Trail,
) -> Result<Arc<Snapshot>, Error> {
    let remembered = &live.started()?.snapshot;
    let snapshot = remembered.load_full();
    if snapshot.seq == trail.snapshot_seq {
        return Ok(snapshot);
    }
    let read = Snapshot::read(session, live.experiment.id, trail.snapshot_seq).await?;
    let read = Arc::new(read);
    // What is committed may be remembered even if this transaction rolls back.
    remembered.store(Arc::clone(&read));
    Ok(read)
}

/// Whether it is time to look at the posteriors of an experiment.
fn is_due(core: &Core, live: &Live, trail: &Trail, snapshot: &Snapshot, now_us: i64) -> bool {
    let Some(started) = &live.trail else {
        return false;
    };
    let every = i64::try_from(core.config.reallocate_every.as_micros()).unwrap_or(i64::MAX);
    live.experiment.strategy == Strategy::Adaptive
        && trail.size() > snapshot.seq
        && now_us - snapshot.at_us >= every
        && now_us - started.evaluated_us.load(Ordering::Relaxed) >= every
}

/// Turns the counts into new weights, and appends an entry if they have moved enough.
fn reallocate(
    core: &Core,
    live: &Live,
    trail: &mut Trail,
    snapshot: &Snapshot,
    totals: &[ArmStatistics],
    now_us: i64,
) -> Result<Option<(Snapshot, Proposal)>, Error> {
    let started = live.started()?;
    let totals = reallocation::totals(&live.arm_sets, totals)?;
    let proposal = reallocation::propose(&started.genesis, &live.arm_sets, &totals)?;
    started.evaluated_us.store(now_us, Ordering::Relaxed);
    if !proposal.is_worth(snapshot, now_us) {
        return Ok(None);
    }
    let payload = proposal.payload(&started.genesis, trail.size());
    let appended = trail.append_snapshot(core.ids.next(), now_us, &payload)?;
    let next = Snapshot {
        seq: appended.sequence,
        at_us: appended.at_us,
        method: proposal.method.as_str(),
        weights: proposal.weights.clone(),
    };
    metrics::counter!("samplit_reallocations_total").increment(1);
    Ok(Some((next, proposal)))
}

/// Everything a batch writes, over all its experiments.
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
            assignments,
            conversions,
            statistics,
            counts,
        } = self.planned;
        let (variants, states): (Vec<_>, Vec<_>) = self.states.into_iter().unzip();
        let (variants, states) = (variants.concat(), states.concat());
        tokio::try_join!(
            async {
                if !assignments.is_empty() {
                    assignments::insert(session, &assignments).await?;
                }
                Ok(())
            },
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
