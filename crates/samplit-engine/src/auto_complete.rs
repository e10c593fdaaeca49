//! Experiments that registered so at their start complete by themselves once they may stop.
//!
//! Any number of engines may watch the same experiment: completing is a step of the lifecycle, and
//! whoever comes second finds it taken.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use samplit_domain::{ElementId, Experiment, ExperimentId, Status, Transition, VariantId};

use crate::core::Core;
use crate::results::ElementResults;
use crate::writer::Writer;
use crate::{Engine, Error, Principal};

/// Watches until the engine is gone.
pub(crate) async fn watch(core: Weak<Core>, writer: Weak<Writer>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let (Some(core), Some(writer)) = (core.upgrade(), writer.upgrade()) else {
            return;
        };
        let engine = Engine::over(core, writer);
        for id in engine.core.registered_to_complete() {
            if let Err(error) = engine.complete_if_due(id).await
                && !error.is_unavailable()
            {
                tracing::warn!(experiment = %id, %error, "the stopping rule could not be asked");
            }
        }
    }
}

impl Engine {
    async fn complete_if_due(&self, id: ExperimentId) -> Result<(), Error> {
        let me = Principal::system();
        let results = self.results(&me, id).await?;
        if !may_stop(&results.elements) {
            return Ok(());
        }
        let version = Some(results.experiment.version);
        let winner = leaders(&results.experiment, &results.elements);
        self.transition(&me, id, Transition::Complete, winner, version)
            .await?;
        tracing::info!(experiment = %id, "the registered stopping rule is met; completed");
        Ok(())
    }
}

/// Whether the rule is met in every draw.
pub(crate) fn may_stop(draws: &[ElementResults]) -> bool {
    draws.iter().all(|draw| draw.stopping.may_stop)
}

/// The leader of each draw, as the variants that it shows.
pub(crate) fn leaders(
    experiment: &Experiment,
    draws: &[ElementResults],
) -> BTreeMap<ElementId, VariantId> {
    let shown = draws.iter().flat_map(|element| {
        let leader = element.arms.get(element.stopping.leader);
        leader
            .into_iter()
            .flat_map(|arm| arm.variants.iter().copied())
    });
    experiment
        .elements
        .iter()
        .map(|element| element.id)
        .zip(shown)
        .collect()
}

/// Whether an experiment wants to complete by itself.
pub(crate) fn is_registered(experiment: &Experiment) -> bool {
    experiment.stopping.auto_complete
        && matches!(experiment.status, Status::Active | Status::Paused)
}
