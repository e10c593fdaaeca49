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
