//! The migrations against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod adopt;
mod catalog;
mod migrate;
mod redaction;
mod rights;
mod seed_examples;
mod trail;

use std::path::{Path, PathBuf};
use std::process::Command;

use samplit_devpg::{DevPg, TestDatabase};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};

/// A connection whose driver ends with it.
async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// An empty database and a connection to it.
async fn empty() -> (TestDatabase, Client) {
    let database = DevPg::shared()
        .await
        .create_from_template("template1")
        .await
        .unwrap();
    let client = connect(database.url()).await;
    (database, client)
}

/// A migrated database and a connection to it.
async fn migrated() -> (TestDatabase, Client) {
    let (database, mut client) = empty().await;
    samplit_sql::up(&mut client, &samplit_sql::Options::default())
        .await
        .unwrap();
    (database, client)
}

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Runs files by plain psql, each in a transaction.
async fn psql(database: &TestDatabase, files: &[PathBuf]) {
    let psql = DevPg::shared().await.bin("psql");
    for file in files {
        let output = Command::new(&psql)
            .args([
                "-X",
                "-q",
                "-1",
                "-v",
                "ON_ERROR_STOP=1",
                "-d",
                database.url(),
                "-f",
            ])
            .arg(file)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}: {}",
            file.display(),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// The migration files in order.
fn migration_files() -> Vec<PathBuf> {
    let mut files: Vec<(u32, PathBuf)> = file("migrations")
        .read_dir()
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let version = name.strip_prefix('V').unwrap().split_once("__").unwrap().0;
            (version.parse().unwrap(), path)
        })
        .collect();
    files.sort();
    files.into_iter().map(|(_, path)| path).collect()
}

/// The differences that verification finds, one line each.
async fn differences(client: &Client) -> Vec<String> {
    let verification = samplit_sql::verify(client).await.unwrap();
    verification
        .differences
        .iter()
        .map(ToString::to_string)
        .collect()
}

/// Runs a statement that the server must refuse, and tells with which code.
async fn refusal(client: &Client, statement: &str) -> SqlState {
    let error = client.batch_execute(statement).await.expect_err(statement);
    error
        .code()
        .cloned()
        .expect("the server refused, not the connection")
}

async fn number(client: &Client, query: &str) -> i64 {
    client.query_one(query, &[]).await.unwrap().get(0)
}
