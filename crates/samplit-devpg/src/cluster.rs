//! The cluster itself: made, started, stopped, started again.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::OnceCell;

use crate::Error;
use crate::account::Account;
use crate::binaries;
use crate::watchdog::Watchdog;

/// Ports below the range from which kernels serve outgoing connections, so that a stopped server
/// finds its port again.
const PORTS: std::ops::Range<u16> = 15_000..31_000;
/// How many ports are tried when others take them at the same moment.
const PORT_ATTEMPTS: usize = 20;
/// How often a start on a fixed port is tried. After a SIGKILL of the postmaster its children need
/// a moment to notice and to leave the shared memory.
const RESTART_ATTEMPTS: usize = 40;
const RESTART_PAUSE: Duration = Duration::from_millis(250);
/// Longest directory under which the socket's path stays within the kernel's limit of 107 bytes.
const MAX_SOCKET_DIR: usize = 80;

/// How to stop the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Ends all sessions, writes a checkpoint, stops cleanly.
    Fast,
    /// Stops at once, as a crash would; the next start recovers from the log.
    Immediate,
}

/// The settings of a cluster to be.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    settings: Vec<(String, String)>,
    base: Option<PathBuf>,
}

impl Builder {
    fn new() -> Self {
        let defaults = [
            ("listen_addresses", "127.0.0.1"),
            ("max_connections", "200"),
            ("log_line_prefix", "%m [%p] %a "),
        ];
        Self {
            settings: defaults.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            base: None,
        }
    }

    /// Whether commits wait for the disk. On by default; `false` also switches
    /// `synchronous_commit` and `full_page_writes` off, which only tests that never crash the
    /// server may do.
    pub fn fsync(self, on: bool) -> Self {
        let value = if on { "on" } else { "off" };
        ["fsync", "synchronous_commit", "full_page_writes"]
            .into_iter()
            .fold(self, |builder, name| builder.setting(name, value))
    }

    /// Sets one line of `postgresql.conf`. A later call for the same name wins.
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts the cluster's directory below `base` instead of the system's folder for temporary files;
    /// its account has to be able to enter it.
    pub fn directory_in(mut self, base: &Path) -> Self {
        self.base = Some(base.to_owned());
        self
    }

    /// Makes and starts the cluster. Takes about a second.
    ///
    /// # Errors
    /// When PostgreSQL is not installed, `initdb` fails, or the server does not start.
    pub async fn start(self) -> Result<DevPg, Error> {
        let bin = binaries::find()?;
        let account = Account::choose()?;
        let base = self.base.clone().unwrap_or_else(std::env::temp_dir);
        let dir = private_directory(account, base)?;
        let data = dir.join("data");
        let watchdog = Watchdog::start(account, &bin.join("pg_ctl"), &data, &dir)?;
        // From here on whatever fails drops the watchdog, and with it the directory.
        let mut pg = DevPg {
            bin,
            account,
            dir,
            data,
            port: 0,
            _watchdog: watchdog,
        };
        pg.initialise().await?;
        self.write_settings(&pg)?;
        pg.start_on_a_free_port().await?;
        Ok(pg)
    }

    fn write_settings(&self, pg: &DevPg) -> Result<(), Error> {
        use std::io::Write;

        let mut lines = format!("unix_socket_directories = {}\n", quoted_path(&pg.dir));
        for (name, value) in &self.settings {
            let value = value.replace('\'', "''");
            lines.push_str(&format!("{name} = '{value}'\n"));
        }
        std::fs::OpenOptions::new()
            .append(true)
            .open(pg.data.join("postgresql.conf"))
            .and_then(|mut file| file.write_all(lines.as_bytes()))
            .map_err(Error::io("write postgresql.conf"))
    }
}

/// A running throwaway cluster. Dropping it stops the server and deletes its directory.
#[derive(Debug)]
pub struct DevPg {
    bin: PathBuf,
    account: Account,
    dir: PathBuf,
    data: PathBuf,
    port: u16,
    _watchdog: Watchdog,
}

impl DevPg {
    /// A cluster with durable settings (`fsync` on).
    ///
    /// # Errors
    /// As [`Builder::start`].
    pub async fn start() -> Result<Self, Error> {
        Self::builder().start().await
    }

    /// A cluster with settings of your own.
    pub fn builder() -> Builder {
        Builder::new()
    }

    /// The one cluster of this process for tests that need nothing special; `fsync` is off.
    ///
    /// # Panics
    /// When the cluster cannot be made: a test has no better answer.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<DevPg> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                match Self::builder().fsync(false).start().await {
                    Ok(pg) => pg,
                    Err(error) => panic!("no throwaway PostgreSQL: {error}"),
                }
            })
            .await
    }

    /// The URL of a database in the cluster, for any client, as the superuser `postgres`.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The directory that holds the socket, the data and the log.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.dir
    }

    /// The path of one of PostgreSQL's own programs, such as `psql`.
    #[must_use]
    pub fn bin(&self, program: &str) -> PathBuf {
        self.bin.join(program)
    }

    /// The process id of the server, `None` while it is stopped.
    #[must_use]
    pub fn postmaster_pid(&self) -> Option<i32> {
        let file = std::fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        file.lines().next()?.trim().parse().ok()
    }

    /// Stops the server; data and port stay for [`DevPg::restart`].
    ///
    /// # Errors
    /// [`Error::Program`] when it is not running or does not stop.
    pub async fn stop(&self, mode: Mode) -> Result<(), Error> {
        let mode = match mode {
            Mode::Fast => "fast",
            Mode::Immediate => "immediate",
        };
        let mut command = self.command("pg_ctl");
        command
            .arg("stop")
            .arg("-D")
            .arg(&self.data)
            .args(["-m", mode]);
        run("pg_ctl stop", command).await.map(drop)
    }

    /// Starts the server again on the same port, after stopping it if it runs. Works after
    /// [`DevPg::stop`] and after a SIGKILL of the server.
    ///
    /// # Errors
    /// [`Error::Program`] when it does not start.
    pub async fn restart(&self) -> Result<(), Error> {
        // A failure to stop means that it is already down.
        let _ = self.stop(Mode::Fast).await;
        let mut attempt = 1;
        loop {
            match self.start_server(self.port).await {
                Err(_) if attempt < RESTART_ATTEMPTS => attempt += 1,
                outcome => return outcome,
            }
            tokio::time::sleep(RESTART_PAUSE).await;
        }
    }

    async fn initialise(&self) -> Result<(), Error> {
        let mut command = self.command("initdb");
        command.arg("-D").arg(&self.data).args([
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]);
        run("initdb", command).await.map(drop)
    }

    async fn start_on_a_free_port(&mut self) -> Result<(), Error> {
        let mut attempt = 1;
        loop {
            let port = free_port()?;
            match self.start_server(port).await {
                Ok(()) => {
                    self.port = port;
                    return Ok(());
                }
                Err(Error::Program { output, .. })
                    if attempt < PORT_ATTEMPTS && output.contains("Address already in use") =>
                {
                    tracing::debug!(port, "the port was taken meanwhile");
                    attempt += 1;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_server(&self, port: u16) -> Result<(), Error> {
        let log = self.dir.join("log");
        let known = std::fs::metadata(&log).map_or(0, |meta| meta.len());
        let mut command = self.command("pg_ctl");
        command
            .arg("start")
            .arg("-D")
            .arg(&self.data)
            .arg("-l")
            .arg(&log)
            .args(["-t", "60", "-o"])
            .arg(format!("-p {port}"));
        run("pg_ctl start", command)
            .await
            .map(drop)
            .map_err(|error| match error {
                // pg_ctl only says "examine the log output", so do that.
                Error::Program {
                    program,
                    mut output,
                } => {
                    let log = std::fs::read(&log).unwrap_or_default();
                    let fresh = log
                        .get(usize::try_from(known).unwrap_or(0)..)
                        .unwrap_or_default();
                    output.push_str(&String::from_utf8_lossy(fresh));
                    Error::Program { program, output }
                }
                other => other,
            })
    }

    /// A command that runs as the server's account, in English and away from any caller's
    /// terminal: its own process group keeps a Ctrl-C from reaching the server.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin(program));
        self.account.apply(&mut command);
        command
            .current_dir(&self.dir)
            .env("LC_ALL", "C")
            .env_remove("PGOPTIONS")
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

async fn run(program: &'static str, mut command: Command) -> Result<(), Error> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(Error::io("run a program of PostgreSQL"))?;
    if output.status.success() {
        return Ok(());
    }
    let printed = [output.stderr, output.stdout].concat();
    Err(Error::Program {
        program,
        output: String::from_utf8_lossy(&printed).into_owned(),
    })
}

/// A new directory that only the server's account can enter.
fn private_directory(account: Account, base: PathBuf) -> Result<PathBuf, Error> {
    let base = if base.as_os_str().len() > MAX_SOCKET_DIR {
        PathBuf::from("/tmp")
    } else {
        base
    };
    // The watchdog deletes it, not the handle: one owner of the clean-up.
    let dir = tempfile::Builder::new()
        .prefix("samplit-pg-")
        .disable_cleanup(true)
        .tempdir_in(base)
        .map_err(Error::io("make a temporary directory"))?
        .keep();
    account.give(&dir)?;
    Ok(dir)
}

/// A port that nobody listened on a moment ago, searched from a random place in [`PORTS`].
fn free_port() -> Result<u16, Error> {
    let span = usize::from(PORTS.end - PORTS.start);
    // A fresh `RandomState` is the standard library's source of an arbitrary number.
    let [high, low, ..] = RandomState::new().build_hasher().finish().to_be_bytes();
    let skip = usize::from(u16::from_be_bytes([high, low])) % span;
    PORTS
        .cycle()
        .skip(skip)
        .take(span)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| std::io::ErrorKind::AddrInUse.into())
        .map_err(Error::io("find a free port"))
}

fn quoted_path(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "''"))
}
