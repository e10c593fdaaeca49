//! The committed descriptions of the schema, and the rules that every table follows.

use samplit_sql::Catalog;

use crate::{empty, file, migrated, psql};

/// Compares with a committed file, or rewrites it when `UPDATE_SCHEMA` is set.
fn check(name: &str, catalog: &Catalog) {
    let path = file(name);
    let live = catalog.to_string();
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &live).unwrap();
    }
    let committed = std::fs::read_to_string(&path).unwrap();
    for line in live.lines() {
        assert_eq!(line.matches('\t').count(), 1, "not readable back: {line}");
    }
    assert!(
        committed == live,
        "{name} is not what the SQL makes; if the change is meant, run the test with UPDATE_SCHEMA=1"
    );
}

#[tokio::test]
async fn schema_txt_is_what_the_migrations_make() {
    let (_database, client) = migrated().await;
    check("schema.txt", &Catalog::read(&client).await.unwrap());
}

#[tokio::test]
async fn schema_seed_txt_is_what_the_original_files_make() {
    let (database, client) = empty().await;
    psql(&database, &[file("tests/fixtures/seed.sql")]).await;
    check("schema_seed.txt", &Catalog::read(&client).await.unwrap());
}

/// What the original schema says and ours does not, by intention. Everything else must be the same.
#[tokio::test]
async fn every_object_of_the_original_schema_is_kept() {
    let (database, original) = empty().await;
    psql(&database, &[file("tests/fixtures/seed.sql")]).await;
    let (_database, ours) = migrated().await;
    let original = Catalog::read(&original).await.unwrap();
    let differences = original.differences(&Catalog::read(&ours).await.unwrap());
    let mut changed: Vec<_> = differences
        .iter()
        .filter(|difference| difference.expected.is_some())
        .map(|difference| difference.object.as_str())
        .collect();
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            "column algorithm_audit_trail.created_at",
            "column algorithm_audit_trail.decision_type",
            "column algorithm_audit_trail.experiment_id",
            "column algorithm_audit_trail.previous_hash",
            "column algorithm_audit_trail.sequence_number",
            "column element_variants.total_allocations",
            "column element_variants.total_conversions",
            "constraint algorithm_audit_trail.algorithm_audit_trail_experiment_id_fkey",
        ]
    );
}

/// The views are a contract with people who do not read migrations.
#[test]
fn every_column_of_a_view_is_written_down() {
    let guide = include_str!("../../../docs/REPORTING.md");
    let schema = include_str!("../../schema.txt");
    let mut views = 0;
    for line in schema.lines().filter_map(|line| line.strip_prefix("view ")) {
        let (view, columns) = line.split_once('\t').unwrap();
        let section = guide.split_once(&format!("## `{view}`"));
        let (_, section) = section.unwrap_or_else(|| panic!("{view} is not described"));
        let section = section.split("\n## ").next().unwrap();
        for column in columns.split(", ") {
            let (name, kind) = column.split_once(' ').unwrap();
            assert!(section.contains(&format!("`{name}`")), "{view}.{name}");
            let kind = kind.replace("timestamp with time zone", "timestamptz");
            assert!(section.contains(&kind), "{view}.{name} is {kind}");
        }
        views += 1;
    }
    assert_eq!(views, 4);
}

#[tokio::test]
async fn every_table_and_every_column_of_ours_has_a_comment() {
    let (_database, client) = migrated().await;
    let original = include_str!("../../schema_seed.txt");
    let rows = client
        .query(
            "SELECT c.relname || coalesce('.' || a.attname, '')
             FROM pg_class c
             LEFT JOIN LATERAL (
                 SELECT NULL::name AS attname, 0 AS attnum
                 UNION ALL
                 SELECT attname, attnum FROM pg_attribute
                 WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a ON TRUE
             WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
               AND c.relname <> 'refinery_schema_history'
               AND CASE a.attnum WHEN 0 THEN obj_description(c.oid, 'pg_class')
                                 ELSE col_description(c.oid, a.attnum) END IS NULL",
            &[],
        )
        .await
        .unwrap();
    let silent: Vec<String> = rows
        .iter()
        .map(|row| row.get(0))
        .filter(|object: &String| !original.contains(&format!("column {object}\t")))
        .collect();
    assert_eq!(silent, Vec::<String>::new());
}

/// Deleting a parent row looks for its children: without an index that is a scan of the table.
#[tokio::test]
async fn every_foreign_key_has_an_index_but_for_two_with_a_reason() {
    let (_database, client) = migrated().await;
    let rows = client
        .query(
            "SELECT k.conrelid::regclass::text || '.' || a.attname
             FROM pg_constraint k
             JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]
             WHERE k.contype = 'f' AND k.connamespace = current_schema()::regnamespace
               AND NOT EXISTS (SELECT FROM pg_index i
                               WHERE i.indrelid = k.conrelid AND i.indkey[0] = k.conkey[1])
             ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    let without: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    // Variants with visitors are never deleted (see V7); roles are a handful and never deleted.
    assert_eq!(without, ["assignments.variant_id", "user_roles.role"]);
}
