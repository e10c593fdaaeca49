//! Where trails are read from.

use std::time::Duration;

use clap::Args;
use samplit_engine::{Engine, EngineConfig};
use samplit_store::Settings;

use crate::database;
use crate::settings::{DatabaseSettings, KeySettings};

/// A database to read.
#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    keys: KeySettings,
}

impl Source {
    /// An engine over the database.
    pub(crate) async fn open(&self) -> anyhow::Result<Engine> {
        let keys = self.keys.ring()?;
        let settings = Settings {
            // Reading a whole trail or table takes as long as it takes.
            statement_timeout: Duration::ZERO,
            ..self.database.to_store()?
        };
        let database = database::connect(settings).await?;
        Ok(Engine::start(database, EngineConfig::new(keys)).await?)
    }
}
