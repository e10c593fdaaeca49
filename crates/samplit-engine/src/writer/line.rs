//! The line in which requests wait for a lane.
//!
//! Each experiment belongs to one lane, and a lane takes its own first. So with many busy
//! experiments two lanes do not wait for each other's heads, and a batch holds fewer experiments
//! with more requests each, which share the rows that are written once per experiment. A lane
//! that has nothing of its own takes from the longest of the others: a single busy experiment has all
//! lanes.

use std::collections::VecDeque;

use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use tokio::sync::Notify;

use super::Waiting;

/// What waits, by the lane it belongs to.
pub(super) struct Line {
    state: Mutex<State>,
    arrived: Notify,
}

struct State {
    queues: Vec<VecDeque<Waiting>>,
    is_open: bool,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

impl Line {
    /// An empty line before `lanes` lanes.
    pub(super) fn new(lanes: usize) -> Self {
        let state = State {
            queues: (0..lanes).map(|_| VecDeque::new()).collect(),
            is_open: true,
        };
        Self {
            state: Mutex::new(state),
            arrived: Notify::new(),
        }
    }

    /// Lets a request wait; whether it may.
    pub(super) fn push(&self, waiting: Waiting) -> bool {
        let mut state = self.state.lock();
        if state.is_open {
            let lane = lane_of(waiting.job.live.experiment.id, state.queues.len());
            state.queues[lane].push_back(waiting);
            drop(state);
            self.arrived.notify_one();
            true
        } else {
            false
        }
    }

    /// At most `limit` requests for a lane, the oldest first; waits until there is one. None once the
    /// line is closed and empty.
    pub(super) async fn take(&self, lane: usize, limit: usize) -> Vec<Waiting> {
        loop {
            // Before the look, so that nobody arrives unheard in between.
            let arrived = self.arrived.notified();
            if let Some(taken) = self.state.lock().take(lane, limit) {
                return taken;
            }
            arrived.await;
        }
    }

    /// Lets nobody in any more.
    pub(super) fn close(&self) {
        self.state.lock().is_open = false;
        self.arrived.notify_waiters();
    }
}

impl State {
    /// `None`: wait.
    fn take(&mut self, lane: usize, limit: usize) -> Option<Vec<Waiting>> {
        let queue = if self.queues[lane].is_empty() {
            self.queues.iter_mut().max_by_key(|queue| queue.len())?
        } else {
            &mut self.queues[lane]
        };
        if queue.is_empty() && self.is_open {
            return None;
        }
        Some(queue.drain(..limit.min(queue.len())).collect())
    }
}

/// The lane that an experiment belongs to.
fn lane_of(experiment: ExperimentId, lanes: usize) -> usize {
    // The last bytes of a UUID are random in every version that we make.
    let [.., a, b] = experiment.0.into_bytes();
    usize::from(u16::from_be_bytes([a, b])) % lanes
}
