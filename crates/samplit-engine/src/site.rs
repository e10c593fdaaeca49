//! What is on the pages of an account: the experiments that run there, found without a query for
//! every page.
//!
//! Which experiments there are is remembered per account. How they stand and what pages they mean,
//! is asked of each of them in memory, which hears of changes at once; what was started by another
//! process is known [`EngineConfig::refresh_every`](crate::EngineConfig::refresh_every) and one page
//! later.

use std::sync::Arc;

use futures_util::future::join_all;
use moka::sync::Cache;
use samplit_domain::{ExperimentId, Status, UserId};
use samplit_store::experiments;

use crate::core::Core;
use crate::live::Live;
use crate::of_account::OfAccount;
use crate::remembered::Remembered;
use crate::{Engine, Error};

/// The experiments of an account that pages may show.
#[derive(Debug)]
pub(crate) struct Site {
    experiments: Vec<ExperimentId>,
}

impl Engine {
    /// The experiments that run on pages of `owner`: active, paused, or completed with a winner, in
    /// the order in which they were made. Those that cannot be read now are missing.
    pub(crate) async fn on_pages(&self, owner: UserId) -> Result<Vec<Arc<Live>>, Error> {
        let site = self.core.recall::<Site>(owner).await?;
        let lives = site.value.experiments.iter().map(|id| self.core.live(*id));
        let lives = join_all(lives).await.into_iter();
        let lives = lives.filter_map(|live| {
            live.inspect_err(|error| {
                tracing::warn!(error = ?error, "an experiment is missing on pages");
            })
            .ok()
        });
        Ok(lives.filter(|live| is_on_pages(live)).collect())
    }
}

impl OfAccount for Site {
    fn memory(core: &Core) -> &Cache<UserId, Arc<Remembered<Self>>> {
        &core.sites
    }

    async fn read(core: &Core, owner: UserId) -> Result<Self, Error> {
        let read = core
            .database
            .run(|session| Box::pin(experiments::on_pages(session, owner)));
        let experiments = read.await?;
        Ok(Self { experiments })
    }
}

fn is_on_pages(live: &Live) -> bool {
    let experiment = &live.experiment;
    let runs = match experiment.status {
        Status::Active | Status::Paused => true,
        Status::Completed => !experiment.declared_winner.is_empty(),
        Status::Draft | Status::Archived => false,
    };
    runs && experiment.elements.iter().any(|e| e.selector.is_some())
}
