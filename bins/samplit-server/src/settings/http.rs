//! Where to listen, and what to put up with.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use clap::Args;
use metrics_exporter_prometheus::PrometheusHandle;
use samplit_engine::{Cidr, Origin};
use samplit_http::HttpConfig;
use serde::{Serialize, Serializer};

use super::duration::Span;
use crate::page_fetcher::PublicFetcher;

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

    /// Requests per second that pages may make from one address for one installation; without it
    /// there is no limit.
    #[arg(long, env = "SAMPLIT_PAGE_RATE_LIMIT")]
    page_rate_limit: Option<NonZeroU32>,

    /// Forms for leads that one address may send to one installation within a minute.
    #[arg(long, env = "SAMPLIT_LEAD_RATE_LIMIT", default_value = "30")]
    lead_rate_limit: NonZeroU32,

    /// Forms for leads that one installation takes within a minute.
    #[arg(long, env = "SAMPLIT_LEAD_SITE_RATE_LIMIT", default_value = "600")]
    lead_site_rate_limit: NonZeroU32,

    /// Proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8.
    #[arg(
        long = "trusted-proxy",
        env = "SAMPLIT_TRUSTED_PROXIES",
        value_name = "CIDR",
        value_delimiter = ','
    )]
    #[serde(serialize_with = "texts")]
    trusted_proxies: Vec<Cidr>,

    /// How pages reach this server, like `https://ab.example.org`; without it as they call it, over TLS
    /// unless that is this machine, and no cache may keep the snippet.
    #[arg(long, env = "SAMPLIT_PUBLIC_URL")]
    #[serde(serialize_with = "text")]
    pub(crate) public_url: Option<Origin>,

    /// Store nothing when flags are asked for by OFREP: known visitors get their variant, others control.
    #[arg(long, env = "SAMPLIT_OFREP_READ_ONLY")]
    ofrep_read_only: bool,

    /// Look for the snippet on sites of this machine, too; for tests.
    #[arg(long, env = "SAMPLIT_FETCH_LOOPBACK", hide = true)]
    fetch_loopback: bool,
}

impl HttpSettings {
    /// As the HTTP service wants it.
    ///
    /// # Errors
    /// When TLS cannot be used.
    pub(crate) fn to_config(&self, metrics: PrometheusHandle) -> anyhow::Result<HttpConfig> {
        let fetcher = PublicFetcher::new(self.fetch_loopback)?;
        Ok(HttpConfig {
            body_limit: self.body_limit,
            header_timeout: self.header_timeout.0,
            request_timeout: self.request_timeout.0,
            write_timeout: self.write_timeout.0,
            max_connections: self.max_connections,
            drain_timeout: self.drain_timeout.0,
            rate_limit: self.rate_limit,
            page_rate_limit: self.page_rate_limit,
            lead_rate_limit: self.lead_rate_limit,
            lead_site_rate_limit: self.lead_site_rate_limit,
            trusted_proxies: self.trusted_proxies.clone(),
            public_url: self.public_url.clone(),
            ofrep_read_only: self.ofrep_read_only,
            page_fetcher: Some(Arc::new(fetcher)),
            metrics: Some(metrics),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..HttpConfig::default()
        })
    }
}

fn texts<S: Serializer>(ranges: &[Cidr], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(ranges.iter().map(ToString::to_string))
}

fn text<S: Serializer>(url: &Option<Origin>, serializer: S) -> Result<S::Ok, S::Error> {
    url.as_ref().map(Origin::as_str).serialize(serializer)
}
