//! Rows that somebody else wrote, damaged entries, too many arms: told as what they are.

use samplit_engine::{ErrorKind, FailureKind, Mode, Principal};
use samplit_tests::{connect, database, draft, engine, start};

use crate::{conversion, visitor};

#[tokio::test]
async fn a_row_of_another_program_is_served_and_its_conversion_refused() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let experiment = start(&engine, draft(&[2])).await;
    let client = connect(database.url()).await;
    let shown = experiment.elements[0].variants[1].id;
    client
        .execute(
            "INSERT INTO assignments (experiment_id, variant_id, user_identifier) \
             VALUES ($1, $2, 'foreign')",
            &[&experiment.id.0, &shown.0],
        )
        .await
        .unwrap();
    let served = engine
        .assign(&me, experiment.id, visitor("foreign"))
        .await
        .unwrap();
    assert_eq!(served.variants[0], shown);
    let refused = engine
        .convert(&me, experiment.id, conversion("foreign"))
        .await
        .unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "not_in_trail",
            ..
        }
    ));
    engine.verify(&me, experiment.id).await.unwrap().unwrap();
    engine.results(&me, experiment.id).await.unwrap();
    engine.shutdown().await;
}

#[tokio::test]
async fn a_damaged_entry_or_head_is_an_integrity_failure_and_no_fault_of_ours() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    let (one, other) = (
        start(&engine, draft(&[2])).await.id,
        start(&engine, draft(&[2])).await.id,
    );
    engine.assign(&me, one, visitor("v")).await.unwrap();
    let client = connect(database.url()).await;
    client
        .batch_execute(&format!(
            "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER USER, \
             DROP CONSTRAINT algorithm_audit_trail_created_at_check; \
             UPDATE algorithm_audit_trail SET created_at = 'infinity' \
             WHERE experiment_id = '{one}' AND sequence_number = 2; \
             DELETE FROM audit_heads WHERE experiment_id = '{other}'"
        ))
        .await
        .unwrap();
    for id in [one, other] {
        let failure = engine.verify(&me, id).await.unwrap().unwrap_err();
        assert_eq!(failure.kind, FailureKind::Integrity, "{failure}");
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn more_arms_than_an_entry_can_list_are_refused_in_the_draft() {
    let database = database().await;
    let engine = engine(database.url(), 1).await;
    let me = Principal::system();
    for (elements, mode, fits) in [
        (vec![8, 8], Mode::Factorial, true),
        (vec![2; 5], Mode::Factorial, true),
        (vec![2; 6], Mode::Factorial, false),
        (vec![26, 26, 26], Mode::Independent, true),
        (vec![26; 5], Mode::Independent, false),
    ] {
        let mut many = draft(&elements);
        many.allocation.mode = mode;
        many.allocation.floor = 0.001;
        match engine.create_experiment(&me, many).await {
            Ok(experiment) => {
                assert!(fits, "{elements:?} {mode}");
                samplit_tests::step(&engine, &experiment, samplit_engine::Transition::Start).await;
            }
            Err(error) => {
                let ErrorKind::Invalid(violations) = error.kind() else {
                    panic!("{error:?}")
                };
                assert!(
                    !fits && violations.0[0].code == "too_many_arms",
                    "{elements:?} {mode}"
                );
            }
        }
    }
    engine.shutdown().await;
}
