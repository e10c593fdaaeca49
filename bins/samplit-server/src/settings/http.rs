//! Where to listen, and what to put up with.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use samplit_http::HttpConfig;
use serde::Serialize;

use super::duration::Span;

/// Where to listen, and what to put up with.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "HTTP")]
pub(crate) struct HttpSettings {
    /// Address of the API.
    #[arg(long, env = "SAMPLIT_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,

    /// Address of /livez, /readyz, /metrics, /log-level and /version; not meant for the internet.
    #[arg(long, env = "SAMPLIT_OPS_LISTEN", default_value = "127.0.0.1:9090")]
    pub(crate) ops_listen: SocketAddr,

    /// The largest request body, in bytes.
    #[arg(long, env = "SAMPLIT_BODY_LIMIT", default_value_t = 256 * 1024)]
    body_limit: usize,

    /// How long a client may take to send the head of a request.
    #[arg(long, env = "SAMPLIT_HEADER_TIMEOUT", default_value = "30s")]
    header_timeout: Span,

    /// How long a request body may take to arrive; the answer may take twice as long in all.
    #[arg(long, env = "SAMPLIT_REQUEST_TIMEOUT", default_value = "10s")]
    request_timeout: Span,

    /// How long a client may take none of an answer that is ready.
    #[arg(long, env = "SAMPLIT_WRITE_TIMEOUT", default_value = "30s")]
    write_timeout: Span,

    /// Connections open at once; more wait.
    #[arg(long, env = "SAMPLIT_MAX_CONNECTIONS", default_value_t = 10_000)]
    max_connections: usize,

    /// How long requests in flight may go on after SIGTERM, and how long signing and exporting the
    /// last checkpoints may take after them.
    #[arg(long, env = "SAMPLIT_DRAIN_TIMEOUT", default_value = "10s")]
    pub(crate) drain_timeout: Span,

    /// Requests per second that one API key may make; without it there is no limit.
    #[arg(long, env = "SAMPLIT_RATE_LIMIT")]
    rate_limit: Option<NonZeroU32>,
}

impl HttpSettings {
    /// As the HTTP service wants it.
    pub(crate) fn to_config(&self, metrics: PrometheusHandle) -> HttpConfig {
        HttpConfig {
            body_limit: self.body_limit,
            header_timeout: self.header_timeout.0,
            request_timeout: self.request_timeout.0,
            write_timeout: self.write_timeout.0,
            max_connections: self.max_connections,
            drain_timeout: self.drain_timeout.0,
            rate_limit: self.rate_limit,
            metrics: Some(metrics),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..HttpConfig::default()
        }
    }
}
