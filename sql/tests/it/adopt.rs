//! Databases made from the original files, with data in them.

use samplit_sql::{Error, Options};

use crate::{differences, empty, file, number, psql};

/// Rows of every original table, in the shapes that the original program wrote.
const ROWS: &str = "
    INSERT INTO users (id, email, password_hash, role)
        VALUES ('00000000-0000-4000-8000-000000000001', 'ana@example.com', 'x', 'admin');
    INSERT INTO experiments (id, user_id, name, status)
        VALUES ('00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000001', 'Hero', 'active');
    INSERT INTO experiment_elements (id, experiment_id, name, selector_type, selector_value)
        VALUES ('00000000-0000-4000-8000-000000000003', '00000000-0000-4000-8000-000000000002', 'Headline', 'css', 'h1');
    INSERT INTO element_variants (id, element_id, name, content, is_control, total_allocations, total_conversions)
        VALUES ('00000000-0000-4000-8000-000000000004', '00000000-0000-4000-8000-000000000003', 'A', '{\"text\": \"a\"}', TRUE, 2147483647, 7);
    INSERT INTO assignments (experiment_id, variant_id, user_identifier, converted_at)
        SELECT '00000000-0000-4000-8000-000000000002', '00000000-0000-4000-8000-000000000004', 'visitor ' || n, CASE WHEN n % 3 = 0 THEN now() END
        FROM generate_series(1, 1000) n;
    INSERT INTO algorithm_audit_trail (experiment_id, sequence_number, decision_type, decision_data, previous_hash, current_hash)
        SELECT '00000000-0000-4000-8000-000000000002', n, CASE WHEN n > 1 THEN 'assignment' END, '{}', CASE WHEN n > 1 THEN 'abc' END, 'def'
        FROM generate_series(1, 500) n;
    INSERT INTO platform_installations (user_id, platform) SELECT id, 'shopify' FROM users;
    INSERT INTO funnels (user_id, name) SELECT id, 'Checkout' FROM users;
";

#[tokio::test]
async fn data_stay_and_the_schema_becomes_ours() {
    for with_leads in [false, true] {
        let (database, mut client) = empty().await;
        psql(&database, &[file("tests/fixtures/seed.sql")]).await;
        client.batch_execute(ROWS).await.unwrap();
        if with_leads {
            psql(&database, &[file("tests/fixtures/seed_leads.sql")]).await;
            client
                .batch_execute(
                    "INSERT INTO leads (email, status) VALUES ('li@example.com', 'open')",
                )
                .await
                .unwrap();
        }

        client
            .batch_execute(
                "CREATE TABLE subscriptions (id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
                     status VARCHAR(50) DEFAULT 'active', max_active_experiments INT, max_seats INT);
                 INSERT INTO subscriptions (status, max_active_experiments, max_seats) VALUES
                     ('cancelled', 3, -1), ('bought', -1, NULL), ('past_due', 3, NULL), (NULL, 3, NULL)",
            )
            .await
            .unwrap();

        let error = samplit_sql::up(&mut client, &Options::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NotBaselined), "{error}");
        let baseline = samplit_sql::baseline(&mut client, &Options::default())
            .await
            .unwrap();
        assert_eq!(baseline.version, 1);
        samplit_sql::up(&mut client, &Options::default())
            .await
            .unwrap();
        assert_eq!(differences(&client).await, Vec::<String>::new());

        for (query, expected) in [
            (
                "SELECT count(*) FROM assignments WHERE snapshot_seq IS NULL",
                1000,
            ),
            (
                "SELECT count(*) FROM assignments WHERE converted_at IS NOT NULL",
                333,
            ),
            (
                "SELECT total_allocations + 1 FROM element_variants",
                2_147_483_648,
            ),
            ("SELECT total_conversions FROM element_variants", 7),
            (
                "SELECT version FROM experiments WHERE name = 'Hero' AND status = 'active'",
                1,
            ),
            ("SELECT count(*) FROM users WHERE role = 'admin'", 1),
            ("SELECT count(*) FROM platform_installations", 1),
            ("SELECT count(*) FROM funnels", 1),
            (
                "SELECT count(*) FROM leads WHERE status = 'new' AND metadata ->> 'status_before' = 'open'",
                i64::from(with_leads),
            ),
            (
                "SELECT count(*) FROM subscriptions WHERE (coalesce(status, ''), max_active_experiments) IN
                     (('canceled', 3), ('past_due', 3), ('', 3)) AND max_seats IS NULL",
                3,
            ),
            (
                "SELECT count(*) FROM subscriptions WHERE status = 'active' AND max_active_experiments IS NULL",
                1,
            ),
            ("SELECT count(*) FROM algorithm_audit_trail", 0),
            ("SELECT count(*) FROM algorithm_audit_trail_legacy", 500),
            (
                "SELECT count(*) FROM algorithm_audit_trail_legacy WHERE decision_type IS NULL",
                1,
            ),
        ] {
            assert_eq!(number(&client, query).await, expected, "{query}");
        }
        let error = samplit_sql::baseline(&mut client, &Options::default())
            .await
            .unwrap_err();
        assert!(matches!(error, Error::AlreadyVersioned(_)), "{error}");
    }
}

#[tokio::test]
async fn a_row_that_breaks_a_check_is_told_and_mended_without_loss() {
    let (database, mut client) = empty().await;
    psql(&database, &[file("tests/fixtures/seed.sql")]).await;
    client
        .batch_execute("INSERT INTO experiments (name, status) VALUES ('Hero', 'running')")
        .await
        .unwrap();
    samplit_sql::baseline(&mut client, &Options::default())
        .await
        .unwrap();
    let error = samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap_err();
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let told: Vec<_> = causes.map(ToString::to_string).collect();
    assert!(
        told.join(": ").contains("experiments_status_check"),
        "{told:?}"
    );
    client
        .batch_execute("UPDATE experiments SET status = 'active'")
        .await
        .unwrap();
    samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

#[tokio::test]
async fn the_optional_files_may_be_missing() {
    let (database, mut client) = empty().await;
    psql(&database, &[file("tests/fixtures/seed.sql")]).await;
    client
        .batch_execute(
            "DROP TABLE algorithm_audit_trail, platform_installations, funnels;
             ALTER TABLE users DROP COLUMN role;
             DROP INDEX idx_experiments_active",
        )
        .await
        .unwrap();
    samplit_sql::baseline(&mut client, &Options::default())
        .await
        .unwrap();
    samplit_sql::up(&mut client, &Options::default())
        .await
        .unwrap();
    assert_eq!(differences(&client).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_not_the_original_schema_is_refused_by_name() {
    for (change, named) in [
        (
            "ALTER TABLE users ALTER email TYPE TEXT",
            "column users.email is `text NOT NULL`",
        ),
        (
            "ALTER TABLE assignments DROP CONSTRAINT assignments_experiment_id_user_identifier_key",
            "constraint assignments.assignments_experiment_id_user_identifier_key is missing",
        ),
        ("DROP TABLE assignments", "table assignments is missing"),
        (
            "ALTER TABLE algorithm_audit_trail DROP COLUMN previous_hash",
            "column algorithm_audit_trail.previous_hash is missing",
        ),
        (
            "DROP INDEX idx_assignments_unconverted;
             CREATE INDEX idx_assignments_unconverted ON assignments (experiment_id)",
            "index assignments.idx_assignments_unconverted is",
        ),
        (
            "CREATE TABLE sessions (sid TEXT PRIMARY KEY, data JSONB)",
            "table sessions is unexpected",
        ),
        (
            "CREATE TABLE leads (id SERIAL PRIMARY KEY)",
            "column leads.id is `integer NOT NULL DEFAULT nextval('leads_id_seq'::regclass)`",
        ),
    ] {
        let (database, mut client) = empty().await;
        psql(&database, &[file("tests/fixtures/seed.sql")]).await;
        client.batch_execute(change).await.unwrap();
        let error = samplit_sql::baseline(&mut client, &Options::default())
            .await
            .unwrap_err();
        let found: Vec<_> = error
            .differences()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(found.len(), 1, "{change}: {found:?}");
        assert!(found[0].starts_with(named), "{change}: {}", found[0]);
        assert_eq!(samplit_sql::current_version(&client).await.unwrap(), None);
    }
}

#[tokio::test]
async fn an_empty_database_is_not_adopted() {
    let (_database, mut client) = empty().await;
    client
        .batch_execute("CREATE TABLE somebody_elses (id INT)")
        .await
        .unwrap();
    let error = samplit_sql::baseline(&mut client, &Options::default())
        .await
        .unwrap_err();
    assert!(matches!(error, Error::NothingToAdopt), "{error}");
}
