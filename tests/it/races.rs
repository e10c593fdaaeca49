//! Many engines, many tasks, the same visitors: one row each, and everything adds up.

use std::collections::HashMap;

use samplit_engine::{Engine, ExperimentId, Principal, VariantId};
use samplit_tests::{connect, database, draft, engine, start};

use crate::{conversion, visitor};

const VISITORS: usize = 20_000;
const TASKS: usize = 64;

/// One task: its share of the visitors, every third of whom another engine asks for at the same
/// moment, every fourth of whom converts, twice.
async fn visit(
    engine: Engine,
    id: ExperimentId,
    lane: usize,
    lanes: usize,
) -> Vec<(usize, VariantId)> {
    let me = Principal::system();
    let mut seen = Vec::new();
    for number in (0..VISITORS).filter(|number| {
        // Each visitor belongs to one lane, every third to the next lane as well.
        number % lanes == lane || (number % 3 == 0 && (number + 1) % lanes == lane)
    }) {
        let name = format!("visitor-{number}");
        let assigned = engine.assign(&me, id, visitor(&name)).await.unwrap();
        assert!(assigned.in_experiment);
        seen.push((number, assigned.variants[0]));
        if number % 4 == 0 {
            let (first, second) = tokio::join!(
                engine.convert(&me, id, conversion(&name)),
                engine.convert(&me, id, conversion(&name)),
            );
            let (first, second) = (first.unwrap(), second.unwrap());
            assert_eq!(first.converted_at, second.converted_at);
            assert!(
                first.duplicate || second.duplicate,
                "two events, at most one counts"
            );
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_engines_give_each_visitor_one_row_and_one_answer() {
    let database = database().await;
    let mut engines = Vec::new();
    for seed in 0..3 {
        engines.push(engine(database.url(), seed).await);
    }
    let experiment = start(&engines[0], draft(&[3])).await;

    let lanes = engines.len() * TASKS;
    let tasks: Vec<_> = (0..lanes)
        .map(|lane| {
            let engine = engines[lane % engines.len()].clone();
            tokio::spawn(visit(engine, experiment.id, lane, lanes))
        })
        .collect();
    let mut variants = HashMap::new();
    for task in tasks {
        for (number, variant) in task.await.unwrap() {
            assert_eq!(
                *variants.entry(number).or_insert(variant),
                variant,
                "visitor {number}"
            );
        }
    }
    assert_eq!(variants.len(), VISITORS);

    let client = connect(database.url()).await;
    let count = async |sql: &str| -> i64 { client.query_one(sql, &[]).await.unwrap().get(0) };
    let visitors = i64::try_from(VISITORS).unwrap();
    let converted = i64::try_from(VISITORS.div_ceil(4)).unwrap();
    assert_eq!(count("SELECT count(*) FROM assignments").await, visitors);
    assert_eq!(
        count("SELECT count(converted_at) FROM assignments").await,
        converted
    );
    for table in ["total_allocations", "total_conversions"] {
        let expected = if table == "total_allocations" {
            visitors
        } else {
            converted
        };
        let sum = format!("SELECT sum({table})::bigint FROM element_variants");
        assert_eq!(count(&sum).await, expected, "{table}");
    }
    assert_eq!(
        count("SELECT sum(assignments)::bigint FROM variant_statistics").await,
        visitors
    );
    assert_eq!(
        count("SELECT sum(conversions)::bigint FROM variant_statistics").await,
        converted
    );
    let entries = |kind: &str| {
        format!("SELECT count(*) FROM algorithm_audit_trail WHERE decision_type = '{kind}'")
    };
    assert_eq!(count(&entries("assignment")).await, visitors);
    assert_eq!(count(&entries("conversion")).await, converted);
    assert!(count(&entries("reallocation")).await > 0);
    assert_eq!(
        count("SELECT max(sequence_number) - count(*) FROM algorithm_audit_trail").await,
        0,
        "the sequence has no gap"
    );
    let report = engines[1]
        .verify(&Principal::system(), experiment.id)
        .await
        .unwrap()
        .unwrap();
    let replay = report.replay.unwrap();
    assert_eq!(
        (replay.assignments, replay.conversions),
        (visitors.cast_unsigned(), converted.cast_unsigned())
    );
    assert_eq!(
        replay.draws, replay.assignments,
        "every draw was recomputed from the key"
    );
    assert_eq!(
        replay.weights, replay.reallocations,
        "and every weight from the counts"
    );
    for engine in engines {
        engine.shutdown().await;
    }
}
