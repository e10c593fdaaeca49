//! Databases inside the cluster, among them those that a test clones from a template.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};

use crate::{DevPg, Error};

/// Runs `statement` on a connection of its own to the database at `url`.
async fn execute(url: &str, action: &'static str, statement: &str) -> Result<(), Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .map_err(Error::postgres("connect"))?;
    let run = async move |client: Client| client.batch_execute(statement).await;
    // The connection ends once `run` has dropped the client.
    let (done, _) = tokio::join!(run(client), connection);
    done.map_err(Error::postgres(action))
}

fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

impl DevPg {
    /// Creates an empty database that lives as long as the cluster.
    ///
    /// # Errors
    /// [`Error::Postgres`] when the name is taken or the server is stopped.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let statement = format!("CREATE DATABASE {}", quoted(name));
        execute(&self.url("postgres"), "create a database", &statement).await
    }

    /// Clones `template` (which nobody may be connected to) into a database with a name of its own.
    /// `template1` gives an empty one.
    ///
    /// # Errors
    /// [`Error::Postgres`] when the template is missing or in use, or the server is stopped.
    pub async fn create_from_template(&self, template: &str) -> Result<TestDatabase, Error> {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let admin_url = self.url("postgres");
        let statement = format!(
            "CREATE DATABASE {} TEMPLATE {}",
            quoted(&name),
            quoted(template)
        );
        execute(&admin_url, "clone a database", &statement).await?;
        Ok(TestDatabase {
            url: self.url(&name),
            name,
            admin_url,
        })
    }
}

/// A database of one test. Dropping it drops the database, open connections included.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    admin_url: String,
}

impl TestDatabase {
    /// The database's name in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The URL that any client can connect to.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let statement = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            quoted(&self.name)
        );
        let admin_url = std::mem::take(&mut self.admin_url);
        // `drop` is not async and may run inside a runtime, so the statement gets a thread with a
        // runtime of its own.
        let dropped = std::thread::spawn(move || {
            tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(Error::io("build a runtime"))?
                .block_on(execute(&admin_url, "drop a database", &statement))
        })
        .join();
        // The cluster may be stopped by now, and is deleted as a whole anyway.
        if let Ok(Err(error)) = dropped {
            tracing::debug!(%error, database = self.name, "a test database was not dropped");
        }
    }
}
