//! The trail is append-only for everybody.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{migrated, number, refusal};

const ENTRY: &str = "
    INSERT INTO users (id, email, password_hash)
        VALUES ('00000000-0000-4000-8000-000000000001', 'ana@example.com', '!');
    INSERT INTO experiments (id, user_id, name)
        VALUES ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'Hero');
    INSERT INTO algorithm_audit_trail
        (experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash)
        VALUES ('00000000-0000-4000-8000-000000000002', 1, 'genesis', '{}', repeat('0', 64), repeat('1', 64));
";

async fn entries(client: &Client) -> i64 {
    number(
        client,
        "SELECT count(*) FROM algorithm_audit_trail WHERE decision_type = 'genesis'",
    )
    .await
}

#[tokio::test]
async fn even_a_superuser_cannot_change_it() {
    let (_database, client) = migrated().await;
    client.batch_execute(ENTRY).await.unwrap();
    for settings in ["", "SET session_replication_role = replica"] {
        client.batch_execute(settings).await.unwrap();
        for statement in [
            "UPDATE algorithm_audit_trail SET decision_data = '{\"forged\": true}'",
            "DELETE FROM algorithm_audit_trail",
            "DELETE FROM algorithm_audit_trail WHERE false",
            "TRUNCATE algorithm_audit_trail",
            "TRUNCATE experiments CASCADE",
        ] {
            let code = refusal(&client, statement).await;
            assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
        }
    }
    assert_eq!(entries(&client).await, 1);
}

#[tokio::test]
async fn a_delete_does_not_cascade_into_it() {
    let (_database, client) = migrated().await;
    client.batch_execute(ENTRY).await.unwrap();
    let code = refusal(&client, "DELETE FROM experiments").await;
    // Version 18 gives RESTRICT the code that the standard has for it.
    assert!(
        [
            SqlState::FOREIGN_KEY_VIOLATION,
            SqlState::RESTRICT_VIOLATION
        ]
        .contains(&code),
        "{code:?}"
    );
    assert_eq!(entries(&client).await, 1);
}

#[tokio::test]
async fn malformed_entries_are_refused() {
    let (_database, client) = migrated().await;
    client.batch_execute(ENTRY).await.unwrap();
    for (change, code) in [
        (
            "1, 'assignment', '{}', repeat('0', 64), repeat('1', 64)",
            SqlState::UNIQUE_VIOLATION,
        ),
        (
            "0, 'assignment', '{}', repeat('0', 64), repeat('1', 64)",
            SqlState::CHECK_VIOLATION,
        ),
        (
            "2, 'opinion', '{}', repeat('0', 64), repeat('1', 64)",
            SqlState::CHECK_VIOLATION,
        ),
        (
            "2, 'assignment', '{}', repeat('0', 63), repeat('1', 64)",
            SqlState::CHECK_VIOLATION,
        ),
        (
            "2, 'assignment', '{}', repeat('0', 64), ''",
            SqlState::CHECK_VIOLATION,
        ),
        (
            "2, 'assignment', '{}', NULL, repeat('1', 64)",
            SqlState::NOT_NULL_VIOLATION,
        ),
        (
            "2, NULL, '{}', repeat('0', 64), repeat('1', 64)",
            SqlState::NOT_NULL_VIOLATION,
        ),
    ] {
        let statement = format!(
            "INSERT INTO algorithm_audit_trail
             (experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash)
             VALUES ('00000000-0000-4000-8000-000000000002', {change})"
        );
        assert_eq!(refusal(&client, &statement).await, code, "{change}");
    }
    client
        .batch_execute(
            "INSERT INTO algorithm_audit_trail
             (experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash)
             VALUES ('00000000-0000-4000-8000-000000000002', 3000000000, 'assignment', '{}',
                     repeat('0', 64), repeat('1', 64))",
        )
        .await
        .unwrap();
}

#[tokio::test]
async fn impossible_experiments_are_refused_and_odd_conversions_are_not() {
    let (_database, client) = migrated().await;
    client.batch_execute(ENTRY).await.unwrap();
    for change in [
        "status = 'running'",
        "experiment_type = 'bandit'",
        "allocation_strategy = 'random'",
        "traffic_allocation = 1.01",
        "traffic_allocation = -0.01",
        "traffic_allocation = 'NaN'",
    ] {
        let code = refusal(&client, &format!("UPDATE experiments SET {change}")).await;
        assert_eq!(code, SqlState::CHECK_VIOLATION, "{change}");
    }
    client
        .batch_execute(
            "INSERT INTO assignments (experiment_id, user_identifier, converted_at, conversion_value)
             VALUES ('00000000-0000-4000-8000-000000000002', 'v', now(), -1)",
        )
        .await
        .unwrap();
}
