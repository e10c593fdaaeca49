//! The statements of the original documentation run unchanged.

use crate::migrated;

#[tokio::test]
async fn its_queries_and_its_way_of_writing_rows_still_work() {
    let (_database, client) = migrated().await;
    client
        .batch_execute(
            "INSERT INTO users (email, password_hash) VALUES ('ana@example.com', 'x');
             INSERT INTO experiments (user_id, name) SELECT id, 'Hero' FROM users;
             INSERT INTO experiment_elements (experiment_id, name) SELECT id, 'Headline' FROM experiments;
             INSERT INTO element_variants (element_id, name, content)
                 SELECT id, 'A', '{\"text\": \"a\"}' FROM experiment_elements;
             INSERT INTO assignments (experiment_id, variant_id, user_identifier)
                 SELECT e.id, v.id, 'visitor' FROM experiments e, element_variants v;
             INSERT INTO platform_installations (user_id, platform) SELECT id, 'shopify' FROM users;
             INSERT INTO funnels (user_id, name) SELECT id, 'Checkout' FROM users",
        )
        .await
        .unwrap();
    let user_id: uuid::Uuid = client
        .query_one("SELECT id FROM users", &[])
        .await
        .unwrap()
        .get(0);
    let rows = client
        .query("SELECT * FROM experiments WHERE user_id = $1", &[&user_id])
        .await
        .unwrap();
    let row = &rows[0];
    assert_eq!(rows.len(), 1);
    assert_eq!(row.get::<_, &str>("status"), "draft");
    assert_eq!(row.get::<_, &str>("experiment_type"), "ab_test");
    assert_eq!(row.get::<_, &str>("allocation_strategy"), "adaptive");
    assert!((row.get::<_, f64>("traffic_allocation") - 1.0).abs() < f64::EPSILON);
}

/// The documentation's indexes answer the queries that they are meant for.
#[tokio::test]
async fn its_indexes_are_usable() {
    let (_database, client) = migrated().await;
    client
        .batch_execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        .await
        .unwrap();
    let id = "'00000000-0000-4000-8000-000000000001'";
    for (query, index) in [
        (
            format!("SELECT id, name, element_type FROM experiment_elements WHERE experiment_id = {id}"),
            "Index Only Scan using idx_elements_experiment_covering",
        ),
        (
            format!("SELECT total_allocations, total_conversions, conversion_rate FROM element_variants WHERE element_id = {id}"),
            "Index Only Scan using idx_variants_element_covering",
        ),
        (
            format!("SELECT * FROM experiments WHERE user_id = {id} AND status = 'active' ORDER BY created_at DESC"),
            "Index Scan using idx_experiments_active",
        ),
        (
            format!("SELECT * FROM assignments WHERE experiment_id = {id} AND converted_at IS NULL AND assigned_at > now()"),
            "Index Scan using idx_assignments_unconverted",
        ),
        (
            "SELECT * FROM leads WHERE status = 'new' ORDER BY created_at DESC".to_owned(),
            "Index Scan using idx_leads_status",
        ),
        (
            format!("SELECT * FROM algorithm_audit_trail WHERE experiment_id = {id}
                     AND decision_type NOT IN ('assignment', 'conversion') ORDER BY sequence_number DESC LIMIT 1"),
            "idx_audit_snapshots",
        ),
    ] {
        let rows = client.query(&format!("EXPLAIN {query}"), &[]).await.unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        assert!(plan.join("\n").contains(index), "{query}: {plan:#?}");
    }
    client
        .batch_execute("SET enable_bitmapscan = on; SET enable_indexscan = off")
        .await
        .unwrap();
    let rows = client
        .query(
            "EXPLAIN SELECT * FROM assignments WHERE assigned_at > now()",
            &[],
        )
        .await
        .unwrap();
    let plan: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert!(
        plan.join("\n").contains("idx_assignments_assigned_at_brin"),
        "{plan:#?}"
    );
}
