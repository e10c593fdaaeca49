//! What every request shares.

use std::sync::atomic::{AtomicBool, Ordering};

use samplit_engine::Engine;

use crate::{HttpConfig, limit::KeyLimit, request_id::RequestIds};

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
    pub(crate) limit: Option<KeyLimit>,
    pub(crate) page_limit: Option<KeyLimit>,
    pub(crate) request_ids: RequestIds,
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
