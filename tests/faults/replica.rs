//! A server process as the test sees it.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::server::{COMMAND, Setup};

/// The longest that anything is waited for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running server. Dropped, it is killed.
pub(crate) struct Replica {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    pub(crate) setup: Setup,
    pub(crate) address: SocketAddr,
    pub(crate) ops: SocketAddr,
}

impl Replica {
    /// Starts a server and waits until it listens. What it logs is appended to a file in `logs`.
    pub(crate) async fn start(setup: Setup, logs: &Path) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(logs.join(&setup.name))
            .unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(COMMAND)
            .arg(serde_json::to_string(&setup).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap()).lines();
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut replica = Self {
            child,
            input,
            output,
            setup,
            address: nowhere,
            ops: nowhere,
        };
        let addresses = replica.hears("listening").await;
        let (address, ops) = addresses.split_once(' ').unwrap();
        replica.address = address.parse().unwrap();
        replica.ops = ops.parse().unwrap();
        replica
    }

    /// Waits until it says `word`, and gives back what it says after it.
    pub(crate) async fn hears(&mut self, word: &str) -> String {
        let said = async {
            loop {
                let line = self.output.next_line().await.unwrap();
                let line = line.unwrap_or_else(|| panic!("the server ended before `{word}`"));
                if let Some(rest) = line.strip_prefix(word) {
                    return rest.trim().to_owned();
                }
            }
        };
        tokio::time::timeout(PATIENCE, said)
            .await
            .expect("it says it in time")
    }

    pub(crate) async fn command(&mut self, line: &str) {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
    }

    pub(crate) fn pid(&self) -> i32 {
        self.child.id().unwrap().cast_signed()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended.expect("it ends in time").unwrap()
    }
}
