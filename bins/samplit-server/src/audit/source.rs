//! Where trails are read from, and where they are written to.

use std::time::Duration;

use clap::Args;
use samplit_engine::{Engine, EngineConfig};
use samplit_store::Settings;

use crate::database;
use crate::settings::{DatabaseSettings, KeySettings, SigningSettings};

/// A database to read.
#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    keys: KeySettings,
}

/// A database to write, with what signs and exports what was written.
#[derive(Debug, Args)]
pub(super) struct Target {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    signing: SigningSettings,
}

impl Source {
    /// An engine over the database that does only what it is asked.
    pub(crate) async fn open(&self) -> anyhow::Result<Engine> {
        self.open_as(EngineConfig::new(self.keys.ring()?)).await
    }

    async fn open_as(&self, config: EngineConfig) -> anyhow::Result<Engine> {
        let settings = Settings {
            // Reading a whole trail or table takes as long as it takes.
            statement_timeout: Duration::ZERO,
            ..self.database.to_store()?
        };
        let database = database::connect(settings).await?;
        Ok(Engine::open(database, config).await?)
    }
}

impl Target {
    /// An engine over the database that does only what it is asked, and that not to a trail that was
    /// set back.
    pub(super) async fn open(&self) -> anyhow::Result<Engine> {
        let config = EngineConfig::new(self.source.keys.ring()?);
        let engine = self.source.open_as(self.signing.apply(config)?).await?;
        engine.hold_restored().await?;
        Ok(engine)
    }
}
