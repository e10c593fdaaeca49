//! What a batch does to one experiment, decided in memory under the lock of its head.
//!
//! Nothing here waits or fails for reasons of the outside: given the head, the rows of the visitors
//! and the weights, the same requests always give the same entries, rows and answers.

use std::collections::HashMap;
use std::sync::Arc;

use samplit_audit::payload::{Assignment, Conversion};
use samplit_audit::{PerElement, scale};
use samplit_domain::{AssignmentId, Status, from_micros};
use samplit_store::assignments::{AssignmentRow, ConversionRow, NewAssignment, NewConversion};
use samplit_store::elements::VariantCount;
use samplit_store::statistics::ArmStatistics;
use samplit_store::trail::RawJson;
use uuid::Uuid;

use super::{Answer, Job, What};
use crate::core::Core;
use crate::live::{Live, Snapshot};
use crate::start::small;
use crate::trail::{Trail, signed};
use crate::visitor::{self, KnownVisitor};
use crate::{Converted, Error};

/// The rows that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) assignments: Vec<NewAssignment>,
    pub(super) conversions: Vec<NewConversion>,
    pub(super) statistics: Vec<ArmStatistics>,
    pub(super) counts: Vec<VariantCount>,
}

impl Planned {
    pub(super) fn extend(&mut self, other: Self) {
        self.assignments.extend(other.assignments);
        self.conversions.extend(other.conversions);
        self.statistics.extend(other.statistics);
        self.counts.extend(other.counts);
    }
}

/// A visitor as this batch sees it: the stored row, or the one about to be.
struct Visitor {
    known: KnownVisitor,
    arms: Vec<u16>,
    assignment_seq: u64,
    snapshot_seq: u64,
    conversion: Option<ConversionRow>,
}

/// Plans the requests of one experiment, one after the other.
pub(super) struct Plan<'a> {
    core: &'a Core,
    live: &'a Live,
    trail: &'a mut Trail,
    snapshot: &'a Snapshot,
    now_us: i64,
    visitors: HashMap<String, Visitor>,
    statistics: HashMap<(u64, usize, u16), ArmStatistics>,
    planned: Planned,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        core: &'a Core,
        live: &'a Live,
        trail: &'a mut Trail,
        snapshot: &'a Snapshot,
        now_us: i64,
        rows: &[AssignmentRow],
    ) -> Self {
        let visitors = rows
            .iter()
            .map(|row| (row.visitor.clone(), stored(live, row)))
            .collect();
        let (statistics, planned) = (HashMap::new(), Planned::default());
        Self {
            core,
            live,
            trail,
            snapshot,
            now_us,
            visitors,
            statistics,
            planned,
        }
    }

    /// Plans one request.
    pub(super) fn add(&mut self, job: &Job) -> Result<Answer, Error> {
        match &job.what {
            What::Assign {
                id,
                session,
                context,
                draws,
            } => {
                if let Some(visitor) = self.visitors.get(&job.visitor) {
                    // The row is this request's own when its COMMIT was lost and it is run again.
                    let is_new = visitor.known.assignment_id.0 == *id;
                    return Ok(Answer::Assigned {
                        visitor: visitor.known.clone(),
                        is_new,
                    });
                }
                if self.live.experiment.status != Status::Active {
                    return Ok(Answer::Stale {
                        version: self.live.experiment.version,
                    });
                }
                self.assign(job, *id, session.as_deref(), context, draws)
            }
            What::Convert {
                goal,
                value,
                event_id,
            } => self.convert(job, goal, *value, event_id),
        }
    }

    fn assign(
        &mut self,
        job: &Job,
        id: Uuid,
        session: Option<&str>,
        context: &RawJson,
        draws: &[u64],
    ) -> Result<Answer, Error> {
        let independent = self.live.arm_sets.len() > 1;
        let mut arms = Vec::with_capacity(draws.len());
        let mut first = None;
        for (element, (&draw, weights)) in draws.iter().zip(&self.snapshot.weights).enumerate() {
            let r_ppb = scale(draw);
            let arm = u16::try_from(weights.choose(r_ppb)).map_err(Error::internal)?;
            let payload = Assignment {
                visitor: job.pseudonym,
                element: independent
                    .then(|| u16::try_from(element))
                    .transpose()
                    .map_err(Error::internal)?,
                u64: draw,
                r_ppb,
                arm,
                snapshot_seq: self.snapshot.seq,
            };
            let appended = self
                .trail
                .append(self.core.ids.next(), self.now_us, &payload)?;
            first.get_or_insert(appended);
            self.statistic(self.snapshot.seq, element, arm).assignments += 1;
            arms.push(arm);
        }
        let first = first.ok_or_else(|| Error::internal("an experiment without a draw"))?;
        let variants = visitor::variants(&self.live.arm_sets, &arms);
        let assigned_at = from_micros(first.at_us);
        self.planned.assignments.push(NewAssignment {
            id,
            experiment_id: self.live.experiment.id.0,
            variant_id: variants.first().map_or(Uuid::nil(), |variant| variant.0),
            visitor: job.visitor.clone(),
            session: session.map(str::to_owned),
            context: context.clone(),
            assigned_at,
            metadata: self.metadata(&variants),
            assignment_seq: signed(first.sequence),
            snapshot_seq: signed(self.snapshot.seq),
        });
        let known = KnownVisitor {
            assignment_id: AssignmentId(id),
            variants,
            assigned_at,
        };
        self.visitors.insert(
            job.visitor.clone(),
            Visitor {
                known: known.clone(),
                arms,
                assignment_seq: first.sequence,
                snapshot_seq: self.snapshot.seq,
                conversion: None,
            },
        );
        Ok(Answer::Assigned {
            visitor: known,
            is_new: true,
        })
    }

    /// `{"variants": {element_id: variant_id}}` where there are several elements.
    fn metadata(&self, variants: &[samplit_domain::VariantId]) -> Option<RawJson> {
        let elements = &self.live.experiment.elements;
        (elements.len() > 1).then(|| {
            let pairs = elements.iter().zip(variants);
            let map: serde_json::Map<_, _> = pairs
                .map(|(e, v)| (e.id.to_string(), v.to_string().into()))
                .collect();
            RawJson(serde_json::json!({ "variants": map }).to_string())
        })
    }

    fn convert(
        &mut self,
        job: &Job,
        goal: &str,
        value: f64,
        event_id: &str,
    ) -> Result<Answer, Error> {
        let Some(visitor) = self.visitors.get_mut(&job.visitor) else {
            return Ok(Answer::NotAssigned);
        };
        let assignment_id = visitor.known.assignment_id;
        if let Some(stored) = &visitor.conversion {
            return Ok(Answer::Converted(Converted {
                assignment_id,
                converted_at: stored.converted_at,
                value: stored.value,
                // A retry of the event that counted is told what the first try was told.
                duplicate: stored.event_id.as_deref() != Some(event_id),
            }));
        }
        let experiment = &self.live.experiment;
        let window = experiment.allocation.attribution_window_seconds;
        let window = time::Duration::seconds(i64::try_from(window).unwrap_or(i64::MAX));
        let now = from_micros(self.now_us);
        if experiment.completed_at.is_some_and(|at| now - at > window) {
            return Ok(Answer::WindowClosed);
        }
        let payload = Conversion {
            visitor: job.pseudonym,
            assignment_seq: visitor.assignment_seq,
            arms: if self.live.arm_sets.len() > 1 {
                PerElement::Many(visitor.arms.clone())
            } else {
                PerElement::One(visitor.arms.first().copied().unwrap_or_default())
            },
            goal: goal.to_owned(),
            value,
        };
        let appended = self
            .trail
            .append(self.core.ids.next(), self.now_us, &payload)?;
        let converted_at = from_micros(appended.at_us);
        visitor.conversion = Some(ConversionRow {
            converted_at,
            value,
            event_id: Some(event_id.to_owned()),
        });
        let (snapshot_seq, arms) = (visitor.snapshot_seq, visitor.arms.clone());
        for (element, arm) in arms.into_iter().enumerate() {
            let statistic = self.statistic(snapshot_seq, element, arm);
            statistic.conversions += 1;
            statistic.value_sum += value;
            statistic.value_sum_squares += value * value;
        }
        self.planned.conversions.push(NewConversion {
            experiment_id: self.live.experiment.id.0,
            assignment_id: assignment_id.0,
            converted_at,
            value,
            event_id: event_id.to_owned(),
        });
        Ok(Answer::Converted(Converted {
            assignment_id,
            converted_at,
            value,
            duplicate: false,
        }))
    }

    fn statistic(&mut self, snapshot: u64, element: usize, arm: u16) -> &mut ArmStatistics {
        let experiment_id = self.live.experiment.id;
        self.statistics
            .entry((snapshot, element, arm))
            .or_insert_with(|| ArmStatistics {
                experiment_id,
                snapshot_seq: signed(snapshot),
                element: small(element),
                arm: small(usize::from(arm)),
                assignments: 0,
                conversions: 0,
                value_sum: 0.0,
                value_sum_squares: 0.0,
            })
    }

    /// The rows of all requests planned.
    pub(super) fn finish(self) -> Planned {
        let mut counts = HashMap::<Uuid, VariantCount>::new();
        for ((_, element, arm), statistic) in &self.statistics {
            let set = &self.live.arm_sets[*element];
            for variant in &set.arms[usize::from(*arm)].variants {
                let count = counts.entry(variant.0).or_insert(VariantCount {
                    id: variant.0,
                    allocations: 0,
                    conversions: 0,
                });
                count.allocations += statistic.assignments;
                count.conversions += statistic.conversions;
            }
        }
        let mut planned = self.planned;
        planned.statistics = self.statistics.into_values().collect();
        planned.counts = counts.into_values().collect();
        planned
    }
}

fn stored(live: &Live, row: &AssignmentRow) -> Visitor {
    let variants =
        visitor::stored_variants(&live.experiment, row.variant_id, row.variants.as_ref());
    Visitor {
        arms: visitor::arms(&live.arm_sets, &variants),
        known: KnownVisitor {
            assignment_id: row.id,
            variants: Arc::from(variants),
            assigned_at: row.assigned_at,
        },
        // Rows older than the trail have neither; 0 says so in the trail, too.
        assignment_seq: row
            .assignment_seq
            .and_then(|seq| u64::try_from(seq).ok())
            .unwrap_or(0),
        snapshot_seq: row
            .snapshot_seq
            .and_then(|seq| u64::try_from(seq).ok())
            .unwrap_or(0),
        conversion: row.conversion.clone(),
    }
}
