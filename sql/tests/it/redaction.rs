//! A payload changes in one way only: into its hash, with an entry that says so.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::{migrated, number, refusal};

const EXPERIMENT: &str = "00000000-0000-4000-8000-000000000002";
/// SHA-256 of the payload of the assignment below.
const PAYLOAD: &str = "encode(sha256('{\"visitor\":\"a\"}'), 'hex')";

/// A genesis, an assignment, and their head.
const TRAIL: &str = "
    INSERT INTO experiments (id, name) VALUES ('00000000-0000-4000-8000-000000000002', 'Hero');
    INSERT INTO algorithm_audit_trail
        (id, experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash, created_at)
        VALUES ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002',
            1, 'genesis', '{}', repeat('0', 64), repeat('1', 64), 'epoch');
    INSERT INTO algorithm_audit_trail
        (id, experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash, created_at)
        VALUES ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000002',
            2, 'assignment', '{\"visitor\": \"a\"}', repeat('1', 64),
            samplit_entry_hash('00000000-0000-4000-8000-000000000002', 2, repeat('1', 64),
                '00000000-0000-4000-8000-000000000004', 'assignment', 1700000000123457,
                encode(sha256('{\"visitor\":\"a\"}'), 'hex')),
            timestamptz 'epoch' + interval '1700000000123457 microseconds');
    INSERT INTO audit_heads (experiment_id, size, head_hash, frontier, last_us, snapshot_seq, snapshot_us, config_version)
        SELECT experiment_id, 2, current_hash, sha256('root of two'), 1700000000123457, 1, 0, 1
        FROM algorithm_audit_trail WHERE sequence_number = 2;
";

/// Calls the function for an entry, with an expression for the hash of its payload.
fn redact(sequence: u8, hash: &str) -> String {
    format!(
        "SELECT samplit_redact('{EXPERIMENT}', {sequence}, {hash}, 'asked \"for\"', gen_random_uuid(), 0)"
    )
}

async fn trail() -> (samplit_devpg::TestDatabase, Client) {
    let (database, client) = migrated().await;
    client.batch_execute(TRAIL).await.unwrap();
    (database, client)
}

async fn stubs(client: &Client) -> i64 {
    let sql = "SELECT count(*) FROM algorithm_audit_trail WHERE decision_data ? 'payload_sha256'";
    number(client, sql).await
}

#[tokio::test]
async fn the_server_redacts_through_the_function_alone() {
    let (_database, client) = trail().await;
    client.batch_execute("SET ROLE samplit_app").await.unwrap();
    let update = format!(
        "UPDATE algorithm_audit_trail SET decision_data = jsonb_build_object('payload_sha256', {PAYLOAD})
         WHERE sequence_number = 2"
    );
    assert_eq!(
        refusal(&client, &update).await,
        SqlState::INSUFFICIENT_PRIVILEGE
    );
    client.batch_execute(&redact(2, PAYLOAD)).await.unwrap();
    assert_eq!(stubs(&client).await, 1);
    let appended = format!(
        "SELECT count(*) FROM algorithm_audit_trail t JOIN audit_heads h
            ON h.size = t.sequence_number AND h.head_hash = t.current_hash AND h.last_us = 1700000000123457
         WHERE t.sequence_number = 3 AND t.decision_type = 'redaction'
         AND t.decision_data = '{{\"reason\": \"asked \\\"for\\\"\", \"sequence\": 2}}'
         AND t.current_hash = samplit_entry_hash('{EXPERIMENT}', 3, t.previous_hash, t.id, 'redaction',
            1700000000123457,
            encode(sha256(convert_to('{{\"reason\":\"asked \\\"for\\\"\",\"sequence\":2}}', 'UTF8')), 'hex'))
         AND h.frontier = sha256('root of two') || sha256('\\x00'::bytea || decode(t.current_hash, 'hex'))"
    );
    assert_eq!(number(&client, &appended).await, 1);
}

/// A clock at its end would stand still for ever, and the bundle could not say so.
#[tokio::test]
async fn the_caller_cannot_send_the_clock_of_a_trail_far_ahead() {
    let (_database, client) = trail().await;
    let at = |now_us: &str| redact(2, PAYLOAD).replace(", 0)", &format!(", {now_us})"));
    let year_9999 = "extract(epoch FROM timestamptz '9999-12-31') * 1000000";
    let statement = at(&format!("({year_9999})::bigint"));
    client.batch_execute(&statement).await.unwrap();
    let ahead = "SELECT count(*) FROM audit_heads h JOIN algorithm_audit_trail t
            ON t.sequence_number = h.size AND t.created_at =
                timestamptz 'epoch' + h.last_us * interval '1 microsecond'
        WHERE t.created_at BETWEEN now() AND now() + interval '6 minutes'";
    assert_eq!(number(&client, ahead).await, 1);

    // Whoever may write entries cannot either.
    for time in [year_9999, "-1", "9007199254.000001 * 1000000"] {
        let entry = format!(
            "INSERT INTO algorithm_audit_trail (experiment_id, sequence_number, decision_type,
                decision_data, previous_hash, current_hash, created_at)
            VALUES ('{EXPERIMENT}', 4, 'restore', '{{}}', repeat('0', 64), repeat('1', 64),
                timestamptz 'epoch' + ({time})::bigint * interval '1 microsecond')"
        );
        let code = refusal(&client, &entry).await;
        assert_eq!(code, SqlState::CHECK_VIOLATION, "{time}");
    }
}

#[tokio::test]
async fn a_head_that_is_ahead_of_the_clock_is_followed() {
    let (_database, client) = trail().await;
    let ahead = "UPDATE audit_heads SET last_us = 4102444800000000";
    client.batch_execute(ahead).await.unwrap();
    client.batch_execute(&redact(2, PAYLOAD)).await.unwrap();
    let followed = "SELECT count(*) FROM algorithm_audit_trail
        WHERE sequence_number = 3 AND created_at = to_timestamp(4102444800)";
    assert_eq!(number(&client, followed).await, 1);
}

#[tokio::test]
async fn what_the_function_refuses_leaves_nothing_behind() {
    let (_database, client) = trail().await;
    let wrong = "repeat('a', 64)";
    for (statement, code) in [
        (redact(2, wrong), SqlState::INSUFFICIENT_PRIVILEGE),
        (redact(1, PAYLOAD), SqlState::NO_DATA_FOUND),
        (redact(3, PAYLOAD), SqlState::NO_DATA_FOUND),
        (
            redact(2, PAYLOAD).replace("'asked \"for\"'", "''"),
            SqlState::CHECK_VIOLATION,
        ),
    ] {
        assert_eq!(refusal(&client, &statement).await, code, "{statement}");
    }
    let hold = "UPDATE audit_heads SET hold = 'restored'";
    client.batch_execute(hold).await.unwrap();
    let code = refusal(&client, &redact(2, PAYLOAD)).await;
    assert_eq!(code, SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE);
    let release = "UPDATE audit_heads SET hold = NULL";
    client.batch_execute(release).await.unwrap();
    assert_eq!(stubs(&client).await, 0);
    assert_eq!(
        number(&client, "SELECT count(*) FROM algorithm_audit_trail").await,
        2
    );

    client.batch_execute(&redact(2, PAYLOAD)).await.unwrap();
    let again = refusal(&client, &redact(2, PAYLOAD)).await;
    assert_eq!(again, SqlState::NO_DATA_FOUND);
    client
        .batch_execute("SET ROLE samplit_auditor")
        .await
        .unwrap();
    let code = refusal(&client, &redact(2, PAYLOAD)).await;
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
}

#[tokio::test]
async fn even_a_superuser_makes_no_stub_of_his_own() {
    let (_database, client) = trail().await;
    let stub = |more: &str| {
        format!(
            "UPDATE algorithm_audit_trail
             SET decision_data = jsonb_build_object('payload_sha256', {PAYLOAD}) || '{more}'
             WHERE sequence_number = 2"
        )
    };
    let refused = SqlState::INSUFFICIENT_PRIVILEGE;
    // No entry says so.
    assert_eq!(refusal(&client, &stub("{}")).await, refused);
    let says_so =
        "INSERT INTO algorithm_audit_trail (experiment_id, sequence_number, decision_type,
            decision_data, previous_hash, current_hash)
        SELECT experiment_id, 3, 'redaction', '{\"sequence\": 2}', current_hash, repeat('3', 64)
        FROM algorithm_audit_trail WHERE sequence_number = 2";
    client.batch_execute(says_so).await.unwrap();
    assert_eq!(refusal(&client, &stub("{\"more\": 1}")).await, refused);
    let hash = stub("{}").replace("SET ", "SET current_hash = repeat('4', 64), ");
    assert_eq!(refusal(&client, &hash).await, refused);
    client.batch_execute(&stub("{}")).await.unwrap();
    assert_eq!(stubs(&client).await, 1);
    // Nor is it undone.
    let undo = "UPDATE algorithm_audit_trail SET decision_data = '{\"visitor\": \"a\"}' WHERE sequence_number = 2";
    assert_eq!(refusal(&client, undo).await, refused);
}
