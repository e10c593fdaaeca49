//! Each invariant, broken by hand, is found by the check that names it, and only what follows from
//! something else is mended.

use samplit_engine::{
    Engine, Experiment, ExperimentDraft, Hypothesis, Principal, Repairs, Transition,
};
use samplit_tests::{connect, database, draft, engine, engine_with, eventually, start};
use tokio_postgres::Client;

use crate::{checkpoints, conversion, sound, visitor};

const COUNTERS: &str = "counters of variants are the rows";
const RATES: &str = "conversion rates are the counters";
const STATISTICS: &str = "statistics are the rows";
const TRAIL: &str = "rows are in the trail";
const ROWS: &str = "rows say what their entries say";
const ERASED: &str = "nobody who was erased is named";
const SEQUENCES: &str = "trails have no gap";
const HEADS: &str = "heads are the last entries";
const FRONTIERS: &str = "frontiers lead to the root";
const CHECKPOINTS: &str = "checkpoints are what the trails began with";
const HOLDS: &str = "no trail is on hold";
const SEALS: &str = "sealed trails end in their seal";
const REGISTRATIONS: &str = "registrations are those of the genesis";
const READABLE: &str = "everything can be read";
const VERIFIED: &str = "trails verify, with replay";
const VISITORS: &str = "one row per visitor";

/// What can be put back as it was.
const TABLES: [&str; 9] = [
    "experiments",
    "element_variants",
    "assignments",
    "variant_statistics",
    "algorithm_audit_trail",
    "audit_heads",
    "audit_checkpoints",
    "experiment_keys",
    "erasures",
];

/// An engine that signs when asked: what is broken here is not to be held meanwhile.
async fn signing(url: &str, seed: u64) -> Engine {
    engine_with(url, checkpoints::signing(seed, &[7])).await
}

/// An experiment with one of everything that there is to check.
async fn everything(engine: &Engine, elements: &[usize]) -> Experiment {
    let me = Principal::system();
    let hypothesis = Hypothesis {
        statement: "B is better".to_owned(),
        minimum_effect: None,
    };
    let mut registered = ExperimentDraft {
        hypothesis: Some(hypothesis),
        ..draft(elements)
    };
    registered.allocation.warm_up = 1;
    let experiment = start(engine, registered).await;
    let id = experiment.id;
    for number in 0..40 {
        let name = format!("v{number}");
        engine.assign(&me, id, visitor(&name)).await.unwrap();
        if number % 3 == 0 {
            engine.convert(&me, id, conversion(&name)).await.unwrap();
        }
    }
    engine.sign_checkpoint(&me, id).await.unwrap();
    engine.erase_visitor(&me, "v1").await.unwrap();
    let entries = engine.trail(&me, id, 0, 1_000).await.unwrap();
    for kind in ["assignment", "conversion"] {
        let found = entries
            .iter()
            .rfind(|entry| entry.decision_type.as_str() == kind);
        let of = found.unwrap().sequence_number;
        engine
            .redact(&me, id, of, "to see what remains")
            .await
            .unwrap();
    }
    engine.sign_checkpoint(&me, id).await.unwrap();
    experiment
}

async fn save(client: &Client) {
    for table in TABLES {
        let sql = format!(
            "CREATE TABLE saved_{table} AS TABLE {table}; ALTER TABLE {table} DISABLE TRIGGER ALL"
        );
        client.batch_execute(&sql).await.unwrap();
    }
}

async fn put_back(client: &Client) {
    for table in TABLES {
        let sql = format!("DELETE FROM {table}; INSERT INTO {table} TABLE saved_{table}");
        client.batch_execute(&sql).await.unwrap();
    }
}

async fn failed(engine: &Engine) -> Vec<&'static str> {
    let checks = engine.doctor().await.unwrap();
    let failed = checks.iter().filter(|check| !check.is_passed());
    failed.map(|check| check.name).collect()
}

/// The checks for whose sake repair looks closer: of derived values, and of what cannot be read.
const WANTING: [&str; 5] = [COUNTERS, RATES, STATISTICS, FRONTIERS, READABLE];

/// What to break, which checks find it, and whether it can be mended.
const BROKEN: &[(&str, &[&str], bool)] = &[
    (
        "UPDATE element_variants SET total_allocations = total_allocations + 1, conversion_rate = \
         total_conversions::float8 / (total_allocations + 1)",
        &[COUNTERS],
        true,
    ),
    (
        "UPDATE element_variants SET conversion_rate = 0.75",
        &[RATES],
        true,
    ),
    (
        "UPDATE element_variants SET total_conversions = NULL, conversion_rate = NULL",
        &[COUNTERS],
        true,
    ),
    (
        "UPDATE variant_statistics SET assignments = assignments + 1",
        &[STATISTICS],
        true,
    ),
    (
        "UPDATE variant_statistics SET value_sum = value_sum * 1.5",
        &[STATISTICS],
        true,
    ),
    (
        "UPDATE variant_statistics SET snapshot_seq = snapshot_seq + 1000",
        &[STATISTICS],
        true,
    ),
    ("DELETE FROM variant_statistics", &[STATISTICS], true),
    (
        "UPDATE audit_heads SET frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1)",
        &[FRONTIERS, VERIFIED],
        true,
    ),
    (
        "DELETE FROM assignments WHERE user_identifier = 'v2'",
        &[COUNTERS, STATISTICS, TRAIL],
        false,
    ),
    (
        "UPDATE assignments a SET user_identifier = b.new FROM (VALUES ('v4', 'v5x'), \
         ('v5', 'v4x')) b(old, new) WHERE a.user_identifier = b.old",
        &[ROWS],
        false,
    ),
    (
        "UPDATE assignments SET user_identifier = 'v1' WHERE user_identifier LIKE 'erased:%'",
        &[ERASED],
        false,
    ),
    (
        "UPDATE assignments SET context = '{\"name\": \"anna\"}' \
         WHERE user_identifier LIKE 'erased:%'",
        &[ERASED],
        false,
    ),
    (
        "UPDATE assignments SET snapshot_seq = 1 WHERE snapshot_seq > 1",
        &[STATISTICS, ROWS],
        false,
    ),
    (
        "UPDATE assignments SET conversion_value = 2 WHERE user_identifier = 'v3'",
        &[STATISTICS, ROWS],
        false,
    ),
    (
        "UPDATE assignments SET converted_at = converted_at + interval '1 second' \
         WHERE user_identifier = 'v3'",
        &[ROWS],
        false,
    ),
    (
        "UPDATE assignments SET conversion_seq = (SELECT conversion_seq FROM assignments \
         WHERE user_identifier = 'v6') WHERE user_identifier = 'v3'",
        &[TRAIL, ROWS],
        false,
    ),
    (
        "UPDATE assignments SET converted_at = now(), conversion_value = 1 \
         WHERE user_identifier = 'v2'",
        &[COUNTERS, STATISTICS, TRAIL],
        false,
    ),
    (
        "UPDATE assignments SET snapshot_seq = NULL WHERE user_identifier = 'v2'",
        &[STATISTICS, ROWS],
        false,
    ),
    (
        "UPDATE audit_heads SET last_us = last_us + 1",
        &[HEADS],
        false,
    ),
    (
        "UPDATE audit_heads SET head_hash = reverse(head_hash)",
        &[HEADS, VERIFIED],
        false,
    ),
    (
        "UPDATE audit_heads SET hold = 'another history was exported'",
        &[HOLDS],
        false,
    ),
    // What a forger leaves: nothing that follows from it is made to fit.
    (
        "UPDATE audit_heads SET hold = 'another history was exported', \
         frontier = set_byte(frontier, 3, get_byte(frontier, 3) # 1)",
        &[HOLDS, FRONTIERS, VERIFIED],
        false,
    ),
    (
        "UPDATE audit_checkpoints SET root = reverse(root); \
         UPDATE element_variants SET total_allocations = 7, conversion_rate = \
         total_conversions / 7.0",
        &[COUNTERS, CHECKPOINTS],
        false,
    ),
    (
        "UPDATE algorithm_audit_trail SET decision_data = jsonb_set(decision_data, '{r_ppb}', '1') \
         WHERE sequence_number = 2; DELETE FROM variant_statistics",
        &[STATISTICS, VERIFIED],
        false,
    ),
    (
        "UPDATE audit_heads SET snapshot_seq = 2",
        &[HEADS, READABLE, VERIFIED],
        false,
    ),
    (
        "UPDATE audit_heads SET sealed_us = last_us",
        &[SEALS, VERIFIED],
        false,
    ),
    (
        "UPDATE audit_checkpoints SET root = reverse(root)",
        &[CHECKPOINTS],
        false,
    ),
    (
        "UPDATE audit_checkpoints SET note = replace(note, E'\\n\\n', E'x\\n\\n')",
        &[CHECKPOINTS, VERIFIED],
        false,
    ),
    (
        "UPDATE experiments SET registration = NULL",
        &[REGISTRATIONS],
        false,
    ),
    (
        "UPDATE experiments SET registration = registration || '{\"goal\": {}}'",
        &[REGISTRATIONS],
        false,
    ),
    (
        "UPDATE experiment_keys SET draw_key_sealed = pid_key_sealed",
        &[READABLE, VERIFIED],
        false,
    ),
    (
        "UPDATE algorithm_audit_trail SET decision_data = jsonb_set(decision_data, '{r_ppb}', '1') \
         WHERE sequence_number = 2",
        &[VERIFIED],
        false,
    ),
    (
        "UPDATE algorithm_audit_trail SET current_hash = reverse(current_hash) \
         WHERE sequence_number = 2",
        &[FRONTIERS, CHECKPOINTS, VERIFIED],
        false,
    ),
    (
        "DELETE FROM algorithm_audit_trail WHERE decision_type = 'reallocation' AND \
         sequence_number = (SELECT min(sequence_number) FROM algorithm_audit_trail \
         WHERE decision_type = 'reallocation')",
        &[SEQUENCES, FRONTIERS, CHECKPOINTS, VERIFIED],
        false,
    ),
    (
        "DELETE FROM algorithm_audit_trail WHERE decision_type = 'redaction'",
        &[HEADS, FRONTIERS, CHECKPOINTS, VERIFIED],
        false,
    ),
    (
        "DELETE FROM audit_heads",
        &[HEADS, READABLE, VERIFIED],
        false,
    ),
    (
        "ALTER TABLE assignments DROP CONSTRAINT assignments_experiment_id_user_identifier_key; \
         UPDATE assignments SET user_identifier = 'v4' WHERE user_identifier = 'v5'",
        &[VISITORS, ROWS],
        false,
    ),
];

async fn each_is_found(elements: &[usize]) {
    let database = database().await;
    let engine = signing(database.url(), 1).await;
    let experiment = everything(&engine, elements).await;
    sound(&engine, experiment.id).await;
    engine.shutdown().await;
    let client = connect(database.url()).await;
    save(&client).await;

    for (sql, found, mends) in BROKEN {
        client.batch_execute(sql).await.unwrap();
        // Nothing in memory from before.
        let engine = signing(database.url(), 2).await;
        assert_eq!(failed(&engine).await, *found, "{sql}");
        let Repairs { made, refused } = engine.repair().await.unwrap();
        assert_eq!(!made.is_empty(), *mends, "{sql}: {made:?}");
        let wants = found.iter().any(|check| WANTING.contains(check));
        assert_eq!(!refused.is_empty(), wants && !mends, "{sql}: {refused:?}");
        let left: &[&str] = if *mends { &[] } else { found };
        assert_eq!(failed(&engine).await, left, "{sql}, after {made:?}");
        for repair in &made {
            assert_ne!(repair.from, repair.to, "{repair:?}");
        }
        engine.shutdown().await;
        put_back(&client).await;
    }
}

#[tokio::test]
async fn each_broken_invariant_is_found_and_only_derived_values_are_mended() {
    each_is_found(&[2]).await;
}

#[tokio::test]
async fn several_elements_are_examined_one_by_one() {
    let database = database().await;
    let engine = signing(database.url(), 1).await;
    for elements in [&[2, 3][..], &[3, 2, 2]] {
        let experiment = everything(&engine, elements).await;
        sound(&engine, experiment.id).await;
    }
    let client = connect(database.url()).await;
    save(&client).await;
    // The second element of a visitor, swapped with that of another one.
    let swapped = "UPDATE assignments SET metadata = jsonb_set(metadata, '{variants}', \
        (metadata -> 'variants') || jsonb_build_object((SELECT id FROM experiment_elements e \
        WHERE e.experiment_id = assignments.experiment_id AND e.element_order = 1)::text, \
        (SELECT v.id FROM element_variants v JOIN experiment_elements e ON e.id = v.element_id \
        WHERE e.experiment_id = assignments.experiment_id AND e.element_order = 1 \
        AND v.id::text NOT IN (SELECT value FROM jsonb_each_text(assignments.metadata -> 'variants')) \
        ORDER BY v.id LIMIT 1)::text)) WHERE user_identifier = 'v7'";
    client.batch_execute(swapped).await.unwrap();
    assert_eq!(failed(&engine).await, [COUNTERS, STATISTICS, ROWS]);
    let Repairs { made, refused } = engine.repair().await.unwrap();
    assert_eq!((made.len(), refused.len()), (0, 2), "{refused:?}");
    put_back(&client).await;
    client
        .batch_execute(
            "UPDATE variant_statistics SET conversions = 0; UPDATE element_variants SET \
            total_allocations = 7, total_conversions = 7, conversion_rate = 1",
        )
        .await
        .unwrap();
    assert_eq!(failed(&engine).await, [COUNTERS, STATISTICS]);
    assert!(!engine.repair().await.unwrap().made.is_empty());
    assert_eq!(failed(&engine).await, [""; 0]);
    engine.shutdown().await;
}

/// What was read without a lock is not written once the head has moved: it is read anew.
#[tokio::test]
async fn what_moved_meanwhile_is_examined_anew() {
    let database = database().await;
    let engine = signing(database.url(), 1).await;
    everything(&engine, &[2]).await;
    let client = connect(database.url()).await;
    let wrong = "UPDATE element_variants SET total_allocations =";
    for sql in [
        &format!("{wrong} 1000"),
        "BEGIN; SELECT FROM audit_heads FOR UPDATE",
    ] {
        client.batch_execute(sql).await.unwrap();
    }
    let repairing = tokio::spawn({
        let engine = engine.clone();
        async move { engine.repair().await.unwrap() }
    });
    let watcher = connect(database.url()).await;
    eventually(async || {
        let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
            AND wait_event_type = 'Lock'";
        let waits: i64 = watcher.query_one(waits, &[]).await.unwrap().get(0);
        waits == 1
    })
    .await;
    client
        .batch_execute(&format!(
            "UPDATE audit_heads SET config_version = config_version + 1; {wrong} 2000; COMMIT"
        ))
        .await
        .unwrap();
    let repairs = repairing.await.unwrap();
    assert_eq!(repairs.refused, []);
    let counted = repairs
        .made
        .iter()
        .filter(|r| r.what.starts_with("total_allocations"));
    let from: Vec<_> = counted.map(|repair| repair.from.as_str()).collect();
    assert_eq!(from, ["2000", "2000"]);
    assert_eq!(failed(&engine).await, [""; 0]);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_hold_is_told_with_its_reason() {
    let database = database().await;
    let engine = signing(database.url(), 1).await;
    everything(&engine, &[2]).await;
    let client = connect(database.url()).await;
    client
        .batch_execute("UPDATE audit_heads SET hold = 'was the database restored?'")
        .await
        .unwrap();
    let checks = engine.doctor().await.unwrap();
    let check = checks.iter().find(|check| check.name == HOLDS).unwrap();
    let told: Vec<_> = check
        .findings
        .iter()
        .map(|found| found.what.as_str())
        .collect();
    assert_eq!(
        (check.checked, told),
        (1, vec!["was the database restored?"])
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_sealed_trail_ends_in_its_seal() {
    let database = database().await;
    let engine = signing(database.url(), 1).await;
    let me = Principal::system();
    let experiment = everything(&engine, &[2]).await;
    let id = experiment.id;
    engine
        .transition(&me, id, Transition::Complete, Default::default(), None)
        .await
        .unwrap();
    engine.seal(&me, id, true).await.unwrap();
    // Neither of these decides anything.
    engine.erase_visitor(&me, "v2").await.unwrap();
    engine.redact(&me, id, 3, "after the seal").await.unwrap();
    sound(&engine, id).await;

    let client = connect(database.url()).await;
    for (sql, found) in [
        (
            "UPDATE audit_heads SET sealed_us = sealed_us - 1",
            &[SEALS][..],
        ),
        (
            "UPDATE audit_heads SET sealed_us = NULL",
            &[SEALS, VERIFIED],
        ),
    ] {
        client.batch_execute(sql).await.unwrap();
        assert_eq!(failed(&engine).await, found, "{sql}");
    }
    // An engine that still has the experiment in memory.
    client
        .batch_execute("DELETE FROM audit_heads")
        .await
        .unwrap();
    assert_eq!(failed(&engine).await, [HEADS, SEALS, READABLE, VERIFIED]);
    let Repairs { made, refused } = engine.repair().await.unwrap();
    assert_eq!((made.len(), refused.len()), (0, 1), "{refused:?}");
    engine.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_amiss_only_because_it_is_written() {
    const VISITORS: usize = 900;
    let database = database().await;
    let engines = [
        signing(database.url(), 1).await,
        engine(database.url(), 2).await,
    ];
    let me = Principal::system();
    let id = everything(&engines[0], &[2, 2]).await.id;
    let mut tasks = Vec::new();
    for task in 0..6 {
        let engine = engines[task % 2].clone();
        tasks.push(tokio::spawn(async move {
            let me = Principal::system();
            for number in (0..VISITORS).filter(|number| number % 6 == task) {
                let name = format!("new {number}");
                engine.assign(&me, id, visitor(&name)).await.unwrap();
                if number % 3 == 0 {
                    engine.convert(&me, id, conversion(&name)).await.unwrap();
                }
                if number % 90 == task {
                    engine.erase_visitor(&me, &name).await.unwrap();
                    engine
                        .redact(&me, id, number as u64 / 90 * 2 + 3, "traffic")
                        .await
                        .ok();
                }
            }
        }));
    }
    while tasks.iter().any(|task| !task.is_finished()) {
        assert_eq!(engines[0].repair().await.unwrap(), Repairs::default());
        for check in engines[1].doctor().await.unwrap() {
            assert!(check.is_passed(), "{check:?}");
        }
    }
    for task in tasks {
        task.await.unwrap();
    }
    engines[0].sign_checkpoint(&me, id).await.unwrap();
    sound(&engines[0], id).await;
    for engine in engines {
        engine.shutdown().await;
    }
}
