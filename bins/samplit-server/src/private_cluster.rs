//! A PostgreSQL of one's own for the length of a command, with the schema in it.

use anyhow::Context as _;
use samplit_devpg::DevPg;
use tokio_postgres::NoTls;

/// The database inside.
const DATABASE: &str = "samplit";

/// A running private cluster; dropping it stops the server and deletes everything.
#[derive(Debug)]
pub(crate) struct PrivateCluster(DevPg);

impl PrivateCluster {
    /// Makes and migrates it. Nothing in it survives, so it does not wait for the disk.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let pg = DevPg::builder()
            .fsync(false)
            .setting("shared_buffers", "256MB")
            .setting("max_wal_size", "4GB")
            .setting("wal_level", "minimal")
            .setting("max_wal_senders", "0")
            .start()
            .await
            .context("cannot start a private PostgreSQL")?;
        pg.create_database(DATABASE).await?;
        let cluster = Self(pg);
        let (mut client, connection) = tokio_postgres::connect(&cluster.url(), NoTls).await?;
        let connection = tokio::spawn(connection);
        samplit_sql::up(&mut client, &samplit_sql::Options::default())
            .await
            .context("cannot make the schema")?;
        drop(client);
        connection.await??;
        Ok(cluster)
    }

    /// Where to connect to.
    pub(crate) fn url(&self) -> String {
        self.0.url(DATABASE)
    }
}
