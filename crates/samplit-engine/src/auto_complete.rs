//! Experiments that registered so at their start complete by themselves once they may stop. The same
//! look finds what webhooks tell of experiments without anybody's doing.
//!
//! Any number of engines may watch the same experiment: completing is a step of the lifecycle, and
//! whoever comes second finds it taken.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::Duration;

use samplit_domain::{ElementId, Experiment, ExperimentId, Status, Transition, VariantId};
use samplit_store::webhooks::Watched;

use crate::core::Core;
use crate::results::ElementResults;
use crate::webhooks::Seen;
use crate::writer::Writer;
use crate::{Engine, Error, Principal};

/// Watches until the engine is gone.
pub(crate) async fn watch(core: Weak<Core>, writer: Weak<Writer>, every: Duration) {
    let mut seen = Seen::default();
    loop {
        tokio::time::sleep(every).await;
        let (Some(core), Some(writer)) = (core.upgrade(), writer.upgrade()) else {
            return;
        };
        Engine::over(core, writer).look_at_running(&mut seen).await;
    }
}

impl Engine {
    /// One look at each experiment that completes by itself, or that has moved and of which somebody
    /// wants to hear what was never said.
    async fn look_at_running(&self, seen: &mut Seen) {
        let watched = self.with_listeners().await.unwrap_or_else(|error| {
            if !error.is_unavailable() {
                tracing::warn!(%error, "it could not be asked who waits for a winner");
            }
            Vec::new()
        });
        seen.keep_only(&watched);
        let registered = self.core.registered_to_complete();
        let mut looks: BTreeMap<ExperimentId, Option<&Watched>> =
            registered.into_iter().map(|id| (id, None)).collect();
        for watched in &watched {
            if looks.contains_key(&watched.experiment_id) || seen.may_be_news(watched) {
                looks.insert(watched.experiment_id, Some(watched));
            }
        }
        for (id, watched) in looks {
            match self.look_at(id, watched).await {
                Ok(()) => watched.into_iter().for_each(|watched| seen.note(watched)),
                Err(error) if error.is_unavailable() => {}
                Err(error) => {
                    tracing::warn!(experiment = %id, %error, "the stopping rule could not be asked");
                }
            }
        }
    }

    /// Tells what the results show and was not said before, and completes the experiment if it
    /// registered so and its rule is met.
    async fn look_at(&self, id: ExperimentId, watched: Option<&Watched>) -> Result<(), Error> {
        let me = Principal::system();
        let results = self.results(&me, id).await?;
        if let Some(watched) = watched {
            self.tell_findings(&results, watched).await?;
        }
        if !is_registered(&results.experiment) || !may_stop(&results.elements) {
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
