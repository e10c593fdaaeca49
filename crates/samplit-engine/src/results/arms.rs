//! The posterior of each arm: how good, how sure, how much better than control.

use samplit_bandit::{
    Beta, Counts, Prior, StudentT, ValuePrior, ValueSums, expected_gain, expected_loss,
    expected_loss_value, lift, p_best, p_best_value, prob_beats, value_difference,
};
use samplit_domain::{ArmSet, GoalKind};
use samplit_store::statistics::ArmStatistics;
use serde::Serialize;

use super::{ArmEvidence, ArmResults, LEVEL, Record};
use crate::Error;
use crate::live::Snapshot;
use crate::reallocation::count;
use crate::rule::share;
use crate::trail::unsigned;

/// How much better than control, relatively: 0.1 is 10 % more conversions per visitor.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiftResults {
    /// The posterior median.
    pub median: f64,
    /// The equal-tailed 95 % interval.
    pub interval: [f64; 2],
}

/// Value per visitor, zero for those who did not convert, in the unit of the conversions' values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueResults {
    /// Mean of the posterior (Normal-inverse-gamma).
    pub mean: f64,
    /// Equal-tailed 95 % credible interval of the mean.
    pub credible_interval: [f64; 2],
    /// Probability of having the highest mean among the active arms; 0 if inactive.
    pub p_best: f64,
    /// Value per visitor that is lost on average by choosing this arm for good.
    pub expected_loss: f64,
    /// Value per conversion; `None` before the first.
    pub per_conversion: Option<f64>,
    /// Standard deviation of the visitors' values; `None` below two visitors.
    pub deviation: Option<f64>,
    /// How many conversions of one value would vary the sum as much, `(sum of v)^2 / sum of v^2`: as many
    /// as there were if all brought the same, and few if few large ones carry the sum.
    pub effective_conversions: f64,
    /// The difference from control; `None` for control itself.
    pub versus_control: Option<ValueDifferenceResults>,
}

/// Value per visitor of an arm minus that of control.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ValueDifferenceResults {
    /// Mean of the posterior, which is also its median.
    pub mean: f64,
    /// Equal-tailed 95 % credible interval.
    pub interval: [f64; 2],
    /// Probability that the arm's value per visitor is the higher one.
    pub p_above: f64,
}

/// What is stored of one arm, added up over snapshots.
#[derive(Clone, Copy, Default)]
struct Sums {
    n: u64,
    s: u64,
    value: f64,
    value_squares: f64,
}

/// The arms of one draw without their evidence.
pub(super) fn bayesian(
    record: &Record,
    set: &ArmSet,
    element: usize,
    rows: &[ArmStatistics],
    shown: &Snapshot,
) -> Result<Vec<ArmResults>, Error> {
    let sums = sums(set, element, rows)?;
    let prior = Prior {
        alpha: record.genesis.prior.alpha,
        beta: record.genesis.prior.beta,
    };
    let posteriors = sums
        .iter()
        .map(|sums| {
            prior
                .posterior(Counts {
                    n: sums.n,
                    s: sums.s,
                })
                .map_err(Error::internal)
        })
        .collect::<Result<Vec<Beta>, _>>()?;
    let weights = shown.weights.get(element).map(|weights| weights.as_slice());
    let control = &posteriors[set.control()];
    let mut arms = Vec::with_capacity(set.arms.len());
    for (index, arm) in set.arms.iter().enumerate() {
        let Sums { n, s, value, .. } = sums[index];
        let posterior = &posteriors[index];
        let against = (index != set.control()).then_some(control);
        arms.push(ArmResults {
            name: arm.name.clone(),
            variants: arm.variants.clone(),
            is_control: arm.is_control,
            is_active: arm.is_active,
            assignments: n,
            exposures: record.exposed(element, index)?,
            conversions: s,
            rate: (n > 0).then(|| count(s) / count(n)),
            value_sum: value,
            posterior_mean: posterior.mean(),
            posterior_sd: posterior.standard_deviation(),
            credible_interval: posterior.interval(LEVEL).map_err(Error::internal)?.into(),
            p_best: 0.0,
            expected_loss: 0.0,
            p_beats_control: against
                .map(|control| prob_beats(posterior, control))
                .transpose()
                .map_err(Error::internal)?,
            lift: against
                .map(|control| lift_of(posterior, control))
                .transpose()?,
            expected_gain_per_1000: against.map(|control| expected_gain(posterior, control)),
            value: None,
            evidence: ArmEvidence::default(),
            weight: weights
                .and_then(|w| w.get(index))
                .map_or(0.0, |ppb| share(*ppb)),
        });
    }
    let playing: Vec<usize> = (0..arms.len()).filter(|&i| arms[i].is_active).collect();
    let contenders: Vec<Beta> = playing.iter().map(|&i| posteriors[i]).collect();
    let best = p_best(&contenders).map_err(Error::internal)?;
    let loss = expected_loss(&contenders).map_err(Error::internal)?;
    for ((&index, p), loss) in playing.iter().zip(best).zip(loss) {
        arms[index].p_best = p;
        arms[index].expected_loss = loss;
    }
    let measures_value = record
        .experiment
        .goals
        .first()
        .is_some_and(|goal| goal.kind == GoalKind::Value);
    if measures_value {
        add_values(&mut arms, &playing, set.control(), &sums)?;
    }
    Ok(arms)
}

fn sums(set: &ArmSet, element: usize, rows: &[ArmStatistics]) -> Result<Vec<Sums>, Error> {
    let mut sums = vec![Sums::default(); set.arms.len()];
    for row in rows
        .iter()
        .filter(|row| usize::try_from(row.element) == Ok(element))
    {
        if let Some(sums) = usize::try_from(row.arm)
            .ok()
            .and_then(|arm| sums.get_mut(arm))
        {
            sums.n += unsigned(row.assignments)?;
            sums.s += unsigned(row.conversions)?;
            sums.value += row.value_sum;
            sums.value_squares += row.value_sum_squares;
        }
    }
    Ok(sums)
}

fn lift_of(arm: &Beta, control: &Beta) -> Result<LiftResults, Error> {
    let found = lift(arm, control, LEVEL).map_err(Error::internal)?;
    Ok(LiftResults {
        median: found.median,
        interval: [found.low, found.high],
    })
}

fn add_values(
    arms: &mut [ArmResults],
    playing: &[usize],
    control: usize,
    sums: &[Sums],
) -> Result<(), Error> {
    let prior = ValuePrior::default();
    let mut posteriors = Vec::with_capacity(arms.len());
    for sums in sums {
        let sums = ValueSums {
            n: sums.n,
            sum: sums.value,
            sum_squares: sums.value_squares,
        };
        posteriors.push(prior.posterior(sums).map_err(Error::internal)?);
    }
    let contenders: Vec<_> = playing.iter().map(|&index| posteriors[index]).collect();
    let best = p_best_value(&contenders).map_err(Error::internal)?;
    let loss = expected_loss_value(&contenders).map_err(Error::internal)?;
    for (index, (arm, posterior)) in arms.iter_mut().zip(&posteriors).enumerate() {
        let against = (index != control).then_some(&posteriors[control]);
        arm.value = Some(ValueResults {
            mean: posterior.mean(),
            credible_interval: posterior.interval(LEVEL).map_err(Error::internal)?.into(),
            p_best: 0.0,
            expected_loss: 0.0,
            per_conversion: (sums[index].s > 0).then(|| sums[index].value / count(sums[index].s)),
            deviation: sums[index].deviation(),
            effective_conversions: sums[index].effective_conversions(),
            versus_control: against
                .map(|control| difference(posterior, control))
                .transpose()?,
        });
    }
    for ((&index, p), loss) in playing.iter().zip(best).zip(loss) {
        if let Some(value) = &mut arms[index].value {
            value.p_best = p;
            value.expected_loss = loss;
        }
    }
    Ok(())
}

fn difference(arm: &StudentT, control: &StudentT) -> Result<ValueDifferenceResults, Error> {
    let found = value_difference(arm, control, LEVEL).map_err(Error::internal)?;
    Ok(ValueDifferenceResults {
        mean: found.mean,
        interval: [found.low, found.high],
        p_above: found.p_above,
    })
}

impl Sums {
    /// Of the visitors' values, zero for those who did not convert.
    fn deviation(&self) -> Option<f64> {
        let n = count(self.n);
        // The rounding of long sums must not make it negative.
        let scatter = (self.value_squares - self.value * self.value / n).max(0.0);
        (self.n > 1).then(|| (scatter / (n - 1.0)).sqrt())
    }

    fn effective_conversions(&self) -> f64 {
        if self.value_squares > 0.0 {
            // By Cauchy and Schwarz at most as many as there were, but for rounding.
            (self.value * self.value / self.value_squares).min(count(self.s))
        } else {
            0.0
        }
    }
}
