//! Getting checkpoints out: to the directory, and to the mailboxes of the sinks.

use std::sync::atomic::{AtomicBool, Ordering};

use samplit_domain::ExperimentId;
use samplit_store::checkpoints;
use uuid::Uuid;

use super::StoredCheckpoint;
use super::sinks::failed;
use crate::{Engine, Error};

/// Checkpoints read at once after a start.
const PAGE: i64 = 500;

/// Whether the directory may lack the newest checkpoint of a trail.
#[derive(Debug, Default)]
pub(crate) struct Unfiled(AtomicBool);

impl Engine {
    /// Writes a checkpoint to the directory, unless it is there, and hands it over to the sinks, which
    /// nobody waits for. What the directory refuses is tried again in the next round.
    pub(super) async fn export(&self, checkpoint: StoredCheckpoint) {
        self.file(&checkpoint).await;
        self.core.sinks.publish(&checkpoint);
    }

    /// Writes the newest checkpoint of every trail that the directory lacks; `publish`: and hands all
    /// of them over to the sinks. A server that was killed between signing one and exporting it does
    /// not know.
    pub(super) async fn export_newest(&self, publish: bool) -> Result<(), Error> {
        self.core.unfiled.0.store(false, Ordering::Relaxed);
        if self.core.directory.is_none() && self.core.sinks.is_empty() {
            return Ok(());
        }
        let mut after = ExperimentId(Uuid::nil());
        loop {
            let page = self
                .core
                .database
                .run(|session| Box::pin(checkpoints::newest(session, after, PAGE)));
            let page = page
                .await
                .inspect_err(|_| self.core.unfiled.0.store(true, Ordering::Relaxed))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.experiment_id;
            for row in page {
                let checkpoint = StoredCheckpoint::from_row(row)?;
                self.file(&checkpoint).await;
                if publish {
                    self.core.sinks.publish(&checkpoint);
                }
            }
        }
    }

    /// Whether the directory refused something since all was written.
    pub(super) fn lacks_files(&self) -> bool {
        self.core.unfiled.0.load(Ordering::Relaxed)
    }

    async fn file(&self, checkpoint: &StoredCheckpoint) {
        let Some(directory) = &self.core.directory else {
            return;
        };
        let id = checkpoint.experiment_id;
        let writing = directory.write(checkpoint.clone(), self.core.ids.next());
        if let Err(error) = writing.await {
            failed("directory", id, &error);
            self.core.unfiled.0.store(true, Ordering::Relaxed);
        }
    }
}
