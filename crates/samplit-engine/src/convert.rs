//! A visitor did what the experiment is about.

use std::sync::Arc;

use samplit_domain::{
    AssignmentId, Convert, DEFAULT_CONVERSION_VALUE, Experiment, ExperimentId, Status, Violations,
};
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::assign::MAX_RETHINKS;
use crate::meter::Meter;
use crate::visitor::Digest;
use crate::writer::{Answer, Job, What};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// A conversion that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Converted {
    /// Of which row.
    pub assignment_id: AssignmentId,
    /// When it was counted.
    pub converted_at: OffsetDateTime,
    /// What it was worth.
    pub value: f64,
    /// Whether another event had been counted before; then that one is told here, and this one
    /// counts nothing.
    pub duplicate: bool,
}

impl Engine {
    /// Counts the conversion of a visitor, once, and answers after the COMMIT.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], [`ErrorKind::NotFound`], [`ErrorKind::NotAssigned`] for a visitor
    /// without a row, [`ErrorKind::NotRunning`] for a draft or an archived experiment,
    /// [`ErrorKind::WindowClosed`] too long after completion or after the seal,
    /// [`ErrorKind::OnHold`] while nothing may be appended to the trail, [`ErrorKind::Overloaded`] when too
    /// many requests wait, [`ErrorKind::Unavailable`] when PostgreSQL is away.
    pub async fn convert(
        &self,
        who: &Principal,
        id: ExperimentId,
        request: Convert,
    ) -> Result<Converted, Error> {
        let started = Instant::now();
        let outcome = self.count(who, id, request).await;
        Meter::converted(started, &outcome);
        outcome
    }

    async fn count(
        &self,
        who: &Principal,
        id: ExperimentId,
        request: Convert,
    ) -> Result<Converted, Error> {
        who.require(Scope::Assign)?;
        request.check()?;
        let mut live = self.visible_live(who, id).await?;
        let event_id = request
            .event_id
            .unwrap_or_else(|| self.core.ids.next().to_string());
        for _ in 0..MAX_RETHINKS {
            if let status @ (Status::Draft | Status::Archived) = live.experiment.status {
                return Err(ErrorKind::NotRunning(status).into());
            }
            if live.is_erased(&request.visitor) {
                return Err(ErrorKind::NotAssigned.into());
            }
            live.not_on_hold()?;
            let (goal, default) = goal(&live.experiment, request.goal.as_deref())?;
            let job = Job {
                visitor: request.visitor.clone(),
                digest: Digest::new(id, &request.visitor),
                pseudonym: live.pseudonym(&request.visitor)?,
                what: What::Convert {
                    goal,
                    value: request.value.unwrap_or(default),
                    event_id: event_id.clone(),
                },
                live: Arc::clone(&live),
            };
            match self.writer.submit(job).await? {
                Answer::Converted(converted) => return Ok(converted),
                Answer::NotAssigned => return Err(ErrorKind::NotAssigned.into()),
                Answer::WindowClosed => return Err(ErrorKind::WindowClosed.into()),
                Answer::NotInTrail => {
                    return Err(Error::conflict(
                        "not_in_trail",
                        "the visitor's row was written by another program while the trail runs; \
                         its conversion cannot be proved and is not counted",
                    ));
                }
                Answer::Stale { version } => live = self.core.refreshed(id, version).await?,
                answer @ Answer::Assigned { .. } => {
                    return Err(Error::internal(format!(
                        "a conversion was answered by {answer:?}"
                    )));
                }
            }
        }
        Err(ErrorKind::Overloaded.into())
    }
}

/// The goal a conversion is for and the value of one that names none. Experiments older than goals
/// have a single one, whatever it is called.
fn goal(experiment: &Experiment, named: Option<&str>) -> Result<(String, f64), Error> {
    let known = &experiment.goals;
    let found = match named {
        Some(name) => known.iter().find(|goal| goal.name == name),
        None => known.first(),
    };
    match (found, named) {
        (Some(goal), _) => Ok((goal.name.clone(), goal.default_value)),
        (None, named) if known.is_empty() => Ok((
            named.unwrap_or("conversion").to_owned(),
            DEFAULT_CONVERSION_VALUE,
        )),
        (None, _) => {
            let names: Vec<_> = known
                .iter()
                .map(|goal| format!("`{}`", goal.name))
                .collect();
            let mut violations = Violations::default();
            violations.add(
                "/goal",
                "unknown_value",
                format!("is none of {}", names.join(", ")),
            );
            Err(violations.into())
        }
    }
}
