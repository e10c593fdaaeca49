//! What every request shares.

use std::sync::Arc;

use samplit_engine::Engine;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::{
    HttpConfig, gzip::Gzipped, limit::KeyLimit, problem::Problem, request_id::RequestIds,
    shared::Shared,
};

/// Bundles and tables on their way at once; each holds a page until its client takes it.
const EXPORTS: usize = 8;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
    pub(crate) limit: Option<KeyLimit>,
    pub(crate) page_limit: Option<KeyLimit>,
    pub(crate) request_ids: RequestIds,
    pub(crate) gzipped: Gzipped,
    /// One permit per bundle or table that may be on its way.
    exports: Arc<Semaphore>,
    /// The permit of the one back-test that may be made.
    pub(crate) backtests: Arc<Semaphore>,
    /// One permit per stream of events that may be open: half of the connections.
    pub(crate) streams: Arc<Semaphore>,
    /// What all who watch an experiment are told.
    pub(crate) shared: Shared,
    draining: watch::Sender<bool>,
}

impl App {
    pub(crate) fn new(engine: Engine, config: HttpConfig) -> Self {
        Self {
            engine,
            limit: config.rate_limit.map(KeyLimit::per_second),
            page_limit: config.page_rate_limit.map(KeyLimit::per_second),
            streams: Arc::new(Semaphore::new((config.max_connections / 2).max(1))),
            shared: Shared::default(),
            config,
            request_ids: RequestIds::random(),
            gzipped: Gzipped::new(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            backtests: Arc::new(Semaphore::new(1)),
            draining: watch::Sender::new(false),
        }
    }

    /// Leave to send a bundle or a table, until it is dropped.
    pub(crate) fn export_permit(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let permit = Arc::clone(&self.exports).try_acquire_owned();
        permit.map_err(|_full| {
            let detail =
                "as many bundles and exports as this server makes at once are on their way";
            Problem::unavailable("too_many_exports", detail, 5)
        })
    }

    /// From now on `/readyz` says no, and streams of events end.
    pub(crate) fn start_draining(&self) {
        self.draining.send_replace(true);
    }

    pub(crate) fn is_draining(&self) -> bool {
        *self.draining.borrow()
    }

    /// Waits until the server drains.
    pub(crate) async fn drained(&self) {
        let mut draining = self.draining.subscribe();
        // It fails only once the sender is gone, which is the end as well.
        let _ = draining.wait_for(|draining| *draining).await;
    }
}
