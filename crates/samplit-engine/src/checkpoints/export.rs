//! Getting out what an earlier process has signed: to the directory, where it was configured later,
//! and to the mailboxes of the sinks.

use std::sync::atomic::{AtomicBool, Ordering};

use samplit_domain::ExperimentId;
use samplit_store::checkpoints;
use uuid::Uuid;

use super::StoredCheckpoint;
use super::sign::Refusal;
use crate::{Engine, Error};

/// Checkpoints read at once after a start.
const PAGE: i64 = 500;

/// Whether the directory may lack the newest checkpoint of a trail.
#[derive(Debug, Default)]
pub(crate) struct Unfiled(AtomicBool);

impl Engine {
    /// Writes the newest checkpoint of every trail that the directory lacks; `publish`: and hands all
    /// of them over to the sinks. A server that was killed between storing one and handing it over
    /// does not know.
    pub(super) async fn export_newest(&self, publish: bool) -> Result<(), Error> {
        if self.core.directory.is_none() && self.core.sinks.is_empty() {
            return Ok(());
        }
        let mut is_complete = true;
        // Until the last page.
        self.core.unfiled.0.store(true, Ordering::Relaxed);
        let mut after = ExperimentId(Uuid::nil());
        loop {
            let page = self
                .core
                .database
                .run(|session| Box::pin(checkpoints::newest(session, after, PAGE)));
            let page = page.await?;
            let Some(last) = page.last() else {
                self.core.unfiled.0.store(!is_complete, Ordering::Relaxed);
                return Ok(());
            };
            after = last.experiment_id;
            for row in page {
                let checkpoint = StoredCheckpoint::from_row(row)?;
                match self.file(&checkpoint).await {
                    Ok(()) => {}
                    Err(Refusal::Broken(reason)) => {
                        self.hold(checkpoint.experiment_id, &reason).await?;
                    }
                    // The failure was told.
                    Err(Refusal::Failed(_)) => is_complete = false,
                }
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
}
