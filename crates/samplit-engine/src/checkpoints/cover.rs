//! A checkpoint for whoever may only read: they may cause one, but not one each.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use samplit_domain::ExperimentId;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use super::StoredCheckpoint;
use crate::{Engine, Error};

/// The least time between two checkpoints of a trail that readers cause.
const PERIOD: Duration = Duration::from_secs(1);

/// The most trails that are remembered.
const MAX_TRAILS: u64 = 10_000;

/// When readers last caused a checkpoint, by trail. Whoever is about to holds the lock, and those who
/// wait for it find a checkpoint that covers them, too.
pub(crate) type Turns = Cache<ExperimentId, Arc<Mutex<Option<Instant>>>>;

/// Nobody has had a turn yet.
pub(crate) fn turns() -> Turns {
    Cache::new(MAX_TRAILS)
}

impl Engine {
    /// The latest checkpoint, if it covers entry `last`; else a new one, at most one a second.
    pub(crate) async fn covering(
        &self,
        id: ExperimentId,
        last: u64,
    ) -> Result<StoredCheckpoint, Error> {
        if let Some(latest) = self.latest_over(id, last).await? {
            return Ok(latest);
        }
        if self.core.config.signers.is_empty() {
            let detail = "no checkpoint covers the entries of the visitor yet; try again later";
            return Err(Error::conflict("not_yet_signed", detail));
        }
        let turn = self.core.turns.get_with(id, Arc::default);
        let mut turn = turn.lock().await;
        if let Some(before) = *turn {
            if let Some(latest) = self.latest_over(id, last).await? {
                return Ok(latest);
            }
            sleep_until(before + PERIOD).await;
        }
        *turn = Some(Instant::now());
        self.sign(id).await
    }

    async fn latest_over(
        &self,
        id: ExperimentId,
        last: u64,
    ) -> Result<Option<StoredCheckpoint>, Error> {
        let latest = self.latest_checkpoint(id).await?;
        Ok(latest.filter(|latest| latest.size >= last))
    }
}
