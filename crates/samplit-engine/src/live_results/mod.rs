//! Results for those who watch: computed when something moved, once for all of them.

mod hub;

use samplit_bandit::Prior;
use samplit_domain::ExperimentId;
use time::OffsetDateTime;

pub(crate) use hub::Hub;
pub use hub::ResultsWatch;

use crate::core::Core;
use crate::results::{Course, Record, Results, days_to_go};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// Everything that a page about an experiment shows and that changes by itself.
#[derive(Debug)]
pub struct LiveResults {
    /// What it has shown so far.
    pub results: Results,
    /// How it got there.
    pub course: Course,
    /// Per draw: days until the stopping rule is met, if visitors come, are split and convert as they do
    /// now; 0 if it is met, `None` where that cannot be said or takes more than a year.
    pub days_to_go: Vec<Option<f64>>,
    /// Whether its trail is sealed: it is over, and no conversion counts any more.
    pub is_sealed: bool,
}

impl Engine {
    /// Results and course of an experiment as they are now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`] before the start.
    pub async fn live_results(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<LiveResults, Error> {
        who.require(Scope::Read)?;
        let record = self.record(who, id).await?;
        compute(record, self.core.config.clock.now()).await
    }

    /// Watches the results of an experiment. However many do, the database is asked once every
    /// [`EngineConfig::watch_every`](crate::EngineConfig::watch_every), and for more than one row only
    /// when the experiment has moved.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`] before the start,
    /// [`ErrorKind::Unavailable`] while the engine shuts down.
    pub async fn watch_results(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<ResultsWatch, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?.started()?;
        self.core.watch(id).ok_or_else(Error::unavailable)
    }

    /// Whether somebody who watches the results of an experiment still may. It is answered from memory.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] and [`ErrorKind::NotFound`]: not any more.
    pub async fn may_watch(&self, who: &Principal, id: ExperimentId) -> Result<(), Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await.map(drop)
    }

    /// Experiments whose results somebody watches.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.core.hub.len()
    }
}

impl Core {
    /// Results and course for everybody who may see them.
    async fn read_live_results(&self, id: ExperimentId) -> Result<LiveResults, Error> {
        let all = Principal::system();
        let record = self
            .database
            .run(|session| Box::pin(Record::read(&all, session, id)));
        compute(record.await?, self.config.clock.now()).await
    }
}

/// Quadratures take milliseconds, which other requests need not wait for.
async fn compute(record: Record, now: OffsetDateTime) -> Result<LiveResults, Error> {
    let computed = tokio::task::spawn_blocking(move || {
        let in_force = record.snapshots.iter().find(|s| s.seq == record.head);
        let in_force = in_force.ok_or(ErrorKind::NotFound("snapshot"))?;
        let results = record.results(&record.rows, in_force, now)?;
        let prior = Prior {
            alpha: record.genesis.prior.alpha,
            beta: record.genesis.prior.beta,
        };
        let stopping = &record.experiment.stopping;
        let to_go = results
            .elements
            .iter()
            .map(|element| days_to_go(stopping, &element.stopping, &element.arms, prior));
        Ok(LiveResults {
            course: record.course(&results.elements, now)?,
            days_to_go: to_go.collect::<Result<_, Error>>()?,
            is_sealed: record.is_sealed,
            results,
        })
    });
    computed.await.map_err(Error::internal)?
}
