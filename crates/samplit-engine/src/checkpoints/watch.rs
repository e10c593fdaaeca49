//! The checkpointer: seals what is over, signs what grew, and exports what has not arrived.
//!
//! It takes no lock that an assignment waits for, but for the moment of a seal.

use std::sync::Weak;
use std::time::Duration;

use samplit_domain::ExperimentId;
use samplit_store::{heads, trail};

use crate::core::Core;
use crate::trail::signed;
use crate::writer::Writer;
use crate::{Engine, Error};

/// Watches until the engine is gone. What an earlier process signed and did not bring out goes at
/// once; the first round comes after a full period, as every other.
pub(crate) async fn watch(core: Weak<Core>, writer: Weak<Writer>, every: Duration) {
    let mut rounds = tokio::time::interval(every);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_brought_out = false;
    let mut is_first = true;
    loop {
        rounds.tick().await;
        let (Some(core), Some(writer)) = (core.upgrade(), writer.upgrade()) else {
            return;
        };
        let engine = Engine::over(core, writer);
        if !is_brought_out {
            is_brought_out = tell(engine.export_newest().await).is_some();
        }
        if !std::mem::take(&mut is_first) {
            tell(engine.round().await);
        }
    }
}

/// Logs a failure, but that PostgreSQL is away: others say so.
fn tell(outcome: Result<(), Error>) -> Option<()> {
    outcome
        .inspect_err(|error| {
            if !error.is_unavailable() {
                tracing::warn!(error = ?error, "a round of the checkpointer failed");
            }
        })
        .ok()
}

impl Engine {
    async fn round(&self) -> Result<(), Error> {
        let unsealed = self
            .core
            .database
            .run(|session| Box::pin(heads::unsealed(session)));
        for id in unsealed.await? {
            if let Err(error) = self.seal_if_due(id).await
                && !error.is_unavailable()
            {
                tracing::warn!(experiment = %id, error = ?error, "a trail could not be sealed");
            }
        }
        if self.core.config.signers.is_empty() {
            return Ok(());
        }
        let unsigned = self
            .core
            .database
            .run(|session| Box::pin(heads::unsigned(session)));
        let mut oldest = Duration::ZERO;
        for id in unsigned.await? {
            if let Err(error) = self.sign(id).await {
                if !error.is_unavailable() {
                    tracing::warn!(experiment = %id, error = ?error, "a trail could not be signed");
                }
                oldest = oldest.max(self.unsigned_for(id).await?);
            }
        }
        metrics::gauge!("samplit_checkpoint_unsigned_seconds").set(oldest.as_secs_f64());
        self.export_waiting().await;
        Ok(())
    }

    /// How long ago the first entry was made that no checkpoint of a trail covers. Not the last: on a
    /// busy trail that one is always young.
    async fn unsigned_for(&self, id: ExperimentId) -> Result<Duration, Error> {
        let latest = self.latest_checkpoint(id).await?;
        let first = signed(latest.map_or(0, |latest| latest.size) + 1);
        let read = self
            .core
            .database
            .run(|session| Box::pin(trail::entry(session, id, first)));
        let age = read
            .await?
            .map(|entry| self.core.config.clock.now() - entry.created_at);
        Ok(age.map_or(Duration::ZERO, |age| age.unsigned_abs()))
    }
}
