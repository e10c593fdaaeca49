//! Results as they were a moment ago, for a page that shows many experiments at once.
//!
//! Results are computed from the whole life of an experiment. For a dozen experiments at each look at an
//! overview that is too much, so the last ones are remembered together with the pulse they were computed
//! at, and one statement says which of them are out of date.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use moka::sync::Cache;
use samplit_domain::ExperimentId;
use samplit_store::heads::{self, Pulse};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::results::Results;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// Results are believed for so long although visitors came meanwhile.
const BELIEVED_FOR: Duration = Duration::seconds(30);

/// And for so long if nothing happened: whether an experiment may stop depends on the time, too.
const KEPT_FOR: Duration = Duration::minutes(10);

/// The most experiments that are remembered.
const MAX_REMEMBERED: u64 = 1_000;

/// Results that are computed at once for one caller.
const AT_ONCE: usize = 4;

/// Results, and what the experiment looked like then.
#[derive(Debug)]
pub(crate) struct Glance {
    pulse: Pulse,
    results: Arc<Results>,
}

impl Glance {
    /// Whether it may be shown at `now`, when the experiment looks like `pulse`. What somebody changed is
    /// seen at once.
    fn is_good(&self, pulse: Pulse, now: OffsetDateTime) -> bool {
        let size = self.pulse.size;
        let believed_for = if pulse.size == size {
            KEPT_FOR
        } else {
            BELIEVED_FOR
        };
        self.pulse == Pulse { size, ..pulse } && now - self.results.as_of < believed_for
    }
}

/// An empty memory.
pub(crate) fn remembered() -> Cache<ExperimentId, Arc<Glance>> {
    Cache::new(MAX_REMEMBERED)
}

impl Engine {
    /// The results of those of `ids` that `who` may see and that were started, in their order: as they are,
    /// or as they were less than half a minute ago, which [`Results::as_of`] says.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] without the scope `read`.
    pub async fn glances(
        &self,
        who: &Principal,
        ids: &[ExperimentId],
    ) -> Result<Vec<Arc<Results>>, Error> {
        who.require(Scope::Read)?;
        let (user, uuids) = (who.sees_only(), ids.iter().map(|id| id.0));
        let uuids: Vec<Uuid> = uuids.collect();
        let pulses = self
            .core
            .database
            .run(|session| Box::pin(heads::pulses(session, &uuids, user)));
        let pulses: Vec<(ExperimentId, Pulse)> = pulses.await?;
        let pulses: HashMap<_, _> = pulses.into_iter().collect();
        let now = self.core.config.clock.now();
        let asked = ids.iter().map(|id| (*id, pulses.get(id).copied()));
        stream::iter(asked.collect::<Vec<_>>())
            .map(|(id, pulse)| self.glance(who, id, pulse, now))
            .buffered(AT_ONCE)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .try_collect()
            .await
    }

    /// One of them. Without a pulse, because it was not started or is an adopted one that nobody has asked
    /// for yet, it is computed and not remembered.
    async fn glance(
        &self,
        who: &Principal,
        id: ExperimentId,
        pulse: Option<Pulse>,
        now: OffsetDateTime,
    ) -> Result<Option<Arc<Results>>, Error> {
        let known = pulse.and_then(|pulse| {
            let known = self.core.glances.get(&id)?;
            known
                .is_good(pulse, now)
                .then(|| Arc::clone(&known.results))
        });
        if known.is_some() {
            return Ok(known);
        }
        let results = match self.results(who, id).await {
            Ok(results) => Arc::new(results),
            Err(error) => {
                return match error.kind() {
                    ErrorKind::NotRunning(_) | ErrorKind::NotFound(_) => Ok(None),
                    _ => Err(error),
                };
            }
        };
        if let Some(pulse) = pulse {
            let results = Arc::clone(&results);
            self.core
                .glances
                .insert(id, Arc::new(Glance { pulse, results }));
        }
        Ok(Some(results))
    }
}
