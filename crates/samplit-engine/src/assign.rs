//! Which variant does a visitor see?

use std::sync::Arc;

use samplit_domain::{Assign, AssignmentId, Experiment, ExperimentId, Status, VariantId, Visit};
use samplit_store::assignments;
use samplit_store::trail::RawJson;
use time::OffsetDateTime;
use tokio::time::Instant;

use crate::bots::is_bot;
use crate::exclusions::{ExcludedBy, Rules};
use crate::live::Live;
use crate::visitor::{self, Digest, KnownVisitor};
use crate::writer::{Answer, Job, What};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// How often a request is thought over again because the experiment changed under it. Often, as the
/// erasure of a visitor is a change, too, and many may come in a row.
pub(crate) const MAX_RETHINKS: usize = 20;

/// What a visitor sees.
#[derive(Clone, Debug)]
pub struct Assigned {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// The experiment, for the names and contents of its variants.
    pub experiment: Arc<Experiment>,
    /// One variant per element, in element order.
    pub variants: Arc<[VariantId]>,
    /// Whether the visitor takes part; if not, nothing was stored.
    pub in_experiment: bool,
    /// Why nothing was stored.
    pub reason: Option<NotRecorded>,
    /// Whether this request made the assignment.
    pub is_new: bool,
    /// The visitor's row.
    pub assignment_id: Option<AssignmentId>,
    /// When it was made.
    pub assigned_at: Option<OffsetDateTime>,
}

/// Why a visitor takes no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotRecorded {
    /// Outside the share of traffic that takes part.
    Traffic,
    /// The experiment is paused and the visitor new.
    Paused,
    /// The experiment is over; everybody sees the winner.
    Completed,
    /// PostgreSQL is away and the visitor not in memory, or the trail is on hold and the visitor new.
    Degraded,
    /// The visitor took part once and was erased.
    Erased,
    /// The visitor asks not to be tracked, and the installation respects that.
    Privacy,
    /// Who asks says that it is a program.
    Bot,
    /// A rule keeps the visit out.
    Excluded,
    /// The caller wants nothing stored and the visitor is new.
    ReadOnly,
    /// Somebody looks at chosen variants.
    Preview,
}

impl NotRecorded {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Traffic => "traffic",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Degraded => "degraded",
            Self::Erased => "erased",
            Self::Privacy => "privacy",
            Self::Bot => "bot",
            Self::Excluded => "excluded",
            Self::ReadOnly => "read_only",
            Self::Preview => "preview",
        }
    }
}

/// A visitor asks, and what is known of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) request: &'a Assign,
    /// With the visitor of the request.
    pub(crate) visit: Visit<'a>,
    pub(crate) is_bot: bool,
    /// Whether a new visitor stays unknown.
    pub(crate) is_read_only: bool,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(request: &'a Assign, visit: Visit<'a>) -> Self {
        Self {
            request,
            visit,
            is_bot: visit.user_agent.is_some_and(is_bot),
            is_read_only: false,
        }
    }
}

impl Engine {
    /// Decides which variant a visitor sees. A visitor who was decided about before always gets the
    /// same answer; a new one is drawn, and the answer comes after the COMMIT.
    ///
    /// While PostgreSQL is away, visitors in memory get their variant and everybody else gets
    /// control, unrecorded ([`NotRecorded::Degraded`]); so do new visitors while the trail is on
    /// hold.
    ///
    /// A program that says what it is ([`NotRecorded::Bot`]) gets control always, a visit that a rule
    /// keeps out ([`NotRecorded::Excluded`]) while it is new: who is known keeps the variant, as who
    /// was counted cannot be taken out of the counts. What the visit is, says the context, by `ip`,
    /// `user_agent` and `url`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`], [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`] for a draft or an
    /// archived experiment, [`ErrorKind::Overloaded`] when too many requests wait,
    /// [`ErrorKind::Unavailable`] when PostgreSQL is away and the experiment not in memory.
    pub async fn assign(
        &self,
        who: &Principal,
        id: ExperimentId,
        request: Assign,
    ) -> Result<Assigned, Error> {
        let asking = Asking::new(&request, Visit::told(&request));
        self.assign_as(who, id, &asking).await
    }

    /// [`Self::assign`] with all that is known of the visit.
    pub(crate) async fn assign_as(
        &self,
        who: &Principal,
        id: ExperimentId,
        asking: &Asking<'_>,
    ) -> Result<Assigned, Error> {
        let started = Instant::now();
        let outcome = self.decide(who, id, asking).await;
        self.core.meter.assigned(started, &outcome);
        outcome
    }

    async fn decide(
        &self,
        who: &Principal,
        id: ExperimentId,
        asking: &Asking<'_>,
    ) -> Result<Assigned, Error> {
        who.require(Scope::Assign)?;
        asking.request.check()?;
        let mut live = self.visible_live(who, id).await?;
        let digest = Digest::new(id, &asking.request.visitor);
        for _ in 0..MAX_RETHINKS {
            match self.try_assign(&live, digest, asking).await? {
                Ok(assigned) => return Ok(assigned),
                Err(version) => live = self.core.refreshed(id, version).await?,
            }
        }
        Err(ErrorKind::Overloaded.into())
    }

    /// One try; `Ok(Err(version))` when the experiment is at another version by now.
    async fn try_assign(
        &self,
        live: &Arc<Live>,
        digest: Digest,
        asking: &Asking<'_>,
    ) -> Result<Result<Assigned, i64>, Error> {
        let request = asking.request;
        match live.experiment.status {
            status @ (Status::Draft | Status::Archived) => {
                return Err(ErrorKind::NotRunning(status).into());
            }
            Status::Completed => return Ok(Ok(outside(live, NotRecorded::Completed))),
            Status::Active | Status::Paused => {}
        }
        if asking.is_bot {
            return Ok(Ok(outside(live, NotRecorded::Bot)));
        }
        // Before the cache, which may still know the row.
        if live.is_erased(&request.visitor) {
            return Ok(Ok(outside(live, NotRecorded::Erased)));
        }
        let known = self.core.visitors.get(&digest);
        if let Some(known) = known.filter(|known| live.believes(known)) {
            self.core.meter.sticky_hits.increment(1);
            return Ok(Ok(inside(live, known, false)));
        }
        self.core.meter.sticky_misses.increment(1);
        let takes_part = digest.takes_part(live.experiment.traffic_allocation);
        let excluded_by = match self.excluding(live, &asking.visit).await {
            Ok(rule) => rule,
            // Without the rules nobody new is let in, and without the database nobody could be.
            Err(error) if error.is_unavailable() => {
                return Ok(Ok(outside(live, NotRecorded::Degraded)));
            }
            Err(error) => return Err(error),
        };
        let refusal = match (live.experiment.status, takes_part) {
            _ if excluded_by.is_some() => Some(NotRecorded::Excluded),
            (Status::Active, true) if live.not_on_hold().is_err() => Some(NotRecorded::Degraded),
            (Status::Active, true) if asking.is_read_only => Some(NotRecorded::ReadOnly),
            (Status::Active, true) => None,
            (Status::Active, false) => Some(NotRecorded::Traffic),
            _ => Some(NotRecorded::Paused),
        };
        // Older rows were let in by another gate, so one outside ours may have a row.
        let has_older = live
            .trail
            .as_ref()
            .is_some_and(|t| !t.genesis.carried.is_empty());
        let outcome = match refusal {
            Some(NotRecorded::Traffic) if !has_older => {
                return Ok(Ok(outside(live, NotRecorded::Traffic)));
            }
            Some(reason) => self
                .find(live, digest, &request.visitor)
                .await
                .map(|known| {
                    if let (None, Some(by)) = (&known, excluded_by) {
                        let experiment = live.experiment.id;
                        self.core.note_excluded(experiment, &asking.visit, by);
                    }
                    Ok(known
                        .map_or_else(|| outside(live, reason), |known| inside(live, known, false)))
                }),
            None => self.draw(live, digest, request).await,
        };
        match outcome {
            Err(error) if error.is_unavailable() => Ok(Ok(outside(live, NotRecorded::Degraded))),
            outcome => outcome,
        }
    }

    /// The rule that keeps a visit out of an experiment.
    async fn excluding(&self, live: &Live, visit: &Visit<'_>) -> Result<Option<ExcludedBy>, Error> {
        let Some(owner) = live.experiment.user_id else {
            return Ok(None);
        };
        let rules = self.core.recall::<Rules>(owner).await?;
        Ok(rules.value.excluding(live.experiment.id, visit))
    }

    /// Gets a row for a visitor who may be new.
    async fn draw(
        &self,
        live: &Arc<Live>,
        digest: Digest,
        request: &Assign,
    ) -> Result<Result<Assigned, i64>, Error> {
        let trail = live.started()?;
        let pseudonym = live.pseudonym(&request.visitor)?;
        let experiment_id = live.experiment.id.0;
        let draws = (0..u16::try_from(live.arm_sets.len()).map_err(Error::internal)?)
            .map(|draw| trail.draw_key.draw(experiment_id, pseudonym, draw))
            .collect();
        let context = serde_json::to_string(&request.context).map_err(Error::internal)?;
        let job = Job {
            live: Arc::clone(live),
            visitor: request.visitor.clone(),
            digest,
            pseudonym,
            what: What::Assign {
                id: self.core.ids.next(),
                session: request.session.clone(),
                context: RawJson(context),
                draws,
            },
        };
        match self.writer.submit(job).await? {
            Answer::Assigned { visitor, is_new } => Ok(Ok(inside(live, visitor, is_new))),
            Answer::Stale { version } => Ok(Err(version)),
            answer => Err(Error::internal(format!(
                "an assignment was answered by {answer:?}"
            ))),
        }
    }

    /// Reads the row of a visitor without making one.
    pub(crate) async fn find(
        &self,
        live: &Live,
        digest: Digest,
        visitor: &str,
    ) -> Result<Option<KnownVisitor>, Error> {
        let found = self.core.database.run(|session| {
            Box::pin(async move {
                let experiment = [live.experiment.id.0];
                assignments::find(session, &experiment, &[visitor]).await
            })
        });
        let incarnation = live.started()?.incarnation;
        let known = found.await?.first().map(|row| {
            let variants =
                visitor::stored_variants(&live.experiment, row.variant_id, row.variants.as_ref());
            KnownVisitor {
                assignment_id: row.id,
                variants: variants.into(),
                assigned_at: row.assigned_at,
                incarnation,
            }
        });
        if let Some(known) = &known {
            self.core.visitors.insert(digest, known.clone());
        }
        Ok(known)
    }

    /// The experiment in memory, if `who` may see it.
    pub(crate) async fn visible_live(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Arc<Live>, Error> {
        let live = self.core.live(id).await?;
        if who.may_see(live.experiment.user_id) {
            Ok(live)
        } else {
            Err(ErrorKind::NotFound("experiment").into())
        }
    }
}

fn inside(live: &Live, known: KnownVisitor, is_new: bool) -> Assigned {
    Assigned {
        experiment_id: live.experiment.id,
        experiment: Arc::clone(&live.experiment),
        variants: known.variants,
        in_experiment: true,
        reason: None,
        is_new,
        assignment_id: Some(known.assignment_id),
        assigned_at: Some(known.assigned_at),
    }
}

/// The declared winner where there is one, else control; nothing stored.
pub(crate) fn outside(live: &Live, reason: NotRecorded) -> Assigned {
    Assigned {
        experiment_id: live.experiment.id,
        experiment: Arc::clone(&live.experiment),
        variants: live.experiment.winners().into(),
        in_experiment: false,
        reason: Some(reason),
        is_new: false,
        assignment_id: None,
        assigned_at: None,
    }
}
