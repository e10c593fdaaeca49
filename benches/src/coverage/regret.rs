//! How fast conversions are lost while learning: the behaviour that theory promises.

use indicatif::ProgressBar;
use samplit_bandit::{Rule, allocate};
use serde::Serialize;

use crate::number::real;
use crate::parallel;
use crate::scenario::Play;
use crate::simulate::{batch, random, start};
use crate::summary::Measured;
use crate::table::{Table, number};

/// Visitors after which the regret is taken.
pub(crate) const HORIZONS: [u64; 5] = [1_000, 3_000, 10_000, 30_000, 100_000];

const RATES: [&[f64]; 2] = [&[0.05, 0.07], &[0.05, 0.05, 0.055, 0.06, 0.07]];

/// Policies and floors.
const PLAYS: [(Play, f64); 4] = [
    (Play::Thompson, 0.0),
    (Play::Thompson, 0.01),
    (Play::TopTwo, 0.01),
    (Play::Fixed, 0.01),
];

/// Streams of random numbers below this belong to the scenarios of the coverage.
const FIRST_STREAM: usize = 1_000;

/// The mean regret of one policy at every horizon.
#[derive(Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) policy: Play,
    pub(crate) floor: f64,
    pub(crate) rates: &'static [f64],
    pub(crate) regret: Vec<Measured>,
    /// What Lai & Robbins (1985) say no good policy can beat: regret per unit of ln(visitors).
    pub(crate) lai_robbins: f64,
}

impl Curve {
    pub(crate) fn name(&self) -> String {
        self.policy.name(self.floor)
    }
}

/// How many curves there are.
pub(crate) fn curves() -> usize {
    RATES.len() * PLAYS.len()
}

/// Simulates all curves, `runs` times each.
pub(crate) fn simulate(
    runs: usize,
    seed: u64,
    threads: usize,
    progress: &ProgressBar,
) -> anyhow::Result<Vec<Curve>> {
    let plan: Vec<_> = RATES
        .iter()
        .flat_map(|&rates| PLAYS.map(|(policy, floor)| (policy, floor, rates)))
        .collect();
    let paths = parallel::map(plan.len() * runs, threads, progress, |item| {
        let (curve, run) = (item / runs, item % runs);
        let (policy, floor, rates) = plan[curve];
        path(policy, floor, rates, seed, FIRST_STREAM + curve, run as u64)
    })?;
    let curve = |(of_curve, (policy, floor, rates)): (&[Vec<f64>], _)| Curve {
        policy,
        floor,
        rates,
        regret: (0..HORIZONS.len())
            .map(|horizon| Measured::mean(of_curve, |path| path[horizon]))
            .collect(),
        lai_robbins: lai_robbins(rates),
    };
    Ok(paths.chunks_exact(runs).zip(plan).map(curve).collect())
}

/// The regret of one run at every horizon.
fn path(
    policy: Play,
    floor: f64,
    rates: &[f64],
    seed: u64,
    stream: usize,
    run: u64,
) -> anyhow::Result<Vec<f64>> {
    let rule: Rule = policy.rule(rates.len(), floor);
    let best = rates.iter().copied().fold(0.0, f64::max);
    let mut random = random(seed, stream, run);
    let mut arms = start(rates.len());
    let (mut visitors, mut regret) = (0, 0.0);
    let mut path = Vec::new();
    for horizon in HORIZONS {
        while visitors < horizon {
            // Often at first, then whenever there are 2 % more visitors.
            let more = (visitors / 50).max(100).min(horizon - visitors);
            let weights = allocate(&rule, &arms)?.weights;
            let seen = batch(&weights, rates, more, &mut random)?;
            for ((arm, seen), rate) in arms.iter_mut().zip(&seen).zip(rates) {
                arm.n += seen.n;
                arm.s += seen.s;
                regret += real(seen.n) * (best - rate);
            }
            visitors += more;
        }
        path.push(regret);
    }
    Ok(path)
}

/// `sum of gap / KL(rate, best)` over the worse arms.
fn lai_robbins(rates: &[f64]) -> f64 {
    let best = rates.iter().copied().fold(0.0, f64::max);
    let divergence = |p: f64| p * (p / best).ln() + (1.0 - p) * ((1.0 - p) / (1.0 - best)).ln();
    rates
        .iter()
        .filter(|rate| **rate < best)
        .map(|rate| (best - rate) / divergence(*rate))
        .sum()
}

pub(crate) fn explained() -> &'static str {
    "Growth: conversions lost per unit of ln(visitors) between the last two horizons. Bound: the \
     least growth that any consistent policy can have in the long run (Lai & Robbins 1985). A \
     floor of f costs f times the gaps from every visitor for ever, so its regret is a logarithm \
     plus a straight line; an even split is a straight line."
}

pub(crate) fn table(curves: &[Curve]) -> Table {
    let mut head = vec!["experiment".to_owned()];
    head.extend(HORIZONS.map(|horizon| format!("{horizon}")));
    head.extend(["growth".to_owned(), "bound".to_owned()]);
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    for curve in curves {
        let mut row = vec![format!("{}: {} arms", curve.name(), curve.rates.len())];
        row.extend(curve.regret.iter().copied().map(number));
        row.push(format!("{:.1}", growth(curve)));
        row.push(format!("{:.1}", curve.lai_robbins));
        table.push(row);
    }
    table
}

/// The slope against ln(visitors) at the end.
pub(crate) fn growth(curve: &Curve) -> f64 {
    let last = HORIZONS.len() - 1;
    let gap = curve.regret[last].value - curve.regret[last - 1].value;
    gap / (real(HORIZONS[last]) / real(HORIZONS[last - 1])).ln()
}
