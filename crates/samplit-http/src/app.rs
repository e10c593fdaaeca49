//! What every request shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use samplit_engine::Engine;

use tokio::sync::Semaphore;

use crate::{HttpConfig, gzip::Gzipped, limit::KeyLimit, request_id::RequestIds};

/// Bundles on their way at once; each holds a page of entries until its client takes it.
const EXPORTS: usize = 8;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
    pub(crate) limit: Option<KeyLimit>,
    pub(crate) page_limit: Option<KeyLimit>,
    pub(crate) request_ids: RequestIds,
    pub(crate) gzipped: Gzipped,
    /// One permit per bundle that may be on its way.
    pub(crate) exports: Arc<Semaphore>,
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
            gzipped: Gzipped::new(),
            exports: Arc::new(Semaphore::new(EXPORTS)),
            draining: AtomicBool::new(false),
        }
    }

    /// From now on `/readyz` says no.
    pub(crate) fn start_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
