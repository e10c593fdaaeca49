//! What an account has at a glance.

use std::collections::BTreeMap;

use samplit_domain::{ExperimentId, Status};
use samplit_store::overview;
use uuid::Uuid;

use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope};

/// What an account has at a glance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// Experiments by status; a status that none has is not in it.
    pub experiments: BTreeMap<Status, u64>,
    /// Trails to which nothing is written until somebody looks at them, at most 20.
    pub held: Vec<HeldTrail>,
}

/// A trail on hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldTrail {
    /// Whose trail it is.
    pub experiment_id: ExperimentId,
    /// What people call the experiment.
    pub name: String,
    /// Why it is on hold.
    pub reason: String,
}

impl Engine {
    /// What people call those of `ids` that are experiments, variants, installations or accounts which `who`
    /// may see.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden) without the scope `read`.
    pub async fn names(
        &self,
        who: &Principal,
        ids: &[Uuid],
    ) -> Result<BTreeMap<Uuid, String>, Error> {
        who.require(Scope::Read)?;
        let user = who.sees_only();
        let read = self
            .core
            .database
            .run(|session| Box::pin(overview::names(session, ids, user)));
        let names: Vec<(Uuid, Option<String>)> = read.await?;
        let named = |(id, name): (Uuid, Option<String>)| Some((id, name?));
        Ok(names.into_iter().filter_map(named).collect())
    }

    /// What there is of what `who` may see.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`](crate::ErrorKind::Forbidden) without the scope `read`.
    pub async fn overview(&self, who: &Principal) -> Result<Overview, Error> {
        who.require(Scope::Read)?;
        let user = who.sees_only();
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                let counts = overview::count_by_status(session, user).await?;
                Ok::<_, Error>((counts, overview::held(session, user).await?))
            })
        });
        let (counts, held) = read.await?;
        let count = |(status, count)| Ok((status, unsigned(count)?));
        let trail = |row: overview::HeldRow| HeldTrail {
            experiment_id: row.experiment_id,
            name: row.name,
            reason: row.reason,
        };
        Ok(Overview {
            experiments: counts
                .into_iter()
                .map(count)
                .collect::<Result<_, Error>>()?,
            held: held.into_iter().map(trail).collect(),
        })
    }
}
