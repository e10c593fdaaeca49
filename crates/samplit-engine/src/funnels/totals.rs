//! How many came into funnels, and how many of them converted: for lists of funnels.

use std::collections::BTreeMap;

use samplit_domain::FunnelId;
use samplit_store::funnel_totals;
use uuid::Uuid;

use super::FunnelSummary;
use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope};

/// What came of one funnel, as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FunnelTotals {
    /// Visitors who came in.
    pub entered: u64,
    /// Of those, who reached a conversion.
    pub converted: u64,
}

impl Engine {
    /// What came of `funnels`, which `who` has listed; nothing of those into which nobody came. Counts
    /// journeys, which takes the longer the more there are, and is given up after two seconds.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden) without the scope `read`, and where it takes
    /// too long.
    pub async fn funnel_totals(
        &self,
        who: &Principal,
        funnels: &[FunnelSummary],
    ) -> Result<BTreeMap<FunnelId, FunnelTotals>, Error> {
        who.require(Scope::Read)?;
        let started = funnels
            .iter()
            .filter(|funnel| funnel.activated_at.is_some());
        let ids: Vec<Uuid> = started.map(|funnel| funnel.id.0).collect();
        let ids = &ids;
        let count = self.core.database.run_tx("count_funnels", |session| {
            Box::pin(funnel_totals::count(session, ids))
        });
        let counts = count.await?.into_iter();
        let totals = counts.map(|(id, entered, converted)| {
            let totals = FunnelTotals {
                entered: unsigned(entered)?,
                converted: unsigned(converted)?,
            };
            Ok((id, totals))
        });
        totals.collect()
    }
}
