//! What a batch does to one experiment, decided in memory under the lock of its head.
//!
//! Nothing here waits or fails for reasons of the outside: given the head, the rows of the visitors
//! and the weights, the same requests always give the same entries, rows and answers.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use samplit_audit::payload::{Assignment, Conversion};
use samplit_audit::{PerElement, scale};
use samplit_domain::{AssignmentId, from_micros, to_micros};
use samplit_store::assignments::{AssignmentRow, ConversionRow, NewConversion};
use samplit_store::elements::VariantCount;
use samplit_store::statistics::ArmStatistics;
use uuid::Uuid;

use super::prepare::{Drawn, Group};
use super::{Answer, Job, What};
use crate::core::Core;
use crate::live::Live;
use crate::start::small;
use crate::trail::{Trail, signed};
use crate::visitor::{self, KnownVisitor};
use crate::{Converted, Error};

/// What a batch writes under the locks, apart from the trail.
#[derive(Debug, Default)]
pub(super) struct Planned {
    pub(super) conversions: Vec<NewConversion>,
    pub(super) statistics: Vec<ArmStatistics>,
    pub(super) counts: Vec<VariantCount>,
}

impl Planned {
    pub(super) fn extend(&mut self, other: Self) {
        self.conversions.extend(other.conversions);
        self.statistics.extend(other.statistics);
        self.counts.extend(other.counts);
    }
}

/// A visitor as this batch sees it: the stored row, or the one just inserted.
struct Visitor {
    known: KnownVisitor,
    arms: Vec<u16>,
    assignment_seq: u64,
    snapshot_seq: u64,
    /// Whether the trail knows the row: by an entry, or as carried over when it began.
    is_provable: bool,
    conversion: Option<ConversionRow>,
}

/// Plans the requests of one experiment, one after the other.
pub(super) struct Plan<'a> {
    core: &'a Core,
    group: &'a Group,
    trail: &'a mut Trail,
    now_us: i64,
    visitors: HashMap<String, Visitor>,
    statistics: HashMap<(u64, usize, u16), ArmStatistics>,
    conversions: Vec<NewConversion>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        core: &'a Core,
        group: &'a Group,
        trail: &'a mut Trail,
        now_us: i64,
        rows: &[AssignmentRow],
    ) -> Self {
        let incarnation = trail.incarnation();
        let visitors = rows
            .iter()
            .map(|row| (row.visitor.clone(), stored(&group.live, row, incarnation)))
            .collect();
        let (statistics, conversions) = (HashMap::new(), Vec::new());
        Self {
            core,
            group,
            trail,
            now_us,
            visitors,
            statistics,
            conversions,
        }
    }

    /// Plans one request, given what was drawn and which rows are new.
    pub(super) fn add(
        &mut self,
        job: &Job,
        draws: &HashMap<Uuid, Drawn>,
        inserted: &HashSet<Uuid>,
    ) -> Result<Answer, Error> {
        match &job.what {
            What::Assign {
                id, draws: numbers, ..
            } => {
                if let Some(visitor) = self.visitors.get(&job.visitor) {
                    // The row is this request's own when its COMMIT was lost and it is run again.
                    let is_new = visitor.known.assignment_id.0 == *id;
                    return Ok(Answer::Assigned {
                        visitor: visitor.known.clone(),
                        is_new,
                    });
                }
                let drawn = draws
                    .get(id)
                    .filter(|_| inserted.contains(id))
                    .ok_or_else(|| {
                        // Somebody has removed a row between our insert and our look.
                        samplit_store::Error::inconsistent(
                            "assignments",
                            "user_identifier",
                            "a row is neither new nor there",
                        )
                    })?;
                self.assign(job, *id, numbers, drawn)
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
        numbers: &[u64],
        drawn: &Drawn,
    ) -> Result<Answer, Error> {
        let independent = drawn.arms.len() > 1;
        let snapshot_seq = self.group.snapshot.seq;
        let mut first = None;
        for (element, (&u64, &arm)) in numbers.iter().zip(&drawn.arms).enumerate() {
            let payload = Assignment {
                visitor: job.pseudonym,
                element: independent
                    .then(|| u16::try_from(element))
                    .transpose()
                    .map_err(Error::internal)?,
                u64,
                r_ppb: scale(u64),
                arm,
                snapshot_seq,
            };
            // The row and its first entry share an id.
            let entry_id = if element == 0 {
                id
            } else {
                self.core.ids.next()
            };
            let appended = self.trail.append(entry_id, self.now_us, &payload)?;
            first.get_or_insert(appended);
            self.statistic(snapshot_seq, element, arm).assignments += 1;
        }
        let first = first.ok_or_else(|| Error::internal("an experiment without a draw"))?;
        let known = KnownVisitor {
            assignment_id: AssignmentId(id),
            variants: Arc::clone(&drawn.variants),
            assigned_at: drawn.assigned_at,
            incarnation: self.trail.incarnation(),
        };
        self.visitors.insert(
            job.visitor.clone(),
            Visitor {
                known: known.clone(),
                arms: drawn.arms.clone(),
                assignment_seq: first.sequence,
                snapshot_seq,
                is_provable: true,
                conversion: None,
            },
        );
        Ok(Answer::Assigned {
            visitor: known,
            is_new: true,
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
        if !visitor.is_provable {
            return Ok(Answer::NotInTrail);
        }
        let experiment = &self.group.live.experiment;
        let window = experiment.allocation.attribution_window_seconds;
        let window = time::Duration::seconds(i64::try_from(window).unwrap_or(i64::MAX));
        let now = from_micros(self.now_us);
        let is_over = experiment.completed_at.is_some_and(|at| now - at > window);
        if self.trail.is_sealed() || is_over {
            return Ok(Answer::WindowClosed);
        }
        let payload = Conversion {
            visitor: job.pseudonym,
            assignment_seq: visitor.assignment_seq,
            arms: if self.group.live.arm_sets.len() > 1 {
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
            sequence: Some(signed(appended.sequence)),
        });
        let (snapshot_seq, arms) = (visitor.snapshot_seq, visitor.arms.clone());
        for (element, arm) in arms.into_iter().enumerate() {
            let statistic = self.statistic(snapshot_seq, element, arm);
            statistic.conversions += 1;
            statistic.value_sum += value;
            statistic.value_sum_squares += value * value;
        }
        self.conversions.push(NewConversion {
            experiment_id: self.group.live.experiment.id.0,
            assignment_id: assignment_id.0,
            converted_at,
            value,
            event_id: event_id.to_owned(),
            sequence: signed(appended.sequence),
        });
        Ok(Answer::Converted(Converted {
            assignment_id,
            converted_at,
            value,
            duplicate: false,
        }))
    }

    fn statistic(&mut self, snapshot: u64, element: usize, arm: u16) -> &mut ArmStatistics {
        let experiment_id = self.group.live.experiment.id;
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
            let set = &self.group.live.arm_sets[*element];
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
        Planned {
            conversions: self.conversions,
            statistics: self.statistics.into_values().collect(),
            counts: counts.into_values().collect(),
        }
    }
}

fn stored(live: &Live, row: &AssignmentRow, incarnation: i32) -> Visitor {
    let variants =
        visitor::stored_variants(&live.experiment, row.variant_id, row.variants.as_ref());
    Visitor {
        arms: visitor::arms(&live.arm_sets, &variants),
        known: KnownVisitor {
            assignment_id: row.id,
            variants: Arc::from(variants),
            assigned_at: row.assigned_at,
            incarnation,
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
        is_provable: row.assignment_seq.is_some() || is_carried(live, row),
        conversion: row.conversion.clone(),
    }
}

/// Whether a row without an entry is older than the trail, and so among the counts that it carries.
fn is_carried(live: &Live, row: &AssignmentRow) -> bool {
    live.trail.as_ref().is_some_and(|trail| {
        !trail.genesis.carried.is_empty() && to_micros(row.assigned_at) <= trail.began_us
    })
}
