//! Input at the edge of what is permitted, and beyond: an answer or an error, never a panic, never
//! a NaN.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use proptest::prelude::*;
use samplit_bandit::*;

/// Any permitted Beta: parameters over eighteen orders of magnitude.
fn beta() -> impl Strategy<Value = Beta> {
    let parameter = || (-6.0..=12.0_f64).prop_map(|e| 10f64.powf(e).clamp(1e-6, 1e12));
    (parameter(), parameter()).prop_map(|(a, b)| Beta::new(a, b).unwrap())
}

fn student() -> impl Strategy<Value = StudentT> {
    let location = prop_oneof![Just(0.0), -1e3..1e3_f64, -1e9..1e9_f64];
    (location, -6.0..6.0_f64, 0.05..9.0_f64).prop_filter_map(
        "scale",
        |(location, scale, degrees)| {
            StudentT::new(location, 10f64.powf(scale), 10f64.powf(degrees)).ok()
        },
    )
}

/// Reals that arithmetic trips over.
fn wild() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MIN_POSITIVE),
        Just(f64::MAX),
        any::<f64>(),
        -2.0..2.0_f64,
    ]
}

fn finite(values: &[f64]) -> bool {
    values.iter().all(|value| value.is_finite())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn rates_of_any_size(arms in prop::collection::vec(beta(), 1..=6), q in 1e-9..=0.999_999_999_f64) {
        if let Ok(p) = p_best(&arms) {
            prop_assert!(finite(&p));
        }
        if let Ok(loss) = expected_loss(&arms) {
            prop_assert!(finite(&loss));
        }
        for arm in &arms {
            let x = arm.quantile(q).unwrap();
            prop_assert!((0.0..=1.0).contains(&x));
            prop_assert!((0.0..=1.0).contains(&arm.cdf(q).unwrap()));
            if let Ok(lift) = lift(arm, &arms[0], 0.95) {
                prop_assert!(!lift.low.is_nan() && lift.low <= lift.median);
                prop_assert!(lift.median <= lift.high);
            }
        }
    }

    #[test]
    fn values_of_any_size(arms in prop::collection::vec(student(), 1..=6), q in 1e-6..=0.999_999_f64) {
        if let Ok(p) = p_best_value(&arms) {
            prop_assert!(finite(&p) && (p.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(finite(&expected_loss_value(&arms).unwrap()));
        }
        for arm in &arms {
            let x = arm.quantile(q).unwrap();
            // The last bit of a large value may be a visible part of a small scale.
            let bit = x.abs() * f64::EPSILON / arm.scale();
            prop_assert!((arm.cdf(x).unwrap() - q).abs() < 1e-7 + bit);
        }
    }

    #[test]
    fn nonsense_is_refused(
        x in prop::array::uniform6(wild()),
        (n, s) in (any::<u64>(), any::<u64>()),
        flags in prop::collection::vec(any::<bool>(), 0..4),
    ) {
        let [a, b, c, d, e, f] = x;
        let counts = Counts { n, s };
        if let Ok(beta) = Beta::new(a, b) {
            if let Ok(q) = beta.quantile(c) {
                prop_assert!(!q.is_nan());
            }
            if let Ok((low, high)) = beta.interval(c) {
                prop_assert!(low <= high);
            }
            let _ = lift(&beta, &beta, d);
        }
        let rule = Rule {
            policy: Policy::Thompson,
            prior: Prior { alpha: a, beta: b },
            floor: c,
            warm_up: n,
        };
        let arms: Vec<ArmState> =
            flags.iter().map(|active| ArmState { n, s, active: *active }).collect();
        if let Ok(now) = allocate(&rule, &arms) {
            prop_assert!(finite(&now.p_best));
        }
        let _ = top_two(&[a, b, c]);
        let _ = Weights::from_probabilities(&[a, b], c);
        let _ = Weights::fixed(&[a, b, c], &flags);
        if let Ok((low, high)) = wilson(counts, a) {
            prop_assert!(low <= high);
        }
        let _ = newcombe(counts, Counts { n: s, s: n }, a);
        let _ = two_proportion_z(counts, counts);
        let sums = ValueSums { n: n % 1_000, sum: a, sum_squares: b };
        let prior = ValuePrior { mean: c, visitors: d, shape: e, scale: f };
        for prior in [prior, ValuePrior::default()] {
            if let Ok(t) = prior.posterior(sums) {
                prop_assert!(t.mean().is_finite() && t.scale() > 0.0);
            }
        }
        let covariates = CovariateSums { n, y: a, yy: b, x: c, xx: d, xy: e };
        if let Ok(adjusted) = cuped(&covariates, &covariates) {
            prop_assert!(adjusted.difference.value.is_finite());
            prop_assert!(adjusted.difference.standard_error.is_finite());
        }
        if let Ok(snapshot) = Snapshot::of_values(
            Weights::from_ppb(vec![1, 999_999_999]).unwrap(),
            vec![sums, ValueSums { n: s % 1_000, sum: c, sum_squares: d }],
        ) {
            let snapshots = [snapshot];
            if let Ok(estimate) = adaptive_difference(&snapshots, 1, 0) {
                prop_assert!(!estimate.value.is_nan() && !estimate.standard_error.is_nan());
            }
            let contrast = Contrast::Difference { arm: 1, control: 0 };
            if let Ok(now) = confidence_sequence(&snapshots, contrast, Scores::default(), e, f) {
                prop_assert!(!now.estimate.is_nan() && !now.half_width.is_nan());
            }
            if let Ok(split) = sample_ratio(&snapshots) {
                prop_assert!((0.0..=1.0).contains(&split.p_value));
                prop_assert!((0.0..=1.0).contains(&split.always_valid_p));
            }
            if let Ok(worth) = off_policy(&logged(&snapshots).unwrap(), &[0.5, 0.5]) {
                prop_assert!(!worth.snips.value.is_nan() && !worth.ips.standard_error.is_nan());
            }
        }
        let _ = tune(a, b);
        let _ = planned_variance(Scores::Plain, n, a, &[b, c]);
        let _ = holm(&[a, b]);
        let _ = discounted(&[Cohort { age: a, counts }], b);
        let _ = matured(&[Cohort { age: a, counts }], b);
        if let Ok(size) = sample_size(Comparison { rate: a, effect: b, alpha: c, power: d }) {
            prop_assert!(size.per_arm > 0);
        }
        let standing = Standing {
            visitors: n,
            visitors_per_day: a,
            p_best: b,
            expected_loss: c,
            versus_control: None,
            competes: s > 0,
        };
        let rule = StoppingRule::ProbabilityBest { at_least: d };
        let _ = may_stop(rule, Minimums { visitors_per_arm: s, days: e }, &[standing], f);
    }
}
