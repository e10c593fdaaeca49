//! Steps through the lifecycle of an experiment.

use std::collections::BTreeMap;

use samplit_domain::{
    Action, ElementId, Experiment, ExperimentId, Status, Transition, VariantId, Violations,
    json_pointer,
};
use samplit_store::keys;
use serde_json::json;

use super::change::Edit;
use crate::webhooks::{self, News};
use crate::{Engine, Error, Principal, Scope, plans, registration, start};

impl Engine {
    /// Starts, pauses, resumes, completes or archives an experiment.
    ///
    /// An experiment that has a hypothesis is registered when it starts: see
    /// [`Self::registration`]. Archiving destroys the key of the pseudonyms. From then on the trail
    /// alone says of nobody whether they took part, whoever's identifier is tried; the rows still
    /// do, which share their ids with entries and keep their identifiers until
    /// [`Self::erase_visitor`] takes them away.
    ///
    /// `winner` goes with [`Transition::Complete`]: per element the variant that everybody gets
    /// from then on; an element that it leaves out gets its control.
    ///
    /// # Errors
    /// [`ErrorKind::IllegalTransition`](crate::ErrorKind::IllegalTransition) when the lifecycle has
    /// no such step, [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) when the experiment is not
    /// fit to start, or `plan_limit` when the plan of its owner has no room for one more that runs,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a winner that is none of
    /// its variants.
    pub async fn transition(
        &self,
        who: &Principal,
        id: ExperimentId,
        transition: Transition,
        winner: BTreeMap<ElementId, VariantId>,
        if_version: Option<i64>,
    ) -> Result<Experiment, Error> {
        who.require(Scope::Manage)?;
        let edit = Edit {
            id,
            if_version,
            name: transition.as_str(),
            action: match transition {
                Transition::Start => Action::ExperimentStarted,
                Transition::Pause => Action::ExperimentPaused,
                Transition::Resume => Action::ExperimentResumed,
                Transition::Complete => Action::ExperimentCompleted,
                Transition::Archive => Action::ExperimentArchived,
            },
            detail: if winner.is_empty() {
                json!({})
            } else {
                json!({ "winner": winner })
            },
        };
        let now = self.core.config.clock.now();
        let change = |current: &Experiment| {
            let mut next = current.clone();
            next.status = current.status.after(transition)?;
            match transition {
                Transition::Start => {
                    fit_to_start(current)?;
                    next.started_at = Some(now);
                    let document = registration::document(current);
                    next.registration =
                        document.map_err(|detail| Error::conflict("not_registrable", detail))?;
                }
                Transition::Complete => {
                    check_winner(current, &winner)?;
                    next.completed_at = Some(now);
                    next.declared_winner = winner.clone();
                }
                Transition::Archive => next.archived_at = Some(now),
                Transition::Pause | Transition::Resume => {}
            }
            if transition != Transition::Complete && !winner.is_empty() {
                let mut violations = Violations::default();
                violations.add(
                    "/winner",
                    "conflict",
                    "is declared when an experiment completes",
                );
                return Err(violations.into());
            }
            Ok(next)
        };
        let done = self.edit(who, edit, change, |core, session, next, trail| {
            Box::pin(async move {
                if next.status == Status::Active {
                    plans::room_for_experiment(session, next.user_id).await?;
                }
                if trail.is_none() && next.status == Status::Active {
                    start::begin(core, session, next).await?;
                }
                if transition == Transition::Archive {
                    // Nobody can tell any longer whom a pseudonym of the trail stands for, but by the
                    // id that a row shares with its entry, as long as the row has its identifier.
                    keys::destroy_pid(session, id).await?;
                }
                webhooks::post(core, session, &News::of_step(next, transition)).await
            })
        });
        let done = done.await?;
        self.core.postman.wake();
        Ok(done)
    }
}

/// Drafts are checked when they are written; rows from elsewhere only here.
fn fit_to_start(experiment: &Experiment) -> Result<(), Error> {
    let unfit = |detail: String| Err(Error::conflict("not_fit_to_start", detail));
    if experiment.elements.is_empty() {
        return unfit("an experiment needs at least one element".to_owned());
    }
    for element in &experiment.elements {
        let active = element
            .variants
            .iter()
            .filter(|variant| variant.is_active)
            .count();
        let controls = element
            .variants
            .iter()
            .filter(|variant| variant.is_control)
            .count();
        if active < 2 || controls != 1 {
            return unfit(format!(
                "element `{}` has {active} active variants and {controls} controls; it needs at \
                 least 2 active variants and exactly 1 control",
                element.name
            ));
        }
    }
    Ok(())
}

fn check_winner(
    experiment: &Experiment,
    winner: &BTreeMap<ElementId, VariantId>,
) -> Result<(), Violations> {
    let mut violations = Violations::default();
    for (element, variant) in winner {
        let found = experiment
            .elements
            .iter()
            .find(|candidate| candidate.id == *element);
        let pointer = json_pointer("/winner", &element.to_string());
        match found {
            None => violations.add(pointer, "unknown_value", "is no element of the experiment"),
            Some(found) if !found.variants.iter().any(|v| v.id == *variant) => {
                violations.add(pointer, "unknown_value", "is no variant of the element");
            }
            Some(_) => {}
        }
    }
    violations.into_result(())
}
