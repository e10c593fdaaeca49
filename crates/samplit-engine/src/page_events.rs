//! What pages report: exposures, conversions, and elements that were not there.
//!
//! An assignment is the decision, made when the page asked, and stands in the trail. An exposure says
//! that its visitor has really seen the variant; it is counted beside the assignments, once per
//! visitor, and changes nothing of what is learned: a variant that loads slowly is seen by fewer, and
//! leaving out those who did not see it would make it look better than it is.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use samplit_domain::{
    Convert, ExperimentId, FunnelDeed, Happened, Installation, PageEvent, Status, Violations,
    Visit, page_name,
};
use samplit_store::exposures::{self, NewExposure};
pub use samplit_store::selector_misses::SelectorMiss;
use samplit_store::selector_misses::{self, NewMiss};
use serde_json::Map;
use uuid::Uuid;

use crate::bots::is_bot;
use crate::funnels::{RunningFunnels, StepOutcome};
use crate::misses::MissDigest;
use crate::page::owner_of;
use crate::visitor::{self, Digest};
use crate::{Engine, Error, ErrorKind, NotRecorded, Principal, Scope};

/// What became of an event.
#[derive(Debug)]
pub enum EventOutcome {
    /// It counts, or did so before.
    Recorded,
    /// Another one was counted already.
    Duplicate,
    /// A step of a funnel that is none yet: another one comes before it, or the time for it is over.
    NotReached,
    /// It does not count, because the visit does not.
    NotRecorded(NotRecorded),
    /// It does not count, and would not if it came again.
    Refused(Error),
}

/// An event that is about to be stored.
enum Found {
    Exposure(NewExposure),
    Step(FunnelDeed),
    Miss(NewMiss, MissDigest),
    Done(EventOutcome),
}

impl Engine {
    /// Counts what a page reports, and says of each event what became of it. An exposure counts once
    /// per visitor and experiment, a conversion as by [`Self::convert`], a missing element once per event
    /// id, as long as this process remembers it (10 minutes).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a visitor that cannot be; whatever may be gone when the same report
    /// comes again, such as [`ErrorKind::Unavailable`]: what was counted by then counts once.
    pub async fn page_events(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        events: &[PageEvent],
    ) -> Result<Vec<EventOutcome>, Error> {
        if installation.is_private(visit) {
            let private = || EventOutcome::NotRecorded(NotRecorded::Privacy);
            return Ok(events.iter().map(|_| private()).collect());
        }
        let mut violations = Violations::default();
        violations.visitor("/visitor_id", visit.visitor);
        violations.into_result(())?;
        if visit.user_agent.is_some_and(is_bot) {
            let bot = || EventOutcome::NotRecorded(NotRecorded::Bot);
            return Ok(events.iter().map(|_| bot()).collect());
        }

        let who = owner_of(installation);
        let found = events.iter().map(|event| self.look(&who, visit, event));
        let mut outcomes = Vec::with_capacity(events.len());
        let (mut exposures, mut misses) = (Vec::new(), Vec::new());
        let (mut digests, mut deeds) = (HashSet::new(), Vec::new());
        let mut passing = None;
        for found in join_all(found).await {
            outcomes.push(match found {
                Ok(Found::Done(outcome)) => outcome,
                Ok(Found::Miss(_, digest)) if self.core.misses.contains_key(&digest) => {
                    EventOutcome::Duplicate
                }
                Ok(Found::Miss(miss, digest)) => {
                    if digests.insert(digest) {
                        misses.push(miss);
                        EventOutcome::Recorded
                    } else {
                        EventOutcome::Duplicate
                    }
                }
                Ok(Found::Step(deed)) => {
                    deeds.push((outcomes.len(), deed));
                    EventOutcome::NotReached
                }
                Ok(Found::Exposure(exposure)) => {
                    exposures.push((outcomes.len(), exposure));
                    EventOutcome::Recorded
                }
                Err(error) => {
                    passing.get_or_insert(error);
                    continue;
                }
            });
        }
        if let Some(error) = passing {
            // The report comes again: what counts once by itself need not wait for that.
            let exposures = exposures.into_iter().map(|(_, exposure)| exposure);
            self.store_page_events(exposures.collect(), Vec::new())
                .await?;
            return Err(error);
        }
        let (places, exposures): (Vec<usize>, Vec<_>) = exposures.into_iter().unzip();
        let is_new = self.store_page_events(exposures, misses).await?;
        for digest in digests {
            self.core.misses.insert(digest, ());
        }
        for (place, is_new) in places.into_iter().zip(is_new) {
            if !is_new {
                outcomes[place] = EventOutcome::Duplicate;
            }
        }
        self.step_by_events(installation, visit, deeds, &mut outcomes)
            .await?;
        Ok(outcomes)
    }

    /// Moves a visitor through funnels by what a page reports, in its order, and notes what became of it.
    async fn step_by_events(
        &self,
        installation: &Installation,
        visit: &Visit<'_>,
        deeds: Vec<(usize, FunnelDeed)>,
        outcomes: &mut [EventOutcome],
    ) -> Result<(), Error> {
        let (places, deeds): (Vec<usize>, Vec<_>) = deeds.into_iter().unzip();
        let Some(owner) = installation.user_id.filter(|_| !deeds.is_empty()) else {
            return Ok(());
        };
        let nothing = Map::new();
        let walk = self.core.move_visitor(owner, visit, &nothing, deeds);
        let walked = walk.await?;
        for (at, place) in places.into_iter().enumerate() {
            outcomes[place] = match &walked {
                None => EventOutcome::NotRecorded(NotRecorded::Excluded),
                Some(walked) => match walked.outcomes[at] {
                    StepOutcome::New => EventOutcome::Recorded,
                    StepOutcome::Known => EventOutcome::Duplicate,
                    StepOutcome::Early => EventOutcome::NotReached,
                },
            };
        }
        Ok(())
    }

    /// The elements that pages did not have, and how often.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no experiment that `who` may see.
    pub async fn selector_misses(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Vec<SelectorMiss>, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(selector_misses::list(session, id)));
        Ok(read.await?)
    }

    /// Counts a conversion; of anything else finds what is to be stored.
    async fn look(
        &self,
        who: &Principal,
        visit: &Visit<'_>,
        event: &PageEvent,
    ) -> Result<Found, Error> {
        let found = match &event.what {
            Happened::Exposure => self.look_exposure(who, visit, event.experiment_id).await,
            Happened::Conversion { goal, value } => {
                let deed = self.funnel_deed(who, event.experiment_id.0).await;
                if let Ok(Some(deed)) = deed {
                    return Ok(Found::Step(deed));
                }
                let request = Convert {
                    visitor: visit.visitor.to_owned(),
                    goal: goal.clone(),
                    value: *value,
                    event_id: Some(event.id.clone()),
                };
                let converted = self.convert(who, event.experiment_id, request).await;
                match (converted, deed) {
                    (Ok(converted), _) => Ok(Found::Done(if converted.duplicate {
                        EventOutcome::Duplicate
                    } else {
                        EventOutcome::Recorded
                    })),
                    // What is no experiment may be a step of a funnel that could not be read.
                    (Err(error), Err(unread)) if matches!(error.kind(), ErrorKind::NotFound(_)) => {
                        Err(unread)
                    }
                    (Err(error), _) => Err(error),
                }
            }
            Happened::NoMatch { element_id, url } => {
                let live = self.visible_live(who, event.experiment_id).await;
                live.and_then(|live| {
                    let mut elements = live.experiment.elements.iter();
                    if !elements.any(|element| element.id == *element_id) {
                        return Err(ErrorKind::NotFound("element").into());
                    }
                    let miss = NewMiss {
                        experiment_id: event.experiment_id,
                        element_id: *element_id,
                        page: page_name(url),
                    };
                    Ok(Found::Miss(miss, MissDigest::new(visit.visitor, event)))
                })
            }
        };
        found.or_else(|error| {
            if is_passing(&error) {
                Err(error)
            } else {
                Ok(Found::Done(EventOutcome::Refused(error)))
            }
        })
    }

    /// What it means for funnels that a page reports `id`; `None` where it is no step of one.
    async fn funnel_deed(&self, who: &Principal, id: Uuid) -> Result<Option<FunnelDeed>, Error> {
        let Some(owner) = who.user_id else {
            return Ok(None);
        };
        let running = self.core.recall::<RunningFunnels>(owner).await?;
        Ok(running.value.deed(id))
    }

    async fn look_exposure(
        &self,
        who: &Principal,
        visit: &Visit<'_>,
        id: ExperimentId,
    ) -> Result<Found, Error> {
        let live = self.visible_live(who, id).await?;
        if !matches!(live.experiment.status, Status::Active | Status::Paused) {
            return Err(ErrorKind::NotRunning(live.experiment.status).into());
        }
        if live.is_erased(visit.visitor) {
            return Err(ErrorKind::NotAssigned.into());
        }
        let digest = Digest::new(id, visit.visitor);
        let known = self.core.visitors.get(&digest);
        let known = match known.filter(|known| live.believes(known)) {
            Some(known) => known,
            None => {
                let found = self.find(&live, digest, visit.visitor).await?;
                found.ok_or(ErrorKind::NotAssigned)?
            }
        };
        Ok(Found::Exposure(NewExposure {
            experiment_id: id,
            assignment_id: known.assignment_id,
            arms: visitor::arms(&live.arm_sets, &known.variants),
        }))
    }

    /// Stores exposures and misses; says which of the exposures are new. In one transaction, so that no
    /// miss is counted of a report that has to come again.
    async fn store_page_events(
        &self,
        exposures: Vec<NewExposure>,
        misses: Vec<NewMiss>,
    ) -> Result<Vec<bool>, Error> {
        if exposures.is_empty() && misses.is_empty() {
            return Ok(Vec::new());
        }
        let now = self.core.config.clock.now();
        let (exposures, misses) = (Arc::new(exposures), Arc::new(misses));
        let store = self.core.database.run_tx("store_page_events", |session| {
            let (exposures, misses) = (Arc::clone(&exposures), Arc::clone(&misses));
            Box::pin(async move {
                if !misses.is_empty() {
                    selector_misses::add(session, &misses, now).await?;
                }
                if exposures.is_empty() {
                    return Ok(Vec::new());
                }
                exposures::record(session, &exposures, now).await
            })
        });
        Ok(store.await?)
    }
}

/// Whether the same event may be counted when it comes again. A hold passes, and so may a fault of
/// ours: what is called final here is never sent again.
pub(crate) const fn is_passing(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::Overloaded
            | ErrorKind::Unavailable { .. }
            | ErrorKind::OutcomeUnknown
            | ErrorKind::OnHold { .. }
            | ErrorKind::Internal
    )
}
