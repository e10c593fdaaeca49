//! Is it healthy, and if not, which part?

use std::time::Duration;

use samplit_domain::{Status, Strategy, to_micros};
use samplit_store::{BreakerState, PoolStatus};

use crate::core::Core;
use crate::meter::Sight;
use crate::webhooks::WebhookStatus;
use crate::{Engine, Error};

/// What each part of an engine looks like now.
#[derive(Debug)]
pub struct Health {
    /// The version of the schema as the database tells it, `None` where it has none; or why it could
    /// not be asked.
    pub schema_version: Result<Option<i32>, Error>,
    /// Where the circuit breaker stands.
    pub breaker: BreakerState,
    /// How the pool is used.
    pub pool: PoolStatus,
    /// What the checkpointer does.
    pub checkpointer: CheckpointerStatus,
    /// How webhooks are delivered; `None`: not by this process.
    pub webhooks: Option<WebhookStatus>,
}

/// What is known of the checkpointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointerStatus {
    /// Since its last round that went through, or since the start.
    pub round_age: Duration,
    /// How often it is to make one.
    pub every: Duration,
    /// Trails on hold, when it last looked.
    pub on_hold: u64,
}

impl CheckpointerStatus {
    /// Whether it should have made more than one round since the last, with a minute to spare: it is
    /// dead, stuck, or fails each time.
    #[must_use]
    pub fn is_late(&self) -> bool {
        let patience = self.every.saturating_mul(2);
        self.round_age > patience.saturating_add(Duration::from_secs(60))
    }
}

impl Engine {
    /// Looks at every part: the database by a round trip to it, the others from memory.
    pub async fn health(&self) -> Health {
        let schema_version = self.core.database.schema_version().await;
        Health {
            schema_version: schema_version.map_err(Error::from),
            // After the question, which may have moved it.
            breaker: self.core.database.breaker_state(),
            pool: self.core.database.pool_status(),
            checkpointer: CheckpointerStatus {
                round_age: self.core.rounds.age(),
                every: self.core.config.checkpoint_every,
                on_hold: self.core.rounds.on_hold(),
            },
            webhooks: self.core.postman.status(self.core.config.clock.now()),
        }
    }

    /// Tells the metrics recorder what has to be looked at to be known: queue, pool, breaker, ages.
    /// To be called before the recorder is read.
    pub fn observe(&self) {
        self.core.database.observe();
        self.core.meter.show(self.core.sight());
    }
}

impl Core {
    fn sight(&self) -> Sight {
        let mut sight = Sight {
            snapshot_age: self.registry.checked_at().elapsed(),
            visitors: self.visitors.entry_count(),
            round_age: self.rounds.age(),
            on_hold: self.rounds.on_hold(),
            webhooks: self.postman.status(self.config.clock.now()),
            ..Sight::default()
        };
        let now_us = to_micros(self.config.clock.now());
        for live in self.registry.all() {
            let waiting = self
                .config
                .queue_capacity
                .saturating_sub(live.waiting.available_permits());
            sight.experiments += 1;
            sight.queue += waiting;
            sight.queue_longest = sight.queue_longest.max(waiting);
            let experiment = &live.experiment;
            if experiment.status == Status::Active
                && experiment.strategy == Strategy::Adaptive
                && let Some(trail) = &live.trail
            {
                let age = u64::try_from(now_us - trail.snapshot.load().at_us).unwrap_or(0);
                sight.weights_age = sight.weights_age.max(Duration::from_micros(age));
            }
        }
        sight
    }
}
