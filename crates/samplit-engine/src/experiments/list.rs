//! Lists of experiments, by page.

use samplit_domain::{Experiment, ExperimentId, Status, Violations};
use samplit_store::experiments::{self, Listing};

use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, Principal, Scope};

/// Which experiments to list.
#[derive(Clone, Debug, Default)]
pub struct ExperimentFilter {
    /// With this status only.
    pub status: Option<Status>,
    /// With this text in the name, the key or the address of the page only, whatever the case.
    pub query: Option<String>,
}

impl Engine {
    /// Lists the experiments that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit out of range or a cursor that
    /// is none of ours.
    pub async fn experiments(
        &self,
        who: &Principal,
        filter: &ExperimentFilter,
        page: &Page,
    ) -> Result<PageOf<Experiment>, Error> {
        who.require(Scope::Read)?;
        let mut violations = Violations::default();
        if let Some(query) = &filter.query {
            violations.length("/q", query, 255);
        }
        let before = page
            .before(violations)?
            .map(|(at, id)| (at, ExperimentId(id)));
        let listing = Listing {
            user_id: who.sees_only(),
            status: filter.status,
            query: filter.query.clone(),
            before,
            limit: page.limit_and_one(),
        };
        let list = self.core.database.run(|session| {
            let listing = listing.clone();
            Box::pin(async move { experiments::list(session, &listing).await })
        });
        let place = |experiment: &Experiment| (experiment.created_at, experiment.id.0);
        Ok(page.of(list.await?, place))
    }
}
