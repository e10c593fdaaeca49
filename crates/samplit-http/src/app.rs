//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use samplit_engine::Engine;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{HttpConfig, limit::KeyLimit, problem::Problem, request_id::RequestIds};

/// Bundles and tables on their way at once; each holds a page until its client takes it.
const EXPORTS: usize = 8;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
    pub(crate) limit: Option<KeyLimit>,
    pub(crate) page_limit: Option<KeyLimit>,
    pub(crate) request_ids: RequestIds,
    /// One permit per bundle or table that may be on its way.
    exports: Arc<Semaphore>,
    draining: AtomicBool,
}

impl App {
    pub(crate) fn new(engine: Engine, config: HttpConfig) -> Self {
        Self {
            engine,
            limit: config.rate_limit.map(KeyLimit::per_second),
            page_limit: config.page_rate_limit.map(KeyLimit::per_second),
            config,
            request_ids: RequestIds::random(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            draining: AtomicBool::new(false),
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

    /// From now on `/readyz` says no.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
