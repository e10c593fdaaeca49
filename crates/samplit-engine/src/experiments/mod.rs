//! Experiments: create, read, list, change, move through the lifecycle.

mod change;
mod lifecycle;
mod list;

use std::collections::BTreeMap;

use samplit_domain::{
    Action, Element, ElementDraft, ElementId, Experiment, ExperimentDraft, ExperimentId,
    ExperimentType, Goal, GoalDraft, GoalId, GoalKind, Status, Variant, VariantId,
};
use samplit_store::{activity, experiments};
use time::OffsetDateTime;

pub use change::ExperimentChange;
pub(crate) use change::{Edit, not_a_draft};
pub use list::ExperimentFilter;

use crate::idempotency::{Made, Once};
use crate::{Engine, Error, ErrorKind, Principal, Scope, start};

impl Engine {
    /// Creates a draft.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every rule that the draft breaks.
    pub async fn create_experiment(
        &self,
        who: &Principal,
        draft: ExperimentDraft,
    ) -> Result<Experiment, Error> {
        let made = self.create_experiment_once(who, draft, None).await?;
        made.only_new()
    }

    /// Creates a draft, once.
    ///
    /// # Errors
    /// As [`Self::create_experiment`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_experiment_once(
        &self,
        who: &Principal,
        draft: ExperimentDraft,
        once: Option<&Once<'_, Experiment>>,
    ) -> Result<Made<Experiment>, Error> {
        who.require(Scope::Manage)?;
        let now = self.core.config.clock.now();
        let mut experiment = self.build(draft.check()?, now);
        experiment.user_id = who.user_id;
        start::check_fits(&self.core, &experiment)?;
        self.make_once(who, "create_experiment", once, &|session| {
            let experiment = experiment.clone();
            Box::pin(async move {
                experiments::insert(session, &experiment).await?;
                let (owner, id) = (experiment.user_id, experiment.id);
                let entry = self
                    .core
                    .activity(who, owner, Action::ExperimentCreated, id);
                activity::insert(session, &entry).await?;
                Ok(experiment)
            })
        })
        .await
        .map_err(key_taken)
    }

    /// Reads an experiment with its counters as they are now.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn experiment(&self, who: &Principal, id: ExperimentId) -> Result<Experiment, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(experiments::read(session, id)));
        visible(who, read.await?)
    }

    /// Gives ids to everything in a checked draft.
    fn build(&self, draft: ExperimentDraft, now: OffsetDateTime) -> Experiment {
        let elements: Vec<Element> = draft
            .elements
            .into_iter()
            .map(|element| self.build_element(element))
            .collect();
        let goals = if draft.goals.is_empty() {
            vec![default_goal()]
        } else {
            draft.goals
        };
        let goals = goals.into_iter().enumerate().map(|(index, goal)| Goal {
            id: GoalId(self.core.ids.next()),
            name: goal.name,
            is_primary: index == 0,
            kind: goal.kind,
            default_value: goal.default_value,
            trigger: goal.trigger,
        });
        Experiment {
            id: ExperimentId(self.core.ids.next()),
            user_id: None,
            name: draft.name,
            key: draft.key,
            description: draft.description,
            target_url: draft.target_url,
            status: Status::Draft,
            experiment_type: if elements.len() == 1 {
                ExperimentType::AbTest
            } else {
                ExperimentType::MultiElement
            },
            traffic_allocation: draft.traffic_allocation,
            strategy: draft.strategy,
            allocation: draft.allocation,
            stopping: draft.stopping,
            hypothesis: draft.hypothesis,
            registration: None,
            elements,
            goals: goals.collect(),
            declared_winner: BTreeMap::new(),
            metadata: draft.metadata,
            version: 1,
            created_at: now,
            updated_at: now,
            started_at: None,
            completed_at: None,
            archived_at: None,
        }
    }

    fn build_element(&self, draft: ElementDraft) -> Element {
        let variants = draft.variants.into_iter().map(|variant| Variant {
            id: VariantId(self.core.ids.next()),
            name: variant.name,
            content: variant.content,
            is_control: variant.is_control,
            is_active: true,
            total_allocations: 0,
            total_conversions: 0,
        });
        Element {
            id: ElementId(self.core.ids.next()),
            name: draft.name,
            selector: draft.selector.and_then(|selector| selector.to_selector()),
            fallback_selectors: draft
                .fallback_selectors
                .iter()
                .filter_map(|selector| selector.to_selector())
                .collect(),
            element_type: draft.element_type,
            original_content: draft.original_content,
            variants: variants.collect(),
        }
    }
}

/// Ids are ours and never the same, so that the one value which may be taken is the key.
fn key_taken(error: Error) -> Error {
    let is_taken = samplit_store::TxError::store(&error).is_some_and(|e| e.is_unique_violation());
    if is_taken {
        Error::conflict(
            "key_taken",
            "another experiment of the account has this key",
        )
    } else {
        error
    }
}

fn default_goal() -> GoalDraft {
    GoalDraft {
        name: "conversion".to_owned(),
        kind: GoalKind::Conversion,
        default_value: samplit_domain::DEFAULT_CONVERSION_VALUE,
        trigger: None,
    }
}

/// The experiment if there is one and `who` may see it. Somebody else's is as good as none.
pub(crate) fn visible(who: &Principal, found: Option<Experiment>) -> Result<Experiment, Error> {
    found
        .filter(|experiment| who.may_see(experiment.user_id))
        .ok_or_else(|| ErrorKind::NotFound("experiment").into())
}
