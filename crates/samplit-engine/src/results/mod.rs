//! Results: what an experiment has shown so far, from statistics and never from assignments.

mod arms;
mod course;
mod evidence;
mod factorial;
mod stopping;
mod timeline;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use samplit_audit::payload::Genesis;
use samplit_bandit::Weights;
use samplit_domain::{Experiment, ExperimentId, VariantId, arm_sets, to_micros};
use samplit_store::assignments::{self, LateConversions};
use samplit_store::exposures::{self, ArmExposures};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::trail::EntryRow;
use samplit_store::{Session, experiments, heads, trail};
use time::OffsetDateTime;

pub use arms::{LiftResults, ValueDifferenceResults, ValueResults};
pub use course::{Course, CourseArm, CoursePeriod, CoursePoint, DrawCourse};
pub use evidence::{ArmEvidence, DifferenceEvidence, IntervalEstimate, SampleRatioEvidence};
pub use factorial::Effect;
pub use stopping::{StoppingCondition, StoppingProgress};
pub use timeline::{TimelineArm, TimelinePoint};

pub(crate) use evidence::{Evidence, interval};
pub(crate) use stopping::{days_to_go, stopping_rule};

use crate::experiments::visible;
use crate::live::Snapshot;
use crate::registration::{self, RegistrationReport};
use crate::start::small;
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, ErrorKind, Principal, Scope, live, visitor};

/// The level of every interval.
const LEVEL: f64 = 0.95;

/// What an experiment has shown so far.
#[derive(Clone, Debug)]
pub struct Results {
    /// The experiment.
    pub experiment: Arc<Experiment>,
    /// Visitors assigned.
    pub visitors: u64,
    /// Of those, converted.
    pub conversions: u64,
    /// The trail entry whose weights are shown: the ones in force, or those asked for.
    pub snapshot_seq: u64,
    /// When the numbers were read.
    pub as_of: OffsetDateTime,
    /// What was registered at the start, and whether the experiment kept to it.
    pub registration: RegistrationReport,
    /// How the weights came about: `uniform`, `thompson`, `top_two`, `fixed`.
    pub method: &'static str,
    /// One per draw: the elements, or the single draw over all combinations.
    pub elements: Vec<ElementResults>,
}

/// The arms of one draw.
#[derive(Clone, Debug)]
pub struct ElementResults {
    /// The element's name; for combinations all names joined by ` + `.
    pub name: String,
    /// By position.
    pub arms: Vec<ArmResults>,
    /// Whether visitors were split as the weights say; `None` before the first.
    pub sample_ratio: Option<SampleRatioEvidence>,
    /// How far the registered stopping rule is.
    pub stopping: StoppingProgress,
    /// For combinations: what each variant adds, and what pairs of variants add together.
    pub effects: Vec<Effect>,
}

/// One arm.
#[derive(Clone, Debug, PartialEq)]
pub struct ArmResults {
    /// Its name.
    pub name: String,
    /// What it shows: one variant, or one per element.
    pub variants: Vec<VariantId>,
    /// Whether the others are compared with it.
    pub is_control: bool,
    /// Whether new visitors may get it.
    pub is_active: bool,
    /// Visitors assigned.
    pub assignments: u64,
    /// Visitors who have really seen it, as their pages say; whatever snapshot was asked for. Beside
    /// the allocations, never instead of them: who was assigned counts, seen or not.
    pub exposures: u64,
    /// Of those assigned, converted.
    pub conversions: u64,
    /// Conversions per visitor; `None` while there is no visitor.
    pub rate: Option<f64>,
    /// Sum of the conversion values.
    pub value_sum: f64,
    /// Mean of the Beta posterior of the conversion rate.
    pub posterior_mean: f64,
    /// Its standard deviation.
    pub posterior_sd: f64,
    /// Equal-tailed 95 % credible interval of the conversion rate.
    pub credible_interval: [f64; 2],
    /// Probability of having the highest conversion rate among the active arms; 0 if inactive.
    pub p_best: f64,
    /// Conversion rate that is lost on average by choosing this arm for good; over active arms.
    pub expected_loss: f64,
    /// Probability of having a higher conversion rate than control; `None` for control.
    pub p_beats_control: Option<f64>,
    /// The relative difference from control, of the posterior; `None` for control.
    pub lift: Option<LiftResults>,
    /// Conversions won per 1,000 visitors against control, of the posterior; `None` for control.
    pub expected_gain_per_1000: Option<f64>,
    /// Value per visitor, where the goal measures value.
    pub value: Option<ValueResults>,
    /// What stays true although the traffic followed the data.
    pub evidence: ArmEvidence,
    /// The share of new visitors that it gets, in `[0, 1]`.
    pub weight: f64,
}

impl Engine {
    /// What an experiment has shown so far.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`],
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn results(&self, who: &Principal, id: ExperimentId) -> Result<Results, Error> {
        self.results_as_of(who, id, None).await
    }

    /// What the visitors show who were assigned before the weights of trail entry `snapshot` came
    /// into force; `None`: all of them. Conversions count whenever they came.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an experiment or a snapshot that is not there,
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn results_as_of(
        &self,
        who: &Principal,
        id: ExperimentId,
        snapshot: Option<u64>,
    ) -> Result<Results, Error> {
        who.require(Scope::Read)?;
        let record = self.record(who, id).await?;
        let current = record.head;
        let seq = snapshot.unwrap_or(current);
        let shown = record
            .snapshots
            .iter()
            .find(|candidate| candidate.seq == seq);
        let shown = shown.ok_or(ErrorKind::NotFound("snapshot"))?.clone();
        let as_of = self.core.config.clock.now();
        // Quadratures take milliseconds, which other requests need not wait for.
        let computed = tokio::task::spawn_blocking(move || {
            let rows = match snapshot {
                None => record.rows.clone(),
                Some(_) => {
                    let before = signed(seq);
                    record
                        .rows
                        .iter()
                        .filter(|row| row.snapshot_seq < before)
                        .copied()
                        .collect()
                }
            };
            record.results(&rows, &shown, as_of)
        });
        computed.await.map_err(Error::internal)?
    }

    /// Everything that results are computed from.
    pub(crate) async fn record(&self, who: &Principal, id: ExperimentId) -> Result<Record, Error> {
        self.visible_live(who, id).await?.started()?;
        self.core
            .database
            .run(|session| Box::pin(Record::read(who, session, id)))
            .await
    }
}

/// Everything that results are computed from.
pub(crate) struct Record {
    pub(crate) experiment: Arc<Experiment>,
    pub(crate) genesis: Genesis,
    exposures: Vec<ArmExposures>,
    /// By snapshot; counts from before the trail under 0.
    pub(crate) rows: Vec<ArmStatistics>,
    /// In order.
    pub(crate) snapshots: Vec<Snapshot>,
    /// The sequence number of the snapshot in force.
    pub(crate) head: u64,
    /// Whether its trail has ended, so that no conversion counts any more.
    pub(crate) is_sealed: bool,
    /// Of an experiment that is over: the conversions that came afterwards.
    late: Vec<LateConversions>,
    /// Arms that could not be drawn for a while, as (element, arm).
    pub(crate) paused_arms: BTreeSet<(usize, usize)>,
}

impl Record {
    pub(crate) async fn read(
        who: &Principal,
        session: &Session<'_>,
        id: ExperimentId,
    ) -> Result<Self, Error> {
        let experiment = visible(who, experiments::read(session, id).await?)?;
        // Only what was registered is compared with what was known when it was over. Before the
        // statistics: what is to be taken off has to be in them.
        let over = experiment.completed_at;
        let over = over.filter(|_| experiment.registration.is_some());
        let late = match over {
            Some(moment) => assignments::late_conversions(session, id, moment).await?,
            None => Vec::new(),
        };
        let rows = statistics::by_snapshot(session, id).await?;
        let exposures = exposures::totals(session, id).await?;
        let (genesis, _) = live::read_genesis(session, id).await?;
        let entries: Vec<EntryRow> = trail::snapshots(session, id).await?;
        let head = heads::read(session, id).await?;
        let snapshots = entries
            .iter()
            .map(Snapshot::from_entry)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            experiment: Arc::new(experiment),
            genesis,
            exposures,
            rows,
            snapshots,
            is_sealed: head.as_ref().is_some_and(|head| head.sealed_us.is_some()),
            head: head.map_or(Ok(1), |head| unsigned(head.snapshot_seq))?,
            late,
            paused_arms: registration::paused_arms(&entries)?,
        })
    }

    /// The results as they were when the experiment was completed.
    pub(crate) fn at_completion(
        &self,
        completed_at: OffsetDateTime,
    ) -> Result<Vec<ElementResults>, Error> {
        let sets = arm_sets(&self.experiment);
        let mut rows = self.rows.clone();
        for late in &self.late {
            let shown = late.variants.as_ref();
            let shown = visitor::stored_variants(&self.experiment, late.variant_id, shown);
            for (element, arm) in visitor::arms(&sets, &shown).into_iter().enumerate() {
                let key = (late.snapshot_seq, small(element), small(usize::from(arm)));
                let same =
                    |row: &&mut ArmStatistics| (row.snapshot_seq, row.element, row.arm) == key;
                if let Some(row) = rows.iter_mut().find(same) {
                    row.conversions = (row.conversions - late.conversions).max(0);
                    row.value_sum -= late.value_sum;
                    row.value_sum_squares -= late.value_sum_squares;
                }
            }
        }
        let moment = to_micros(completed_at);
        let in_force = self.snapshots.iter().rfind(|s| s.at_us <= moment);
        let in_force = in_force.or(self.snapshots.first());
        let in_force = in_force.ok_or(ErrorKind::NotFound("snapshot"))?;
        self.elements(&rows, in_force, completed_at)
    }

    /// The weights of every snapshot for one draw, by sequence number.
    pub(crate) fn weights(&self, element: usize) -> BTreeMap<u64, Weights> {
        let weights = self
            .snapshots
            .iter()
            .filter_map(|snapshot| Some((snapshot.seq, snapshot.weights.get(element)?.clone())));
        weights.collect()
    }

    pub(crate) fn results(
        &self,
        rows: &[ArmStatistics],
        shown: &Snapshot,
        as_of: OffsetDateTime,
    ) -> Result<Results, Error> {
        let elements = self.elements(rows, shown, as_of)?;
        let sum = |of: fn(&ArmResults) -> u64| {
            // Every visitor is in every draw, so any one of them counts all.
            elements
                .first()
                .map_or(0, |element| element.arms.iter().map(of).sum())
        };
        Ok(Results {
            visitors: sum(|arm| arm.assignments),
            conversions: sum(|arm| arm.conversions),
            snapshot_seq: shown.seq,
            as_of,
            registration: registration::report(self)?,
            method: shown.method,
            experiment: Arc::clone(&self.experiment),
            elements,
        })
    }

    /// Visitors who have really seen an arm.
    fn exposed(&self, element: usize, arm: usize) -> Result<u64, Error> {
        let place = (small(element), small(arm));
        let mut rows = self.exposures.iter();
        let found = rows.find(|row| (row.element, row.arm) == place);
        found.map_or(Ok(0), |row| unsigned(row.total))
    }

    fn elements(
        &self,
        rows: &[ArmStatistics],
        shown: &Snapshot,
        as_of: OffsetDateTime,
    ) -> Result<Vec<ElementResults>, Error> {
        let sets = arm_sets(&self.experiment);
        let is_fixed = self.experiment.strategy == samplit_domain::Strategy::Fixed;
        let mut elements = Vec::with_capacity(sets.len());
        for (index, set) in sets.iter().enumerate() {
            let shape = (index, set.arms.len(), set.control());
            let evidence = Evidence::new(rows, &self.weights(index), shape, is_fixed)?;
            let mut arms = arms::bayesian(self, set, index, rows, shown)?;
            for (arm, found) in arms
                .iter_mut()
                .zip(evidence.arms(&self.experiment.stopping)?)
            {
                arm.evidence = found;
            }
            elements.push(ElementResults {
                name: draw_name(&self.experiment, index),
                sample_ratio: evidence.sample_ratio()?,
                stopping: stopping::progress(&self.experiment, set, &arms, &evidence, as_of)?,
                effects: factorial::effects(&self.experiment, &arms)?,
                arms,
            });
        }
        Ok(elements)
    }
}

/// What a draw is called: its element, or all of them.
pub(crate) fn draw_name(experiment: &Experiment, index: usize) -> String {
    if experiment.is_factorial() {
        let names: Vec<_> = experiment
            .elements
            .iter()
            .map(|e| e.name.as_str())
            .collect();
        names.join(" + ")
    } else {
        experiment.elements[index].name.clone()
    }
}
