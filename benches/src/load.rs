//! Load over HTTP/1.1 from a process of its own, and the bare server that it is compared with.
//!
//! Kept thin, because it shares its cores with what it measures: one thread, one task per connection,
//! one request in flight each. Closed loop: a connection asks again as soon as it is answered. Open
//! loop (`--rate`): requests fall due at fixed times and latency counts from then, so that a stall
//! is charged to all who had to wait for it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use hdrhistogram::Histogram;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::CONTENT_TYPE;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

/// The longest latency that is told apart, in microseconds.
const MAX_US: u64 = 60_000_000;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Assigns visitors, one POST each.
    Assign(AssignArgs),
    /// A hyper server that reads the body of any request and always gives the same answer.
    Bare(BareArgs),
}

#[derive(Debug, Args)]
struct AssignArgs {
    /// Of the server.
    #[arg(long)]
    address: SocketAddr,
    /// What is asked: `/v1/experiments/ID/assign`, or `/v1/page`; several take turns.
    #[arg(long, required = true)]
    path: Vec<String>,
    /// The bearer token.
    #[arg(long)]
    token: String,
    /// Connections, each with one request in flight.
    #[arg(long)]
    connections: usize,
    /// For how long.
    #[arg(long)]
    seconds: f64,
    /// Requests a second; as many as possible without it.
    #[arg(long)]
    rate: Option<f64>,
    /// Seconds at the beginning that do not count: caches fill, statements are prepared.
    #[arg(long, default_value_t = 0.0)]
    warm_up: f64,
    /// How visitors are called: this and a number.
    #[arg(long)]
    prefix: String,
    /// Visitors who come again and again; without it every visitor is a new one.
    #[arg(long)]
    known: Option<u64>,
    /// The token of the installation whose pages ask.
    #[arg(long)]
    page: Option<String>,
}

#[derive(Debug, Args)]
struct BareArgs {
    /// The answer.
    #[arg(long)]
    body: String,
}

/// What a run comes to, as it is printed.
#[derive(Debug, Default, Serialize)]
struct Summary {
    /// Requests answered.
    answered: u64,
    /// By status.
    statuses: BTreeMap<u16, u64>,
    /// Answers a second.
    rate: f64,
    p50_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Assign(args) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            let summary = runtime.block_on(assign(Arc::new(args)))?;
            print(&serde_json::to_string(&summary)?);
        }
        Command::Bare(args) => {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?;
            runtime.block_on(bare(args))?;
        }
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "whoever started it reads it")]
fn print(line: &str) {
    println!("{line}");
}

async fn assign(args: Arc<AssignArgs>) -> anyhow::Result<Summary> {
    let ticket = Arc::new(AtomicU64::new(0));
    // One after the other and before the clock runs: a thousand at once overflow the line of the
    // kernel, and what is measured is its retry after a second.
    let mut ready = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        ready.push(Connection::open(Arc::clone(&args)).await?);
    }
    let started = Instant::now();
    let connections: Vec<_> = ready
        .into_iter()
        .map(|connection| tokio::spawn(connection.run(Arc::clone(&ticket), started)))
        .collect();
    let mut latencies = Histogram::<u64>::new_with_max(MAX_US, 3)?;
    let mut statuses = BTreeMap::new();
    for connection in connections {
        let connection = connection.await??;
        latencies.add(&connection.latencies)?;
        for (status, count) in connection.statuses {
            *statuses.entry(status).or_default() += count;
        }
    }
    let seconds = started.elapsed().as_secs_f64() - args.warm_up;
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (rate, ms) = (latencies.len() as f64 / seconds, |us: u64| us as f64 / 1e3);
    Ok(Summary {
        answered: latencies.len(),
        statuses,
        rate,
        p50_ms: ms(latencies.value_at_quantile(0.5)),
        p99_ms: ms(latencies.value_at_quantile(0.99)),
        max_ms: ms(latencies.max()),
    })
}

/// One connection and what it has seen.
struct Connection {
    args: Arc<AssignArgs>,
    stream: TcpStream,
    request: Vec<u8>,
    answer: Vec<u8>,
    latencies: Histogram<u64>,
    statuses: BTreeMap<u16, u64>,
}

impl Connection {
    async fn open(args: Arc<AssignArgs>) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(args.address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            request: Vec::new(),
            answer: Vec::new(),
            latencies: Histogram::new_with_max(MAX_US, 3)?,
            statuses: BTreeMap::new(),
            args,
        })
    }

    async fn run(mut self, ticket: Arc<AtomicU64>, started: Instant) -> anyhow::Result<Self> {
        let until = started + Duration::from_secs_f64(self.args.warm_up + self.args.seconds);
        loop {
            let number = ticket.fetch_add(1, Ordering::Relaxed);
            let mut due = Instant::now();
            if let Some(rate) = self.args.rate {
                #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
                let offset = number as f64 / rate;
                due = started + Duration::from_secs_f64(offset);
                tokio::time::sleep_until(due.min(until)).await;
            }
            if due >= until || Instant::now() >= until {
                return Ok(self);
            }
            let status = self.ask(number).await?;
            if due.duration_since(started).as_secs_f64() < self.args.warm_up {
                continue;
            }
            let took = due.elapsed().as_micros().min(MAX_US.into());
            self.latencies.record(u64::try_from(took)?)?;
            *self.statuses.entry(status).or_default() += 1;
        }
    }

    /// One request; its status.
    async fn ask(&mut self, number: u64) -> anyhow::Result<u16> {
        let visitor = self.args.known.map_or(number, |known| number % known);
        let page = self.args.page.as_ref().map_or_else(String::new, |token| {
            format!("\"token\":\"{token}\",\"url\":\"https://bench.test/a\",")
        });
        let body = format!("{{{page}\"visitor_id\":\"{}{visitor}\"}}", self.args.prefix);
        let paths = &self.args.path;
        let path = &paths[usize::try_from(number % paths.len() as u64)?];
        self.request.clear();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nOrigin: https://bench.test\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.args.token,
            body.len()
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body.as_bytes());
        self.stream.write_all(&self.request).await?;
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some((status, length)) = complete(&self.answer)? {
                anyhow::ensure!(length == self.answer.len(), "more than one answer");
                return Ok(status);
            }
        }
    }
}

/// The status and whole length of an answer, once all of it is there.
fn complete(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(answer)? else {
        return Ok(None);
    };
    let status = response.code.context("an answer without a status")?;
    let length = response
        .headers
        .iter()
        .find(|header| header.name.eq_ignore_ascii_case("content-length"))
        .context("an answer without its length")?;
    let length: usize = std::str::from_utf8(length.value)?.parse()?;
    Ok((answer.len() >= head + length).then_some((status, head + length)))
}

async fn bare(args: BareArgs) -> anyhow::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    print(&listener.local_addr()?.to_string());
    let body = Bytes::from(args.body);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let body = body.clone();
        tokio::spawn(async move {
            let answer = service_fn(move |request: Request<Incoming>| {
                let body = body.clone();
                async move {
                    // What arrives is read as a server would, and thrown away.
                    let _ = request.into_body().collect().await;
                    let mut response = Response::new(Full::new(body));
                    let json = hyper::header::HeaderValue::from_static("application/json");
                    response.headers_mut().insert(CONTENT_TYPE, json);
                    Ok::<_, Infallible>(response)
                }
            });
            // A client that goes is no error of ours.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), answer)
                .await;
        });
    }
}
