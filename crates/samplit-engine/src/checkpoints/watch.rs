//! The checkpointer: seals what is over, signs what grew, and exports what has not arrived.
//!
//! It takes no lock that an assignment waits for, but for the moment of a seal. What panics on the
//! way of one trail keeps no other trail, and no later round, from being signed.

use std::panic::AssertUnwindSafe;
use std::sync::Weak;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt as _;
use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_store::{heads, trail};
use tokio::time::Instant;

use crate::core::Core;
use crate::trail::signed;
use crate::writer::Writer;
use crate::{Engine, Error};

/// What is known of the checkpointer from outside.
#[derive(Debug)]
pub(crate) struct Rounds {
    finished: Mutex<Instant>,
    on_hold: AtomicU64,
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            finished: Mutex::new(Instant::now()),
            on_hold: AtomicU64::new(0),
        }
    }
}

impl Rounds {
    /// Since the last round was finished, or since the start.
    pub(crate) fn age(&self) -> Duration {
        self.finished.lock().elapsed()
    }

    /// Trails on hold, at the last look.
    pub(crate) fn on_hold(&self) -> u64 {
        self.on_hold.load(Ordering::Relaxed)
    }
}

/// Watches until the engine is gone. What an earlier process signed and did not bring out goes at
/// once; the first round comes after a full period, as every other.
pub(crate) async fn watch(core: Weak<Core>, writer: Weak<Writer>, every: Duration) {
    let mut rounds = tokio::time::interval(every);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut is_published = false;
    let mut is_first = true;
    loop {
        rounds.tick().await;
        let (Some(core), Some(writer)) = (core.upgrade(), writer.upgrade()) else {
            return;
        };
        let engine = Engine::over(core, writer);
        if !is_published || engine.lacks_files() {
            let exported = caught(engine.export_newest(!is_published)).await;
            is_published |= tell(exported).is_some();
        }
        let done = if std::mem::take(&mut is_first) {
            tell(caught(engine.count_holds()).await)
        } else {
            tell(caught(Box::pin(engine.round())).await)
        };
        if done.is_some() {
            *engine.core.rounds.finished.lock() = Instant::now();
        }
    }
}

/// What comes of `work`; a panic in it becomes an error, and is counted.
async fn caught(work: impl Future<Output = Result<(), Error>>) -> Result<(), Error> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_panic| {
        metrics::counter!("samplit_checkpoint_panics_total").increment(1);
        Err(Error::internal("a panic, which the log has"))
    })
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
            if let Err(error) = caught(self.seal_if_due(id)).await
                && !error.is_unavailable()
            {
                tracing::warn!(experiment = %id, error = ?error, "a trail could not be sealed");
            }
        }
        let signed = self.sign_all().await;
        self.count_holds().await?;
        signed
    }

    /// Signs every trail that grew, if there is a key.
    pub(crate) async fn sign_all(&self) -> Result<(), Error> {
        if self.core.config.signers.is_empty() {
            return Ok(());
        }
        let unsigned = self
            .core
            .database
            .run(|session| Box::pin(heads::unsigned(session)));
        let mut oldest = Duration::ZERO;
        for id in unsigned.await? {
            if let Err(error) = caught(async { self.sign(id).await.map(drop) }).await {
                if !error.is_unavailable() {
                    tracing::warn!(experiment = %id, error = ?error, "a trail could not be signed");
                }
                // Where that is not to be had either, the next trail is none the worse for it.
                if let Ok(age) = self.unsigned_for(id).await {
                    oldest = oldest.max(age);
                }
            }
        }
        metrics::gauge!("samplit_checkpoint_unsigned_seconds").set(oldest.as_secs_f64());
        Ok(())
    }

    async fn count_holds(&self) -> Result<(), Error> {
        let counted = self
            .core
            .database
            .run(|session| Box::pin(heads::count_on_hold(session)));
        let counted = counted.await?;
        self.core.rounds.on_hold.store(counted, Ordering::Relaxed);
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
