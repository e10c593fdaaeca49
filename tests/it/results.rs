//! Results from stored statistics, against an oracle that reads the trail.

use std::collections::HashMap;
use std::time::Duration;

use samplit_bandit::{Counts, Prior, lift};
use samplit_engine::{
    DecisionType, Engine, EngineConfig, Experiment, ExperimentId, ForecastRequest, GoalDraft,
    GoalKind, Mode, PolicyKind, Principal, Status, Stopping, StoppingRule, Strategy, Target,
};
use samplit_tests::{database, draft, engine_with, fixed, start};
use serde_json::{Map, json};

use crate::{conversion, visitor};

/// Sends visitors in waves; the share `rates[arm]` of an arm's visitors converts, the first ones.
pub(crate) async fn traffic(
    engine: &Engine,
    experiment: &Experiment,
    visitors: usize,
    rates: &[f64],
) {
    let me = Principal::system();
    let mut seen = vec![0.0; rates.len()];
    let mut converted = vec![0.0; rates.len()];
    for wave in 0..visitors / 50 {
        let names: Vec<String> = (0..50).map(|n| format!("visitor-{wave}-{n}")).collect();
        let mut converting = Vec::new();
        for name in &names {
            let mut request = visitor(name);
            let device = if name.ends_with('7') { "phone" } else { "desk" };
            request.context = Map::from_iter([("device".to_owned(), json!(device))]);
            let assigned = engine.assign(&me, experiment.id, request).await.unwrap();
            if !assigned.in_experiment {
                return;
            }
            let shown = assigned.variants[0];
            let variants = &experiment.elements[0].variants;
            let arm = variants
                .iter()
                .position(|variant| variant.id == shown)
                .unwrap();
            seen[arm] += 1.0;
            if converted[arm] < rates[arm] * seen[arm] {
                converted[arm] += 1.0;
                converting.push(name);
            }
        }
        for name in converting {
            engine
                .convert(&me, experiment.id, conversion(name))
                .await
                .unwrap();
        }
    }
}

/// Visitors and conversions per snapshot and arm, read from the trail.
async fn from_trail(engine: &Engine, id: ExperimentId) -> HashMap<(u64, u64), (u64, u64)> {
    let mut counts = HashMap::<(u64, u64), (u64, u64)>::new();
    let mut of_visitor = HashMap::new();
    let mut after = 0;
    loop {
        let page = engine
            .trail(&Principal::system(), id, after, 1_000)
            .await
            .unwrap();
        let Some(last) = page.last() else {
            return counts;
        };
        after = last.sequence_number;
        for entry in page {
            let data = &entry.decision_data;
            let number = |key: &str| data[key].as_u64().unwrap();
            let pseudonym = data["visitor"].as_str().map(str::to_owned);
            match entry.decision_type {
                DecisionType::Assignment => {
                    let key = (number("snapshot_seq"), number("arm"));
                    of_visitor.insert(pseudonym, key);
                    counts.entry(key).or_default().0 += 1;
                }
                DecisionType::Conversion => {
                    counts.get_mut(&of_visitor[&pseudonym]).unwrap().1 += 1;
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn results_follow_from_the_trail() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(3)).await;
    let me = Principal::system();
    let mut two = draft(&[2]);
    two.allocation.warm_up = 400;
    let experiment = start(&engine, two).await;
    traffic(&engine, &experiment, 2_000, &[0.05, 0.3]).await;

    let results = engine.results(&me, experiment.id).await.unwrap();
    let counts = from_trail(&engine, experiment.id).await;
    let arms = &results.elements[0].arms;
    for (index, arm) in arms.iter().enumerate() {
        let of_arm = counts.iter().filter(|((_, a), _)| *a == index as u64);
        let sum = of_arm.fold((0, 0), |sum, (_, (n, s))| (sum.0 + n, sum.1 + s));
        assert_eq!((arm.assignments, arm.conversions), sum, "{}", arm.name);
        let evidence = &arm.evidence;
        let (adaptive, always) = (evidence.adaptive.unwrap(), evidence.always_valid.unwrap());
        let truth = [0.05, 0.3][index];
        assert!(
            adaptive.interval[0] <= truth && truth <= adaptive.interval[1],
            "{arm:?}"
        );
        assert!(
            always.interval[0] <= truth && truth <= always.interval[1],
            "{arm:?}"
        );
        assert!(
            always.interval[1] - always.interval[0] > adaptive.interval[1] - adaptive.interval[0]
        );
        assert_eq!(evidence.wilson, None, "only where the weights are fixed");
    }
    let difference = arms[1].evidence.versus_control.unwrap();
    assert!(difference.excludes_zero, "{difference:?}");
    assert!(arms[0].evidence.versus_control.is_none());
    assert!(arms[1].lift.unwrap().median > 2.0);
    assert!(arms[1].p_beats_control.unwrap() > 0.999);
    assert!(arms[1].expected_gain_per_1000.unwrap() > 150.0);
    let ratio = results.elements[0].sample_ratio.as_ref().unwrap();
    assert_eq!((ratio.verdict, ratio.leaked), ("sound", 0));
    assert_eq!(ratio.observed.iter().sum::<u64>(), 2_000);
    let stopping = &results.elements[0].stopping;
    assert!(!stopping.may_stop && stopping.leader == 1, "{stopping:?}");
    assert!(
        stopping.missing.iter().any(|what| what.contains("days")),
        "{stopping:?}"
    );

    let timeline = engine.evidence_timeline(&me, experiment.id).await.unwrap();
    for point in &timeline {
        for (index, arm) in point.arms[0].iter().enumerate() {
            let found = counts
                .get(&(point.snapshot_seq, index as u64))
                .copied()
                .unwrap_or_default();
            assert_eq!(
                (arm.assignments, arm.conversions),
                found,
                "{}",
                point.snapshot_seq
            );
        }
    }
    let end = &timeline.last().unwrap().arms[0];
    assert_eq!(
        end.iter()
            .map(|arm| arm.cumulative_assignments)
            .sum::<u64>(),
        2_000
    );

    // As of the second snapshot, only the visitors of the first one count.
    let early = timeline[1].snapshot_seq;
    let before = engine
        .results_as_of(&me, experiment.id, Some(early))
        .await
        .unwrap();
    let first: u64 = timeline[0].arms[0].iter().map(|arm| arm.assignments).sum();
    assert_eq!((before.visitors, before.snapshot_seq), (first, early));
    assert!(
        engine
            .results_as_of(&me, experiment.id, Some(2))
            .await
            .is_err(),
        "no snapshot"
    );

    let asked = engine.segments(&me, experiment.id, "device").await.unwrap();
    let segments = asked.data;
    assert_eq!(asked.comparisons, 1, "too few of control have a phone");
    // By hand: the lift at the level at which one holds.
    for segment in &segments {
        let [control, arm] = &segment.elements[0][..] else {
            panic!("{segment:?}");
        };
        let posterior = |arm: &samplit_engine::SegmentArm| {
            let counts = Counts {
                n: arm.assignments,
                s: arm.conversions,
            };
            Prior::default().posterior(counts).unwrap()
        };
        assert!(control.lift.is_none() && !control.stands_out);
        if control.assignments < 100 {
            assert_eq!(segment.value.as_deref(), Some("phone"));
            assert!(arm.lift.is_none() && !arm.stands_out, "{arm:?}");
            continue;
        }
        let expected = lift(&posterior(arm), &posterior(control), 0.95).unwrap();
        let found = arm.lift.unwrap();
        assert!((found.median - expected.median).abs() < 1e-9, "{found:?}");
        assert!((found.interval[0] - expected.low).abs() < 1e-9, "{found:?}");
        assert_eq!(arm.stands_out, expected.low > 0.0 || expected.high < 0.0);
    }
    assert!(segments[0].elements[0][1].stands_out, "{segments:?}");
    assert_eq!(segments[0].value.as_deref(), Some("desk"));
    let visitors = |segment: &samplit_engine::Segment| -> u64 {
        segment.elements[0].iter().map(|arm| arm.assignments).sum()
    };
    assert_eq!(
        (visitors(&segments[0]), visitors(&segments[1])),
        (1_800, 200)
    );

    let even = engine
        .what_if(&me, experiment.id, 0, Target::Even)
        .await
        .unwrap();
    let [low, high] = even.doubly_robust.interval;
    assert!(low <= 0.175 && 0.175 <= high, "half of each: {even:?}");
    assert!(
        even.doubly_robust.estimate < even.logged_rate,
        "the bandit earned more"
    );
    let policy = Target::Policy {
        policy: PolicyKind::Thompson,
        floor: 0.05,
    };
    let thompson = engine.what_if(&me, experiment.id, 0, policy).await.unwrap();
    assert!((thompson.shares[0] - 0.05).abs() < 1e-6, "{thompson:?}");
    assert!(
        engine
            .what_if(&me, experiment.id, 0, Target::Shares(vec![1.0]))
            .await
            .is_err()
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn fixed_weights_get_the_classical_figures_and_values_their_posterior() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(5)).await;
    let me = Principal::system();
    let mut fixed = draft(&[2]);
    fixed.strategy = Strategy::Fixed;
    fixed.goals = vec![GoalDraft {
        name: "sale".to_owned(),
        kind: GoalKind::Value,
        default_value: 20.0,
        trigger: None,
    }];
    let experiment = start(&engine, fixed).await;
    traffic(&engine, &experiment, 1_000, &[0.1, 0.2]).await;
    let results = engine.results(&me, experiment.id).await.unwrap();
    assert_eq!(results.method, "fixed");
    for arm in &results.elements[0].arms {
        let [low, high] = arm.evidence.wilson.unwrap();
        assert!(low < arm.rate.unwrap() && arm.rate.unwrap() < high);
        let value = arm.value.unwrap();
        assert!(
            (value.mean / arm.rate.unwrap() - 20.0).abs() < 0.1,
            "{value:?}"
        );
    }
    let difference = results.elements[0].arms[1].evidence.versus_control.unwrap();
    assert!(difference.p_value.unwrap() < 0.01 && difference.newcombe.unwrap()[0] > 0.0);
    // All conversions bring 20, so that they weigh as many as they are, and a visitor's value varies as a
    // conversion does.
    let [control, arm] = &results.elements[0].arms[..] else {
        panic!("{results:?}");
    };
    let (worth, rate) = (arm.value.unwrap(), arm.rate.unwrap());
    assert!(worth.p_best > 0.99);
    assert!(
        (worth.per_conversion.unwrap() - 20.0).abs() < 1e-9,
        "{worth:?}"
    );
    let converted = f64::from(u32::try_from(arm.conversions).unwrap());
    assert!(
        (worth.effective_conversions - converted).abs() < 1e-6,
        "{worth:?}"
    );
    let n = f64::from(u32::try_from(arm.assignments).unwrap());
    let deviation = 20.0 * (rate * (1.0 - rate) * n / (n - 1.0)).sqrt();
    assert!(
        (worth.deviation.unwrap() - deviation).abs() < 1e-9,
        "{worth:?}"
    );
    let versus = worth.versus_control.unwrap();
    let reference = control.value.unwrap();
    assert!(reference.versus_control.is_none());
    assert!((versus.mean - (worth.mean - reference.mean)).abs() < 1e-12);
    // Two arms: to be worth more than control is to be worth most.
    assert!((versus.p_above - worth.p_best).abs() < 1e-9, "{versus:?}");
    let half = |[low, high]: [f64; 2]| 0.5 * (high - low);
    let both = half(worth.credible_interval).hypot(half(reference.credible_interval));
    assert!(
        (half(versus.interval) / both - 1.0).abs() < 0.01,
        "{versus:?}"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn combinations_tell_main_effects_and_interactions() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(6)).await;
    let me = Principal::system();
    for mode in [Mode::Factorial, Mode::Independent] {
        let mut two = draft(&[2, 2]);
        two.allocation.mode = mode;
        two.allocation.warm_up = 10_000;
        let experiment = start(&engine, two).await;
        // The second variants help only together: 10 % each alone, 40 % as a pair.
        let mut counts = HashMap::<Vec<bool>, (u32, u32)>::new();
        for number in 0..1_200 {
            let name = format!("visitor-{number}");
            let shown = engine
                .assign(&me, experiment.id, visitor(&name))
                .await
                .unwrap();
            let second: Vec<bool> = shown
                .variants
                .iter()
                .zip(&experiment.elements)
                .map(|(id, element)| *id == element.variants[1].id)
                .collect();
            let every = if second == [true, true] { 5 } else { 20 };
            let count = counts.entry(second).or_default();
            count.0 += 1;
            if (count.0 * 2).is_multiple_of(every) {
                count.1 += 1;
                engine
                    .convert(&me, experiment.id, conversion(&name))
                    .await
                    .unwrap();
            }
        }
        let combinations = engine.combinations(&me, experiment.id).await.unwrap();
        assert_eq!(combinations.len(), 4, "{mode}");
        for combination in &combinations {
            let second: Vec<bool> = combination
                .variants
                .iter()
                .zip(&experiment.elements)
                .map(|(id, element)| *id == element.variants[1].id)
                .collect();
            let (n, s) = counts[&second];
            assert_eq!(
                (combination.assignments, combination.conversions),
                (u64::from(n), u64::from(s))
            );
        }
        let results = engine.results(&me, experiment.id).await.unwrap();
        let effects = &results.elements[0].effects;
        if mode == Mode::Independent {
            assert!(effects.is_empty());
            continue;
        }
        assert_eq!(effects.len(), 3, "two main effects and their interaction");
        let together = effects
            .iter()
            .find(|effect| effect.variants.len() == 2)
            .unwrap();
        // By hand: the difference of differences of the observed rates.
        let mean = |key: [bool; 2]| {
            let (n, s) = counts[&key[..]];
            f64::from(s) / f64::from(n)
        };
        let expected =
            mean([true, true]) - mean([true, false]) - mean([false, true]) + mean([false, false]);
        assert!(
            (together.effect - expected).abs() < 1e-12,
            "{together:?} {expected}"
        );
        assert!(together.interval[0] > 0.0 && together.stands_out);
        // Nothing is marked that its own interval does not leave zero out of.
        for effect in effects {
            let [low, high] = effect.interval;
            assert!(!effect.stands_out || low > 0.0 || high < 0.0, "{effect:?}");
        }
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn an_experiment_that_registered_so_completes_by_itself() {
    let database = database().await;
    let complete_every = Duration::from_millis(20);
    let engine = engine_with(
        database.url(),
        EngineConfig {
            complete_every,
            ..fixed(8)
        },
    )
    .await;
    let me = Principal::system();
    let register = |auto_complete| {
        let mut two = draft(&[2]);
        two.allocation.warm_up = 20;
        two.stopping = Stopping {
            rule: StoppingRule::PBest,
            threshold: Some(0.95),
            min_visitors_per_arm: 20,
            min_days: 0.0,
            auto_complete,
            ..Stopping::default()
        };
        two
    };
    let asked = start(&engine, register(true)).await;
    let unasked = start(&engine, register(false)).await;
    for experiment in [&unasked, &asked] {
        let visits = traffic(&engine, experiment, 200, &[0.05, 0.6]);
        // It may complete while visitors still come; conversions of earlier ones still count.
        tokio::time::timeout(Duration::from_secs(60), visits)
            .await
            .unwrap_or(());
    }
    let completed = async {
        loop {
            let now = engine.experiment(&me, asked.id).await.unwrap();
            if now.status == Status::Completed {
                return now;
            }
            tokio::task::yield_now().await;
        }
    };
    let now = tokio::time::timeout(Duration::from_secs(60), completed)
        .await
        .unwrap();
    assert_eq!(now.winners(), [asked.elements[0].variants[1].id]);
    let results = engine.results(&me, unasked.id).await.unwrap();
    assert!(
        results.elements[0].stopping.may_stop,
        "{:?}",
        results.elements[0].stopping
    );
    assert_eq!(
        results.experiment.status,
        Status::Active,
        "nothing stops unasked"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_forecast_repeats_itself_and_names_bad_fields() {
    let database = database().await;
    let engine = engine_with(database.url(), fixed(7)).await;
    let me = Principal::system();
    let request = ForecastRequest {
        rates: vec![0.05, 0.06],
        visitors_per_day: 1_000,
        days: 14,
        strategy: Strategy::Adaptive,
        allocation: samplit_engine::Allocation::default(),
        stop_at_p_best: 0.95,
        min_visitors_per_arm: 1_000,
        min_days: 7.0,
        rule: None,
        max_runs: u32::MAX,
        seed: 1,
    };
    let told = engine.forecast(&me, request.clone()).await.unwrap();
    assert_eq!(told, engine.forecast(&me, request.clone()).await.unwrap());
    assert!(
        told.right_choice > 0.7 && told.shares[1] > told.shares[0],
        "{told:?}"
    );
    assert!(told.classical_visitors_per_arm.unwrap() > 5_000);
    // The rule that is to be registered ends it, and fewer runs are told as well.
    let registered = ForecastRequest {
        rule: Some(Stopping {
            rule: StoppingRule::Visitors,
            threshold: Some(10_000.0),
            ..Stopping::default()
        }),
        // A variant that hardly anybody gets is not waited for.
        min_visitors_per_arm: 0,
        max_runs: 300,
        ..request.clone()
    };
    let told = engine.forecast(&me, registered).await.unwrap();
    assert_eq!((told.runs, told.stopped), (300, 1.0));
    assert_eq!((told.days.p10, told.days.p90), (10.0, 10.0));
    let bad = ForecastRequest {
        rule: Some(Stopping {
            threshold: Some(2.0),
            ..Stopping::default()
        }),
        rates: vec![0.0],
        visitors_per_day: 0,
        days: 0,
        ..request
    };
    let refused = engine.forecast(&me, bad).await.unwrap_err().to_string();
    assert!(refused.starts_with("5 field(s)"), "{refused}");
    engine.shutdown().await;
}
