//! Changes of an experiment that are not steps of its lifecycle.

use futures_util::future::BoxFuture;
use samplit_domain::{
    Action, Experiment, ExperimentDraft, ExperimentId, Status, VariantId, Violations, arm_sets,
    to_micros,
};
use samplit_store::{Session, activity, elements, experiments, heads, statistics};
use serde_json::{Value as Json, json};

use super::{key_taken, visible};
use crate::core::Core;
use crate::trail::{self, Trail};
use crate::{Engine, Error, ErrorKind, Principal, Scope, live, reallocation, start};

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExperimentChange {
    /// The name.
    pub name: Option<String>,
    /// The description; `Some(None)` removes it.
    pub description: Option<Option<String>>,
    /// The page under test; `Some(None)` removes it.
    pub target_url: Option<Option<String>>,
    /// The share of visitors who take part; may only grow once the experiment runs.
    pub traffic_allocation: Option<f64>,
    /// What is free to the user.
    pub metadata: Option<Json>,
    /// The whole tree anew; drafts only.
    pub replace: Option<ExperimentDraft>,
}

impl Engine {
    /// Changes an experiment. `if_version` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::VersionMismatch`] when it was changed meanwhile, [`ErrorKind::Conflict`] when
    /// its status does not allow the change, [`ErrorKind::Invalid`] for a broken rule.
    pub async fn update_experiment(
        &self,
        who: &Principal,
        id: ExperimentId,
        change: ExperimentChange,
        if_version: Option<i64>,
    ) -> Result<Experiment, Error> {
        who.require(Scope::Manage)?;
        if let Some(draft) = change.replace {
            let draft = draft.check()?;
            return self.replace_draft(who, id, draft, if_version).await;
        }
        check(&change)?;
        let edit = Edit {
            id,
            if_version,
            name: "update_experiment",
            action: Action::ExperimentChanged,
            detail: changed_fields(&change),
        };
        let apply = |current: &Experiment| apply(current.clone(), change.clone());
        self.edit(who, edit, apply, |_, _, _, _| Box::pin(async { Ok(()) }))
            .await
    }

    async fn replace_draft(
        &self,
        who: &Principal,
        id: ExperimentId,
        draft: ExperimentDraft,
        if_version: Option<i64>,
    ) -> Result<Experiment, Error> {
        let fresh = self.build(draft, self.core.config.clock.now());
        start::check_fits(&self.core, &fresh)?;
        let edit = Edit {
            id,
            if_version,
            name: "replace_draft",
            action: Action::ExperimentChanged,
            detail: json!({ "fields": ["draft"] }),
        };
        let change = |current: &Experiment| {
            if current.status != Status::Draft {
                return Err(not_a_draft(current.status));
            }
            let mut next = Experiment {
                id: current.id,
                user_id: current.user_id,
                created_at: current.created_at,
                version: current.version,
                ..fresh.clone()
            };
            keep_ids(current, &mut next);
            Ok(next)
        };
        self.edit(who, edit, change, |_, session, next, _| {
            Box::pin(async move { Ok(experiments::replace_parts(session, next).await?) })
        })
        .await
        .map_err(key_taken)
    }

    /// Lets new visitors get a variant, or not any more. Its own visitors keep it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a variant of another experiment, [`ErrorKind::NotRunning`] when
    /// the experiment is over, [`ErrorKind::Conflict`] for the last active variant of an element.
    pub async fn set_variant_active(
        &self,
        who: &Principal,
        id: ExperimentId,
        variant: VariantId,
        is_active: bool,
    ) -> Result<Experiment, Error> {
        who.require(Scope::Manage)?;
        let edit = Edit {
            id,
            if_version: None,
            name: "set_variant_active",
            action: if is_active {
                Action::VariantActivated
            } else {
                Action::VariantDeactivated
            },
            detail: json!({ "variant_id": variant }),
        };
        let change = |current: &Experiment| {
            if matches!(current.status, Status::Completed | Status::Archived) {
                return Err(ErrorKind::NotRunning(current.status).into());
            }
            let mut next = current.clone();
            let element = next
                .elements
                .iter_mut()
                .find(|element| element.variants.iter().any(|v| v.id == variant))
                .ok_or(ErrorKind::NotFound("variant"))?;
            if element
                .variants
                .iter()
                .any(|v| v.id == variant && v.is_active == is_active)
            {
                return Err(Error::conflict(
                    "already_so",
                    format!(
                        "the variant is {}",
                        if is_active { "active" } else { "inactive" }
                    ),
                ));
            }
            for candidate in element.variants.iter_mut().filter(|v| v.id == variant) {
                candidate.is_active = is_active;
            }
            if !element.variants.iter().any(|variant| variant.is_active) {
                return Err(Error::conflict(
                    "last_active_variant",
                    "the last active variant of an element cannot be deactivated; pause the \
                     experiment instead",
                ));
            }
            Ok(next)
        };
        self.edit(who, edit, change, move |core, session, next, trail| {
            Box::pin(async move {
                elements::set_active(session, id, variant, is_active).await?;
                // The weight moves in the same transaction: no assignment falls in between.
                match trail {
                    Some(trail) => reallocate(core, session, next, trail).await,
                    None => Ok(()),
                }
            })
        })
        .await
    }

    /// Stores what `change` makes of an experiment, and what `also` has to do in the same
    /// transaction. The head of its trail is locked first, so nobody is assigned meanwhile, and
    /// moves to the new version, so nobody is assigned under the old one afterwards.
    pub(crate) async fn edit<C, A>(
        &self,
        who: &Principal,
        edit: Edit,
        change: C,
        also: A,
    ) -> Result<Experiment, Error>
    where
        C: Fn(&Experiment) -> Result<Experiment, Error> + Send + Sync,
        A: for<'t> Fn(
                &'t Core,
                &'t Session<'_>,
                &'t Experiment,
                Option<&'t mut Trail>,
            ) -> BoxFuture<'t, Result<(), Error>>
            + Send
            + Sync,
    {
        let core = &*self.core;
        let (edit, change, also) = (&edit, &change, &also);
        let next = core
            .database
            .run_tx(edit.name, |session| {
                Box::pin(async move {
                    // Nobody locks what is not theirs.
                    visible(who, experiments::read(session, edit.id).await?)?;
                    experiments::lock(session, edit.id).await?;
                    let head = heads::lock(session, &[edit.id.0]).await?.pop();
                    let mut trail = head.map(Trail::open).transpose()?;
                    let current = visible(who, experiments::read(session, edit.id).await?)?;
                    check_version(&current, edit.if_version)?;
                    let mut next = change(&current)?;
                    next.version = current.version + 1;
                    next.updated_at = core.config.clock.now();
                    experiments::update(session, &next).await?;
                    also(core, session, &next, trail.as_mut()).await?;
                    if let Some(mut trail) = trail {
                        trail.config_version = next.version;
                        trail::store(session, vec![trail]).await?;
                    }
                    let mut entry = core.activity(who, next.user_id, edit.action, edit.id);
                    entry.detail.clone_from(&edit.detail);
                    activity::insert(session, &entry).await?;
                    experiments::announce(session, edit.id).await?;
                    Ok::<_, Error>(next)
                })
            })
            .await?;
        if let Some(owner) = next.user_id {
            core.sites.invalidate(&owner);
            core.flags.invalidate(&owner);
        }
        self.read_back(edit.id).await;
        Ok(next)
    }

    /// Takes a change that was made into memory; if it cannot be read now, whoever needs it next will.
    pub(crate) async fn read_back(&self, id: ExperimentId) {
        if let Err(error) = self.core.refresh_notified(id).await {
            tracing::warn!(experiment = %id, error = ?error, "a change could not be read back");
            self.core.forget(id);
        }
    }
}

/// Which experiment to change, from which version, what the transaction is called, and how it is noted.
#[derive(Clone, Debug)]
pub(crate) struct Edit {
    pub(crate) id: ExperimentId,
    pub(crate) if_version: Option<i64>,
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    pub(crate) detail: Json,
}

/// Appends new weights whatever they are.
async fn reallocate(
    core: &Core,
    session: &Session<'_>,
    experiment: &Experiment,
    trail: &mut Trail,
) -> Result<(), Error> {
    let sets = arm_sets(experiment);
    let rows = statistics::totals(session, &[experiment.id.0]).await?;
    let (genesis, _) = live::read_genesis(session, experiment.id).await?;
    let totals = reallocation::totals(&sets, &rows)?;
    let proposal = reallocation::propose(&genesis, &sets, &totals)?;
    let now = to_micros(core.config.clock.now());
    proposal.append(core, &genesis, trail, now)?;
    let (variants, states) = proposal.sealed_states(core, &sets, trail.size())?;
    Ok(elements::set_algorithm_state(session, &variants, &states).await?)
}

/// What only a draft allows, of an experiment that was started.
pub(crate) fn not_a_draft(status: Status) -> Error {
    Error::conflict(
        "not_a_draft",
        format!(
            "elements, variants, goals and allocation of an experiment that is {status} cannot \
             change; create a new experiment instead"
        ),
    )
}

/// What has the same name as before is the same thing: it keeps its id, and a variant whether it is
/// active.
fn keep_ids(current: &Experiment, next: &mut Experiment) {
    for element in &mut next.elements {
        let Some(before) = current.elements.iter().find(|e| e.name == element.name) else {
            continue;
        };
        element.id = before.id;
        for variant in &mut element.variants {
            if let Some(before) = before.variants.iter().find(|v| v.name == variant.name) {
                variant.id = before.id;
                variant.is_active = before.is_active;
            }
        }
    }
    for goal in &mut next.goals {
        if let Some(before) = current.goals.iter().find(|g| g.name == goal.name) {
            goal.id = before.id;
        }
    }
}

pub(crate) fn check_version(current: &Experiment, expected: Option<i64>) -> Result<(), Error> {
    match expected {
        Some(expected) if expected != current.version => Err(ErrorKind::VersionMismatch {
            current: current.version,
        }
        .into()),
        _ => Ok(()),
    }
}

/// What changes, for the log: the names of the fields.
fn changed_fields(change: &ExperimentChange) -> Json {
    let fields = [
        ("name", change.name.is_some()),
        ("description", change.description.is_some()),
        ("target_url", change.target_url.is_some()),
        ("traffic_allocation", change.traffic_allocation.is_some()),
        ("metadata", change.metadata.is_some()),
    ];
    let changed = fields.iter().filter(|(_, is_changed)| *is_changed);
    let changed: Vec<&str> = changed.map(|(name, _)| *name).collect();
    json!({ "fields": changed })
}

fn check(change: &ExperimentChange) -> Result<(), Violations> {
    let mut violations = Violations::default();
    if let Some(name) = &change.name {
        violations.name("/name", name);
    }
    if let Some(Some(description)) = &change.description {
        violations.description("/description", description);
    }
    if let Some(Some(url)) = &change.target_url {
        violations.url("/target_url", url);
    }
    if let Some(share) = change.traffic_allocation {
        violations.share("/traffic_allocation", share);
    }
    if let Some(metadata) = &change.metadata {
        violations.metadata("/metadata", metadata);
    }
    violations.into_result(())
}

fn apply(mut experiment: Experiment, change: ExperimentChange) -> Result<Experiment, Error> {
    if matches!(experiment.status, Status::Completed | Status::Archived)
        && change.traffic_allocation.is_some()
    {
        return Err(ErrorKind::NotRunning(experiment.status).into());
    }
    if let Some(share) = change.traffic_allocation {
        if experiment.status != Status::Draft && share < experiment.traffic_allocation {
            return Err(Error::conflict(
                "traffic_may_only_grow",
                format!(
                    "the share of traffic of an experiment that is {} may only grow, from {} up; \
                     pause it, or complete it and create a new one",
                    experiment.status, experiment.traffic_allocation
                ),
            ));
        }
        experiment.traffic_allocation = share;
    }
    if let Some(name) = change.name {
        experiment.name = name;
    }
    if let Some(description) = change.description {
        experiment.description = description;
    }
    if let Some(url) = change.target_url {
        experiment.target_url = url;
    }
    if let Some(metadata) = change.metadata {
        experiment.metadata = metadata;
    }
    Ok(experiment)
}
