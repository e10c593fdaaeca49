//! What must hold for every input.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "generated counts are whole and small enough"
)]

use proptest::prelude::*;
use samplit_bandit::{
    ArmState, Beta, Counts, Method, Policy, Prior, Rule, SCALE, Weights, allocate, expected_loss,
    p_best, prob_beats, top_two,
};

/// Counts from nothing to a billion, rates from 0 to 1, the ends included.
fn counts() -> impl Strategy<Value = Counts> {
    let rate = prop_oneof![Just(0.0), Just(1.0), 0.0..=1.0, 0.0..=0.1];
    ((0.0..=9.0_f64), rate).prop_map(|(magnitude, rate)| {
        let n = 10f64.powf(magnitude).floor();
        let s = (n * rate).floor();
        Counts {
            n: n as u64,
            s: s as u64,
        }
    })
}

fn prior() -> impl Strategy<Value = Prior> {
    let parameter = || prop_oneof![Just(1.0), (-2.0..=2.0_f64).prop_map(|e| 10f64.powf(e))];
    (parameter(), parameter()).prop_map(|(alpha, beta)| Prior { alpha, beta })
}

fn posteriors(most: usize) -> impl Strategy<Value = Vec<Beta>> {
    (prior(), prop::collection::vec(counts(), 1..=most)).prop_map(|(prior, arms)| {
        arms.into_iter()
            .map(|arm| prior.posterior(arm).unwrap())
            .collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn being_best_is_a_distribution(arms in posteriors(64)) {
        let p = p_best(&arms).unwrap();
        prop_assert!(p.iter().all(|p| (0.0..=1.0).contains(p)));
        prop_assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let loss = expected_loss(&arms).unwrap();
        prop_assert!(loss.iter().all(|loss| (0.0..=1.0).contains(loss)));
    }

    #[test]
    fn being_best_moves_with_the_arms(arms in posteriors(12), turn in 0usize..12) {
        let turn = turn % arms.len();
        let mut turned = arms.clone();
        turned.rotate_left(turn);
        let mut p = p_best(&arms).unwrap();
        p.rotate_left(turn);
        for (p, q) in p.iter().zip(p_best(&turned).unwrap()) {
            prop_assert!((p - q).abs() < 1e-10);
        }
    }

    #[test]
    fn twins_are_equally_good(arm in posteriors(1), copies in 2usize..=64) {
        for p in p_best(&vec![arm[0]; copies]).unwrap() {
            prop_assert!((p * copies as f64 - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn one_beats_the_other(arms in prop::array::uniform2(counts())) {
        let [a, b] = arms.map(|arm| Prior::default().posterior(arm).unwrap());
        let sum = prob_beats(&a, &b).unwrap() + prob_beats(&b, &a).unwrap();
        prop_assert!((sum - 1.0).abs() < 1e-12);
    }

    #[test]
    fn a_conversion_never_hurts(
        arms in prop::collection::vec(counts(), 2..=8),
        prior in prior(),
        more in 1u64..1_000,
    ) {
        let state = |arms: &[Counts]| -> Vec<Beta> {
            arms.iter().map(|arm| prior.posterior(*arm).unwrap()).collect()
        };
        let before = p_best(&state(&arms)).unwrap();
        let mut arms = arms;
        arms[0].s = (arms[0].s + more).min(arms[0].n);
        let after = p_best(&state(&arms)).unwrap();
        prop_assert!(after[0] >= before[0] - 2e-10, "{} < {}", after[0], before[0]);
    }

    #[test]
    fn quantiles_invert_the_distribution(arm in posteriors(1), q in 1e-6..=0.999_999_f64) {
        let x = arm[0].quantile(q).unwrap();
        // The smallest and largest representable rates cannot be told apart from the ends.
        prop_assume!(x > 1e-300 && x < 1.0 - 1e-7);
        prop_assert!((arm[0].cdf(x).unwrap() - q).abs() < 1e-8);
    }

    #[test]
    fn weights_sum_and_hold_the_floor(
        raw in prop::collection::vec(0.0..=1.0_f64, 1..=64),
        share in 0.0..0.999_f64,
    ) {
        let total: f64 = raw.iter().sum();
        prop_assume!(total > 0.0);
        let p: Vec<f64> = raw.iter().map(|r| r / total).collect();
        let floor = share / p.len() as f64;
        let weights = Weights::from_probabilities(&p, floor).unwrap();
        prop_assert_eq!(weights.as_slice().iter().map(|w| u64::from(*w)).sum::<u64>(), SCALE);
        for (w, p) in weights.to_probabilities().into_iter().zip(&p) {
            prop_assert!(w >= floor - 2e-12);
            let ideal = floor + (1.0 - share) * p;
            prop_assert!((w - ideal).abs() < 1e-7, "{} {}", w, ideal);
        }
    }

    #[test]
    fn the_draw_matches_the_weights(
        raw in prop::collection::vec(0u32..1_000, 1..=20),
        r in 0u32..1_000_000_000,
    ) {
        let total: u32 = raw.iter().sum();
        prop_assume!(total > 0);
        let p: Vec<f64> = raw.iter().map(|r| f64::from(*r) / f64::from(total)).collect();
        let weights = Weights::from_probabilities(&p, 0.0).unwrap();
        let arm = weights.choose(r);
        let before: u32 = weights.as_slice()[..arm].iter().sum();
        prop_assert!(before <= r && r < before + weights.as_slice()[arm]);
    }

    #[test]
    fn top_two_is_a_distribution(arms in posteriors(20)) {
        let w = top_two(&p_best(&arms).unwrap()).unwrap();
        prop_assert!((w.iter().sum::<f64>() - 1.0).abs() < 1e-7);
        if w.len() > 1 {
            prop_assert!(w.iter().all(|w| *w <= 0.5 + 1e-7));
        }
    }

    #[test]
    fn allocation_serves_the_active_arms_only(
        arms in prop::collection::vec((counts(), any::<bool>()), 1..=16),
        top in any::<bool>(),
    ) {
        let policy = if top { Policy::TopTwo } else { Policy::Thompson };
        let rule = Rule { policy, ..Rule::default() };
        let arms: Vec<ArmState> = arms
            .iter()
            .map(|(Counts { n, s }, active)| ArmState { n: *n, s: *s, active: *active })
            .collect();
        let active = arms.iter().filter(|arm| arm.active).count();
        let Ok(now) = allocate(&rule, &arms) else {
            prop_assert_eq!(active, 0);
            return Ok(());
        };
        for (i, arm) in arms.iter().enumerate() {
            let weight = now.weights.as_slice()[i];
            if arm.active {
                prop_assert!(weight >= 10_000_000);
            } else {
                prop_assert_eq!(weight, 0);
                prop_assert_eq!(now.p_best[i].to_bits(), 0);
            }
        }
        let warm = arms.iter().all(|arm| !arm.active || arm.n >= rule.warm_up);
        prop_assert_eq!(now.method == Method::Uniform, !warm);
        prop_assert_eq!(&allocate(&rule, &arms).unwrap(), &now);
    }
}

/// The project's own values: mpmath at 50 digits.
#[test]
fn reference_values() {
    let beta = |a, b| Beta::new(a, b).unwrap();
    let p = p_best(&[beta(51.0, 951.0), beta(66.0, 936.0)]).unwrap();
    assert!((p[1] - 0.924_480_378_902_573_7).abs() < 1e-12);
    let loss = expected_loss(&[beta(51.0, 951.0), beta(66.0, 936.0)]).unwrap();
    assert!((loss[1] - 0.000_354_968_604_857_258_7).abs() < 1e-12);
    // Arcsine law: quantile(q) = sin^2(pi q / 2).
    let x = beta(0.5, 0.5).quantile(0.025).unwrap();
    assert!((x / (std::f64::consts::PI * 0.0125).sin().powi(2) - 1.0).abs() < 1e-11);
    // P(X > Y) for X ~ Beta(a, 1), Y ~ Beta(b, 1) is a / (a + b).
    for (a, b) in [(0.01, 0.03), (1.0, 1e9), (3e8, 1e9), (1e-6, 1e-6)] {
        let p = prob_beats(&beta(a, 1.0), &beta(b, 1.0)).unwrap();
        assert!((p - a / (a + b)).abs() < 1e-9, "{a} {b}: {p}");
    }
    // Beta(a, 1) to the power: the largest of independent ones is Beta(sum of a, 1).
    let rates = [0.02, 0.5, 3.0, 40.0];
    let p = p_best(&rates.map(|a| beta(a, 1.0))).unwrap();
    for (p, a) in p.iter().zip(rates) {
        assert!((p - a / 43.52).abs() < 1e-11);
    }
}

#[test]
fn a_lone_arm_gets_everything() {
    let arm = |active| ArmState {
        n: 1_000,
        s: 10,
        active,
    };
    let now = allocate(&Rule::default(), &[arm(false), arm(true)]).unwrap();
    assert_eq!(now.weights.as_slice(), &[0, 1_000_000_000]);
    assert_eq!(now.p_best, [0.0, 1.0]);
}

#[test]
fn equal_posteriors_are_played_like_an_even_split() {
    let even = Rule {
        policy: Policy::Fixed(vec![0.25; 4]),
        ..Rule::default()
    };
    let arms = [ArmState {
        n: 5_000,
        s: 300,
        active: true,
    }; 4];
    let fixed = allocate(&even, &arms).unwrap().weights;
    for policy in [Policy::Thompson, Policy::TopTwo] {
        let rule = Rule {
            policy,
            ..Rule::default()
        };
        let weights = allocate(&rule, &arms).unwrap().weights;
        assert!(weights.max_move(&fixed) <= 1, "{weights:?}");
    }
}

#[test]
fn fixed_shares_need_no_warm_up() {
    let rule = Rule {
        policy: Policy::Fixed(vec![0.9, 0.1, 0.0]),
        ..Rule::default()
    };
    let arm = |active| ArmState { n: 0, s: 0, active };
    let now = allocate(&rule, &[arm(true), arm(true), arm(true)]).unwrap();
    assert_eq!(now.weights.as_slice(), &[900_000_000, 100_000_000, 0]);
    assert_eq!(now.method, Method::Fixed);
    let now = allocate(&rule, &[arm(false), arm(true), arm(true)]).unwrap();
    assert_eq!(now.weights.as_slice(), &[0, 1_000_000_000, 0]);
}

#[test]
fn refusals_name_the_argument() {
    let arm = |n, s| ArmState { n, s, active: true };
    let refused =
        |rule: &Rule, arms: &[ArmState]| allocate(rule, arms).unwrap_err().argument().to_owned();
    let rule = Rule::default();
    assert_eq!(refused(&rule, &[]), "arms");
    assert_eq!(refused(&rule, &[arm(3, 4), arm(9, 1)]), "s");
    let greedy = Rule {
        floor: 0.5,
        ..Rule::default()
    };
    assert_eq!(refused(&greedy, &[arm(0, 0), arm(0, 0)]), "floor");
    let vague = Rule {
        prior: Prior {
            alpha: 0.0,
            beta: f64::NAN,
        },
        ..Rule::default()
    };
    assert_eq!(refused(&vague, &[arm(0, 0), arm(0, 0)]), "alpha");
    let short = Rule {
        policy: Policy::Fixed(vec![1.0]),
        ..Rule::default()
    };
    assert_eq!(refused(&short, &[arm(0, 0), arm(0, 0)]), "shares");
    assert_eq!(p_best(&[]).unwrap_err().argument(), "arms");
    assert_eq!(
        Counts::new(10, 12).unwrap_err().to_string(),
        "s: 12 conversions exceed 10 assignments"
    );
    assert!(Beta::new(1.0, f64::INFINITY).is_err());
    assert!(Beta::new(1.0, 1.0).unwrap().quantile(f64::NAN).is_err());
    assert!(Beta::new(1.0, 1.0).unwrap().cdf(1.5).is_err());
}
