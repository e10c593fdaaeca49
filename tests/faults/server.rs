//! The server under test: composed as `samplit-server serve` is, with failpoints, a clock that can be
//! set, and short timeouts.
//!
//! It takes one command per line on its input and says on its output what has happened. When the
//! input ends, the test is gone, and it goes, too.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use parking_lot::Mutex;
use samplit_domain::Clock;
use samplit_engine::{Engine, EngineConfig, Failpoint, SystemClock, on_failpoint};
use samplit_http::{HttpConfig, Listeners};
use samplit_store::{Database, Settings};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;

/// The argument that makes this program a server.
pub(crate) const COMMAND: &str = "serve-faulty";

/// How long the breaker stays open. In production 30 s, which every recovery time would then be.
pub(crate) const BREAKER: Duration = Duration::from_secs(1);

/// How long a transaction may stand idle, as a stopped replica's does.
pub(crate) const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(2);

/// A body may take so long; an answer twice as long.
const REQUEST: Duration = Duration::from_secs(3);

/// A head may take so long to come, and an answer to be taken.
const CLIENT: Duration = Duration::from_secs(5);

/// What a server is told at its start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Setup {
    /// Its name in `pg_stat_activity`.
    pub(crate) name: String,
    pub(crate) database_url: String,
    pub(crate) max_connections: usize,
    pub(crate) queue: usize,
}

/// What is to happen at a failpoint.
struct Armed {
    point: &'static str,
    /// Passed by so often before.
    passes: u32,
    kills: bool,
}

#[derive(Default)]
struct Faults {
    armed: Mutex<Option<Armed>>,
    resume: Notify,
}

static FAULTS: LazyLock<Faults> = LazyLock::new(Faults::default);

/// Microseconds between our clock and that of the machine.
static CLOCK_OFFSET: AtomicI64 = AtomicI64::new(0);

#[derive(Debug)]
struct OffsetClock;

impl Clock for OffsetClock {
    fn now(&self) -> OffsetDateTime {
        let offset = CLOCK_OFFSET.load(Ordering::Relaxed);
        SystemClock.now() + time::Duration::microseconds(offset)
    }
}

pub(crate) fn main(setup: &str) -> ExitCode {
    let setup: Setup = serde_json::from_str(setup).unwrap();
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .init();
    let hook = on_failpoint(Box::new(|point| Box::pin(reached(point))));
    assert!(hook.is_ok());
    std::thread::spawn(obey);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(serve(setup));
    ExitCode::SUCCESS
}

async fn serve(setup: Setup) {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let metrics = PrometheusBuilder::new().install_recorder().unwrap();
    let database = Database::connect(Settings {
        min_connections: 1,
        max_connections: setup.max_connections,
        max_idle: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        acquire_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(1),
        statement_timeout: Duration::from_secs(4),
        idle_in_transaction_timeout: IDLE_IN_TRANSACTION,
        recovery_timeout: BREAKER,
        application_name: setup.name,
        ..Settings::new(setup.database_url)
    })
    .await
    .unwrap();
    let config = EngineConfig {
        clock: Arc::new(OffsetClock),
        cache_capacity: 20_000,
        queue_capacity: setup.queue,
        ..EngineConfig::new(crate::stage::keys())
    };
    let engine = Engine::start(database, config).await.unwrap();
    let bind = || TcpListener::bind("127.0.0.1:0");
    let listeners = Listeners {
        public: bind().await.unwrap(),
        ops: Some(bind().await.unwrap()),
    };
    let address = listeners.public.local_addr().unwrap();
    let ops = listeners.ops.as_ref().unwrap().local_addr().unwrap();
    say(&format!("listening {address} {ops}"));
    let config = HttpConfig {
        header_timeout: CLIENT,
        request_timeout: REQUEST,
        write_timeout: CLIENT,
        metrics: Some(metrics),
        ..HttpConfig::default()
    };
    let shutdown = async move {
        terminate.recv().await;
        say("terminating");
    };
    samplit_http::serve(listeners, engine.clone(), config, shutdown).await;
    engine.shutdown().await;
    engine.database().close();
}

/// Obeys until nobody is left to command.
fn obey() {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [action @ ("kill" | "pause"), point, passes] => {
                let points = Failpoint::ALL.map(Failpoint::as_str);
                *FAULTS.armed.lock() = Some(Armed {
                    point: points.into_iter().find(|known| *known == point).unwrap(),
                    passes: passes.parse().unwrap(),
                    kills: action == "kill",
                });
            }
            ["resume"] => FAULTS.resume.notify_one(),
            ["clock", seconds] => {
                let seconds: i64 = seconds.parse().unwrap();
                CLOCK_OFFSET.store(seconds * 1_000_000, Ordering::Relaxed);
            }
            _ => panic!("no such command: {line}"),
        }
    }
    die();
}

async fn reached(point: Failpoint) {
    let armed = {
        let mut slot = FAULTS.armed.lock();
        match &mut *slot {
            Some(armed) if armed.point == point.as_str() && armed.passes == 0 => slot.take(),
            Some(armed) if armed.point == point.as_str() => {
                armed.passes -= 1;
                None
            }
            _ => None,
        }
    };
    match armed {
        None => {}
        Some(Armed { kills: true, .. }) => die(),
        Some(Armed { point, .. }) => {
            say(&format!("paused {point}"));
            FAULTS.resume.notified().await;
        }
    }
}

fn die() {
    kill(Pid::this(), Signal::SIGKILL).unwrap();
}

fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    // A test that does not listen any more is about to end us.
    let _ = writeln!(out, "{what}").and_then(|()| out.flush());
}
