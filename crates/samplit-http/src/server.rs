//! The accept loops, and the end of them: not ready, stop accepting, drain, return.

use std::{io, net::IpAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use samplit_engine::Engine;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep, timeout},
};

use crate::{
    HttpConfig, Listeners,
    app::App,
    meter::{OpenConnection, describe},
    ops, routes,
    service::Service,
};

/// The most bytes of an unfinished head to hold; beyond: 431.
const HEAD_LIMIT: usize = 64 * 1024;

/// Connections open at once on the ops listener: probes and scrapers, nobody else.
const OPS_CONNECTIONS: usize = 64;

/// How long to wait when the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How often the metrics recorder folds its samples, which otherwise wait for a scrape in memory.
const UPKEEP: Duration = Duration::from_secs(5);

/// How the service ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every request in flight was answered.
    Complete,
    /// The deadline passed with so many connections still open, which were cut.
    Cut(usize),
}

/// Answers requests until `shutdown` resolves, then drains.
///
/// When it does, `/readyz` begins to say no, no new connection is accepted, idle connections are
/// closed and those in flight get [`HttpConfig::drain_timeout`] to finish. The ops listener answers
/// to the end. The engine is left running: its owner shuts it down afterwards.
pub async fn serve(
    listeners: Listeners,
    engine: Engine,
    config: HttpConfig,
    shutdown: impl Future<Output = ()> + Send,
) -> Drain {
    describe();
    let mut background = JoinSet::new();
    if let Some(metrics) = config.metrics.clone() {
        background.spawn(async move {
            let mut ticks = interval(UPKEEP);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                metrics.run_upkeep();
            }
        });
    }

    let app = Arc::new(App::new(engine, config));
    if let Some(listener) = listeners.ops {
        let service = Service::new(Arc::clone(&app), ops::router());
        let mut ops = Acceptor::new(listener, "ops", service, &app.config, OPS_CONNECTIONS);
        background.spawn(async move { ops.run().await });
    }
    let service = Service::new(Arc::clone(&app), routes::router());
    let limit = app.config.max_connections;
    let mut public = Acceptor::new(listeners.public, "public", service, &app.config, limit);

    tokio::select! {
        () = public.run() => {}
        () = shutdown => {}
    }
    app.start_draining();
    let drain = public.drain(app.config.drain_timeout).await;
    tracing::info!(?drain, "stopped serving");
    drain
}

/// One listener with the connections it has accepted.
struct Acceptor {
    listener: TcpListener,
    name: &'static str,
    service: Arc<Service>,
    http: http1::Builder,
    limit: usize,
    permits: Arc<Semaphore>,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl Acceptor {
    fn new(
        listener: TcpListener,
        name: &'static str,
        service: Service,
        config: &HttpConfig,
        limit: usize,
    ) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(config.header_timeout)
            .max_buf_size(HEAD_LIMIT);
        Self {
            listener,
            name,
            service: Arc::new(service),
            http,
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            graceful: GracefulShutdown::new(),
            connections: JoinSet::new(),
        }
    }

    /// Accepts for ever. Beyond the limit connections wait in the kernel's queue, which costs
    /// nothing here and lets a short burst through late instead of refusing it.
    async fn run(&mut self) {
        loop {
            let permit = Arc::clone(&self.permits).acquire_owned().await;
            let permit = permit.expect("this semaphore is never closed");
            match self.listener.accept().await {
                Ok((stream, peer)) => self.spawn(stream, peer.ip(), permit),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, listener = self.name, "cannot accept");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
            while self.connections.try_join_next().is_some() {}
        }
    }

    fn spawn(&mut self, stream: TcpStream, peer: IpAddr, permit: OwnedSemaphorePermit) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let service = Arc::clone(&self.service);
        let answer = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { service.respond(request, peer).await }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), answer);
        let connection = self.graceful.watch(connection);
        let name = self.name;
        self.connections.spawn(async move {
            let _permit = permit;
            let _open = OpenConnection::on(name);
            if let Err(error) = connection.await {
                tracing::debug!(%error, listener = name, "connection ended early");
            }
        });
    }

    /// Stops listening, lets the requests in flight finish, and cuts what is left.
    async fn drain(self, deadline: Duration) -> Drain {
        drop(self.listener);
        match timeout(deadline, self.graceful.shutdown()).await {
            Ok(()) => Drain::Complete,
            Err(_elapsed) => Drain::Cut(self.limit - self.permits.available_permits()),
        }
    }
}

/// Whether only the connection that was being accepted is lost.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}
