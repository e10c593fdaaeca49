//! Up, status and plan.

use std::time::Duration;

use samplit_devpg::DevPg;
use samplit_sql::{Error, Options, State};

use crate::{connect, differences, empty, migrated, migration_files, number, psql};

#[tokio::test]
async fn an_empty_database_becomes_current_and_a_second_run_finds_nothing() {
    let (_database, mut client) = empty().await;
    assert_eq!(samplit_sql::current_version(&client).await.unwrap(), None);
    let planned = samplit_sql::plan(&client).await.unwrap();
    assert_eq!(planned.len(), migration_files().len());
    assert!(planned[0].sql.contains("CREATE TABLE users"));

    let report = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert_eq!(report.applied.len(), planned.len());
    assert_eq!(report.version, samplit_sql::expected_version());
    assert_eq!(
        samplit_sql::current_version(&client).await.unwrap(),
        Some(report.version)
    );
    assert_eq!(differences(&client).await, Vec::<String>::new());
    assert!(samplit_sql::plan(&client).await.unwrap().is_empty());

    let again = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert!(again.applied.is_empty());
    let timeout: String = client
        .query_one("SHOW lock_timeout", &[])
        .await
        .unwrap()
        .get(0);
    assert_eq!(timeout, "0", "the session is left as it was found");
    assert_eq!(
        number(
            &client,
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
        )
        .await,
        0
    );
}

#[tokio::test]
async fn of_ten_at_once_one_works_and_all_succeed() {
    let (database, client) = empty().await;
    let mut runs = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let url = database.url().to_owned();
        runs.spawn(async move {
            let mut client = connect(&url).await;
            samplit_sql::up(&mut client, &Options::default())
                .await
                .unwrap()
                .applied
                .len()
        });
    }
    let mut applied = runs.join_all().await;
    applied.sort_unstable();
    let all = migration_files().len();
    assert_eq!(applied, [0, 0, 0, 0, 0, 0, 0, 0, 0, all]);
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

#[tokio::test]
async fn databases_of_one_cluster_can_be_migrated_at_once() {
    // The database roles belong to the cluster, so this is where they could collide.
    tokio::join!(migrated(), migrated(), migrated(), migrated());
}

#[tokio::test]
async fn a_held_lock_is_waited_for_until_the_deadline_only() {
    let (database, mut client) = empty().await;
    let holder = connect(database.url()).await;
    // The key is part of the contract between versions of the program.
    holder
        .batch_execute("SELECT pg_advisory_lock(x'73616d706c6974'::bigint)")
        .await
        .unwrap();
    let options = Options {
        lock_wait: Duration::from_millis(250),
        ..Options::default()
    };
    let error = samplit_sql::up(&mut client, &options).await.unwrap_err();
    assert!(matches!(error, Error::Locked(_)), "{error}");
    assert_eq!(samplit_sql::current_version(&client).await.unwrap(), None);
    holder
        .batch_execute("SELECT pg_advisory_unlock_all()")
        .await
        .unwrap();
    samplit_sql::up(&mut client, &options).await.unwrap();
}

#[tokio::test]
async fn a_table_in_use_fails_the_step_alone_and_the_next_run_goes_on() {
    let (database, mut client) = empty().await;
    client
        .batch_execute("CREATE TABLE funnels (id UUID PRIMARY KEY)")
        .await
        .unwrap();
    let mut reader = connect(database.url()).await;
    let transaction = reader.transaction().await.unwrap();
    transaction
        .batch_execute("LOCK TABLE funnels IN ROW EXCLUSIVE MODE")
        .await
        .unwrap();
    let options = Options {
        lock_timeout: Duration::from_millis(100),
        ..Options::default()
    };
    let error = samplit_sql::up(&mut client, &options).await.unwrap_err();
    assert!(matches!(error, Error::Migration(_)), "{error}");
    assert_eq!(
        samplit_sql::current_version(&client).await.unwrap(),
        Some(4)
    );
    transaction
        .batch_execute("DROP TABLE funnels")
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    let report = samplit_sql::up(&mut client, &options).await.unwrap();
    assert_eq!(report.applied[0], "V5__growth");
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused_untouched() {
    let pg = DevPg::shared().await;
    let admin = connect(&pg.url("postgres")).await;
    let latin = "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'";
    admin.batch_execute(latin).await.unwrap();
    let mut client = connect(&pg.url("latin")).await;
    let options = Options::default();
    for error in [
        samplit_sql::up(&mut client, &options).await.unwrap_err(),
        samplit_sql::plan(&client).await.unwrap_err(),
        samplit_sql::baseline(&mut client, &options)
            .await
            .unwrap_err(),
    ] {
        let text = error.to_string();
        assert!(text.contains("LATIN1"), "{text}");
        assert!(text.contains("createdb -E UTF8 -T template0"), "{text}");
    }
    let tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(number(&client, tables).await, 0);
}

#[tokio::test]
async fn what_has_the_name_of_a_table_of_ours_is_found_before_anything_is_touched() {
    let (_database, mut client) = empty().await;
    client
        .batch_execute("CREATE TABLE sessions (n INT); CREATE VIEW goals AS SELECT 1 AS n")
        .await
        .unwrap();
    let options = Options::default();
    let error = samplit_sql::up(&mut client, &options).await.unwrap_err();
    assert!(
        matches!(&error, Error::InTheWay(names) if *names == ["goals", "sessions"]),
        "{error}"
    );
    assert_eq!(samplit_sql::current_version(&client).await.unwrap(), None);
    client
        .batch_execute("DROP VIEW goals; ALTER TABLE sessions RENAME TO others")
        .await
        .unwrap();
    samplit_sql::up(&mut client, &options).await.unwrap();
}

#[tokio::test]
async fn plain_psql_makes_the_same_schema_and_can_be_adopted() {
    let (database, mut client) = empty().await;
    psql(&database, &migration_files()).await;
    let error = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NotBaselined), "{error}");
    let baseline = samplit_sql::baseline(&mut client, &Options::default())
        .await
        .unwrap();
    assert_eq!(baseline.version, samplit_sql::expected_version());
    assert_eq!(differences(&client).await, Vec::<String>::new());
    let report = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert!(report.applied.is_empty());
}

#[tokio::test]
async fn the_files_of_database_roles_can_be_run_again() {
    let (database, client) = migrated().await;
    let files = migration_files();
    // A grant of V11 is wider than what later files leave of it: V14, and all that say so in their names.
    psql(&database, &files[10..11]).await;
    assert_ne!(differences(&client).await, Vec::<String>::new());
    let mut later = files[11..].to_vec();
    later.retain(|file| {
        let name = file.to_string_lossy();
        name.ends_with("_rights.sql") || name.ends_with("V14__proof_limits.sql")
    });
    psql(&database, &later).await;
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_tampered_record_is_named_and_stops_everything() {
    let (_database, mut client) = migrated().await;
    client
        .batch_execute(
            "UPDATE refinery_schema_history SET checksum = 'not a number' WHERE version = 3",
        )
        .await
        .unwrap();
    let found = differences(&client).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("migration V3 is `audit_trail with checksum not a number`"));
    let error = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap_err();
    assert_eq!(error.differences().len(), 1);
    let status = samplit_sql::status(&client).await.unwrap();
    assert_eq!(status.steps[2].state, State::Changed);
    assert!(!status.is_current());
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let (_database, mut client) = migrated().await;
    client
        .batch_execute(
            "INSERT INTO refinery_schema_history VALUES (999, 'from_the_future', '', '1')",
        )
        .await
        .unwrap();
    let error = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("V999 is unexpected"), "{error}");
    let status = samplit_sql::status(&client).await.unwrap();
    assert_eq!(status.current, Some(999));
    assert_eq!(status.steps.last().unwrap().state, State::Unknown);
}

#[tokio::test]
async fn a_skipped_migration_is_refused() {
    let (_database, mut client) = migrated().await;
    client
        .batch_execute("DELETE FROM refinery_schema_history WHERE version = 2")
        .await
        .unwrap();
    assert_eq!(differences(&client).await, ["migration V2 is missing"]);
    assert!(
        samplit_sql::up(&mut client, &Options::default())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn every_kind_of_drift_is_named() {
    for (statement, named) in [
        (
            "DROP INDEX idx_experiments_active",
            "index experiments.idx_experiments_active is missing",
        ),
        (
            "ALTER TABLE experiments ALTER status SET DEFAULT 'active'",
            "column experiments.status is `character varying(50) DEFAULT 'active'::character varying` \
             instead of `character varying(50) DEFAULT 'draft'::character varying`",
        ),
        (
            "ALTER TABLE users ALTER email DROP NOT NULL",
            "column users.email is `character varying(255)` instead of `character varying(255) NOT NULL`",
        ),
        (
            "ALTER TABLE users ALTER name TYPE TEXT",
            "column users.name is `text`",
        ),
        (
            "ALTER TABLE leads DROP COLUMN phone",
            "column leads.phone is missing",
        ),
        (
            "ALTER TABLE leads ADD COLUMN vat_id TEXT NOT NULL",
            "column leads.vat_id is unexpected: text NOT NULL",
        ),
        ("DROP TABLE funnel_edges", "table funnel_edges is missing"),
        (
            "ALTER TABLE assignments DROP CONSTRAINT assignments_variant_id_fkey",
            "constraint assignments.assignments_variant_id_fkey is missing",
        ),
        (
            "ALTER TABLE assignments ADD CHECK (conversion_value > 1)",
            "constraint assignments.assignments_conversion_value_check is unexpected",
        ),
        (
            "CREATE UNIQUE INDEX one_session ON assignments (session_id)",
            "index assignments.one_session is unexpected",
        ),
        (
            "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER algorithm_audit_trail_append_only",
            "trigger algorithm_audit_trail.algorithm_audit_trail_append_only is",
        ),
        (
            "DROP TRIGGER algorithm_audit_trail_append_only ON algorithm_audit_trail",
            "trigger algorithm_audit_trail.algorithm_audit_trail_append_only is missing",
        ),
        (
            "CREATE OR REPLACE FUNCTION samplit_refuse_trail_change() RETURNS trigger LANGUAGE plpgsql \
             AS 'BEGIN RETURN NULL; END'",
            "function samplit_refuse_trail_change() is",
        ),
        (
            "GRANT UPDATE ON algorithm_audit_trail TO samplit_app",
            "grant samplit_app on algorithm_audit_trail is `INSERT, SELECT, UPDATE` instead of `INSERT, SELECT`",
        ),
        (
            "GRANT DELETE ON algorithm_audit_trail TO PUBLIC",
            "grant PUBLIC on algorithm_audit_trail is unexpected: DELETE",
        ),
        (
            "ALTER VIEW reporting_daily RENAME COLUMN day TO date",
            "view reporting_daily is `",
        ),
        (
            "GRANT SELECT ON reporting_assignments TO PUBLIC",
            "grant PUBLIC on reporting_assignments is unexpected: SELECT",
        ),
        (
            "GRANT SELECT ON users TO samplit_reader",
            "grant samplit_reader on users is unexpected: SELECT",
        ),
        (
            "ALTER TABLE audit_heads RESET (fillfactor)",
            "table audit_heads is `` instead of `fillfactor=50`",
        ),
    ] {
        let (_database, client) = migrated().await;
        client.batch_execute(statement).await.unwrap();
        let found = differences(&client).await;
        assert_eq!(found.len(), 1, "{statement}: {found:?}");
        assert!(found[0].starts_with(named), "{statement}: {}", found[0]);
    }
}

#[tokio::test]
async fn what_an_operator_may_add_is_not_drift() {
    let (_database, client) = migrated().await;
    client
        .batch_execute(
            "CREATE TABLE reports (id INT NOT NULL);
             CREATE INDEX leads_by_email ON leads (email);
             ALTER TABLE leads ADD COLUMN vat_id TEXT, ADD COLUMN score INT NOT NULL DEFAULT 0;
             ALTER TABLE assignments SET (autovacuum_vacuum_cost_limit = 2000)",
        )
        .await
        .unwrap();
    assert_eq!(differences(&client).await, Vec::<String>::new());
}
