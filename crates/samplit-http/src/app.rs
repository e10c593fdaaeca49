//! What every request shares.

use std::sync::Arc;

use samplit_engine::{Engine, Principal};

use tokio::sync::{Semaphore, watch};

use crate::{
    HttpConfig,
    body::LargeBodies,
    gzip::Gzipped,
    limit::KeyLimit,
    problem::Problem,
    request_id::RequestIds,
    shared::Shared,
    slots::{Slot, Slots},
};

/// Bundles and tables on their way at once, and those of one account; each holds a page until its client
/// takes it.
const EXPORTS: (usize, usize) = (8, 2);

/// The most streams of events of one account.
const STREAMS_EACH: usize = 50;

#[derive(Debug)]
pub(crate) struct App {
    pub(crate) engine: Engine,
    pub(crate) config: HttpConfig,
    pub(crate) limit: Option<KeyLimit>,
    pub(crate) page_limit: Option<KeyLimit>,
    /// Of one address for one installation.
    pub(crate) lead_limit: KeyLimit,
    /// Of one installation.
    pub(crate) lead_site_limit: KeyLimit,
    pub(crate) request_ids: RequestIds,
    pub(crate) gzipped: Gzipped,
    /// Bundles and tables that are on their way.
    exports: Arc<Slots>,
    /// The permit of the one back-test that may be made.
    pub(crate) backtests: Arc<Semaphore>,
    /// Leaves for large bodies to be in memory.
    pub(crate) large_bodies: LargeBodies,
    /// Streams of events that are open: half of the connections at most.
    streams: Arc<Slots>,
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
            lead_limit: KeyLimit::per_minute(config.lead_rate_limit),
            lead_site_limit: KeyLimit::per_minute(config.lead_site_rate_limit),
            streams: Slots::new((config.max_connections / 2).max(1), STREAMS_EACH),
            shared: Shared::default(),
            config,
            request_ids: RequestIds::random(),
            gzipped: Gzipped::new(),
            exports: Slots::new(EXPORTS.0, EXPORTS.1),
            backtests: Arc::new(Semaphore::new(1)),
            large_bodies: LargeBodies::new(),
            draining: watch::Sender::new(false),
        }
    }

    /// Leave to send a bundle or a table, until it is dropped.
    pub(crate) fn export_slot(&self, who: &Principal) -> Result<Slot, Problem> {
        let exports = ("too_many_exports", "bundles and exports");
        self.exports.take(who, exports)
    }

    /// Leave to send a stream of events, until it is dropped.
    pub(crate) fn stream_slot(&self, who: &Principal) -> Result<Slot, Problem> {
        self.streams.take(who, ("too_many_streams", "streams"))
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
