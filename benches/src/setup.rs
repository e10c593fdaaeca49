//! What the benchmarks start from: a private cluster with our schema.

use anyhow::Context as _;
use samplit_devpg::DevPg;

/// Segments of the write-ahead log that are there before anything is measured, 16 MB each.
const SEGMENTS: usize = 128;

/// A migrated database in a cluster of its own, and its URL. `durable`: commits wait for the disk.
pub(crate) async fn migrated(durable: bool) -> anyhow::Result<(DevPg, String)> {
    let pg = DevPg::builder()
        .fsync(durable)
        .setting("min_wal_size", "2GB")
        .setting("max_wal_size", "4GB")
        .start()
        .await
        .context("no PostgreSQL")?;
    pg.create_database("bench").await?;
    let url = pg.url("bench");
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    samplit_sql::up(&mut client, &samplit_sql::Options::default()).await?;
    if durable {
        age(&client).await?;
    }
    Ok((pg, url))
}

/// Brings the cluster's log to where it is after its first hour. A new cluster has no segment to use
/// again, and each new one is filled with zeros and flushed while every COMMIT waits.
async fn age(client: &tokio_postgres::Client) -> anyhow::Result<()> {
    for _ in 0..SEGMENTS {
        client
            .batch_execute("SELECT pg_logical_emit_message(false, 'age', ''), pg_switch_wal()")
            .await?;
    }
    client.batch_execute("CHECKPOINT").await?;
    Ok(())
}
