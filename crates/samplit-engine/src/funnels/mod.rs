//! Funnels: drawn, read, listed, checked, changed, and moved through their lifecycle.

mod journeys;
mod lifecycle;
mod recorder;
mod results;
mod running;
mod save;
mod totals;

use std::collections::BTreeMap;

use samplit_domain::{
    Action, ExperimentId, Funnel, FunnelCanvas, FunnelExperiment, FunnelFault, FunnelId,
    FunnelStatus, Violations,
};
pub use samplit_store::funnels::FunnelSummary;
use samplit_store::funnels::Taken;
use samplit_store::{Session, activity, funnels};
use serde_json::{Value as Json, json};
use uuid::Uuid;

pub(crate) use journeys::StepOutcome;
pub(crate) use recorder::Recorder;
pub use results::{
    FunnelExperimentResults, FunnelFlow, FunnelResults, FunnelStepResults, FunnelVariantReach,
    FunnelVariantResults,
};
pub(crate) use running::RunningFunnels;
pub use save::FunnelChange;
pub use totals::FunnelTotals;

use crate::idempotency::{Made, Once};
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// A funnel to make.
#[derive(Clone, Debug, PartialEq)]
pub struct NewFunnel {
    /// What people call it, 1 to 255 characters.
    pub name: String,
    /// What it is about, at most 10,000 characters.
    pub description: Option<String>,
    /// How long a visitor has from the first step to the last, in hours, 1 to 2,160.
    pub window_hours: i32,
    /// What is drawn so far.
    pub canvas: FunnelCanvas,
}

impl Engine {
    /// An id for a node or an edge that is new.
    #[must_use]
    pub fn new_id(&self) -> Uuid {
        self.core.ids.next()
    }

    /// Makes a draft.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every rule that it breaks.
    pub async fn create_funnel(&self, who: &Principal, new: NewFunnel) -> Result<Funnel, Error> {
        self.create_funnel_once(who, new, None).await?.only_new()
    }

    /// Makes a draft, once.
    ///
    /// # Errors
    /// As [`Self::create_funnel`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_funnel_once(
        &self,
        who: &Principal,
        new: NewFunnel,
        once: Option<&Once<'_, Funnel>>,
    ) -> Result<Made<Funnel>, Error> {
        who.require(Scope::Manage)?;
        let now = self.core.config.clock.now();
        let funnel = Funnel {
            id: FunnelId(self.core.ids.next()),
            user_id: who.user_id,
            name: new.name,
            description: new.description,
            status: FunnelStatus::Draft,
            window_hours: new.window_hours,
            canvas: new.canvas,
            version: 1,
            created_at: now,
            updated_at: now,
            activated_at: None,
        };
        self.insert_funnel(who, &funnel, json!({}), once).await
    }

    /// Stores a funnel that is new, and notes it with `detail`.
    async fn insert_funnel(
        &self,
        who: &Principal,
        funnel: &Funnel,
        detail: Json,
        once: Option<&Once<'_, Funnel>>,
    ) -> Result<Made<Funnel>, Error> {
        funnel.check()?;
        self.make_once(who, "create_funnel", once, &|session| {
            let detail = detail.clone();
            Box::pin(async move {
                let experiments = known_experiments(session, funnel).await?;
                check_experiments(funnel, &experiments)?;
                let taken = funnels::insert(session, funnel).await?;
                refuse_taken(funnel, &taken)?;
                let (owner, id) = (funnel.user_id, funnel.id);
                let mut entry = self.core.activity(who, owner, Action::FunnelCreated, id);
                entry.detail = detail;
                activity::insert(session, &entry).await?;
                Ok(funnel.clone())
            })
        })
        .await
    }

    /// Reads a funnel.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn funnel(&self, who: &Principal, id: FunnelId) -> Result<Funnel, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(funnels::read(session, id)));
        visible(who, read.await?)
    }

    /// Lists the funnels that `who` may see, newest first, without their drawings.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none of ours.
    pub async fn funnels(
        &self,
        who: &Principal,
        status: Option<FunnelStatus>,
        page: &Page,
    ) -> Result<PageOf<FunnelSummary>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { funnels::list(session, owner, status, before, limit).await })
        });
        Ok(page.of(list.await?, |funnel| (funnel.created_at, funnel.id.0)))
    }

    /// Everything that keeps a funnel from being activated.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn check_funnel(
        &self,
        who: &Principal,
        id: FunnelId,
    ) -> Result<Vec<FunnelFault>, Error> {
        let funnel = self.funnel(who, id).await?;
        let funnel = &funnel;
        let experiments = self
            .core
            .database
            .run(|session| Box::pin(known_experiments(session, funnel)));
        Ok(funnel.canvas.faults(&experiments.await?))
    }
}

/// The funnel if there is one and `who` may see it. Somebody else's is as good as none.
fn visible(who: &Principal, found: Option<Funnel>) -> Result<Funnel, Error> {
    found
        .filter(|funnel| who.may_see(funnel.user_id))
        .ok_or_else(|| ErrorKind::NotFound("funnel").into())
}

/// What the funnel's account has of the experiments that stand in it, and of those whose ids its nodes
/// and edges have, which must be none.
async fn known_experiments(
    session: &Session<'_>,
    funnel: &Funnel,
) -> Result<BTreeMap<ExperimentId, FunnelExperiment>, samplit_store::Error> {
    let canvas = &funnel.canvas;
    let mut asked = canvas.experiments();
    asked.extend(canvas.nodes.iter().map(|node| ExperimentId(node.id.0)));
    asked.extend(canvas.edges.iter().map(|edge| ExperimentId(edge.id.0)));
    funnels::experiments(session, funnel.user_id, &asked).await
}

/// Nobody learns whether another account has an experiment.
fn check_experiments(
    funnel: &Funnel,
    experiments: &BTreeMap<ExperimentId, FunnelExperiment>,
) -> Result<(), Violations> {
    let mut violations = Violations::default();
    let canvas = &funnel.canvas;
    canvas.check_experiments(experiments, &mut violations);
    violations.into_result(())
}

/// Ids come from callers, and are unique among all funnels.
fn refuse_taken(funnel: &Funnel, taken: &Taken) -> Result<(), Violations> {
    let mut violations = Violations::default();
    let detail = "another funnel has this id; without one the server makes it";
    for (at, node) in funnel.canvas.nodes.iter().enumerate() {
        if taken.nodes.contains(&node.id) {
            violations.add(format!("/nodes/{at}/id"), "taken", detail);
        }
    }
    for (at, edge) in funnel.canvas.edges.iter().enumerate() {
        if taken.edges.contains(&edge.id) {
            violations.add(format!("/edges/{at}/id"), "taken", detail);
        }
    }
    violations.into_result(())
}
