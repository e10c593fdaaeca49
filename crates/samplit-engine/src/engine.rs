//! The engine: starts, stops, and holds what the use cases share.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use samplit_store::Database;
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::core::Core;
use crate::writer::Writer;
use crate::{EngineConfig, Error, Secret, auto_complete, checkpoints, live, plans};

/// The use cases of Samplit over one database. Cheap to clone; any number of engines may run over
/// the same database at once, in one process or in many.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(crate) core: Arc<Core>,
    pub(crate) writer: Arc<Writer>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Engine {
    /// An engine that does what it is asked and nothing by itself: it follows no changes of other
    /// processes, and completes, seals, signs and holds nothing. For a command that does one thing and
    /// ends.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open(database: Database, config: EngineConfig) -> Result<Self, Error> {
        database.ping().await?;
        let core = Arc::new(Core::new(database, config));
        let writer = Arc::new(Writer::start(&core));
        Ok(Self::over(core, writer))
    }

    /// Opens an engine and lets it work: it follows changes made by other processes, completes
    /// experiments that registered so, seals, signs, delivers webhooks, and notes who comes near to a limit
    /// of a plan. Before it answers anything, it holds every trail that is not what was exported of it.
    ///
    /// # Errors
    /// When the database does not answer,
    /// [`ErrorKind::DirectoryUnavailable`](crate::ErrorKind::DirectoryUnavailable) where the directory
    /// of exported checkpoints is configured and cannot be read, and
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `key_missing` where experiments run and
    /// none of their keys can be opened, as they are sealed with one that is not in the ring.
    pub async fn start(database: Database, config: EngineConfig) -> Result<Self, Error> {
        let engine = Self::open(database.clone(), config).await?;
        engine.check_ring().await?;
        engine.hold_restored().await?;
        let writer = Arc::downgrade(&engine.writer);
        let config = &engine.core.config;
        let checkpoint = config.checkpoint_every;
        let (refresh, complete) = (config.refresh_every, config.complete_every);
        let look = config.plans_every;
        let core = Arc::downgrade(&engine.core);
        if config.webhook_sender.is_some() && config.secret.is_some() {
            let every = config.webhook_every;
            engine.core.postman.start(Weak::clone(&core), every);
        }
        engine.tasks.lock().extend([
            tokio::spawn(live::follow(Weak::clone(&core), database, refresh)),
            tokio::spawn(auto_complete::watch(
                Weak::clone(&core),
                Weak::clone(&writer),
                complete,
            )),
            tokio::spawn(plans::watch(Weak::clone(&core), look)),
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

    /// Holds every trail that is not what was exported of it, as [`start`](Self::start) does. For an
    /// engine that was [opened](Self::open) to write.
    ///
    /// # Errors
    /// When the database fails, and
    /// [`ErrorKind::DirectoryUnavailable`](crate::ErrorKind::DirectoryUnavailable) where the directory
    /// of exported checkpoints is configured and cannot be read.
    pub async fn hold_restored(&self) -> Result<(), Error> {
        self.guard().await
    }

    /// Takes no more requests, answers those that wait, and stops. An engine that was started signs
    /// what grew since the last round; what waits for the sinks is handed over, and webhooks under way
    /// are brought to their end. All of it takes at most [`EngineConfig::shutdown_timeout`].
    pub async fn shutdown(&self) {
        self.core.hub.close();
        self.writer.drain().await;
        let tasks = std::mem::take(&mut *self.tasks.lock());
        let was_started = !tasks.is_empty();
        for task in tasks {
            task.abort();
            // It was cut, or had failed, which was said then.
            let _ = task.await;
        }
        let deadline = Instant::now() + self.core.config.shutdown_timeout;
        let signing = async {
            if was_started {
                self.sign_last(deadline).await;
            }
            self.core.sinks.close(deadline).await;
        };
        tokio::join!(signing, self.core.postman.close(deadline));
    }

    async fn sign_last(&self, deadline: Instant) {
        match timeout_at(deadline, Box::pin(self.sign_all())).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = ?error, "the last entries are not signed");
            }
            Err(_elapsed) => tracing::warn!("not all of the last entries were signed in time"),
        }
    }

    /// The database underneath.
    #[must_use]
    pub fn database(&self) -> &Database {
        &self.core.database
    }

    /// What time it is by the clock of the engine.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        self.core.config.clock.now()
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
