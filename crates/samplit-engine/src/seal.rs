//! The end of a trail: its final counts, and the draw key in the open.
//!
//! Nothing is decided behind a seal, so it waits until no conversion can count any more, or until
//! somebody closes the attribution window on purpose.

use std::sync::Arc;

use samplit_audit::payload::{FinalCount, Seal};
use samplit_audit::{DrawKey, PerElement};
use samplit_domain::{Action, Experiment, ExperimentId, Status, to_micros};
use samplit_store::{heads, statistics};
use serde_json::json;
use time::OffsetDateTime;

use crate::experiments::Edit;
use crate::reallocation::{Totals, totals};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

impl Engine {
    /// Seals the trail of an experiment that is over, and signs it. `close_window`: now, though
    /// conversions could still count; they are refused from then on. A sealed trail stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`] before the start,
    /// [`ErrorKind::Conflict`] (`not_completed`, or `window_open` without `close_window`),
    /// [`ErrorKind::OnHold`].
    pub async fn seal(
        &self,
        who: &Principal,
        id: ExperimentId,
        close_window: bool,
    ) -> Result<Experiment, Error> {
        who.require(Scope::Manage)?;
        let live = self.visible_live(who, id).await?;
        let trail = live.started()?;
        live.not_on_hold()?;
        let sealed_already = self
            .head(id)
            .await?
            .is_some_and(|head| head.sealed_us.is_some());
        if sealed_already {
            return self.experiment(who, id).await;
        }
        let edit = Edit {
            id,
            if_version: None,
            name: "seal_trail",
            action: Action::TrailSealed,
            detail: json!({}),
        };
        let now = self.core.config.clock.now();
        let draw_key = *trail.draw_key.expose();
        let is_one = matches!(trail.genesis.elements, PerElement::One(_));
        let change = |current: &Experiment| {
            let end = window_end(current)?;
            if now <= end && !close_window {
                let detail = format!("conversions count until {end}; close the window to seal now");
                return Err(Error::conflict("window_open", detail));
            }
            Ok(current.clone())
        };
        let sealed = self
            .edit(who, edit, change, |core, session, _, trail| {
                let live = Arc::clone(&live);
                Box::pin(async move {
                    let Some(trail) = trail else {
                        return Err(ErrorKind::NotRunning(Status::Draft).into());
                    };
                    if trail.is_sealed() {
                        return Ok(());
                    }
                    let rows = statistics::totals(session, &[id.0]).await?;
                    let counts = final_counts(totals(&live.arm_sets, &rows)?, is_one)?;
                    let payload = Seal {
                        elements: counts,
                        draw_key,
                    };
                    let now_us = to_micros(core.config.clock.now());
                    let appended = trail.append(core.ids.next(), now_us, &payload)?;
                    Ok(heads::seal(session, id, appended.at_us).await?)
                })
            })
            .await?;
        tracing::info!(experiment = %id, "the trail is sealed");
        if !self.core.config.signers.is_empty()
            && let Err(error) = self.sign(id).await
        {
            // The checkpointer tries again.
            tracing::warn!(experiment = %id, error = ?error, "a sealed trail could not be signed yet");
        }
        Ok(sealed)
    }

    /// Seals an experiment whose attribution window is over.
    pub(crate) async fn seal_if_due(&self, id: ExperimentId) -> Result<(), Error> {
        let live = self.core.live(id).await?;
        match window_end(&live.experiment) {
            Ok(end) if self.core.config.clock.now() > end => {
                self.seal(&Principal::system(), id, false).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// The draw key of an experiment that is over: with it everybody can recompute every draw.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] (`not_completed`): whoever has the key of a
    /// running experiment knows what the next visitor gets.
    pub async fn draw_key(&self, who: &Principal, id: ExperimentId) -> Result<DrawKey, Error> {
        who.require(Scope::Manage)?;
        // What is in memory may be older than what another process did.
        let experiment = self.experiment(who, id).await?;
        if !matches!(experiment.status, Status::Completed | Status::Archived) {
            return Err(not_completed(experiment.status));
        }
        let live = self.visible_live(who, id).await?;
        Ok(live.started()?.draw_key.clone())
    }
}

fn not_completed(status: Status) -> Error {
    let detail =
        format!("the experiment is {status}; its draw key stays secret until it completes");
    Error::conflict("not_completed", detail)
}

/// Until when conversions count.
fn window_end(experiment: &Experiment) -> Result<OffsetDateTime, Error> {
    let over = matches!(experiment.status, Status::Completed | Status::Archived);
    let completed_at = experiment.completed_at.filter(|_| over);
    let completed_at = completed_at.ok_or_else(|| not_completed(experiment.status))?;
    let window = experiment.allocation.attribution_window_seconds;
    let window = time::Duration::seconds(i64::try_from(window).unwrap_or(i64::MAX));
    Ok(completed_at.saturating_add(window))
}

fn final_counts(totals: Totals, is_one: bool) -> Result<PerElement<Vec<FinalCount>>, Error> {
    let counts =
        |arms: Vec<(u64, u64)>| arms.into_iter().map(|(n, s)| FinalCount { n, s }).collect();
    let mut elements = totals.into_iter().map(counts);
    if is_one {
        let only = elements.next();
        let only = only.ok_or_else(|| Error::internal("an experiment without a draw"))?;
        return Ok(PerElement::One(only));
    }
    Ok(PerElement::Many(elements.collect()))
}
