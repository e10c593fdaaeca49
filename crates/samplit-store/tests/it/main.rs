//! The pool, its sessions and its breaker against a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail loudly")]

use std::time::Duration;

use samplit_devpg::{DevPg, TestDatabase};
use samplit_store::Settings;
use tokio::sync::OnceCell;
use tokio_postgres::{Client, NoTls};

mod access;
mod connecting;
mod pool;
mod rows;
mod sessions;
mod statements;

/// A migrated database of its own.
async fn migrated() -> TestDatabase {
    const TEMPLATE: &str = "store_template";
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let pg = DevPg::shared().await;
    MIGRATED
        .get_or_init(|| async {
            pg.create_database(TEMPLATE).await.unwrap();
            let mut client = client(&pg.url(TEMPLATE)).await;
            samplit_sql::up(&mut client, &samplit_sql::Options::default())
                .await
                .unwrap();
        })
        .await;
    pg.create_from_template(TEMPLATE).await.unwrap()
}

/// A connection outside the pool.
async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// A pool of one connection: what one borrower leaves behind, the next one gets.
fn one_connection(url: &str) -> Settings {
    Settings {
        min_connections: 0,
        max_connections: 1,
        connect_retries: Vec::new(),
        acquire_timeout: Duration::from_secs(30),
        ..Settings::new(url)
    }
}
