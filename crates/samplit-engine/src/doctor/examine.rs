//! One experiment: what its columns, rows and entries say of one another.

use std::collections::BTreeMap;
use std::sync::Arc;

use samplit_audit::merkle::Frontier;
use samplit_domain::{ArmSet, Experiment, ExperimentId, VariantId, arm_sets};
use samplit_store::doctor::{self, Counters, RowCount};
use samplit_store::heads::{self, HeadRow};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{Session, experiments};

use super::{
    COUNTERS, ERASED, HEADS, HOLDS, RATES, REGISTRATIONS, SEALS, SEQUENCES, STATISTICS, TRAIL,
    Tally, VISITORS, rows, tree,
};
use crate::live::Live;
use crate::start::small;
use crate::{Engine, Error, registration, visitor};

/// How far the sum of values may be off, relative to it: the order of adding differs.
const TOLERANCE: f64 = 1e-6;

/// What was compared of an experiment at one moment, and what it should be.
pub(super) struct Examined {
    pub(super) tally: Tally,
    pub(super) scene: Scene,
    pub(super) derived: Derived,
    /// As it is stored.
    pub(super) head: HeadRow,
    /// What the entries lead to.
    pub(super) frontier: Frontier,
}

impl Engine {
    /// Compares what can be compared without understanding it.
    pub(super) async fn compared(&self, id: ExperimentId) -> Result<Tally, Error> {
        self.core
            .database
            .run_tx("doctor", |session| {
                Box::pin(async move {
                    doctor::begin_snapshot(session).await?;
                    doctor::plan_for_scans(session).await?;
                    let mut tally = Tally::new();
                    tally.compare(VISITORS, id, &doctor::visitors(session, id).await?);
                    tally.compare(TRAIL, id, &doctor::trail(session, id).await?);
                    tally.compare(ERASED, id, &doctor::erased(session, id).await?);
                    tally.compare(SEQUENCES, id, &doctor::sequences(session, id).await?);
                    tally.compare(HEADS, id, &doctor::head(session, id).await?);
                    tally.compare(SEALS, id, &doctor::seal(session, id).await?);
                    if let Some(head) = heads::read(session, id).await? {
                        tally.note(HOLDS, id, head.hold);
                    }
                    Ok(tally)
                })
            })
            .await
    }

    /// Compares everything else, as of one moment.
    pub(super) async fn examined(&self, id: ExperimentId) -> Result<Examined, Error> {
        let live = self.core.live(id).await?;
        live.started()?;
        let keys = &self.verifying_keys();
        let live = &live;
        self.core
            .database
            .run_tx("doctor", |session| {
                Box::pin(async move {
                    doctor::begin_snapshot(session).await?;
                    let mut tally = Tally::new();
                    let scene = Scene::read(session, live).await?;
                    let derived = Derived::read(session, &scene).await?;
                    compare_derived(&mut tally, &scene, &derived);
                    rows::compare(&mut tally, session, &scene, derived.rows).await?;
                    registered(&mut tally, &scene);
                    let head = heads::read(session, id).await?;
                    let head = head.ok_or_else(|| missing("audit_heads", id))?;
                    let frontier = tree::compare(&mut tally, session, &head, keys).await?;
                    Ok(Examined {
                        tally,
                        scene,
                        derived,
                        head,
                        frontier,
                    })
                })
            })
            .await
    }
}

/// An experiment as rows and entries are understood by it.
pub(super) struct Scene {
    pub(super) live: Arc<Live>,
    pub(super) experiment: Experiment,
    pub(super) sets: Vec<ArmSet>,
}

impl Scene {
    pub(super) async fn read(session: &Session<'_>, live: &Arc<Live>) -> Result<Self, Error> {
        let experiment = experiments::read(session, live.experiment.id).await?;
        let id = live.experiment.id;
        let experiment = experiment.ok_or_else(|| missing("experiments", id))?;
        Ok(Self {
            live: Arc::clone(live),
            sets: arm_sets(&experiment),
            experiment,
        })
    }

    pub(super) fn id(&self) -> ExperimentId {
        self.experiment.id
    }
}

fn missing(table: &'static str, id: ExperimentId) -> Error {
    samplit_store::Error::inconsistent(table, "experiment_id", format!("no {id}")).into()
}

/// Snapshot, element and arm.
type Key = (i64, i16, i16);

/// What follows from the rows, beside what is stored.
pub(super) struct Derived {
    pub(super) statistics: BTreeMap<Key, ArmStatistics>,
    pub(super) stored_statistics: BTreeMap<Key, ArmStatistics>,
    pub(super) counters: Vec<Counters>,
    pub(super) stored_counters: Vec<Counters>,
    /// How many rows there are.
    pub(super) rows: i64,
}

impl Derived {
    pub(super) async fn read(session: &Session<'_>, scene: &Scene) -> Result<Self, Error> {
        let counts = doctor::count_rows(session, scene.id()).await?;
        let stored = statistics::by_snapshot(session, scene.id()).await?;
        let stored_counters = doctor::counters(session, scene.id()).await?;
        let statistics = add_up(scene, &counts);
        let of = |stored: &Counters| counters(scene, &statistics, stored.variant_id);
        Ok(Self {
            counters: stored_counters.iter().map(of).collect(),
            stored_counters,
            statistics,
            rows: counts.iter().map(|row| row.assignments).sum(),
            stored_statistics: stored
                .into_iter()
                .map(|row| ((row.snapshot_seq, row.element, row.arm), row))
                .collect(),
        })
    }

    /// The keys of both sides.
    pub(super) fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = self.statistics.keys().copied().collect();
        let stored = self.stored_statistics.keys();
        keys.extend(stored.filter(|key| !self.statistics.contains_key(key)));
        keys.sort_unstable();
        keys
    }

    /// What the rows and what the statistics say of one arm.
    pub(super) fn pair(&self, id: ExperimentId, key: Key) -> (ArmStatistics, ArmStatistics) {
        let of = |side: &BTreeMap<Key, ArmStatistics>| {
            side.get(&key).copied().unwrap_or_else(|| nothing(id, key))
        };
        (of(&self.statistics), of(&self.stored_statistics))
    }
}

fn nothing(experiment_id: ExperimentId, (snapshot_seq, element, arm): Key) -> ArmStatistics {
    ArmStatistics {
        experiment_id,
        snapshot_seq,
        element,
        arm,
        assignments: 0,
        conversions: 0,
        value_sum: 0.0,
        value_sum_squares: 0.0,
    }
}

fn add_up(scene: &Scene, counts: &[RowCount]) -> BTreeMap<Key, ArmStatistics> {
    let mut sums = BTreeMap::new();
    for row in counts {
        let by_element = row.variants.as_ref();
        let shown = visitor::stored_variants(&scene.experiment, row.variant_id, by_element);
        for (element, arm) in visitor::arms(&scene.sets, &shown).into_iter().enumerate() {
            let key = (row.snapshot_seq, small(element), small(usize::from(arm)));
            let sum = sums.entry(key).or_insert_with(|| nothing(scene.id(), key));
            sum.assignments += row.assignments;
            sum.conversions += row.conversions;
            sum.value_sum += row.value_sum;
            sum.value_sum_squares += row.value_sum_squares;
        }
    }
    sums
}

fn counters(
    scene: &Scene,
    statistics: &BTreeMap<Key, ArmStatistics>,
    variant_id: VariantId,
) -> Counters {
    let shows = |row: &&ArmStatistics| {
        let set = usize::try_from(row.element).ok();
        let set = set.and_then(|element| scene.sets.get(element));
        let arm = usize::try_from(row.arm).ok();
        let arm = arm.zip(set).and_then(|(arm, set)| set.arms.get(arm));
        arm.is_some_and(|arm| arm.variants.contains(&variant_id))
    };
    let sum = |of: fn(&ArmStatistics) -> i64| statistics.values().filter(shows).map(of).sum();
    let (allocations, conversions) = (sum(|row| row.assignments), sum(|row| row.conversions));
    Counters {
        variant_id,
        allocations,
        conversions,
        rate: rate(allocations, conversions),
    }
}

/// What `conversion_rate` should be.
fn rate(allocations: i64, conversions: i64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "PostgreSQL divides them as doubles, too"
    )]
    let rate = conversions as f64 / allocations as f64;
    if allocations == 0 { 0.0 } else { rate }
}

/// Compares counters and statistics with what the rows give.
fn compare_derived(tally: &mut Tally, scene: &Scene, derived: &Derived) {
    let id = scene.id();
    for (should, is) in derived.counters.iter().zip(&derived.stored_counters) {
        let variant = is.variant_id;
        for (what, should, is) in [
            ("assignments", should.allocations, is.allocations),
            ("conversions", should.conversions, is.conversions),
        ] {
            let wrong = || format!("variant {variant} {what}: {should} expected, {is} found");
            tally.note(COUNTERS, id, (should != is).then(wrong));
        }
        let should = rate(is.allocations, is.conversions);
        let wrong = || format!("variant {variant}: {should} expected, {} found", is.rate);
        let is_off = (should - is.rate).abs() > f64::EPSILON;
        tally.note(RATES, id, is_off.then(wrong));
    }
    for key in derived.keys() {
        let (should, is) = derived.pair(id, key);
        let wrong = || {
            format!(
                "element {} arm {} under the weights of entry {}: {} assignments, {} conversions \
                 and a value of {} expected, {}, {} and {} found",
                key.1,
                key.2,
                key.0,
                should.assignments,
                should.conversions,
                should.value_sum,
                is.assignments,
                is.conversions,
                is.value_sum
            )
        };
        tally.note(STATISTICS, id, (!is_same(&should, &is)).then(wrong));
    }
}

/// Whether counts are the same, and sums but for the order of adding.
pub(super) fn is_same(should: &ArmStatistics, is: &ArmStatistics) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() <= TOLERANCE * a.abs().max(b.abs());
    (should.assignments, should.conversions) == (is.assignments, is.conversions)
        && close(should.value_sum, is.value_sum)
        && close(should.value_sum_squares, is.value_sum_squares)
}

fn registered(tally: &mut Tally, scene: &Scene) {
    let Some(trail) = &scene.live.trail else {
        return;
    };
    let named = trail.genesis.hypothesis_sha256;
    let stored = scene.experiment.registration.as_ref();
    let hash = stored.and_then(|registered| registration::hash(registered).ok());
    let agrees = hash == named && stored.is_some() == named.is_some();
    let wrong = || "the stored document is not the one that the genesis entry names".to_owned();
    tally.note(REGISTRATIONS, scene.id(), (!agrees).then(wrong));
}
