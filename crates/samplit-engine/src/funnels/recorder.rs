//! Writes down how visitors move through funnels.
//!
//! One task takes all that wait, and answers each by itself. It looks first without a lock: most pages
//! move nobody. Journeys that go on are locked, read again and decided again in one transaction, so that
//! two servers that hear of one visitor at the same time see each other's steps. Everything may be done
//! twice: a step that is there stays as it is.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use samplit_domain::{FunnelDeed, UserId, Visit};
use samplit_store::{assignments, funnel_visits};
use serde_json::{Map, Value as Json};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};
use uuid::Uuid;

use super::journeys::{self, Assigned, Journeys, Key, StepOutcome, Walk, Walked};
use super::running::RunningFunnels;
use crate::core::Core;
use crate::exclusions::Rules;
use crate::{Engine, Error, ErrorKind};

/// How many may wait to be written.
const MAX_WAITING: usize = 10_000;

/// How many are written together.
const MAX_BATCH: usize = 1_000;

/// How often a batch is run again after a COMMIT whose outcome is not known.
const MAX_LOST_COMMITS: u32 = 3;

/// The least that anybody waits to hear which funnels there are.
const MIN_PATIENCE: Duration = Duration::from_secs(2);

/// Those who wait for their steps to be written.
#[derive(Debug, Default)]
pub(crate) struct Recorder(Mutex<Line>);

#[derive(Debug, Default)]
struct Line {
    waiting: Vec<Waiting>,
    /// Whether somebody is writing.
    is_being_written: bool,
}

#[derive(Debug)]
struct Waiting {
    walk: Walk,
    reply: oneshot::Sender<Result<Walked, Error>>,
}

/// Where the answer comes.
type Answer = oneshot::Receiver<Result<Walked, Error>>;

/// What was done about a walk.
enum Sent {
    /// There is nothing to write; `None` where a rule keeps the visit out.
    Known(Option<Walked>),
    /// It waits to be written.
    Waiting(Answer),
}

impl Engine {
    /// A visitor of sites of `owner` has left contact details in this visit, by the form of this name: a step
    /// of those funnels that wait for it. Each call is one lead more, and may be the next step. Returns after
    /// [`EngineConfig::step_patience`](crate::EngineConfig::step_patience) at the latest; what is not written
    /// by then is written later.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn lead_captured(
        &self,
        owner: UserId,
        visit: &Visit<'_>,
        form: Option<&str>,
    ) -> Result<(), Error> {
        let (nothing, lead) = (Map::new(), FunnelDeed::Lead(form.map(str::to_owned)));
        let walk = self
            .core
            .move_visitor_soon(owner, visit, &nothing, vec![lead]);
        walk.await.map(drop)
    }
}

impl Core {
    /// Moves a visitor of an account through its active funnels by what was done, in this order. `None`
    /// where a rule keeps the visit out.
    ///
    /// # Errors
    /// [`ErrorKind::Overloaded`] when too many wait, [`ErrorKind::Unavailable`] and
    /// [`ErrorKind::OutcomeUnknown`] as ever: the same again finds out, and does nothing twice.
    pub(crate) async fn move_visitor(
        self: &Arc<Self>,
        owner: UserId,
        visit: &Visit<'_>,
        context: &Map<String, Json>,
        deeds: Vec<FunnelDeed>,
    ) -> Result<Option<Walked>, Error> {
        match self.send_visitor(owner, visit, context, deeds).await? {
            Sent::Known(walked) => Ok(walked),
            Sent::Waiting(answer) => written(answer).await,
        }
    }

    /// As [`Self::move_visitor`], for those who cannot wait: `None` also where it is not written within
    /// [`EngineConfig::step_patience`](crate::EngineConfig::step_patience). It is written later then.
    ///
    /// # Errors
    /// As [`Self::move_visitor`].
    pub(crate) async fn move_visitor_soon(
        self: &Arc<Self>,
        owner: UserId,
        visit: &Visit<'_>,
        context: &Map<String, Json>,
        deeds: Vec<FunnelDeed>,
    ) -> Result<Option<Walked>, Error> {
        let patience = self.config.step_patience;
        let sent = self.send_visitor(owner, visit, context, deeds);
        // Which funnels there are is asked for once; whoever did not wait for it would be lost.
        let sent = timeout(patience.max(MIN_PATIENCE), sent).await;
        match sent.unwrap_or(Ok(Sent::Known(None)))? {
            Sent::Known(walked) => Ok(walked),
            Sent::Waiting(answer) => {
                let walked = timeout(patience, written(answer)).await;
                walked.unwrap_or(Ok(None))
            }
        }
    }

    /// Hands on what a visitor did to be written, if it can be a step of a funnel.
    async fn send_visitor(
        self: &Arc<Self>,
        owner: UserId,
        visit: &Visit<'_>,
        context: &Map<String, Json>,
        deeds: Vec<FunnelDeed>,
    ) -> Result<Sent, Error> {
        let running = self.recall::<RunningFunnels>(owner).await?;
        let plans = running.value.plans();
        if plans.is_empty() {
            let outcomes = vec![StepOutcome::Early; deeds.len()];
            let watched = Vec::new();
            return Ok(Sent::Known(Some(Walked { outcomes, watched })));
        }
        let rules = self.recall::<Rules>(owner).await?;
        if rules.value.exclude_from_all(visit) {
            return Ok(Sent::Known(None));
        }
        let walk = Walk {
            plans,
            visitor: visit.visitor.to_owned(),
            context: context.clone(),
            deeds,
            at: self.config.clock.now(),
            is_again: false,
        };
        self.wait_for_record(walk).map(Sent::Waiting)
    }

    fn wait_for_record(self: &Arc<Self>, walk: Walk) -> Result<Answer, Error> {
        let (reply, answer) = oneshot::channel();
        let mut line = self.recorder.0.lock();
        if line.waiting.len() >= MAX_WAITING {
            self.meter.funnels_refused.increment(1);
            return Err(ErrorKind::Overloaded.into());
        }
        line.waiting.push(Waiting { walk, reply });
        if !line.is_being_written {
            line.is_being_written = true;
            tokio::spawn(Arc::clone(self).record_waiting());
        }
        Ok(answer)
    }

    /// Writes down all that wait, and those that come meanwhile.
    async fn record_waiting(self: Arc<Self>) {
        loop {
            let waiting: Vec<Waiting> = {
                let mut line = self.recorder.0.lock();
                let count = line.waiting.len().min(MAX_BATCH);
                if count == 0 {
                    line.is_being_written = false;
                    return;
                }
                line.waiting.drain(..count).collect()
            };
            self.record_and_answer(waiting).await;
        }
    }

    /// Writes a batch and answers everybody in it.
    async fn record_and_answer(&self, waiting: Vec<Waiting>) {
        // Parts of the batch that are still to be written.
        let mut parts = vec![waiting];
        while let Some(part) = parts.pop() {
            let part = part.into_iter().map(|one| (one.walk, one.reply));
            let (mut walks, replies): (Vec<_>, Vec<_>) = part.unzip();
            let started = Instant::now();
            // A panic costs whoever caused it, and not those who come later.
            let written = AssertUnwindSafe(self.record_durably(&mut walks)).catch_unwind();
            let written = written.await;
            let written = written.unwrap_or_else(|_| Err(Error::internal("a batch panicked")));
            let elapsed = started.elapsed().as_secs_f64();
            self.meter.funnels_batch.record(elapsed);
            let visits = walks.len();
            match written {
                Ok(walked) => {
                    for (reply, walked) in replies.into_iter().zip(walked) {
                        // Who has gone does not want the answer; the steps stand all the same.
                        let _ = reply.send(Ok(walked));
                    }
                }
                Err(error) if visits > 1 && is_about_one(&error) => {
                    tracing::warn!(visits, error = ?error, "steps of funnels are recorded in parts");
                    let whole = walks.into_iter().zip(replies);
                    let whole = whole.map(|(walk, reply)| Waiting { walk, reply });
                    let mut first: Vec<_> = whole.collect();
                    let second = first.split_off(visits / 2);
                    parts.extend([first, second]);
                }
                Err(error) => {
                    tracing::warn!(visits, error = ?error, "steps of funnels were not recorded");
                    for reply in replies {
                        let _ = reply.send(Err(error.kind().clone().into()));
                    }
                }
            }
        }
    }

    /// Writes a batch; where the outcome of a COMMIT is not known, finds out by doing it again.
    async fn record_durably(&self, walks: &mut [Walk]) -> Result<Vec<Walked>, Error> {
        let mut lost = 0;
        loop {
            match self.record(walks).await {
                Err(error)
                    if *error.kind() == ErrorKind::OutcomeUnknown && lost < MAX_LOST_COMMITS =>
                {
                    lost += 1;
                    walks.iter_mut().for_each(|walk| walk.is_again = true);
                    tokio::time::sleep(Duration::from_millis(100 << lost)).await;
                }
                Err(_) if lost > 0 => return Err(ErrorKind::OutcomeUnknown.into()),
                outcome => return outcome,
            }
        }
    }

    async fn record(&self, walks: &[Walk]) -> Result<Vec<Walked>, Error> {
        let keys = journeys::keys(walks);
        let (funnels, visitors) = parts(&keys);
        let (experiments, assignees) = journeys::assignments_asked(walks);
        let look = self.database.run(|session| {
            Box::pin(async move {
                let find = funnel_visits::find(session, &funnels, &visitors);
                let variants = async {
                    if experiments.is_empty() {
                        return Ok(Vec::new());
                    }
                    assignments::find(session, &experiments, &assignees).await
                };
                tokio::try_join!(biased; find, variants)
            })
        });
        let (stored, variants) = look.await?;
        let assigned = journeys::assigned(variants);
        let mut seen = Journeys::default();
        seen.know(&keys, stored);
        let next = |_: Key<'_>| Some(self.ids.next());
        let walked = walks.iter().map(|walk| seen.follow(walk, &assigned, next));
        let walked: Vec<Walked> = walked.collect();
        if seen.changed().is_empty() {
            return Ok(walked);
        }
        let (walked, steps) = self.store_journeys(walks, &assigned, &seen).await?;
        self.meter.funnels_steps.increment(steps);
        Ok(walked)
    }

    /// Moves those that go on, under their locks. Says how many steps are new.
    async fn store_journeys(
        &self,
        walks: &[Walk],
        assigned: &Assigned,
        seen: &Journeys<'_>,
    ) -> Result<(Vec<Walked>, u64), Error> {
        let (begun, changed) = (seen.begun(), seen.changed());
        let (funnels, visitors): (Vec<Uuid>, Vec<&str>) = parts(&changed);
        let (begun, changed) = (&begun, &changed);
        let (funnels, visitors) = (&funnels, &visitors);
        let store = self.database.run_tx("record_funnel_steps", |session| {
            Box::pin(async move {
                let begin = async {
                    if begun.is_empty() {
                        return Ok(());
                    }
                    funnel_visits::enter(session, begun).await
                };
                let lock = funnel_visits::lock(session, funnels, visitors);
                let ((), locked) = tokio::try_join!(biased; begin, lock)?;
                let mut journeys = seen.unchanged();
                journeys.know(changed, locked);
                // What was to go on and is gone now, because its funnel rests, does not begin.
                let id_for = |key: Key<'_>| {
                    let is_gone = changed.binary_search(&key).is_ok();
                    (!is_gone).then(|| self.ids.next())
                };
                let walked = walks
                    .iter()
                    .map(|walk| journeys.follow(walk, assigned, id_for));
                let walked: Vec<Walked> = walked.collect();
                let moved = journeys.moved();
                let steps: usize = moved.iter().map(|(_, steps)| steps.len()).sum();
                funnel_visits::store(session, &moved).await?;
                Ok::<_, Error>((walked, steps as u64))
            })
        });
        store.await
    }
}

/// What became of a walk, once it is written.
async fn written(answer: Answer) -> Result<Option<Walked>, Error> {
    answer.await.map_err(Error::internal)?.map(Some)
}

/// Keys as parallel arrays.
fn parts<'a>(keys: &[Key<'a>]) -> (Vec<Uuid>, Vec<&'a str>) {
    keys.iter()
        .map(|(funnel, visitor)| (funnel.0, *visitor))
        .unzip()
}

/// Whether a failure is one of the requests' own, or of ours: then the others are written without it.
fn is_about_one(error: &Error) -> bool {
    use samplit_store::TxError as _;
    *error.kind() != ErrorKind::OutcomeUnknown
        && error
            .store()
            .is_none_or(samplit_store::Error::is_about_data)
}
