//! The engine: starts, stops, and holds what the use cases share.

use std::sync::Arc;

use parking_lot::Mutex;
use samplit_store::Database;
use tokio::task::JoinHandle;

use crate::core::Core;
use crate::writer::Writer;
use crate::{EngineConfig, Error, live};

/// The use cases of Samplit over one database. Cheap to clone; any number of engines may run over
/// the same database at once, in one process or in many.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    pub(crate) writer: Arc<Writer>,
    follower: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl Engine {
    /// Starts the writer and begins to follow changes made by other processes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start(database: Database, config: EngineConfig) -> Result<Self, Error> {
        database.ping().await?;
        let core = Arc::new(Core::new(database.clone(), config));
        let follower = tokio::spawn(live::follow(Arc::downgrade(&core), database));
        Ok(Self {
            writer: Arc::new(Writer::start(&core)),
            follower: Arc::new(Mutex::new(Some(follower))),
            core,
        })
    }

    /// Takes no more requests, answers those that wait, and stops.
    pub async fn shutdown(&self) {
        self.writer.drain().await;
        let follower = self.follower.lock().take();
        if let Some(follower) = follower {
            follower.abort();
        }
    }

    /// The database underneath.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.core.database
    }

    /// Whether requests can be served: a round trip to PostgreSQL.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) when PostgreSQL is away.
    pub async fn ready(&self) -> Result<(), Error> {
        Ok(self.core.database.ping().await?)
    }
}
