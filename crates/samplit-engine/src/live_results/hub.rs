//! Who watches what. Each experiment that is watched has one task, as long as anybody watches it: it
//! looks whether the experiment moved, and computes the results when it did.
//!
//! A slow watcher holds nobody up and nothing in memory: it gets the newest results when it is ready for
//! them, and never those in between.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_store::heads::{self, Pulse};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::LiveResults;
use crate::Error;
use crate::core::Core;

/// The newest results; `None` before the first.
type Newest = Option<Arc<LiveResults>>;

/// The experiments that are watched.
#[derive(Debug, Default)]
pub(crate) struct Hub(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    experiments: HashMap<ExperimentId, (watch::Sender<Newest>, JoinHandle<()>)>,
    is_closed: bool,
}

/// The results of an experiment, whenever they change.
#[derive(Debug)]
pub struct ResultsWatch(watch::Receiver<Newest>);

impl ResultsWatch {
    /// Waits for results that were not given yet, and gives the newest; `None` when there will be none
    /// any more, because the engine shuts down. May be cancelled: nothing is lost.
    pub async fn next(&mut self) -> Option<Arc<LiveResults>> {
        loop {
            self.0.changed().await.ok()?;
            if let Some(newest) = &*self.0.borrow_and_update() {
                return Some(Arc::clone(newest));
            }
        }
    }
}

impl Hub {
    /// Nobody gets anything any more.
    pub(crate) fn close(&self) {
        let mut watched = self.0.lock();
        watched.is_closed = true;
        for (_, (_, task)) in watched.experiments.drain() {
            task.abort();
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.lock().experiments.len()
    }

    /// Forgets an experiment that nobody watches any more, and says whether it did.
    fn leave(&self, id: ExperimentId) -> bool {
        let mut watched = self.0.lock();
        let has_watchers = |(sender, _): &(watch::Sender<Newest>, _)| sender.receiver_count() > 0;
        let is_watched = watched.experiments.get(&id).is_some_and(has_watchers);
        if !is_watched {
            watched.experiments.remove(&id);
        }
        !is_watched
    }
}

impl Core {
    /// Watches an experiment; `None` while the engine shuts down.
    pub(super) fn watch(self: &Arc<Self>, id: ExperimentId) -> Option<ResultsWatch> {
        let mut watched = self.hub.0.lock();
        if watched.is_closed {
            return None;
        }
        let (sender, _) = watched.experiments.entry(id).or_insert_with(|| {
            let (sender, _) = watch::channel(None);
            let task = follow(Arc::downgrade(self), id, sender.clone());
            (sender, tokio::spawn(task))
        });
        let mut receiver = sender.subscribe();
        // What is known already is news to whoever comes later.
        receiver.mark_changed();
        Some(ResultsWatch(receiver))
    }

    /// The results, if the experiment moved since `known`.
    async fn look(
        &self,
        id: ExperimentId,
        known: Option<Pulse>,
    ) -> Result<Option<(Pulse, LiveResults)>, Error> {
        let pulse = self
            .database
            .run(|session| Box::pin(async move { heads::pulse(session, id).await }));
        match pulse.await? {
            // What moves from here on is seen by the next look.
            Some(pulse) if known != Some(pulse) => {
                Ok(Some((pulse, self.read_live_results(id).await?)))
            }
            _ => Ok(None),
        }
    }
}

/// How many times as long as a look takes there is none: what takes long to read is read less often.
const LEISURE: u32 = 10;

/// The longest pause for that reason, as one that failed may have taken long.
const MAX_LEISURE: Duration = Duration::from_secs(30);

/// Follows an experiment until nobody watches it.
async fn follow(core: Weak<Core>, id: ExperimentId, results: watch::Sender<Newest>) {
    let Some(every) = core.upgrade().map(|core| core.config.watch_every) else {
        return;
    };
    let mut known = None;
    let mut is_failing = false;
    loop {
        let Some(core) = core.upgrade() else { return };
        if core.hub.leave(id) {
            return;
        }
        let began = Instant::now();
        match core.look(id, known).await {
            Ok(moved) => {
                is_failing = false;
                if let Some((pulse, newest)) = moved {
                    known = Some(pulse);
                    results.send_replace(Some(Arc::new(newest)));
                }
            }
            // Said once; whoever watches keeps what was known last.
            Err(error) if !is_failing => {
                is_failing = true;
                tracing::warn!(experiment = %id, error = ?error, "watched results cannot be read");
            }
            Err(_) => {}
        }
        drop(core);
        let leisure = (LEISURE * began.elapsed()).min(MAX_LEISURE);
        sleep(every.max(leisure)).await;
    }
}
