//! `serve`: answers HTTP requests until it is told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use samplit_engine::{Engine, EngineConfig};
use samplit_http::{HttpConfig, Listeners};
use tokio::net::TcpListener;

use crate::settings::{LogControl, ServerSettings};
use crate::{database, links, signals};

/// Upper bounds of the buckets of every histogram of seconds.
const SECONDS: [f64; 15] = [
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// Upper bounds of the buckets of the writer's batch sizes.
const BATCH_SIZES: [f64; 11] = [
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0,
];

pub(crate) async fn run(
    settings: &ServerSettings,
    log: Arc<LogControl>,
) -> anyhow::Result<ExitCode> {
    // From here on, so that a signal during the start is not lost.
    let shutdown = signals::shutdown()?;
    let config = settings.engine.to_config(settings.keys.ring()?);
    let config = EngineConfig {
        shutdown_timeout: settings.http.drain_timeout.0,
        ..settings.signing.apply(config)?
    };
    let config = EngineConfig {
        mail: settings.mail.mailing(settings.http.public_url.as_ref())?,
        ..settings.integrations.apply(config)?
    };
    let metrics = recorder()?;
    let database = database::connect(settings.database.to_store()?).await?;
    let engine = Engine::start(database, config).await?;
    let listeners = Listeners {
        public: bind(settings.http.listen).await?,
        ops: Some(bind(settings.http.ops_listen).await?),
    };
    tracing::info!(
        address = %listeners.public.local_addr()?,
        ops_address = %listeners.ops.as_ref().map_or(Ok(settings.http.ops_listen), TcpListener::local_addr)?,
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    links::tell_set_up(&engine, settings, listeners.public.local_addr()?).await;
    let config = HttpConfig {
        log: Some(Arc::<LogControl>::clone(&log)),
        schema_version: Some(samplit_sql::expected_version()),
        ..settings.http.to_config(metrics)?
    };
    samplit_http::serve(listeners, engine.clone(), config, shutdown).await;
    engine.shutdown().await;
    engine.database().close();
    tracing::info!("stopped");
    log.finish();
    Ok(ExitCode::SUCCESS)
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind(address).await;
    listener.with_context(|| format!("cannot listen on {address}"))
}

/// Installs the recorder that `/metrics` renders.
fn recorder() -> anyhow::Result<PrometheusHandle> {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?
        .set_buckets_for_metric(Matcher::Suffix("_batch_requests".to_owned()), &BATCH_SIZES)?;
    builder
        .install_recorder()
        .context("cannot install the metrics recorder")
}
