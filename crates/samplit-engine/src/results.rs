//! Results: what an experiment has shown so far, from statistics and never from assignments.

use std::sync::Arc;

use samplit_audit::payload::Genesis;
use samplit_bandit::{Counts, Prior, expected_loss, p_best};
use samplit_domain::{ArmSet, Experiment, ExperimentId, VariantId};
use samplit_store::statistics::{self, ArmStatistics};
use samplit_store::{experiments, heads, trail};
use time::OffsetDateTime;

use crate::experiments::visible;
use crate::live::Snapshot;
use crate::reallocation::count;
use crate::rule::share;
use crate::trail::unsigned;
use crate::{Engine, Error, Principal, Scope, live};

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
    /// The trail entry whose weights are in force; 0 before the start.
    pub snapshot_seq: u64,
    /// When the numbers were read.
    pub as_of: OffsetDateTime,
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
    /// Of those, converted.
    pub conversions: u64,
    /// Conversions per visitor; `None` while there is no visitor.
    pub rate: Option<f64>,
    /// Sum of the conversion values.
    pub value_sum: f64,
    /// Mean of the Beta posterior of the conversion rate.
    pub posterior_mean: f64,
    /// Equal-tailed 95 % credible interval of the conversion rate.
    pub credible_interval: [f64; 2],
    /// Probability of having the highest conversion rate among the active arms; 0 if inactive.
    pub p_best: f64,
    /// Conversion rate that is lost on average by choosing this arm for good; over active arms.
    pub expected_loss: f64,
    /// The share of new visitors that it gets now, in `[0, 1]`.
    pub weight: f64,
}

/// Weights that were in force from a moment on.
#[derive(Clone, Debug, PartialEq)]
pub struct TimelinePoint {
    /// The trail entry.
    pub snapshot_seq: u64,
    /// From when on.
    pub at: OffsetDateTime,
    /// How they came about.
    pub method: &'static str,
    /// Parts per billion per element and arm.
    pub weights_ppb: Vec<Vec<u32>>,
}

impl Engine {
    /// What an experiment has shown so far.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn results(&self, who: &Principal, id: ExperimentId) -> Result<Results, Error> {
        who.require(Scope::Read)?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                let experiment = visible(who, experiments::read(session, id).await?)?;
                let totals = statistics::totals(session, &[id.0]).await?;
                let genesis = live::read_genesis(session, id).await?;
                let head = heads::read(session, id).await?;
                let seq = head.map_or(1, |head| head.snapshot_seq);
                let snapshot = Snapshot::read(session, id, unsigned(seq)?).await?;
                Ok::<_, Error>((experiment, totals, genesis, snapshot))
            })
        });
        let (experiment, totals, genesis, snapshot) = read.await?;
        let sets = samplit_domain::arm_sets(&experiment);
        let elements = sets.iter().enumerate().map(|(index, set)| {
            Ok(ElementResults {
                name: draw_name(&experiment, index),
                arms: arm_results(&genesis, set, index, &totals, &snapshot)?,
            })
        });
        let elements = elements.collect::<Result<Vec<_>, Error>>()?;
        let sum = |of: fn(&ArmResults) -> u64| {
            // Every visitor is in every draw, so any one of them counts all.
            elements
                .first()
                .map_or(0, |element| element.arms.iter().map(of).sum())
        };
        Ok(Results {
            visitors: sum(|arm| arm.assignments),
            conversions: sum(|arm| arm.conversions),
            snapshot_seq: snapshot.seq,
            as_of: self.core.config.clock.now(),
            method: snapshot.method,
            experiment: Arc::new(experiment),
            elements,
        })
    }

    /// The weights over time, from the first on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub async fn timeline(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Vec<TimelinePoint>, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?;
        let rows = self
            .core
            .database
            .run(|session| Box::pin(trail::snapshots(session, id)));
        let points = rows.await?.into_iter().map(|row| {
            let snapshot = Snapshot::from_entry(&row)?;
            Ok(TimelinePoint {
                snapshot_seq: snapshot.seq,
                at: row.created_at,
                method: snapshot.method,
                weights_ppb: snapshot
                    .weights
                    .iter()
                    .map(|w| w.as_slice().to_vec())
                    .collect(),
            })
        });
        points.collect()
    }
}

fn draw_name(experiment: &Experiment, index: usize) -> String {
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

fn arm_results(
    genesis: &Genesis,
    set: &ArmSet,
    element: usize,
    totals: &[ArmStatistics],
    snapshot: &Snapshot,
) -> Result<Vec<ArmResults>, Error> {
    let prior = Prior {
        alpha: genesis.prior.alpha,
        beta: genesis.prior.beta,
    };
    let weights = snapshot
        .weights
        .get(element)
        .map(|weights| weights.as_slice());
    let mut arms = Vec::with_capacity(set.arms.len());
    let mut posteriors = Vec::with_capacity(set.arms.len());
    for (index, arm) in set.arms.iter().enumerate() {
        let row = totals.iter().find(|row| {
            usize::try_from(row.element) == Ok(element) && usize::try_from(row.arm) == Ok(index)
        });
        let (n, s) = match row {
            Some(row) => (unsigned(row.assignments)?, unsigned(row.conversions)?),
            None => (0, 0),
        };
        let posterior = prior.posterior(Counts { n, s }).map_err(Error::internal)?;
        let (low, high) = posterior.interval(LEVEL).map_err(Error::internal)?;
        arms.push(ArmResults {
            name: arm.name.clone(),
            variants: arm.variants.clone(),
            is_control: arm.is_control,
            is_active: arm.is_active,
            assignments: n,
            conversions: s,
            rate: (n > 0).then(|| count(s) / count(n)),
            value_sum: row.map_or(0.0, |row| row.value_sum),
            posterior_mean: posterior.mean(),
            credible_interval: [low, high],
            p_best: 0.0,
            expected_loss: 0.0,
            weight: weights
                .and_then(|w| w.get(index))
                .map_or(0.0, |ppb| share(*ppb)),
        });
        posteriors.push(posterior);
    }
    let playing: Vec<usize> = (0..arms.len()).filter(|&i| arms[i].is_active).collect();
    let contenders: Vec<_> = playing.iter().map(|&i| posteriors[i]).collect();
    let best = p_best(&contenders).map_err(Error::internal)?;
    let loss = expected_loss(&contenders).map_err(Error::internal)?;
    for ((&index, p), loss) in playing.iter().zip(best).zip(loss) {
        arms[index].p_best = p;
        arms[index].expected_loss = loss;
    }
    Ok(arms)
}
