//! What each database role may do.

use samplit_devpg::DevPg;
use samplit_sql::Options;
use tokio_postgres::error::SqlState;

use crate::{connect, differences, file, migrated, refusal};

#[tokio::test]
async fn the_server_writes_but_only_appends_to_the_trail() {
    let (_database, client) = migrated().await;
    client
        .batch_execute(
            "SET ROLE samplit_app;
             INSERT INTO users (email, password_hash) VALUES ('ana@example.com', '!');
             INSERT INTO experiments (user_id, name) SELECT id, 'Hero' FROM users;
             INSERT INTO audit_heads (experiment_id, size, head_hash, frontier, last_us, snapshot_seq, snapshot_us, config_version)
                 SELECT id, 1, '', '', 0, 1, 0, 1 FROM experiments;
             UPDATE audit_heads SET size = 2;
             INSERT INTO algorithm_audit_trail
                 (experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash)
                 SELECT id, 1, 'genesis', '{}', repeat('0', 64), repeat('1', 64) FROM experiments;
             INSERT INTO assignments (experiment_id, user_identifier) SELECT id, 'v' FROM experiments;
             UPDATE assignments SET converted_at = now();
             INSERT INTO experiment_keys (experiment_id, draw_key_sealed, pid_key_sealed)
                 SELECT id, '', '' FROM experiments;
             UPDATE experiment_keys SET pid_key_sealed = NULL;
             INSERT INTO erasures (experiment_id, pseudonym) SELECT id, repeat('0a', 32) FROM experiments;
             INSERT INTO experiment_elements (experiment_id, name) SELECT id, 'Title' FROM experiments;
             INSERT INTO element_variants (element_id, name, content) SELECT id, 'A', '{}' FROM experiment_elements;
             DELETE FROM experiment_elements;
             SELECT version FROM refinery_schema_history",
        )
        .await
        .unwrap();
    for statement in [
        "UPDATE algorithm_audit_trail SET current_hash = repeat('2', 64)",
        "DELETE FROM algorithm_audit_trail",
        "TRUNCATE algorithm_audit_trail",
        "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER USER",
        "DROP TABLE algorithm_audit_trail",
        "INSERT INTO algorithm_audit_trail_legacy (id, sequence_number, decision_data, current_hash)
             VALUES (gen_random_uuid(), 1, '{}', '')",
        "UPDATE audit_checkpoints SET note = ''",
        "DELETE FROM audit_heads",
        "DELETE FROM refinery_schema_history",
        "UPDATE audit_heads SET experiment_id = gen_random_uuid()",
        "UPDATE experiment_keys SET draw_key_sealed = ''",
        "DELETE FROM experiment_keys",
        "UPDATE erasures SET pseudonym = repeat('0', 64)",
        "DELETE FROM erasures",
        "INSERT INTO erasures (experiment_id, pseudonym, erased_at)
             SELECT id, repeat('0', 64), now() FROM experiments",
        "UPDATE assignments SET snapshot_seq = 1",
        "UPDATE assignments SET variant_id = NULL",
        "UPDATE assignments SET assigned_at = now()",
        "DELETE FROM assignments",
        "DELETE FROM experiments",
        "UPDATE element_variants SET content = '{}'",
        "UPDATE experiment_elements SET name = ''",
        "UPDATE goals SET is_primary = FALSE",
        "UPDATE variant_statistics SET arm = 1",
        "UPDATE users SET created_at = now()",
        "DELETE FROM users",
        "UPDATE sessions SET expires_at = now()",
        "UPDATE account_links SET expires_at = now()",
        "UPDATE activity_log SET actor_kind = 'system'",
        "DELETE FROM activity_log",
        "UPDATE api_keys SET scopes = '{manage}'",
        "DELETE FROM api_keys",
        "INSERT INTO roles (name) VALUES ('root')",
        "DELETE FROM user_roles",
        "UPDATE webhook_endpoints SET user_id = gen_random_uuid()",
        "UPDATE webhook_messages SET event = ''",
        "UPDATE webhook_deliveries SET endpoint_id = gen_random_uuid()",
        "DELETE FROM webhook_deliveries",
        "UPDATE funnel_visits SET entered_at = now()",
        "DELETE FROM funnel_visits",
        "UPDATE funnel_steps SET reached_at = now()",
        "DELETE FROM funnel_steps",
        "UPDATE funnels SET user_id = NULL",
        "DELETE FROM funnels",
        "UPDATE funnel_nodes SET funnel_id = NULL",
        "UPDATE funnel_edges SET funnel_id = NULL",
        "UPDATE leads SET user_id = gen_random_uuid()",
        "UPDATE leads SET experiment_id = NULL",
        "UPDATE leads SET created_at = now()",
        "UPDATE plans SET name = 'x'",
        "DELETE FROM plans",
        "UPDATE subscriptions SET user_id = gen_random_uuid()",
        "DELETE FROM subscriptions",
        "UPDATE stripe_events SET happened_at = now()",
        "UPDATE usage_baselines SET visitors_before = 0",
        "DELETE FROM plan_warnings",
        "DELETE FROM user_onboarding",
    ] {
        let code = refusal(&client, statement).await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    for pseudonym in [
        "'v'",
        "repeat('A', 64)",
        "repeat('0', 63)",
        "repeat('0', 63) || E'\\n'",
    ] {
        let junk = format!(
            "INSERT INTO erasures (experiment_id, pseudonym) SELECT id, {pseudonym} FROM experiments"
        );
        let code = refusal(&client, &junk).await;
        assert_eq!(code, SqlState::CHECK_VIOLATION, "{pseudonym}");
    }
}

#[tokio::test]
async fn the_auditor_reads_the_trail_and_no_visitor() {
    let (_database, client) = migrated().await;
    client
        .batch_execute(
            "SET ROLE samplit_auditor;
             SELECT * FROM algorithm_audit_trail;
             SELECT * FROM audit_checkpoints;
             SELECT * FROM element_variants",
        )
        .await
        .unwrap();
    for statement in [
        "SELECT * FROM assignments",
        "SELECT * FROM experiment_keys",
        "SELECT * FROM users",
        "DELETE FROM audit_checkpoints",
    ] {
        let code = refusal(&client, statement).await;
        assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
    }
    assert_eq!(
        differences(&client).await,
        Vec::<String>::new(),
        "an auditor may verify"
    );
}

#[tokio::test]
async fn no_role_can_log_in() {
    let (_database, client) = migrated().await;
    let row = client
        .query_one(
            "SELECT count(*) FILTER (WHERE rolcanlogin OR rolsuper OR rolcreaterole), count(*)
             FROM pg_roles WHERE rolname IN ('samplit_owner', 'samplit_migrator', 'samplit_app', 'samplit_auditor',
                 'samplit_reader')",
            &[],
        )
        .await
        .unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (0, 5));
}

#[tokio::test]
async fn a_member_of_the_migrators_goes_on_where_a_superuser_began() {
    let (_database, mut client) = migrated().await;
    client
        .batch_execute(
            "DELETE FROM refinery_schema_history
                 WHERE version = (SELECT max(version) FROM refinery_schema_history);
             CREATE ROLE deploy LOGIN;
             GRANT samplit_migrator TO deploy;
             SET SESSION AUTHORIZATION deploy;
             SET ROLE samplit_owner",
        )
        .await
        .unwrap();
    let report = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    // Files of rights can be run again.
    let last = samplit_sql::expected_version();
    assert!(
        matches!(&report.applied[..], [name] if name.starts_with(&format!("V{last}__"))),
        "{:?}",
        report.applied
    );
    client
        .batch_execute("CREATE TABLE made_later (id INT)")
        .await
        .unwrap();
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

/// A cluster of its own, because roles belong to the cluster and here they must not exist yet.
#[tokio::test]
async fn without_the_right_to_make_roles_the_rest_works_and_grants_can_follow() {
    let pg = DevPg::builder().fsync(false).start().await.unwrap();
    let admin = connect(&pg.url("postgres")).await;
    admin
        .batch_execute("CREATE ROLE plain LOGIN")
        .await
        .unwrap();
    admin
        .batch_execute("CREATE DATABASE site OWNER plain")
        .await
        .unwrap();
    let mut client = connect(&pg.url("site").replace("postgres@", "plain@")).await;
    samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert_eq!(differences(&client).await, Vec::<String>::new());

    admin
        .batch_execute("CREATE ROLE samplit_app")
        .await
        .unwrap();
    let missing = differences(&client).await;
    assert!(
        missing.contains(&"grant samplit_app on assignments is missing".to_owned()),
        "{missing:?}"
    );
    for name in [
        "V11__database_roles",
        "V13__proof_rights",
        "V14__proof_limits",
        "V16__on_the_page_rights",
        "V18__accounts_rights",
        "V20__webhooks_rights",
        "V22__exports_rights",
        "V24__funnels_rights",
        "V26__funnel_visits_rights",
        "V28__leads_rights",
        "V30__plans_rights",
        "V32__lists_rights",
    ] {
        let file = std::fs::read_to_string(file(&format!("migrations/{name}.sql"))).unwrap();
        client.batch_execute(&file).await.unwrap();
    }
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

/// Whatever somebody is known by must not be in what BI tools read.
#[tokio::test]
async fn the_reader_sees_the_reporting_views_and_nobody_in_them() {
    let (_database, client) = migrated().await;
    client
        .batch_execute(
            "INSERT INTO users (email, password_hash) VALUES ('secret@example.com', 'secret hash');
             INSERT INTO experiments (user_id, name, key) SELECT id, 'Hero', 'hero' FROM users;
             INSERT INTO goals (experiment_id, name, is_primary) SELECT id, 'sale', TRUE FROM experiments;
             INSERT INTO experiment_elements (experiment_id, name) SELECT id, 'Title' FROM experiments;
             INSERT INTO element_variants (element_id, name, content, is_control)
                 SELECT id, 'A', '{\"text\": \"secret\"}', TRUE FROM experiment_elements;
             INSERT INTO assignments (experiment_id, variant_id, user_identifier, session_id, context,
                     converted_at, conversion_event_id)
                 SELECT e.id, v.id, 'secret visitor', 'secret session', '{\"ip\": \"secret\"}', now(),
                     'secret event'
                 FROM experiments e, element_variants v;
             INSERT INTO experiment_keys (experiment_id, draw_key_sealed, pid_key_sealed)
                 SELECT id, 'secret', 'secret' FROM experiments;
             SET ROLE samplit_reader",
        )
        .await
        .unwrap();
    for view in [
        "reporting_experiments",
        "reporting_arms",
        "reporting_assignments",
        "reporting_daily",
    ] {
        let rows = client
            .query(&format!("SELECT to_jsonb(v)::text FROM {view} v"), &[])
            .await
            .unwrap();
        // The day somebody came is the day of the conversion, too.
        assert_eq!(rows.len(), 1, "{view}");
        let row: &str = rows[0].get(0);
        assert!(!row.contains("secret"), "{view}: {row}");
    }
    let tables = client
        .query(
            "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace
             AND relkind IN ('r', 'p') AND relname <> 'refinery_schema_history'",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.len() > 30, "{}", tables.len());
    for table in tables {
        let table: &str = table.get(0);
        for statement in [
            format!("SELECT * FROM {table}"),
            format!("DELETE FROM {table}"),
        ] {
            let code = refusal(&client, &statement).await;
            assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE, "{statement}");
        }
    }
    let redact = "SELECT samplit_redact(gen_random_uuid(), 1, '', '', gen_random_uuid(), 0)";
    let code = refusal(&client, redact).await;
    assert_eq!(code, SqlState::INSUFFICIENT_PRIVILEGE);
}

/// Who does not ask for pseudonyms does not pay for the trail.
#[tokio::test]
async fn visitors_are_reported_without_the_trail_unless_pseudonyms_are_asked_for() {
    let (_database, client) = migrated().await;
    let plan = async |columns: &str| {
        let explain = format!("EXPLAIN SELECT {columns} FROM reporting_assignments");
        let lines = client.query(&explain, &[]).await.unwrap();
        let lines: Vec<String> = lines.iter().map(|line| line.get(0)).collect();
        lines.join("\n")
    };
    let plain = plan("experiment_id, variant_id, converted_at, value").await;
    assert!(!plain.contains("algorithm_audit_trail"), "{plain}");
    let named = plan("pseudonym").await;
    assert!(named.contains("algorithm_audit_trail"), "{named}");
}
