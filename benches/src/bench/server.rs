//! The server under test as a process of its own, and the load against it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::time::Instant;

const KEYS: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Another binary of this build.
fn sibling(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(path.exists(), "{} is not built", path.display());
    Ok(path)
}

/// A process that ends with its handle.
pub(crate) struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A running samplit-server.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    pub(crate) token: String,
    /// From the start of the process until it was ready.
    pub(crate) ready_in: Duration,
}

impl Server {
    /// Starts it on a migrated database.
    pub(crate) fn start(url: &str) -> anyhow::Result<Self> {
        let token = create_key(url)?;
        let started = Instant::now();
        let mut child = command(
            url,
            &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--ops-listen",
                "127.0.0.1:0",
            ],
        )?
        .env("SAMPLIT_LOG_FORMAT", "json")
        .env("SAMPLIT_CACHE_CAPACITY", "200000")
        .stderr(Stdio::piped())
        .spawn()?;
        let mut lines = BufReader::new(child.stderr.take().context("it has a stderr")?);
        let process = Process(child);
        let (address, ops) = loop {
            let mut line = String::new();
            anyhow::ensure!(lines.read_line(&mut line)? > 0, "the server ended at once");
            let event: Json = serde_json::from_str(&line)?;
            if event["message"] == "listening" {
                let of = |name: &str| -> anyhow::Result<SocketAddr> {
                    Ok(event[name].as_str().context("an address")?.parse()?)
                };
                break (of("address")?, of("ops_address")?);
            }
        };
        let mut ready = [0; 12];
        let mut probe = std::net::TcpStream::connect(ops)?;
        std::io::Write::write_all(&mut probe, b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        probe.read_exact(&mut ready)?;
        anyhow::ensure!(&ready == b"HTTP/1.1 200", "not ready");
        let ready_in = started.elapsed();
        // Reads on, so that the server never waits for somebody to read its log.
        std::thread::spawn(move || std::io::copy(&mut lines, &mut std::io::sink()));
        Ok(Self {
            process,
            address,
            token,
            ready_in,
        })
    }

    /// Resident memory now, and the most it was, in MiB.
    pub(crate) fn resident_mib(&self) -> anyhow::Result<(f64, f64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.0.id()))?;
        let of = |name: &str| -> anyhow::Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line
                .and_then(|line| line.split_whitespace().next())
                .context("a size")?;
            Ok(kib.parse::<f64>()? / 1024.0)
        };
        Ok((of("VmRSS:")?, of("VmHWM:")?))
    }

    /// Loads it with visitors.
    pub(crate) fn load(&self, load: &Load<'_>) -> anyhow::Result<Loaded> {
        load.run(self.address, &self.token)
    }
}

fn command(url: &str, arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(sibling("samplit-server")?);
    command
        .args(arguments)
        .env("SAMPLIT_DATABASE_URL", url)
        .env("SAMPLIT_KEYS", KEYS);
    Ok(command)
}

/// The key ring that the server uses, for an engine over the same database.
pub(crate) fn ring() -> anyhow::Result<samplit_engine::KeyRing> {
    let mut key = [0; 32];
    for (byte, index) in key.iter_mut().zip(0..) {
        *byte = index;
    }
    Ok(samplit_engine::KeyRing::new(&[key])?)
}

fn create_key(url: &str) -> anyhow::Result<String> {
    let arguments = [
        "admin",
        "create-key",
        "--email",
        "bench@example.com",
        "--role",
        "admin",
        "--name",
        "bench",
        "--scopes",
        "manage,assign,read",
        "--output",
        "json",
    ];
    let output = command(url, &arguments)?.output()?;
    let made: Json = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    Ok(made["token"].as_str().context("a token")?.to_owned())
}

/// A bare hyper server that always gives one answer.
pub(crate) fn bare(body: &str) -> anyhow::Result<(Process, SocketAddr)> {
    let mut child = Command::new(sibling("load")?)
        .args(["bare", "--body", body])
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let stdout = child.stdout.take().context("it has a stdout")?;
    let process = Process(child);
    BufReader::new(stdout).read_line(&mut line)?;
    Ok((process, line.trim().parse()?))
}

/// What to load a server with.
pub(crate) struct Load<'a> {
    pub(crate) paths: &'a [String],
    pub(crate) connections: usize,
    pub(crate) seconds: f64,
    pub(crate) rate: Option<f64>,
    pub(crate) prefix: &'a str,
    pub(crate) known: Option<u64>,
    /// The token of the installation, where pages ask.
    pub(crate) page: Option<&'a str>,
}

/// What a load came to.
#[derive(Debug, Deserialize)]
pub(crate) struct Loaded {
    pub(crate) answered: u64,
    pub(crate) statuses: std::collections::BTreeMap<String, u64>,
    pub(crate) rate: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) max_ms: f64,
}

impl Load<'_> {
    pub(crate) fn run(&self, address: SocketAddr, token: &str) -> anyhow::Result<Loaded> {
        let mut command = Command::new(sibling("load")?);
        command.args(["assign", "--token", token, "--prefix", self.prefix]);
        command.args(["--address", &address.to_string()]);
        command.args(["--connections", &self.connections.to_string()]);
        command.args(["--seconds", &self.seconds.to_string()]);
        command.args(["--warm-up", "2"]);
        for path in self.paths {
            command.args(["--path", path]);
        }
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        if let Some(known) = self.known {
            command.args(["--known", &known.to_string()]);
        }
        if let Some(token) = self.page {
            command.args(["--page", token]);
        }
        let output = command.stderr(Stdio::inherit()).output()?;
        anyhow::ensure!(output.status.success(), "the load failed");
        let loaded: Loaded = serde_json::from_slice(&output.stdout)?;
        let good = loaded.statuses.get("200").copied().unwrap_or(0);
        anyhow::ensure!(
            good == loaded.answered,
            "not all answered: {:?}",
            loaded.statuses
        );
        Ok(loaded)
    }
}
