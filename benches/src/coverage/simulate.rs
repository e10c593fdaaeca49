//! One experiment from the first visitor to the last, with the functions that run live.

use rand::{SeedableRng, rngs::ChaCha12Rng};
use rand_distr::{Binomial, Distribution as _};
use samplit_bandit::{
    ArmState, Contrast, Counts, Rule, Scores, Snapshot, Weights, adaptive_difference,
    adaptive_mean, allocate, bonferroni, confidence_sequence, newcombe, planned_variance,
    sample_ratio, tune, wilson,
};

use crate::number::real;
use crate::scenario::{LOOKS, Scenario, VISITORS_PER_LOOK};

/// The error rate of everything: intervals are to hold in 95 % of the runs.
pub(crate) const ALPHA: f64 = 0.05;

/// What one run has shown. Looks are numbered from 0.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Per arm, at the end: whether the interval holds the arm's rate.
    pub(crate) wilson: Vec<bool>,
    pub(crate) credible: Vec<bool>,
    pub(crate) aipw: Vec<bool>,
    /// Per arm, at the end: estimate less truth.
    pub(crate) mean_error: Vec<f64>,
    pub(crate) aipw_error: Vec<f64>,
    /// The best arm less control, at the end.
    pub(crate) newcombe: bool,
    pub(crate) aipw_difference: bool,
    /// The first look at which some arm's difference from control was missed.
    pub(crate) newcombe_missed: Option<u32>,
    pub(crate) plain_missed: Option<u32>,
    pub(crate) weighted_missed: Option<u32>,
    /// Per arm: the first look at which the sequence of its rate missed it.
    pub(crate) mean_missed: Vec<Option<u32>>,
    /// The first look at which the best arm's sequence excluded zero.
    pub(crate) plain_proved: Option<u32>,
    pub(crate) weighted_proved: Option<u32>,
    /// Sample ratio mismatch: at the end alone, and at any look.
    pub(crate) split_p: f64,
    pub(crate) split_always_valid_p: f64,
    /// Whether the arm most likely to be the best is.
    pub(crate) right: bool,
    /// Conversions expected of the visitors' arms, less those of an even split.
    pub(crate) gained: f64,
}

/// The source of one run: its own stream, whoever computes it.
pub(crate) fn random(seed: u64, scenario: usize, run: u64) -> ChaCha12Rng {
    let mut bytes = [0; 32];
    for (place, part) in bytes
        .chunks_exact_mut(8)
        .zip([seed, scenario as u64, run, 0])
    {
        place.copy_from_slice(&part.to_le_bytes());
    }
    ChaCha12Rng::from_seed(bytes)
}

/// Visitors under `weights`, each converting with the rate of their arm.
pub(crate) fn batch(
    weights: &Weights,
    rates: &[f64],
    visitors: u64,
    random: &mut ChaCha12Rng,
) -> anyhow::Result<Vec<Counts>> {
    let (mut left, mut weight_left) = (visitors, 1.0_f64);
    let mut counts = Vec::with_capacity(rates.len());
    for (weight, rate) in weights.to_probabilities().into_iter().zip(rates) {
        let share = if weight < weight_left {
            weight / weight_left
        } else {
            1.0
        };
        let n = Binomial::new(left, share)?.sample(random);
        let s = Binomial::new(n, *rate)?.sample(random);
        counts.push(Counts { n, s });
        left -= n;
        weight_left -= weight;
    }
    Ok(counts)
}

/// The arms so far, as [`allocate`] wants them.
pub(crate) fn start(arms: usize) -> Vec<ArmState> {
    let arm = ArmState {
        n: 0,
        s: 0,
        active: true,
    };
    vec![arm; arms]
}

/// The first of the largest.
pub(crate) fn leader(p_best: &[f64]) -> usize {
    let mut leader = 0;
    for (arm, p) in p_best.iter().enumerate() {
        if *p > p_best[leader] {
            leader = arm;
        }
    }
    leader
}

/// Simulates one run of `scenario`.
pub(crate) fn run(scenario: &Scenario, random: &mut ChaCha12Rng) -> anyhow::Result<Outcome> {
    let rule = scenario.rule();
    let mut arms = start(scenario.arms());
    let mut snapshots = Vec::new();
    let mut watch = Watch::new(scenario)?;
    for look in 0..LOOKS {
        let weights = allocate(&rule, &arms)?.weights;
        let seen = batch(&weights, scenario.rates, VISITORS_PER_LOOK.into(), random)?;
        for (arm, seen) in arms.iter_mut().zip(&seen) {
            arm.n += seen.n;
            arm.s += seen.s;
        }
        snapshots.push(Snapshot::of_counts(weights, &seen)?);
        watch.look(look, &snapshots, &arms)?;
    }
    watch.end(&rule, &snapshots, &arms)
}

/// What is watched from look to look.
struct Watch<'a> {
    scenario: &'a Scenario,
    /// The error rate of each comparison with control.
    alpha: f64,
    eta_plain: f64,
    eta_weighted: f64,
    eta_mean: f64,
    newcombe_missed: Option<u32>,
    plain_missed: Option<u32>,
    weighted_missed: Option<u32>,
    mean_missed: Vec<Option<u32>>,
    plain_proved: Option<u32>,
    weighted_proved: Option<u32>,
}

impl<'a> Watch<'a> {
    fn new(scenario: &'a Scenario) -> anyhow::Result<Self> {
        // As one would plan: the whole duration, the control's rate, an even split.
        let planned = u64::from(LOOKS * VISITORS_PER_LOOK);
        let even = samplit_bandit::even_split(scenario.arms());
        let eta = |scores, weights: &[f64], alpha| {
            tune(
                planned_variance(scores, planned, scenario.control(), weights)?,
                alpha,
            )
        };
        let alpha = bonferroni(ALPHA, scenario.arms() - 1)?;
        Ok(Self {
            scenario,
            alpha,
            eta_plain: eta(Scores::Plain, &even[..2], alpha)?,
            eta_weighted: eta(Scores::Weighted, &even[..2], alpha)?,
            eta_mean: eta(Scores::Weighted, &even[..1], ALPHA)?,
            newcombe_missed: None,
            plain_missed: None,
            weighted_missed: None,
            mean_missed: vec![None; scenario.arms()],
            plain_proved: None,
            weighted_proved: None,
        })
    }

    fn look(&mut self, look: u32, snapshots: &[Snapshot], arms: &[ArmState]) -> anyhow::Result<()> {
        let rates = self.scenario.rates;
        for arm in 1..arms.len() {
            let truth = rates[arm] - rates[0];
            let contrast = Contrast::Difference { arm, control: 0 };
            let naive = newcombe(counts(&arms[arm]), counts(&arms[0]), 1.0 - self.alpha)?;
            note(&mut self.newcombe_missed, look, !holds(naive, truth));
            let [plain, weighted] = [
                (Scores::Plain, self.eta_plain),
                (Scores::Weighted, self.eta_weighted),
            ]
            .map(|(scores, eta)| confidence_sequence(snapshots, contrast, scores, eta, self.alpha));
            let (plain, weighted) = (plain?, weighted?);
            note(
                &mut self.plain_missed,
                look,
                !holds(plain.interval(), truth),
            );
            let missed = !holds(weighted.interval(), truth);
            note(&mut self.weighted_missed, look, missed);
            if arm + 1 == arms.len() {
                note(&mut self.plain_proved, look, plain.excludes_zero());
                note(&mut self.weighted_proved, look, weighted.excludes_zero());
            }
        }
        for (arm, missed) in self.mean_missed.iter_mut().enumerate() {
            let now = confidence_sequence(
                snapshots,
                Contrast::Mean(arm),
                Scores::Weighted,
                self.eta_mean,
                ALPHA,
            )?;
            note(missed, look, !holds(now.interval(), rates[arm]));
        }
        Ok(())
    }

    fn end(
        self,
        rule: &Rule,
        snapshots: &[Snapshot],
        arms: &[ArmState],
    ) -> anyhow::Result<Outcome> {
        let rates = self.scenario.rates;
        let level = 1.0 - ALPHA;
        let last = arms.len() - 1;
        let difference = rates[last] - rates[0];
        let end = allocate(rule, arms)?;
        let split = sample_ratio(snapshots)?;
        let mut outcome = Outcome {
            wilson: Vec::new(),
            credible: Vec::new(),
            aipw: Vec::new(),
            mean_error: Vec::new(),
            aipw_error: Vec::new(),
            newcombe: holds(
                newcombe(counts(&arms[last]), counts(&arms[0]), level)?,
                difference,
            ),
            aipw_difference: holds(
                adaptive_difference(snapshots, last, 0)?.interval(level)?,
                difference,
            ),
            newcombe_missed: self.newcombe_missed,
            plain_missed: self.plain_missed,
            weighted_missed: self.weighted_missed,
            mean_missed: self.mean_missed,
            plain_proved: self.plain_proved,
            weighted_proved: self.weighted_proved,
            split_p: split.p_value,
            split_always_valid_p: split.always_valid_p,
            right: rates[leader(&end.p_best)] >= rates[last],
            gained: 0.0,
        };
        let even = rates.iter().sum::<f64>() / real(rates.len() as u64);
        for (arm, rate) in rates.iter().copied().enumerate() {
            let Counts { n, s } = counts(&arms[arm]);
            let aipw = adaptive_mean(snapshots, arm)?;
            let posterior = end.posteriors[arm].interval(level)?;
            outcome
                .wilson
                .push(holds(wilson(Counts { n, s }, level)?, rate));
            outcome.credible.push(holds(posterior, rate));
            outcome.aipw.push(holds(aipw.interval(level)?, rate));
            outcome.mean_error.push(real(s) / real(n) - rate);
            outcome.aipw_error.push(aipw.value - rate);
            outcome.gained += real(n) * (rate - even);
        }
        Ok(outcome)
    }
}

/// Remembers the first look at which something happened.
pub(crate) fn note(first: &mut Option<u32>, look: u32, happened: bool) {
    if happened && first.is_none() {
        *first = Some(look);
    }
}

pub(crate) fn holds((low, high): (f64, f64), truth: f64) -> bool {
    low <= truth && truth <= high
}

pub(crate) fn counts(arm: &ArmState) -> Counts {
    Counts { n: arm.n, s: arm.s }
}
