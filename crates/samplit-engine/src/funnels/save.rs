//! Changes of a funnel: its drawing and what is said of it, in one transaction.

use samplit_domain::{
    Action, Funnel, FunnelEdge, FunnelFault, FunnelId, FunnelNode, FunnelStatus, Viewport,
    Violation, Violations,
};
use samplit_store::{Session, activity, funnels};
use serde_json::{Value as Json, json};

use super::running::MAX_RUNNING;
use super::{check_experiments, known_experiments, refuse_taken, visible};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunnelChange {
    /// The name.
    pub name: Option<String>,
    /// The description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// How long a visitor has, in hours.
    pub window_hours: Option<i32>,
    /// Which part of the canvas is shown.
    pub viewport: Option<Viewport>,
    /// All nodes anew. Of a funnel that is no draft only names and places may differ.
    pub nodes: Option<Vec<FunnelNode>>,
    /// All edges anew. Of a funnel that is no draft none may differ.
    pub edges: Option<Vec<FunnelEdge>>,
}

impl FunnelChange {
    /// The names of the fields that are given.
    fn fields(&self) -> Vec<&'static str> {
        let given = [
            ("name", self.name.is_some()),
            ("description", self.description.is_some()),
            ("window_hours", self.window_hours.is_some()),
            ("viewport", self.viewport.is_some()),
            ("nodes", self.nodes.is_some()),
            ("edges", self.edges.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }

    fn apply(&self, current: &Funnel) -> Funnel {
        let mut next = current.clone();
        if let Some(name) = &self.name {
            next.name.clone_from(name);
        }
        if let Some(description) = &self.description {
            next.description.clone_from(description);
        }
        if let Some(hours) = self.window_hours {
            next.window_hours = hours;
        }
        if let Some(viewport) = self.viewport {
            next.canvas.viewport = viewport;
        }
        if let Some(nodes) = &self.nodes {
            next.canvas.nodes.clone_from(nodes);
        }
        if let Some(edges) = &self.edges {
            next.canvas.edges.clone_from(edges);
        }
        next
    }
}

/// Which funnel to change, from which version, what the transaction is called, and how it is noted.
#[derive(Clone, Debug)]
pub(super) struct Edit {
    pub(super) id: FunnelId,
    pub(super) if_version: Option<i64>,
    pub(super) name: &'static str,
    pub(super) action: Action,
    pub(super) detail: Json,
}

impl Engine {
    /// Changes a funnel. `if_version` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::VersionMismatch`] when it was changed meanwhile, [`ErrorKind::Conflict`]
    /// `not_a_draft` when its status does not allow the change, [`ErrorKind::Invalid`] for broken rules.
    pub async fn update_funnel(
        &self,
        who: &Principal,
        id: FunnelId,
        change: FunnelChange,
        if_version: Option<i64>,
    ) -> Result<Funnel, Error> {
        let edit = Edit {
            id,
            if_version,
            name: "update_funnel",
            action: Action::FunnelChanged,
            detail: json!({ "fields": change.fields() }),
        };
        self.edit_funnel(who, edit, |current| {
            let next = change.apply(current);
            let is_free = current.status == FunnelStatus::Draft;
            if !is_free && !current.canvas.is_same_structure(&next.canvas) {
                return Err(not_a_draft(current.status));
            }
            next.check()?;
            Ok(next)
        })
        .await
    }

    /// The one way in which a funnel changes: locked, from the version that the caller has seen, the whole
    /// drawing and its rows together, and noted.
    pub(super) async fn edit_funnel<C>(
        &self,
        who: &Principal,
        edit: Edit,
        change: C,
    ) -> Result<Funnel, Error>
    where
        C: Fn(&Funnel) -> Result<Funnel, Error> + Send + Sync,
    {
        who.require(Scope::Manage)?;
        let core = &*self.core;
        let (edit, change) = (&edit, &change);
        let edited = core.database.run_tx(edit.name, |session| {
            Box::pin(async move {
                let current = lock(session, who, edit).await?;
                let mut next = change(&current)?;
                next.version = current.version + 1;
                next.updated_at = core.config.clock.now();
                let experiments = known_experiments(session, &next).await?;
                if current.status == FunnelStatus::Draft && next.status == FunnelStatus::Active {
                    fit_to_activate(next.canvas.faults(&experiments))?;
                }
                let is_started =
                    current.status != FunnelStatus::Active && next.status == FunnelStatus::Active;
                if let Some(owner) = next.user_id.filter(|_| is_started)
                    && funnels::count_active(session, owner).await? >= MAX_RUNNING
                {
                    return Err(too_many());
                }
                if next.canvas != current.canvas {
                    check_experiments(&next, &experiments)?;
                }
                let taken = funnels::update(session, &current, &next).await?;
                refuse_taken(&next, &taken)?;
                let mut entry = core.activity(who, next.user_id, edit.action, edit.id);
                entry.detail.clone_from(&edit.detail);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(next)
            })
        });
        let edited = edited.await?;
        if let Some(owner) = edited.user_id {
            core.running_funnels.invalidate(&owner);
        }
        Ok(edited)
    }
}

/// The funnel, locked, at the version that the caller has seen. Nobody locks what is not theirs.
async fn lock(session: &Session<'_>, who: &Principal, edit: &Edit) -> Result<Funnel, Error> {
    visible(who, funnels::read(session, edit.id).await?)?;
    let current = visible(who, funnels::lock(session, edit.id).await?)?;
    match edit.if_version {
        Some(expected) if expected != current.version => Err(ErrorKind::VersionMismatch {
            current: current.version,
        }
        .into()),
        _ => Ok(current),
    }
}

fn fit_to_activate(faults: Vec<FunnelFault>) -> Result<(), Violations> {
    let violations = faults.into_iter().map(Violation::from);
    Violations(violations.collect()).into_result(())
}

fn too_many() -> Error {
    let detail = format!(
        "{MAX_RUNNING} funnels of this account are active, and no more can be; pause or archive one"
    );
    Error::conflict("too_many_funnels", detail)
}

fn not_a_draft(status: FunnelStatus) -> Error {
    let detail = format!(
        "steps and ways of a funnel that is {status} cannot change; duplicate it and change the copy"
    );
    Error::conflict("not_a_draft", detail)
}
