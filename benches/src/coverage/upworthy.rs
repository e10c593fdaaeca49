//! What the policies would have made of headline tests that were really run.
//!
//! The Upworthy Research Archive (Matias, Munger, Le Quere & Ebersole 2021, Scientific Data 8:195)
//! has impressions and clicks per headline. A visitor's outcome is drawn without replacement from
//! what the visitors of that headline did, so the recorded rate is the truth. A test ends when
//! somebody is given a headline whose record is used up. The first headline stands in for control.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Context as _;
use indicatif::ProgressBar;
use rand::{Rng as _, RngExt as _, rngs::ChaCha12Rng};
use samplit_bandit::{
    Contrast, Counts, Rule, Scores, Snapshot, allocate, bonferroni, confidence_sequence,
    planned_variance, scale_to_ppb, tune,
};
use serde::Deserialize;

use crate::number::{real, size};
use crate::parallel;
use crate::scenario::Play;
use crate::simulate::{ALPHA, holds, leader, random, start};
use crate::summary::Measured;
use crate::table::{Table, percent};

/// Visitors between two reallocations, each of which is a look.
const WAVE: u32 = 100;

/// The rate that is planned with: headlines are clicked by about one in seventy.
const PLANNED_RATE: f64 = 0.015;

/// Policies and floors.
const PLAYS: [(Play, f64); 5] = [
    (Play::Thompson, 0.01),
    (Play::Thompson, 0.05),
    (Play::TopTwo, 0.01),
    (Play::TopTwo, 0.05),
    (Play::Fixed, 0.01),
];

#[derive(Debug, Deserialize)]
struct Row {
    test_id: String,
    impressions: u64,
    clicks: u64,
}

/// A recorded test: what each headline's visitors did.
type Test = Vec<Counts>;

/// The tests of `file`, in its order.
pub(crate) fn read(file: &Path) -> anyhow::Result<Vec<Test>> {
    let name = file.display();
    let mut reader = csv::Reader::from_path(file).with_context(|| format!("cannot read {name}"))?;
    let mut places = HashMap::new();
    let mut tests: Vec<Test> = Vec::new();
    for row in reader.deserialize() {
        let Row {
            test_id,
            impressions,
            clicks,
        } = row.with_context(|| format!("{name} has another form"))?;
        let place = *places.entry(test_id).or_insert(tests.len());
        if place == tests.len() {
            tests.push(Vec::new());
        }
        tests[place].push(Counts::new(impressions, clicks)?);
    }
    let whole = |test: &Test| test.len() > 1 && test.iter().all(|arm| arm.n > 0);
    tests.retain(whole);
    Ok(tests)
}

/// How one test went.
#[derive(Debug, Clone, Copy)]
struct Played {
    visitors: u64,
    /// Clicks, less what the same visitors would have clicked under an even split.
    gained: f64,
    clicks: u64,
    right: bool,
    proved: bool,
    proved_right: bool,
    covered: bool,
}

/// Plays every test under every policy.
pub(crate) fn table(
    tests: &[Test],
    seed: u64,
    threads: usize,
    progress: &ProgressBar,
) -> anyhow::Result<Table> {
    let played = parallel::map(items(tests), threads, progress, |item| {
        let (play, test) = (item / tests.len(), item % tests.len());
        let (policy, floor) = PLAYS[play];
        let rule = policy.rule(tests[test].len(), floor);
        self::play(&rule, &tests[test], &mut random(seed, play, test as u64))
    })?;
    let mut table = Table::new(&[
        "policy",
        "visitors",
        "clicks",
        "gained",
        "gained, %",
        "best found, %",
        "proved, %",
        "of these right, %",
        "never wrong, %",
    ]);
    for ((policy, floor), played) in PLAYS.iter().zip(played.chunks_exact(tests.len())) {
        let visitors: u64 = played.iter().map(|test| test.visitors).sum();
        let clicks: u64 = played.iter().map(|test| test.clicks).sum();
        let total = Measured::mean(played, |test| test.gained * size(played));
        let even = real(clicks) - total.value;
        let proved: Vec<_> = played.iter().filter(|test| test.proved).collect();
        table.push(vec![
            policy.name(*floor),
            visitors.to_string(),
            clicks.to_string(),
            format!("{:.0} ±{:.0}", total.value, total.error),
            percent(Measured {
                value: total.value / even,
                error: total.error / even,
            }),
            percent(Measured::share(played, |test| test.right)),
            percent(Measured::share(played, |test| test.proved)),
            percent(Measured::share(&proved, |test| test.proved_right)),
            percent(Measured::share(played, |test| test.covered)),
        ]);
    }
    Ok(table)
}

/// How much there is to do.
pub(crate) fn items(tests: &[Test]) -> usize {
    PLAYS.len() * tests.len()
}

fn play(rule: &Rule, test: &[Counts], random: &mut ChaCha12Rng) -> anyhow::Result<Played> {
    let rates: Vec<f64> = test.iter().map(|arm| real(arm.s) / real(arm.n)).collect();
    let alpha = bonferroni(ALPHA, test.len() - 1)?;
    let planned = test.iter().map(|arm| arm.n).sum();
    let eta = tune(
        planned_variance(Scores::Weighted, planned, PLANNED_RATE, &[])?,
        alpha,
    )?;
    let mut left = test.to_vec();
    let mut arms = start(test.len());
    let mut snapshots = Vec::new();
    let (mut proved, mut proved_right, mut covered) = (false, true, true);
    let mut used_up = false;
    while !used_up {
        let weights = allocate(rule, &arms)?.weights;
        let mut seen = vec![Counts::default(); test.len()];
        for _ in 0..WAVE {
            let arm = weights.choose(scale_to_ppb(random.next_u64()));
            let record = &mut left[arm];
            if record.n == 0 {
                used_up = true;
                break;
            }
            let clicked = random.random_range(0..record.n) < record.s;
            record.n -= 1;
            record.s -= u64::from(clicked);
            seen[arm].n += 1;
            seen[arm].s += u64::from(clicked);
        }
        for (arm, seen) in arms.iter_mut().zip(&seen) {
            arm.n += seen.n;
            arm.s += seen.s;
        }
        snapshots.push(Snapshot::of_counts(weights, &seen)?);
        for arm in 1..test.len() {
            let truth = rates[arm] - rates[0];
            let contrast = Contrast::Difference { arm, control: 0 };
            let now = confidence_sequence(&snapshots, contrast, Scores::Weighted, eta, alpha)?;
            covered &= holds(now.interval(), truth);
            if now.excludes_zero() {
                proved = true;
                proved_right &= now.estimate * truth > 0.0;
            }
        }
    }
    let visitors: u64 = arms.iter().map(|arm| arm.n).sum();
    let clicks: u64 = arms.iter().map(|arm| arm.s).sum();
    let even = rates.iter().sum::<f64>() / size(&rates);
    let best = rates.iter().copied().fold(0.0, f64::max);
    Ok(Played {
        visitors,
        gained: real(clicks) - real(visitors) * even,
        clicks,
        right: rates[leader(&allocate(rule, &arms)?.p_best)] >= best,
        proved,
        proved_right,
        covered,
    })
}
