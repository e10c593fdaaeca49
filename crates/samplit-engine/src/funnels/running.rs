//! The funnels of an account that visitors move through, in memory.

use std::sync::Arc;

use moka::sync::Cache;
use samplit_domain::{FunnelDeed, FunnelPlan, UserId};
use samplit_store::funnel_visits;
use uuid::Uuid;

use crate::Error;
use crate::core::Core;
use crate::of_account::OfAccount;
use crate::remembered::Remembered;

/// The most funnels of an account that visitors move through at once: every page looks at all of them.
pub(super) const MAX_RUNNING: i64 = 100;

/// The active funnels of an account, the oldest first.
#[derive(Debug)]
pub(crate) struct RunningFunnels(Arc<[Arc<FunnelPlan>]>);

impl RunningFunnels {
    /// All of them.
    pub(super) fn plans(&self) -> Arc<[Arc<FunnelPlan>]> {
        Arc::clone(&self.0)
    }

    /// What it means that a page reports `id`, if that is a step of one of them.
    pub(crate) fn deed(&self, id: Uuid) -> Option<FunnelDeed> {
        self.0.iter().find_map(|plan| plan.deed(id))
    }
}

impl OfAccount for RunningFunnels {
    fn memory(core: &Core) -> &Cache<UserId, Arc<Remembered<Self>>> {
        &core.running_funnels
    }

    async fn read(core: &Core, owner: UserId) -> Result<Self, Error> {
        let read = core
            .database
            .run(|session| Box::pin(funnel_visits::active(session, owner, MAX_RUNNING)));
        let plans = read.await?.into_iter().map(|funnel| {
            let plan = FunnelPlan::new(funnel.id, funnel.window_hours, &funnel.canvas);
            Arc::new(plan)
        });
        Ok(Self(plans.collect()))
    }
}
