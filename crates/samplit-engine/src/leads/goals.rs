//! A lead is what some experiments are about, and a step of some funnels.

use futures_util::future::join_all;
use samplit_domain::{Convert, ExperimentId, GoalTrigger, Installation, LeadId, Visit};
use samplit_store::shops;

use crate::page::owner_of;
use crate::{Engine, Error};

impl Engine {
    /// What follows from a lead: it converts its visitor in every experiment whose goal is one, and is a step
    /// of every funnel that waits for one. In an experiment it counts once, however often it comes; in a
    /// funnel only while it `is_new`, as the same lead again is no further step. That a trail is on hold, or the line of an experiment full, is
    /// nothing that somebody who sends a form should hear of: the lead is there, and the log says what did
    /// not count.
    pub(super) async fn on_lead(
        &self,
        installation: &Installation,
        lead: LeadId,
        is_new: bool,
        visit: &Visit<'_>,
        form: Option<&str>,
    ) {
        let visitor = visit.visitor;
        let Some(owner) = installation.user_id else {
            return;
        };
        let found = self.core.database.run(|session| {
            Box::pin(async move { shops::participations(session, owner, visitor).await })
        });
        let walk = async {
            if is_new {
                self.lead_captured(owner, visit, form).await?;
            }
            Ok::<_, Error>(())
        };
        let (found, moved) = tokio::join!(found, walk);
        if let Err(error) = moved {
            tracing::warn!(%lead, error = ?error, "a lead is no step of a funnel");
        }
        let experiments = match found {
            Ok(experiments) => experiments,
            Err(error) => {
                tracing::warn!(%lead, error = ?error, "a lead counts in no experiment");
                return;
            }
        };
        let counts = experiments.into_iter().map(async |id| {
            let counted = self.count_lead(installation, id, lead, visitor, form).await;
            if let Err(error) = counted {
                tracing::warn!(%lead, experiment = %id, error = ?error, "a lead does not count");
            }
        });
        join_all(counts).await;
    }

    /// Counts a lead in one experiment, if it is its goal. It counts once, however often it comes.
    async fn count_lead(
        &self,
        installation: &Installation,
        id: ExperimentId,
        lead: LeadId,
        visitor: &str,
        form: Option<&str>,
    ) -> Result<(), Error> {
        let live = self.core.live(id).await?;
        let mut goals = live.experiment.goals.iter();
        let meant = goals.find(|goal| is_meant(goal.trigger.as_ref(), form));
        let Some(goal) = meant else {
            return Ok(());
        };
        let request = Convert {
            visitor: visitor.to_owned(),
            goal: Some(goal.name.clone()),
            value: None,
            event_id: Some(format!("lead:{lead}")),
        };
        self.convert(&owner_of(installation), id, request)
            .await
            .map(drop)
    }
}

/// Whether a goal waits for a lead of this form.
fn is_meant(trigger: Option<&GoalTrigger>, form: Option<&str>) -> bool {
    match trigger {
        Some(GoalTrigger::Lead { form: wanted }) => {
            wanted.is_none() || wanted.as_deref().map(str::trim) == form
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use samplit_domain::GoalTrigger;

    use super::is_meant;

    #[test]
    fn a_goal_waits_for_any_form_or_for_one() {
        let lead = |form: Option<&str>| GoalTrigger::Lead {
            form: form.map(str::to_owned),
        };
        let (any, one) = (lead(None), lead(Some("contact")));
        assert!(is_meant(Some(&any), None) && is_meant(Some(&any), Some("contact")));
        assert!(is_meant(Some(&one), Some("contact")));
        assert!(!is_meant(Some(&one), Some("newsletter")) && !is_meant(Some(&one), None));
        let event = GoalTrigger::Event {
            name: "contact".to_owned(),
        };
        assert!(!is_meant(Some(&event), Some("contact")) && !is_meant(None, Some("contact")));
    }
}
