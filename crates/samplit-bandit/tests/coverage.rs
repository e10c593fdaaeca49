//! Simulated bandits with fixed seeds: do the intervals hold what they promise?
//!
//! Bounds are the promise plus four Monte-Carlo standard errors, so that a wrong method fails and
//! a right one does not.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(
    clippy::print_stdout,
    reason = "the shares behind a pass are worth seeing"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "simulated counts are whole and small"
)]

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use samplit_bandit::*;

/// A Thompson experiment of 20 batches of 250 visitors; `look` sees the snapshots after each.
fn experiment(
    rates: &[f64],
    rule: &Rule,
    random: &mut ChaCha12Rng,
    mut look: impl FnMut(&[Snapshot]),
) -> Vec<Snapshot> {
    let mut arms = vec![
        ArmState {
            n: 0,
            s: 0,
            active: true
        };
        rates.len()
    ];
    let mut snapshots = Vec::new();
    for _ in 0..20 {
        let weights = allocate(rule, &arms).unwrap().weights;
        let mut batch = vec![Counts::default(); rates.len()];
        for _ in 0..250 {
            let arm = weights.choose(scale_to_ppb(random.next_u64()));
            batch[arm].n += 1;
            batch[arm].s += u64::from(random.random_bool(rates[arm]));
        }
        for (arm, seen) in arms.iter_mut().zip(&batch) {
            arm.n += seen.n;
            arm.s += seen.s;
        }
        snapshots.push(Snapshot::of_counts(weights, &batch).unwrap());
        look(&snapshots);
    }
    snapshots
}

const RUNS: u32 = 1_500;

/// A share that should be `p`, plus or minus four standard errors.
fn margin(p: f64) -> f64 {
    4.0 * (p * (1.0 - p) / f64::from(RUNS)).sqrt()
}

fn share(count: u32) -> f64 {
    f64::from(count) / f64::from(RUNS)
}

#[test]
fn the_sequence_holds_at_every_look() {
    const SCORES: [Scores; 3] = [Scores::Plain, Scores::Centred, Scores::Weighted];
    let contrast = Contrast::Difference { arm: 1, control: 0 };
    let thompson = Rule::default();
    let even = Rule {
        policy: Policy::Fixed(vec![0.5, 0.5]),
        ..Rule::default()
    };
    for (seed, rates, rule) in [
        (1, [0.2, 0.2], &thompson),
        (2, [0.2, 0.26], &thompson),
        (10, [0.05, 0.05], &thompson),
        (13, [0.02, 0.02], &thompson),
        (12, [0.05, 0.07], &thompson),
        (11, [0.2, 0.24], &even),
    ] {
        let etas = SCORES.map(|scores| {
            let planned = planned_variance(scores, 5_000, rates[0], &[0.5, 0.5]).unwrap();
            tune(planned, 0.05).unwrap()
        });
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let truth = rates[1] - rates[0];
        let (mut missed, mut proved) = ([0; 3], [0; 3]);
        for _ in 0..RUNS {
            let (mut miss, mut proof) = ([false; 3], [false; 3]);
            experiment(&rates, rule, &mut random, |snapshots| {
                for i in 0..3 {
                    let now =
                        confidence_sequence(snapshots, contrast, SCORES[i], etas[i], 0.05).unwrap();
                    let (low, high) = now.interval();
                    miss[i] |= truth < low || high < truth;
                    proof[i] |= now.excludes_zero();
                }
            });
            for i in 0..3 {
                missed[i] += u32::from(miss[i]);
                proved[i] += u32::from(proof[i]);
            }
        }
        println!(
            "{:?} {rates:?}: missed {missed:?}, proved {proved:?} of {RUNS}",
            rule.policy
        );
        let holds = |missed: u32| share(missed) <= 0.05 + margin(0.05);
        assert!(holds(missed[1]) && holds(missed[2]), "{missed:?} of {RUNS}");
        if rule == &even {
            assert!(holds(missed[0]), "{missed:?} of {RUNS}");
            assert!(
                proved[1] >= proved[0],
                "centring costs no power: {proved:?}"
            );
        } else {
            // Why the weighted form is the default: a floor of 1 % is too much for the plain one.
            assert!(!holds(missed[0]), "{missed:?} of {RUNS}");
        }
        if truth > 0.0 {
            assert!(share(proved[2]) > 0.1, "{proved:?} of {RUNS}");
        }
    }
}

#[test]
fn it_holds_for_one_arm_for_five_and_under_top_two() {
    let difference = Contrast::Difference { arm: 1, control: 0 };
    let top_two = Rule {
        policy: Policy::TopTwo,
        ..Rule::default()
    };
    for (seed, rates, rule, contrast, truth) in [
        (
            20,
            vec![0.05, 0.07],
            Rule::default(),
            Contrast::Mean(0),
            0.05,
        ),
        (
            21,
            vec![0.05, 0.07],
            Rule::default(),
            Contrast::Mean(1),
            0.07,
        ),
        (22, vec![0.1; 5], Rule::default(), difference, 0.0),
        (23, vec![0.05, 0.07, 0.06], top_two, difference, 0.02),
    ] {
        let planned = planned_variance(Scores::Weighted, 5_000, rates[0], &[]).unwrap();
        let eta = tune(planned, 0.05).unwrap();
        let mut random = ChaCha12Rng::seed_from_u64(seed);
        let mut missed = 0;
        for _ in 0..RUNS {
            let mut miss = false;
            experiment(&rates, &rule, &mut random, |snapshots| {
                let now =
                    confidence_sequence(snapshots, contrast, Scores::Weighted, eta, 0.05).unwrap();
                let (low, high) = now.interval();
                miss |= truth < low || high < truth;
            });
            missed += u32::from(miss);
        }
        println!(
            "{:?} {contrast:?} of {rates:?}: missed {missed} of {RUNS}",
            rule.policy
        );
        assert!(share(missed) <= 0.05 + margin(0.05));
    }
}

#[test]
fn adaptive_intervals_cover_where_plain_means_are_biased() {
    let rates = [0.1, 0.1];
    let mut random = ChaCha12Rng::seed_from_u64(3);
    let (mut means, mut differences, mut covered) = (0, 0, 0);
    let (mut plain_bias, mut adaptive_bias) = (0.0, 0.0);
    let rule = Rule {
        warm_up: 0,
        ..Rule::default()
    };
    for _ in 0..RUNS {
        let snapshots = experiment(&rates, &rule, &mut random, |_| ());
        let estimate = adaptive_mean(&snapshots, 1).unwrap();
        let (low, high) = estimate.interval(0.95).unwrap();
        means += u32::from(low <= 0.1 && 0.1 <= high);
        let (low, high) = adaptive_difference(&snapshots, 1, 0)
            .unwrap()
            .interval(0.95)
            .unwrap();
        differences += u32::from(low <= 0.0 && 0.0 <= high);
        let (n, s) = snapshots
            .iter()
            .map(|snapshot| snapshot.arms()[1])
            .fold((0, 0.0), |(n, s), arm| (n + arm.n, s + arm.sum));
        let plain = s / n as f64;
        plain_bias += (plain - 0.1) / f64::from(RUNS);
        adaptive_bias += (estimate.value - 0.1) / f64::from(RUNS);
        let (low, high) = wilson(Counts { n, s: s as u64 }, 0.95).unwrap();
        covered += u32::from(low <= 0.1 && 0.1 <= high);
    }
    println!(
        "mean {means}, difference {differences}, Wilson {covered} of {RUNS}; \
         bias {plain_bias:.5} plain, {adaptive_bias:.5} adaptive"
    );
    for covered in [means, differences] {
        assert!((0.93 - margin(0.05)..=0.97 + margin(0.05)).contains(&share(covered)));
    }
    assert!(
        plain_bias < -0.001,
        "a bandit's plain means are too low: {plain_bias}"
    );
    assert!(adaptive_bias.abs() < plain_bias.abs(), "{adaptive_bias}");
}

#[test]
fn sample_ratio_p_values_are_uniform_and_alarms_rare() {
    let mut random = ChaCha12Rng::seed_from_u64(4);
    let mut p_values = Vec::new();
    let mut alarms = 0;
    for _ in 0..RUNS {
        let mut alarm = false;
        let snapshots = experiment(&[0.1, 0.12, 0.11], &Rule::default(), &mut random, |now| {
            alarm |= sample_ratio(now).unwrap().verdict() == Verdict::Mismatch;
        });
        alarms += u32::from(alarm);
        p_values.push(sample_ratio(&snapshots).unwrap().p_value);
    }
    p_values.sort_by(f64::total_cmp);
    let distance = p_values
        .iter()
        .enumerate()
        .map(|(i, p)| (p - i as f64 / f64::from(RUNS)).abs())
        .fold(0.0, f64::max);
    println!("Kolmogorov-Smirnov distance {distance:.4}, false alarms {alarms} of {RUNS}");
    // The Kolmogorov-Smirnov distance exceeds 1.95 / sqrt(n) once in a thousand.
    assert!(distance < 1.95 / f64::from(RUNS).sqrt());
    assert!(share(alarms) <= 0.001 + margin(0.001));
}

#[test]
fn a_biased_split_is_found() {
    let mut random = ChaCha12Rng::seed_from_u64(5);
    let weights = Weights::uniform(&[true, true]).unwrap();
    let mut found = 0;
    for _ in 0..100 {
        let snapshots: Vec<Snapshot> = (0..20)
            .map(|_| {
                // One in ten of the second arm's visitors gets lost.
                let second = (0..1_000).filter(|_| random.random_bool(0.45)).count() as u64;
                let first = (0..1_000).filter(|_| random.random_bool(0.5)).count() as u64;
                let arms = [first, second].map(|n| Counts { n, s: 0 });
                Snapshot::of_counts(weights.clone(), &arms).unwrap()
            })
            .collect();
        found += u32::from(sample_ratio(&snapshots).unwrap().verdict() == Verdict::Mismatch);
    }
    assert!(found >= 99, "{found} of 100");
}

#[test]
fn off_policy_intervals_cover() {
    let rates = [0.1, 0.15, 0.2];
    let target = [0.2, 0.2, 0.6];
    let truth: f64 = rates.iter().zip(target).map(|(r, p)| r * p).sum();
    let mut random = ChaCha12Rng::seed_from_u64(6);
    let mut covered = [0; 3];
    let rule = Rule {
        policy: Policy::Fixed(vec![0.5, 0.3, 0.2]),
        ..Rule::default()
    };
    for _ in 0..RUNS {
        let snapshots = experiment(&rates, &rule, &mut random, |_| ());
        let got = off_policy(&logged(&snapshots).unwrap(), &target).unwrap();
        for (covered, estimate) in covered
            .iter_mut()
            .zip([got.ips, got.snips, got.doubly_robust])
        {
            let (low, high) = estimate.interval(0.95).unwrap();
            *covered += u32::from(low <= truth && truth <= high);
        }
    }
    println!("IPS, SNIPS, DR cover {covered:?} of {RUNS}");
    for covered in covered {
        assert!(
            (share(covered) - 0.95).abs() <= margin(0.05),
            "{covered} of {RUNS}"
        );
    }
}

#[test]
fn the_forecast_agrees_with_the_live_rule() {
    let rates = vec![0.1, 0.15];
    let mut random = ChaCha12Rng::seed_from_u64(7);
    let scenario = Scenario {
        rates: rates.clone(),
        visitors_per_day: 5_000,
        days: 1,
        batches_per_day: 20,
        rule: Rule::default(),
        stopping: StoppingRule::Visitors { total: u64::MAX },
        minimums: Minimums::default(),
    };
    let told = forecast(&scenario, RUNS, &mut random).unwrap();
    let mut share_of_best = 0.0;
    for _ in 0..RUNS {
        let snapshots = experiment(&rates, &Rule::default(), &mut random, |_| ());
        let n: u64 = snapshots.iter().map(|snapshot| snapshot.arms()[1].n).sum();
        share_of_best += n as f64 / 5_000.0 / f64::from(RUNS);
    }
    println!(
        "share of the best arm: {share_of_best:.4} live, {:?} told",
        told.shares
    );
    assert!((told.shares[1] - share_of_best).abs() < 0.01);
    let same = forecast(&scenario, 50, &mut ChaCha12Rng::seed_from_u64(8)).unwrap();
    assert_eq!(
        same,
        forecast(&scenario, 50, &mut ChaCha12Rng::seed_from_u64(8)).unwrap()
    );
    assert!(told.right_choice > 0.99 && told.gained.mean > 0.0 && told.regret.mean > 0.0);
    assert!(told.stopped < 1e-9);
}

/// The day on which a scenario with a fixed split ends, and who leads then, by the functions that run live.
fn ends_live(scenario: &Scenario, shares: &[f64], random: &mut ChaCha12Rng) -> (u32, usize) {
    let weights = Weights::fixed(shares, &[true; 2]).unwrap();
    let visitors = scenario.visitors_per_day * u64::from(scenario.days);
    let planned = scenario.rates[0] * (1.0 - scenario.rates[0]);
    let planned = planned_variance(Scores::Weighted, visitors, planned, &[]).unwrap();
    let eta = tune(planned, 0.05).unwrap();
    let (mut snapshots, mut total) = (Vec::new(), [Counts::default(); 2]);
    let mut leader = 0;
    for day in 1..=scenario.days {
        let mut batch = vec![Counts::default(); 2];
        for _ in 0..scenario.visitors_per_day {
            let arm = weights.choose(scale_to_ppb(random.next_u64()));
            batch[arm].n += 1;
            batch[arm].s += u64::from(random.random_bool(scenario.rates[arm]));
        }
        for (total, seen) in total.iter_mut().zip(&batch) {
            total.n += seen.n;
            total.s += seen.s;
        }
        snapshots.push(Snapshot::of_counts(weights.clone(), &batch).unwrap());
        let contrast = Contrast::Difference { arm: 1, control: 0 };
        let now = confidence_sequence(&snapshots, contrast, Scores::Weighted, eta, 0.05).unwrap();
        let posteriors = total.map(|counts| scenario.rule.prior.posterior(counts).unwrap());
        let best = p_best(&posteriors).unwrap();
        let standing = |arm: usize| Standing {
            visitors: total[arm].n,
            visitors_per_day: 1.0,
            p_best: best[arm],
            expected_loss: 0.0,
            versus_control: (arm == 1).then_some(now),
            competes: true,
        };
        let arms = [standing(0), standing(1)];
        let report = may_stop(scenario.stopping, scenario.minimums, &arms, day.into()).unwrap();
        leader = report.leader;
        if report.may_stop() {
            return (day, leader);
        }
    }
    (scenario.days, leader)
}

/// A gain, a drop, and a drop under a prior that expects a lot of whoever was seen little: its variant leads
/// for weeks while it is proven to be the worse one, which is no reason to end.
#[test]
fn a_forecast_ends_on_a_proof_of_the_right_sign_only() {
    const RUNS: u32 = 150;
    for (name, rates, shares, prior) in [
        ("gain", [0.1, 0.13], [0.5, 0.5], 1.0),
        ("drop", [0.13, 0.1], [0.5, 0.5], 1.0),
        ("drop, believed in", [0.12, 0.06], [0.9, 0.1], 300.0),
    ] {
        let scenario = Scenario {
            rates: rates.to_vec(),
            visitors_per_day: 1_000,
            days: 60,
            batches_per_day: 1,
            rule: Rule {
                policy: Policy::Fixed(shares.to_vec()),
                prior: Prior {
                    alpha: prior,
                    beta: prior,
                },
                ..Rule::default()
            },
            stopping: StoppingRule::ConfidenceSequence,
            minimums: Minimums {
                visitors_per_arm: 0,
                days: 0.0,
            },
        };
        let mut random = ChaCha12Rng::seed_from_u64(17);
        let told = forecast(&scenario, 400, &mut random).unwrap();
        let (mut days, mut squares, mut right) = (0.0, 0.0, 0.0);
        for _ in 0..RUNS {
            let (day, leader) = ends_live(&scenario, &shares, &mut random);
            let is_best = rates[leader] > rates[1 - leader];
            days += f64::from(day) / f64::from(RUNS);
            squares += f64::from(day).powi(2) / f64::from(RUNS);
            right += f64::from(u8::from(is_best)) / f64::from(RUNS);
        }
        let error = ((squares - days * days) * (1.0 / f64::from(RUNS) + 1.0 / 400.0)).sqrt();
        println!(
            "{name}: {days:.2} ±{error:.2} days live, {:?} told",
            told.days
        );
        assert!((told.days.mean - days).abs() < 4.0 * error + 0.1, "{name}");
        assert!((told.right_choice - right).abs() < 0.05, "{name}: {right}");
        assert!(told.right_choice > 0.95, "{name}: {told:?}");
    }
}

#[test]
fn a_forecast_refuses_nonsense() {
    let mut random = ChaCha12Rng::seed_from_u64(9);
    let scenario = Scenario {
        rates: vec![0.1, 0.15],
        visitors_per_day: 1_000,
        days: 14,
        batches_per_day: 4,
        rule: Rule::default(),
        stopping: StoppingRule::ProbabilityBest { at_least: 0.95 },
        // At a floor of 1 % the weaker arm gets ten visitors a day.
        minimums: Minimums {
            visitors_per_arm: 150,
            days: 7.0,
        },
    };
    let stopped = forecast(&scenario, 200, &mut random).unwrap();
    assert!(stopped.days.p10 >= 7.0 && stopped.stopped > 0.9);
    for broken in [
        Scenario {
            rates: vec![0.1],
            ..scenario.clone()
        },
        Scenario {
            rates: vec![0.1, f64::NAN],
            ..scenario.clone()
        },
        Scenario {
            days: 0,
            ..scenario.clone()
        },
        Scenario {
            visitors_per_day: 3,
            ..scenario.clone()
        },
        Scenario {
            rule: Rule {
                floor: 0.5,
                ..Rule::default()
            },
            ..scenario.clone()
        },
    ] {
        assert!(forecast(&broken, 10, &mut random).is_err());
    }
}
