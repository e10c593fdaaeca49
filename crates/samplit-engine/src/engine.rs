//! The engine: starts, stops, and holds what the use cases share.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_store::Database;
use tokio::task::JoinHandle;

use crate::core::Core;
use crate::writer::Writer;
use crate::{EngineConfig, Error, Secret, auto_complete, checkpoints, live};

/// The use cases of Samplit over one database. Cheap to clone; any number of engines may run over
/// the same database at once, in one process or in many.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    pub(crate) writer: Arc<Writer>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Engine {
    /// Starts the writer and begins to follow changes made by other processes. Before it answers
    /// anything, it holds every trail that is not what was exported of it.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn start(database: Database, config: EngineConfig) -> Result<Self, Error> {
        database.ping().await?;
        let core = Arc::new(Core::new(database.clone(), config));
        let engine = Self::over(Arc::clone(&core), Arc::new(Writer::start(&core)));
        engine.guard().await?;
        let writer = Arc::downgrade(&engine.writer);
        let checkpoint = core.config.checkpoint_every;
        let (refresh, complete) = (core.config.refresh_every, core.config.complete_every);
        let core = Arc::downgrade(&core);
        engine.tasks.lock().extend([
            tokio::spawn(live::follow(Weak::clone(&core), database, refresh)),
            tokio::spawn(auto_complete::watch(
                Weak::clone(&core),
                Weak::clone(&writer),
                complete,
            )),
            tokio::spawn(checkpoints::watch(core, writer, checkpoint)),
        ]);
        Ok(engine)
    }

    pub(crate) fn over(core: Arc<Core>, writer: Arc<Writer>) -> Self {
        Self {
            core,
            writer,
            tasks: Arc::default(),
        }
    }

    /// Takes no more requests, answers those that wait, and stops.
    pub async fn shutdown(&self) {
        self.writer.drain().await;
        for task in self.tasks.lock().drain(..) {
            task.abort();
        }
    }

    /// The database underneath.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.core.database
    }

    /// The secret that signs and seals.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `no_secret` where the server has none.
    pub fn secret(&self) -> Result<&Secret, Error> {
        self.core.config.secret.as_ref().ok_or_else(|| {
            Error::conflict(
                "no_secret",
                "this server has no secret to sign and seal with; set SAMPLIT_SECRET or --secret-file",
            )
        })
    }

    /// Requests of an experiment that are in line or being written; `None` if it is not in memory.
    #[must_use]
    pub fn waiting(&self, id: ExperimentId) -> Option<usize> {
        let free = self.core.registry.free_places(id)?;
        Some(self.core.config.queue_capacity - free)
    }
}
