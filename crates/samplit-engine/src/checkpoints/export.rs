//! Getting checkpoints out: what has arrived where is kept in memory, and what has not is tried
//! again in every round until the newest of each trail is everywhere.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_store::checkpoints;
use tokio::sync::oneshot;
use uuid::Uuid;

use super::{CheckpointSink, StoredCheckpoint};
use crate::{Engine, Error};

/// Checkpoints read at once after a start.
const PAGE: i64 = 500;

/// The newest checkpoint of each trail that has not arrived everywhere.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    waiting: Mutex<HashMap<ExperimentId, Waiting>>,
}

#[derive(Clone, Debug)]
struct Waiting {
    checkpoint: StoredCheckpoint,
    /// Whether the directory is to get it.
    directory: bool,
    /// Which sinks are to get it, by position.
    sinks: Vec<usize>,
}

impl Exports {
    /// Keeps what has not arrived, unless something newer waits by now.
    fn keep(&self, late: Waiting) {
        let mut waiting = self.waiting.lock();
        let place = |of: &StoredCheckpoint| (of.incarnation, of.size);
        let newer = waiting
            .get(&late.checkpoint.experiment_id)
            .is_some_and(|other| place(&other.checkpoint) > place(&late.checkpoint));
        if !newer {
            waiting.insert(late.checkpoint.experiment_id, late);
        }
    }
}

impl Engine {
    /// Exports a checkpoint everywhere, and returns once it was tried to write it to the directory; what
    /// fails is tried again later. In a task of its own: who asked for the checkpoint may hang up,
    /// and a slow sink keeps neither them nor the next trail waiting.
    pub(super) async fn export(&self, checkpoint: StoredCheckpoint) {
        let sinks = (0..self.core.config.checkpoint_sinks.len()).collect();
        // What waits of this trail is older.
        let exports = &self.core.exports;
        exports.waiting.lock().remove(&checkpoint.experiment_id);
        let late = Waiting {
            checkpoint,
            directory: self.core.directory.is_some(),
            sinks,
        };
        let (written, is_written) = oneshot::channel();
        let engine = self.clone();
        tokio::spawn(async move { engine.deliver(late, Some(written)).await });
        // An error says that the task is gone, and so is the checkpoint's way out, until the next start.
        let _ = is_written.await;
    }

    /// Exports what has not arrived yet.
    pub(super) async fn export_waiting(&self) {
        let waiting = std::mem::take(&mut *self.core.exports.waiting.lock());
        for late in waiting.into_values() {
            self.deliver(late, None).await;
        }
    }

    /// Exports the newest checkpoint of every trail: a server that was killed between signing one
    /// and exporting it does not know.
    pub(super) async fn export_newest(&self) -> Result<(), Error> {
        let config = &self.core.config;
        if self.core.directory.is_none() && config.checkpoint_sinks.is_empty() {
            return Ok(());
        }
        let mut after = ExperimentId(Uuid::nil());
        loop {
            let page = self
                .core
                .database
                .run(|session| Box::pin(checkpoints::newest(session, after, PAGE)));
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.experiment_id;
            for row in page {
                self.export(StoredCheckpoint::from_row(row)?).await;
            }
        }
    }

    /// Exports where it has not arrived; says when it is done with the directory.
    async fn deliver(&self, mut late: Waiting, written: Option<oneshot::Sender<()>>) {
        let checkpoint = &late.checkpoint;
        let experiment = checkpoint.experiment_id;
        if let Some(directory) = self.core.directory.as_ref().filter(|_| late.directory) {
            let done = directory.write(checkpoint.clone(), self.core.ids.next());
            match done.await {
                Ok(()) => late.directory = false,
                Err(error) => failed("directory", experiment, &error),
            }
        }
        if let Some(written) = written {
            // Whoever waited may be gone.
            let _ = written.send(());
        }
        let mut left = Vec::new();
        for index in late.sinks {
            let sink: &Arc<dyn CheckpointSink> = &self.core.config.checkpoint_sinks[index];
            if let Err(error) = sink.publish(checkpoint).await {
                failed("sink", experiment, &*error);
                left.push(index);
            }
        }
        late.sinks = left;
        if late.directory || !late.sinks.is_empty() {
            self.core.exports.keep(late);
        }
    }
}

fn failed(target: &'static str, experiment: ExperimentId, error: &dyn std::fmt::Display) {
    metrics::counter!("samplit_checkpoint_export_failures_total", "target" => target).increment(1);
    tracing::warn!(%experiment, target_kind = target, %error, "a checkpoint could not be exported");
}
