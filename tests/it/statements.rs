//! Every statement of the store against the migrated schema.

use std::collections::HashSet;

use samplit_tests::{connect, database};

#[tokio::test]
async fn every_statement_prepares_and_has_a_name_of_its_own() {
    let database = database().await;
    let client = connect(database.url()).await;
    let mut names = HashSet::new();
    for statement in samplit_store::statements() {
        assert!(
            names.insert(statement.name),
            "{} stands twice",
            statement.name
        );
        assert!(
            statement
                .sql
                .starts_with(&format!("-- {}\n", statement.name))
        );
        let prepared = client.prepare(statement.sql).await;
        assert!(prepared.is_ok(), "{}: {:?}", statement.name, prepared.err());
    }
}

/// EXPLAIN asks for the rights of a statement and does not run it.
#[tokio::test]
async fn the_role_of_the_server_may_run_every_statement() {
    let database = database().await;
    let client = connect(database.url()).await;
    client.batch_execute("SET ROLE samplit_app").await.unwrap();
    let mut asked = 0;
    for statement in samplit_store::statements() {
        let body = statement.sql.split_once('\n').unwrap().1.trim_start();
        // The others touch no table.
        if !["SELECT", "WITH", "INSERT", "UPDATE", "DELETE"]
            .contains(&body.split(' ').next().unwrap())
        {
            continue;
        }
        let parameters = client.prepare(statement.sql).await.unwrap();
        let nulls = vec!["NULL"; parameters.params().len()].join(", ");
        let arguments = if nulls.is_empty() {
            nulls
        } else {
            format!("({nulls})")
        };
        let explained = client
            .batch_execute(&format!(
                "PREPARE asked AS {}; EXPLAIN EXECUTE asked{arguments}; DEALLOCATE asked",
                statement.sql
            ))
            .await;
        assert!(
            explained.is_ok(),
            "{}: {:?}",
            statement.name,
            explained.err()
        );
        asked += 1;
    }
    assert!(asked > 50, "{asked}");
}
