//! What the benchmarks start from: a private cluster with our schema.

use anyhow::Context as _;
use samplit_devpg::DevPg;

/// A migrated database in a cluster of its own, and its URL. `durable`: commits wait for the disk.
pub(crate) async fn migrated(durable: bool) -> anyhow::Result<(DevPg, String)> {
    let pg = DevPg::builder()
        .fsync(durable)
        .start()
        .await
        .context("no PostgreSQL")?;
    pg.create_database("bench").await?;
    let url = pg.url("bench");
    let (mut client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    samplit_sql::up(&mut client, &samplit_sql::Options::default()).await?;
    Ok((pg, url))
}
