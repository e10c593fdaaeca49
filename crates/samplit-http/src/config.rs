//! What the HTTP service can be told: limits, deadlines, and what it shows of its build.

use std::{fmt, num::NonZeroU32, sync::Arc, time::Duration};

use metrics_exporter_prometheus::PrometheusHandle;
use samplit_domain::{Cidr, Origin};
use tokio::net::TcpListener;

use crate::fetch::PageFetcher;

/// The sockets to answer on, already bound.
#[derive(Debug)]
pub struct Listeners {
    /// The API and the pages.
    pub public: TcpListener,
    /// `/livez`, `/readyz`, `/metrics`, `/log-level`, `/version`; not meant for the internet.
    pub ops: Option<TcpListener>,
}

/// What decides what is logged, changed while the process runs.
pub trait LogFilter: fmt::Debug + Send + Sync {
    /// The filter in force.
    fn filter(&self) -> String;

    /// Puts another filter in force.
    ///
    /// # Errors
    /// When `filter` cannot be understood, with the reason in words; the one in force stays.
    fn set_filter(&self, filter: &str) -> Result<(), String>;
}

/// Limits and deadlines of the service.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The largest request body, in bytes; beyond: 413. Default 256 KiB.
    pub body_limit: usize,
    /// How long a client may take to send the head of a request, and an idle connection may stay
    /// open; beyond, the connection is closed. Default 30 s.
    pub header_timeout: Duration,
    /// How long the body may take to arrive (beyond: 408). The answer may take twice as long in all
    /// (beyond: 503), but for verification and the bundle, which take what they need. Default 10 s.
    pub request_timeout: Duration,
    /// How long a client may take none of an answer that is ready; beyond, the connection is closed.
    /// One that takes a little again and again is not cut. Default 30 s.
    pub write_timeout: Duration,
    /// How often a stream of events says that it is still there, and whether its key or session is still
    /// good is looked at. Default 15 s.
    pub heartbeat: Duration,
    /// Connections open at once; beyond, new ones wait unaccepted. Streams of events take half of them
    /// at most. Default 10,000.
    pub max_connections: usize,
    /// How long requests in flight may go on once the shutdown has begun. Default 10 s.
    pub drain_timeout: Duration,
    /// Requests per second that one API key may make, with a burst of the same size; beyond: 429.
    /// None (the default) sets no limit. A batch counts as one request.
    pub rate_limit: Option<NonZeroU32>,
    /// Requests per second that one address may make for one installation, with a burst of the same
    /// size; beyond: 429. None (the default) sets no limit. Of IPv6 an address is a /64.
    pub page_rate_limit: Option<NonZeroU32>,
    /// Forms that one address may send to one installation within a minute, with a burst of the same size;
    /// beyond: 429. Of IPv6 an address is a /64. Default 30.
    pub lead_rate_limit: NonZeroU32,
    /// Forms that one installation takes within a minute, whoever sends them; beyond: 429. Default 600.
    pub lead_site_rate_limit: NonZeroU32,
    /// Proxies whose `X-Forwarded-For` is believed. None by default.
    pub trusted_proxies: Vec<Cidr>,
    /// How pages reach this server, like `https://ab.example.com`; none: by the host that a request
    /// names, over TLS unless that is this machine, and then no cache may keep the snippet.
    pub public_url: Option<Origin>,
    /// Whether flags that are asked for by OFREP store nothing: known visitors get their variant, others
    /// control. Off by default.
    pub ofrep_read_only: bool,
    /// What looks at pages of customers to find the snippet; none: 409.
    pub page_fetcher: Option<Arc<dyn PageFetcher>>,
    /// What `/metrics` renders; none: 404.
    pub metrics: Option<PrometheusHandle>,
    /// What `/log-level` shows and changes; none: 404.
    pub log: Option<Arc<dyn LogFilter>>,
    /// The version of the schema that this process needs at least; with an older one `/readyz` says
    /// no. None: any will do.
    pub schema_version: Option<i32>,
    /// What `/version` says. Default: the version of this crate.
    pub version: String,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            body_limit: 256 * 1024,
            header_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(15),
            max_connections: 10_000,
            drain_timeout: Duration::from_secs(10),
            rate_limit: None,
            page_rate_limit: None,
            lead_rate_limit: const { NonZeroU32::new(30).expect("30 is not 0") },
            lead_site_rate_limit: const { NonZeroU32::new(600).expect("600 is not 0") },
            trusted_proxies: Vec::new(),
            public_url: None,
            ofrep_read_only: false,
            page_fetcher: None,
            metrics: None,
            log: None,
            schema_version: None,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }
}
