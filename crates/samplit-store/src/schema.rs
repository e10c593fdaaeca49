//! Which schema the database has, and in which character set.

use crate::columns::Columns;
use crate::statement::{Session, statements};
use crate::{Database, Error};

statements! {
    /// refinery's history holds one row per migration.
    SCHEMA_VERSION = "SELECT max(version) FROM refinery_schema_history";
    /// The character set of the database.
    SERVER_ENCODING = "SELECT pg_encoding_to_char(encoding)::text FROM pg_database \
        WHERE datname = current_database()";
    /// A round trip.
    PING = "SELECT 1";
}

impl Database {
    /// The version of the schema: the last migration applied; `None` where none ever was.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn schema_version(&self) -> Result<Option<i32>, Error> {
        let version: Result<_, Error> = self.run(|session| Box::pin(read_version(session))).await;
        match version {
            Err(error) if error.is_unknown_schema() => Ok(None),
            version => version,
        }
    }

    /// The character set of the database, as PostgreSQL spells it: `UTF8`, `LATIN1`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn encoding(&self) -> Result<String, Error> {
        self.run(|session| Box::pin(read_encoding(session))).await
    }

    /// Asks PostgreSQL for a sign of life.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn ping(&self) -> Result<(), Error> {
        self.run(|session| Box::pin(async move { session.query_one(PING, &[]).await.map(drop) }))
            .await
    }
}

async fn read_encoding(session: &Session<'_>) -> Result<String, Error> {
    let row = session.query_one(SERVER_ENCODING, &[]).await?;
    Columns::new(&row, "pg_database").get(0, "encoding")
}

async fn read_version(session: &Session<'_>) -> Result<Option<i32>, Error> {
    let row = session.query_one(SCHEMA_VERSION, &[]).await?;
    Columns::new(&row, "refinery_schema_history").get(0, "version")
}
