//! The process that outlives its owner just long enough to clean up after it.
//!
//! A destructor does not run on SIGKILL, and a signal handler does not either. So the clean-up is
//! the job of a small shell that reads from a pipe whose other end only the owner holds: the
//! kernel closes that end however the owner ends, the read returns, and the shell stops the server
//! and deletes the directory. It sits in a process group of its own, so a Ctrl-C in the terminal
//! does not reach it before its work is done.

use std::path::Path;
use std::process::Stdio;

use tokio::process::Command;

use crate::Error;
use crate::account::Account;

/// `$1` is `pg_ctl`, `$2` the data directory, `$3` the directory to delete. The loop covers an owner
/// that dies while initdb or a starting server still writes into the directory.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
read -r _
n=0
while [ -d "$3" ] && [ "$n" -lt 100 ]; do
    "$1" stop -D "$2" -m immediate -t 10
    rm -rf "$3"
    [ ! -d "$3" ] || sleep 0.1
    n=$((n + 1))
done
"#;

/// The running watchdog. Dropping it cleans up and waits until that is done.
#[derive(Debug)]
pub(crate) struct Watchdog(std::process::Child);

impl Watchdog {
    /// Starts the watchdog of `dir`, which must exist and belong to `account`.
    pub(crate) fn start(
        account: Account,
        pg_ctl: &Path,
        data: &Path,
        dir: &Path,
    ) -> Result<Self, Error> {
        let mut command = Command::new("/bin/sh");
        account.apply(&mut command);
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg("samplit-devpg-watchdog")
            .args([pg_ctl, data, dir])
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .into_std()
            .spawn()
            .map(Self)
            .map_err(Error::io("start the watchdog"))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Closing the pipe is the signal.
        drop(self.0.stdin.take());
        if let Err(error) = self.0.wait() {
            tracing::warn!(%error, "the watchdog of the throwaway PostgreSQL could not be awaited");
        }
    }
}
