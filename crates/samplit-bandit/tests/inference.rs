//! Estimates and tests against scipy, statsmodels and published values, and what must hold for
//! every input.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "generated counts are whole and small"
)]

use proptest::prelude::*;
use samplit_bandit::*;

fn near(got: f64, expected: f64, tolerance: f64) {
    assert!(
        (got - expected).abs() <= tolerance,
        "{got} is not {expected}"
    );
}

fn pair(got: (f64, f64), expected: (f64, f64), tolerance: f64) {
    near(got.0, expected.0, tolerance);
    near(got.1, expected.1, tolerance);
}

fn counts(n: u64, s: u64) -> Counts {
    Counts { n, s }
}

fn even(arms: usize) -> Weights {
    Weights::uniform(&vec![true; arms]).unwrap()
}

#[test]
fn fixed_weight_intervals() {
    // Newcombe (1998), table II, and statsmodels.
    let got = newcombe(counts(56, 5), counts(29, 0), 0.95).unwrap();
    pair(
        got,
        (-0.038_137_147_903_536_936, 0.192_560_013_855_111_65),
        1e-12,
    );
    let got = newcombe(counts(1_000, 66), counts(1_000, 51), 0.95).unwrap();
    pair(
        got,
        (-0.005_696_703_084_099_267, 0.035_897_480_621_099_584),
        1e-12,
    );
    let test = two_proportion_z(counts(1_000, 66), counts(1_000, 51)).unwrap();
    near(test.z, 1.429_184_067_336_738, 1e-12);
    near(test.p_value, 0.152_951_335_819_609_37, 1e-12);
    pair(wilson(counts(0, 0), 0.95).unwrap(), (0.0, 1.0), 1e-12);
    assert!(two_proportion_z(counts(0, 0), counts(9, 1)).is_err());
}

#[test]
fn student_t() {
    for (location, scale, degrees, q, x, below) in [
        (
            0.0,
            1.0,
            2.0,
            0.975,
            4.302_652_729_749_462,
            0.838_376_484_091_979_8,
        ),
        (
            3.5,
            0.2,
            10.0,
            0.01,
            2.947_246_108_377_460_6,
            0.888_617_091_396_577_6,
        ),
        (
            1.2,
            0.05,
            5_000.0,
            0.6,
            1.212_668_029_198_461_5,
            0.903_169_553_190_639_5,
        ),
    ] {
        let t = StudentT::new(location, scale, degrees).unwrap();
        near(t.quantile(q).unwrap(), x, 1e-9 * scale);
        near(t.cdf(location + 1.3 * scale).unwrap(), below, 1e-10);
    }
}

#[test]
fn values_per_visitor() {
    let sums = ValueSums::of(&[0.0, 0.0, 12.5, 0.0, 3.0, 0.0, 7.0, 0.0, 0.0, 1.25]);
    let posterior = ValuePrior::default().posterior(sums).unwrap();
    near(posterior.mean(), 2.372_627_372_627_372_6, 1e-12);
    near(posterior.scale(), 1.159_386_686_289_703_8, 1e-12);
    near(posterior.degrees(), 12.0, 0.0);

    let arms = [(1.0, 0.1, 30.0), (1.1, 0.15, 12.0), (0.9, 0.3, 400.0)]
        .map(|(location, scale, degrees)| StudentT::new(location, scale, degrees).unwrap());
    let p = p_best_value(&arms).unwrap();
    let expected = [
        0.208_026_298_158_993,
        0.556_962_389_036_033,
        0.235_011_312_804_945,
    ];
    for (p, expected) in p.iter().zip(expected) {
        near(*p, expected, 1e-9);
    }
    near(
        expected_loss_value(&arms).unwrap()[0],
        0.181_283_381_698_645,
        1e-8,
    );
    let impossible = ValueSums {
        n: 2,
        sum: 10.0,
        sum_squares: 3.0,
    };
    assert_eq!(
        ValuePrior::default()
            .posterior(impossible)
            .unwrap_err()
            .argument(),
        "sum_squares"
    );
}

/// Against closed forms: normal posteriors differ normally, Cauchy-like ones add their scales, and a posterior
/// that is all but certain leaves the other as it is.
#[test]
fn differences_of_values() {
    let t = |location, scale, degrees| StudentT::new(location, scale, degrees).unwrap();
    let normal = value_difference(&t(12.4, 0.3, 1e11), &t(11.7, 0.4, 1e11), 0.95).unwrap();
    near(normal.mean, 0.7, 1e-12);
    near(normal.high - normal.mean, 0.5 * 1.959_963_984_540_054, 1e-8);
    near(normal.mean - normal.low, 0.5 * 1.959_963_984_540_054, 1e-8);
    // The probability that a standard normal variable is below 0.7 / 0.5.
    near(normal.p_above, 0.919_243_340_766_229, 1e-8);

    let (arm, sure) = (t(3.0, 0.2, 12.0), t(2.0, 1e-9, 12.0));
    for (more, sign) in [
        (value_difference(&arm, &sure, 0.95).unwrap(), 1.0),
        (value_difference(&sure, &arm, 0.95).unwrap(), -1.0),
    ] {
        near(more.mean, sign, 1e-12);
        near(more.high - more.mean, 0.2 * 2.178_812_829_667_228, 1e-7);
        let above = 1.0 - arm.cdf(2.0).unwrap();
        let expected = if sign > 0.0 { above } else { 1.0 - above };
        near(more.p_above, expected, 1e-7);
    }

    // By the race of two, which integrates in another way.
    for (arm, control) in [
        (t(1.1, 0.15, 12.0), t(1.0, 0.1, 30.0)),
        (t(1e6 + 1.0, 0.5, 40.0), t(1e6, 2.0, 15.0)),
        (t(5.0, 10.0, 2.0), t(0.0, 0.1, 4_000.0)),
    ] {
        let more = value_difference(&arm, &control, 0.9).unwrap();
        let p = p_best_value(&[arm, control]).unwrap();
        near(more.p_above, p[0], 1e-6);
        // The chance of being above by more than the upper end is 5 %: the race, moved.
        let moved = t(arm.mean() - more.high, arm.scale(), arm.degrees());
        let at_end = t(control.mean(), control.scale(), control.degrees());
        near(p_best_value(&[moved, at_end]).unwrap()[0], 0.05, 1e-6);
    }
    assert!(value_difference(&arm, &sure, 1.0).is_err());
}

#[test]
fn holm_and_sample_size() {
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]).unwrap();
    for (got, expected) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
        near(*got, expected, 1e-15);
    }
    for (rate, effect, per_arm) in [(0.05, 0.01, 8_158), (0.1, 0.02, 3_841), (0.3, -0.05, 1_251)] {
        let size = sample_size(Comparison {
            rate,
            effect,
            alpha: 0.05,
            power: 0.8,
        })
        .unwrap();
        assert_eq!(size.per_arm, per_arm);
        assert!(size.per_arm_corrected > per_arm);
    }
    near(days_needed(16_316, 1_000.0).unwrap(), 16.316, 1e-12);
}

#[test]
fn cuped_removes_what_the_covariate_explains() {
    let (mut arm, mut control) = (CovariateSums::default(), CovariateSums::default());
    for i in 0..1_000 {
        let x = f64::from(i % 10);
        let noise = f64::from(i % 7) - 3.0;
        arm.add(3.0 * x + noise + 0.5, x);
        control.add(3.0 * x - noise, x);
    }
    let adjusted = cuped(&arm, &control).unwrap();
    near(adjusted.theta, 3.0, 0.01);
    near(adjusted.difference.value, 0.5, 0.01);
    assert!(adjusted.variance_removed > 0.94);
    assert!(cuped(&arm, &CovariateSums::default()).is_err());
}

/// One snapshot with equal weights: every estimate has a closed form.
#[test]
fn one_even_snapshot_has_closed_forms() {
    let snapshot = [Snapshot::of_counts(even(2), &[counts(900, 90), counts(1_100, 220)]).unwrap()];
    // Horvitz-Thompson around 1/2: 1/2 + (sum - n / 2) / e / T.
    let rate = adaptive_mean(&snapshot, 1).unwrap();
    near(rate.value, 0.5 + (220.0 - 550.0) / 0.5 / 2_000.0, 1e-12);
    let difference = adaptive_difference(&snapshot, 1, 0).unwrap();
    near(difference.value, (-330.0 + 360.0) / 0.5 / 2_000.0, 1e-12);

    let log = logged(&snapshot).unwrap();
    let second = off_policy(&log, &[0.0, 1.0]).unwrap();
    near(second.ips.value, 0.22, 1e-12);
    near(second.snips.value, 0.2, 1e-12);
    near(
        second.snips.standard_error,
        (0.2 * 0.8 / 1_100.0_f64).sqrt(),
        1e-12,
    );
    near(second.effective_sample_size, 1_100.0, 1e-9);
    near(second.doubly_robust.value, 0.2, 1e-3);
    let both = off_policy(&log, &even_split(2)).unwrap();
    near(both.ips.value, 310.0 / 2_000.0, 1e-12);
    assert!(off_policy(&log, &[1.0]).is_err());
    assert!(off_policy(&[], &[1.0]).is_err());
}

#[test]
fn eta_is_tuned_to_the_planned_end() {
    let planned = planned_variance(Scores::Plain, 20_000, 0.05, &[0.5, 0.5]).unwrap();
    let best = tune(planned, 0.05).unwrap();
    let snapshot = [Snapshot::of_counts(even(2), &[counts(10_000, 500); 2]).unwrap()];
    let contrast = Contrast::Difference { arm: 1, control: 0 };
    let width = |eta: f64| {
        confidence_sequence(&snapshot, contrast, Scores::Plain, eta, 0.05)
            .unwrap()
            .half_width
    };
    for factor in [0.8, 0.95, 1.05, 1.25] {
        assert!(width(best * factor) > width(best));
    }
}

#[test]
fn leaks_and_scarcity_have_their_own_verdict() {
    let weights = || Weights::from_ppb(vec![0, 500_000_000, 500_000_000]).unwrap();
    let of = |n: [u64; 3]| {
        let arms = n.map(|n| counts(n, 0));
        sample_ratio(&[Snapshot::of_counts(weights(), &arms).unwrap()]).unwrap()
    };
    assert_eq!(of([0, 4, 5]).verdict(), Verdict::TooEarly);
    assert_eq!(of([0, 500, 510]).verdict(), Verdict::Sound);
    assert_eq!(of([0, 500, 510]).degrees, 1);
    let leaky = of([1, 500, 510]);
    assert_eq!((leaky.leaked, leaky.verdict()), (1, Verdict::Mismatch));
    assert_eq!(of([0, 4_500, 5_500]).verdict(), Verdict::Mismatch);
}

#[test]
fn groups_of_arms_that_never_met_cost_a_degree_each() {
    let weights = |ppb: [u32; 4]| Weights::from_ppb(ppb.to_vec()).unwrap();
    let half = 500_000_000;
    let first = [counts(480, 0), counts(520, 0), counts(0, 0), counts(0, 0)];
    let second = [counts(0, 0), counts(0, 0), counts(510, 0), counts(490, 0)];
    let split = sample_ratio(&[
        Snapshot::of_counts(weights([half, half, 0, 0]), &first).unwrap(),
        Snapshot::of_counts(weights([0, 0, half, half]), &second).unwrap(),
    ])
    .unwrap();
    assert_eq!(split.degrees, 2);
    near(split.chi_square, 1.6 + 0.4, 1e-9);
}

#[test]
fn recency() {
    let cohort = |age, n, s| Cohort {
        age,
        counts: counts(n, s),
    };
    let cohorts = [
        cohort(0.0, 100, 1),
        cohort(7.0, 100, 10),
        cohort(14.0, 100, 12),
    ];
    let faded = discounted(&cohorts, 7.0).unwrap();
    near(faded.n, 175.0, 1e-12);
    near(faded.s, 9.0, 1e-12);
    near(
        Prior::default().posterior_faded(faded).unwrap().alpha(),
        10.0,
        1e-12,
    );
    assert_eq!(matured(&cohorts, 7.0).unwrap(), counts(200, 22));
    assert!(discounted(&cohorts, 0.0).is_err());
    assert!(matured(&[cohort(-1.0, 1, 0)], 1.0).is_err());
}

#[test]
fn stopping_says_what_is_missing() {
    let arm = |visitors, p_best, expected_loss| Standing {
        visitors,
        visitors_per_day: 50.0,
        p_best,
        expected_loss,
        versus_control: None,
        competes: true,
    };
    let arms = [arm(5_000, 0.02, 0.01), arm(550, 0.98, 1e-5)];
    let rule = StoppingRule::ProbabilityBest { at_least: 0.95 };
    let report = may_stop(rule, Minimums::default(), &arms, 6.5).unwrap();
    assert_eq!(report.leader, 1);
    let missing: Vec<String> = report.missing.iter().map(ToString::to_string).collect();
    assert_eq!(
        missing,
        [
            "450 more visitors for arm 1, about 9 days at this pace",
            "0.5 more days"
        ]
    );
    let none = Minimums {
        visitors_per_arm: 0,
        days: 0.0,
    };
    assert!(may_stop(rule, none, &arms, 0.0).unwrap().may_stop());
    let rule = StoppingRule::ExpectedLoss { below: 1e-6 };
    let report = may_stop(rule, none, &arms, 0.0).unwrap();
    assert_eq!(
        report.missing[0].to_string(),
        "an expected loss below 0.000001, now 1.00e-5"
    );
    let rule = StoppingRule::Visitors { total: 6_000 };
    let report = may_stop(rule, none, &arms, 0.0).unwrap();
    assert_eq!(
        report.missing,
        [Missing::Visitors {
            more: 450,
            days: Some(4.5)
        }]
    );
    assert!(may_stop(rule, none, &[], 0.0).is_err());

    let sequence = |estimate| {
        Some(Sequence {
            estimate,
            half_width: 0.02,
            variance: 1.0,
            eta: 1.0,
        })
    };
    let leader = Standing {
        versus_control: sequence(0.01),
        ..arms[1]
    };
    let rule = StoppingRule::ConfidenceSequence;
    let report = may_stop(rule, none, &[arms[0], leader], 0.0).unwrap();
    // Half as wide takes four times the visitors: three times 5,550 more, at 100 a day.
    assert_eq!(
        report.missing,
        [Missing::Difference {
            arm: 1,
            days: Some(166.5)
        }]
    );
    let leader = Standing {
        versus_control: sequence(0.03),
        ..arms[1]
    };
    assert!(
        may_stop(rule, none, &[arms[0], leader], 0.0)
            .unwrap()
            .may_stop()
    );
    // Control leads: the others must be proved worse.
    let behind = Standing {
        versus_control: sequence(-0.01),
        ..arms[0]
    };
    let report = may_stop(rule, none, &[arms[1], behind], 0.0).unwrap();
    assert_eq!(report.missing.len(), 1);
}

#[test]
fn an_arm_that_no_longer_competes_is_not_waited_for_but_counts_and_has_to_be_proved() {
    let arm = |visitors, p_best, estimate: Option<f64>| Standing {
        visitors,
        visitors_per_day: 50.0,
        p_best,
        expected_loss: 0.0,
        versus_control: estimate.map(|estimate| Sequence {
            estimate,
            half_width: 0.02,
            variance: 1.0,
            eta: 1.0,
        }),
        competes: p_best >= 0.01,
    };
    let control = arm(5_000, 0.995, None);
    let minimums = Minimums {
        visitors_per_arm: 1_000,
        days: 0.0,
    };
    let missing = |rule, arms: &[Standing]| may_stop(rule, minimums, arms, 0.0).unwrap().missing;

    // Its minimum of visitors is not waited for, and its visitors are visitors.
    let total = |total| StoppingRule::Visitors { total };
    let arms = [control, arm(300, 0.005, Some(-0.03))];
    assert_eq!(missing(total(5_300), &arms), []);
    assert_eq!(missing(total(5_301), &arms).len(), 1);
    let arms = [control, arm(300, 0.02, Some(-0.03))];
    let waits = Missing::ArmVisitors {
        arm: 1,
        more: 700,
        days: Some(14.0),
    };
    assert_eq!(missing(total(5_300), &arms), [waits]);

    // Where control leads, a small chance of being best is no proof of being worse.
    let rule = StoppingRule::ConfidenceSequence;
    let unproved = |days| [Missing::Difference { arm: 1, days }];
    let behind = |estimate| [control, arm(300, 0.005, Some(estimate))];
    assert_eq!(missing(rule, &behind(-0.03)), []);
    assert_eq!(missing(rule, &behind(-0.01)), unproved(Some(159.0)));
    assert_eq!(missing(rule, &behind(0.0)), unproved(None));
    // A proof of the contrary proves nothing, and no time will make it one.
    assert_eq!(missing(rule, &behind(0.03)), unproved(None));
    let leads = |estimate| [arm(5_000, 0.1, None), arm(5_000, 0.9, Some(estimate))];
    assert_eq!(missing(rule, &leads(0.03)), []);
    assert_eq!(missing(rule, &leads(-0.03)), unproved(None));
}

fn snapshot(arms: usize) -> impl Strategy<Value = Snapshot> {
    let arm = (0u64..2_000, 0.0..=1.0_f64);
    let one = (
        prop::collection::vec(arm, arms),
        prop::collection::vec(0.01..1.0_f64, arms),
    );
    one.prop_map(|(arms, raw)| {
        let total: f64 = raw.iter().sum();
        let p: Vec<f64> = raw.iter().map(|r| r / total).collect();
        let whole = |n: u64, rate: f64| counts(n, (n as f64 * rate) as u64);
        let arms: Vec<Counts> = arms.into_iter().map(|(n, rate)| whole(n, rate)).collect();
        Snapshot::of_counts(Weights::from_probabilities(&p, 0.0).unwrap(), &arms).unwrap()
    })
}

/// The snapshot as two with the same weights.
fn halves(snapshot: &Snapshot) -> [Snapshot; 2] {
    let part = |take_rest: bool| {
        let arms = snapshot.arms().iter().map(|arm| {
            let (n, s) = (arm.n, arm.sum as u64);
            let (m, r) = (n / 2, (s / 2).min(n / 2));
            if take_rest {
                counts(n - m, s - r)
            } else {
                counts(m, r)
            }
        });
        let arms: Vec<Counts> = arms.collect();
        Snapshot::of_counts(snapshot.weights().clone(), &arms).unwrap()
    };
    [part(false), part(true)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn cutting_a_snapshot_changes_nothing(snapshots in prop::collection::vec(snapshot(3), 1..6)) {
        prop_assume!(snapshots.iter().any(|s| s.visitors() > 0));
        let cut: Vec<Snapshot> = snapshots.iter().flat_map(halves).collect();
        let (one, two) = (sample_ratio(&snapshots).unwrap(), sample_ratio(&cut).unwrap());
        prop_assert!((one.chi_square - two.chi_square).abs() <= 1e-9 * (1.0 + one.chi_square));
        let contrast = Contrast::Difference { arm: 2, control: 0 };
        let at = |snapshots: &[Snapshot]| {
            confidence_sequence(snapshots, contrast, Scores::Plain, 0.02, 0.05).unwrap()
        };
        let (one, two) = (at(&snapshots), at(&cut));
        prop_assert!((one.estimate - two.estimate).abs() < 1e-9 * (1.0 + one.estimate.abs()));
        prop_assert!(one.variance.is_finite() && two.variance.is_finite());
        prop_assert!((one.variance - two.variance).abs() <= 1e-9 * (1.0 + one.variance));
    }

    #[test]
    fn under_constant_weights_the_bayes_factor_ignores_the_cuts(snapshot in snapshot(4)) {
        prop_assume!(snapshot.visitors() > 0);
        let whole = sample_ratio(std::slice::from_ref(&snapshot)).unwrap();
        let cut = sample_ratio(&halves(&snapshot)).unwrap();
        // The smallest p-value over the looks: the cut adds a look, never takes one away.
        let (whole, cut) = (whole.always_valid_p.ln(), cut.always_valid_p.ln());
        if whole.is_finite() {
            prop_assert!(cut <= whole + 1e-6 * (1.0 + whole.abs()), "{} {}", cut, whole);
        }
    }

    #[test]
    fn estimates_are_numbers(snapshots in prop::collection::vec(snapshot(3), 1..6)) {
        for arm in 0..3 {
            if let Ok(estimate) = adaptive_mean(&snapshots, arm) {
                prop_assert!(estimate.value.is_finite() && estimate.standard_error >= 0.0);
            }
        }
        for contrast in [Contrast::Mean(1), Contrast::Difference { arm: 1, control: 2 }] {
            let now =
                confidence_sequence(&snapshots, contrast, Scores::Centred, 0.02, 0.05).unwrap();
            prop_assert!(now.estimate.is_finite() && now.half_width > 0.0);
        }
    }

    #[test]
    fn lift_is_ordered_and_turns_round(
        (n, m) in (1u64..1_000_000, 1u64..1_000_000),
        (p, q) in (0.001..0.5_f64, 0.001..0.5_f64),
    ) {
        let beta = |n: u64, p: f64| {
            let n = n as f64;
            Beta::new(1.0 + n * p, 1.0 + n * (1.0 - p)).unwrap()
        };
        let (arm, control) = (beta(n, p), beta(m, q));
        let forth = lift(&arm, &control, 0.9).unwrap();
        prop_assert!(forth.low < forth.median && forth.median < forth.high);
        let back = lift(&control, &arm, 0.9).unwrap();
        for (a, b) in [(forth.low, back.high), (forth.median, back.median)] {
            prop_assert!(((1.0 + a) * (1.0 + b) - 1.0).abs() < 1e-6, "{} {}", a, b);
        }
        // The lift is above zero exactly as often as the arm beats control.
        let beats = prob_beats(&arm, &control).unwrap();
        if (beats - 0.95).abs() > 1e-6 {
            prop_assert_eq!(beats > 0.95, forth.low > 0.0);
        }
    }
}
