//! The traffic moves to the better arm.

use std::collections::HashMap;
use std::sync::Arc;

use samplit_engine::{EngineConfig, ManualClock, Mode, Principal, VariantId, from_micros};
use samplit_tests::{config, database, draft, engine, engine_with, fixed, start};

use crate::{conversion, visitor};

/// A seed under which the warm-up ends with the thirtieth visitor and B has 15 of them.
const SEED: u64 = 2;

#[tokio::test]
async fn after_the_warm_up_the_better_arm_gets_most() {
    let database = database().await;
    // Fixed time and seed fix the ids and the keys, and so every draw.
    let engine = engine_with(database.url(), fixed(SEED)).await;
    let me = Principal::system();
    let mut three = draft(&[3]);
    three.allocation.warm_up = 5;
    let experiment = start(&engine, three).await;
    let better = experiment.elements[0].variants[1].id;

    let mut seen = HashMap::<VariantId, Vec<String>>::new();
    for number in 0..30 {
        let name = format!("visitor-{number}");
        let assigned = engine
            .assign(&me, experiment.id, visitor(&name))
            .await
            .unwrap();
        seen.entry(assigned.variants[0]).or_default().push(name);
    }
    assert!(
        seen.values().all(|visitors| visitors.len() >= 5),
        "{seen:?}"
    );
    for name in &seen[&better][..15] {
        engine
            .convert(&me, experiment.id, conversion(name))
            .await
            .unwrap();
    }
    let mut to_better = 0;
    for number in 30..80 {
        let late = visitor(format!("visitor-{number}"));
        let assigned = engine.assign(&me, experiment.id, late).await.unwrap();
        to_better += usize::from(assigned.variants[0] == better);
    }
    assert!(to_better >= 20, "{to_better} of 50");

    let results = engine.results(&me, experiment.id).await.unwrap();
    assert_eq!(results.visitors, 80);
    assert_eq!(results.method, "thompson");
    let arm = &results.elements[0].arms[1];
    assert!(arm.p_best > 0.9 && arm.weight > 0.5, "{arm:?}");
    engine.shutdown().await;
}

#[tokio::test]
async fn elements_are_drawn_each_for_itself_or_together() {
    let database = database().await;
    let engine = engine(database.url(), 2).await;
    let me = Principal::system();
    for (mode, draws) in [(Mode::Independent, 2), (Mode::Factorial, 1)] {
        let mut two = draft(&[2, 3]);
        two.allocation.mode = mode;
        two.allocation.warm_up = 10;
        let experiment = start(&engine, two).await;
        let mut combinations = HashMap::<Vec<VariantId>, u64>::new();
        for number in 0..200 {
            let name = format!("visitor-{number}");
            let assigned = engine
                .assign(&me, experiment.id, visitor(&name))
                .await
                .unwrap();
            assert_eq!(assigned.variants.len(), 2);
            *combinations.entry(assigned.variants.to_vec()).or_default() += 1;
            if number % 2 == 0 {
                engine
                    .convert(&me, experiment.id, conversion(&name))
                    .await
                    .unwrap();
            }
        }
        assert_eq!(combinations.len(), 6, "{mode}");
        let results = engine.results(&me, experiment.id).await.unwrap();
        assert_eq!(results.elements.len(), draws, "{mode}");
        for element in &results.elements {
            assert_eq!(
                element.arms.iter().map(|arm| arm.assignments).sum::<u64>(),
                200
            );
            assert_eq!(
                element.arms.iter().map(|arm| arm.conversions).sum::<u64>(),
                100
            );
        }
        if mode == Mode::Factorial {
            for arm in &results.elements[0].arms {
                assert_eq!(arm.assignments, combinations[&arm.variants], "{}", arm.name);
            }
        }
        let report = engine.verify(&me, experiment.id).await.unwrap().unwrap();
        let replay = report.replay.unwrap();
        assert_eq!(replay.assignments, 200 * draws as u64, "{mode}");
        assert!(replay.weights > 0, "{mode}");
        // A restarted engine knows nobody and reads the same from the rows.
        let other = samplit_tests::engine(database.url(), 9).await;
        for number in 0..20 {
            let request = || visitor(format!("visitor-{number}"));
            let before = engine.assign(&me, experiment.id, request()).await.unwrap();
            let after = other.assign(&me, experiment.id, request()).await.unwrap();
            assert_eq!(before.variants, after.variants, "{mode}");
        }
        other.shutdown().await;
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn an_engine_with_little_to_do_draws_by_weights_that_are_not_too_old() {
    let database = database().await;
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    let with_clock = |seed| EngineConfig {
        clock: Arc::clone(&clock) as Arc<_>,
        ..config(seed)
    };
    let busy = engine_with(database.url(), with_clock(1)).await;
    let quiet = engine_with(database.url(), with_clock(2)).await;
    let me = Principal::system();
    let mut two = draft(&[2]);
    two.allocation.warm_up = 0;
    let experiment = start(&busy, two).await;
    quiet
        .assign(&me, experiment.id, visitor("early"))
        .await
        .unwrap();

    // Three snapshots, 1.5 s apart: the first one, which is all that `quiet` knows, was superseded
    // 3 s before the end, the last but one within the lag that the genesis allows.
    let mut snapshots = Vec::new();
    for round in 0..4 {
        for number in 0..20 {
            let name = format!("visitor-{round}-{number}");
            let assigned = busy
                .assign(&me, experiment.id, visitor(&name))
                .await
                .unwrap();
            if assigned.variants[0] == experiment.elements[0].variants[round % 2].id {
                busy.convert(&me, experiment.id, conversion(&name))
                    .await
                    .unwrap();
            }
        }
        snapshots.push(busy.results(&me, experiment.id).await.unwrap().snapshot_seq);
        if round < 3 {
            clock.advance(time::Duration::milliseconds(1_500));
        }
    }
    assert!(
        snapshots.is_sorted_by(|earlier, later| earlier < later),
        "{snapshots:?}"
    );

    quiet
        .assign(&me, experiment.id, visitor("late"))
        .await
        .unwrap();
    busy.verify(&me, experiment.id).await.unwrap().unwrap();
    busy.shutdown().await;
    quiet.shutdown().await;
}
