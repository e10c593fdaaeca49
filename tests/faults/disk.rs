//! The disk of PostgreSQL is full: nothing can be written, then there is space again.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use samplit_devpg::{DevPg, Mode};
use tokio::time::sleep;

use crate::load::Retry;
use crate::plan::Plan;
use crate::postgres::answers;
use crate::stage::{self, Setting, Stage};

/// Room for a cluster with little log.
const SIZE: &str = "size=256m,mode=1777";

/// A file system of its own. Dropped, it is gone, whoever still uses it.
struct Tmpfs(PathBuf);

impl Tmpfs {
    /// `None` where mounting is not allowed.
    fn mount() -> Option<Self> {
        let directory = tempfile::Builder::new()
            .prefix("samplit-full-")
            .disable_cleanup(true)
            .tempdir()
            .unwrap()
            .keep();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", SIZE, "tmpfs"])
            .arg(&directory)
            .output();
        let this = Self(directory);
        mounted
            .is_ok_and(|output| output.status.success())
            .then_some(this)
    }

    /// Takes all the space there is.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("ballast");
        let mut file = std::fs::File::create(&path).unwrap();
        let piece = vec![0; 64 * 1024];
        while file.write_all(&piece).is_ok() {}
        path
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).output();
        let _ = std::fs::remove_dir(&self.0);
    }
}

#[expect(clippy::print_stdout, reason = "a fault that is skipped has to say so")]
pub(crate) async fn disk_full(plan: Plan) {
    let Some(tmpfs) = Tmpfs::mount() else {
        println!("skipped: a tmpfs cannot be mounted here, which needs root");
        return;
    };
    let pg = cluster(&tmpfs.0).await;
    let mut stage = Stage::set_on(plan, Setting::default(), pg).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(1, 5) {
        load.records(200).await;
        let ballast = tmpfs.fill();
        // Nothing is waited for here: that there is no space for so long is the fault.
        sleep(plan.pick(Duration::from_secs(3), Duration::from_secs(10))).await;
        std::fs::remove_file(ballast).unwrap();
        if stage.pg.postmaster_pid().is_none() {
            // It gives itself up where its log cannot be written.
            stage.pg.restart().await.unwrap();
        }
        answers(stage.pg).await;
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
    // Before its disk goes. Where the fault fails, it ends itself once it misses its lock file.
    pg.stop(Mode::Immediate).await.unwrap();
}

/// A cluster on the small disk. Leaked, as the shared one lives as long as the process, too.
async fn cluster(directory: &Path) -> &'static DevPg {
    let pg = DevPg::builder()
        .directory_in(directory)
        .setting("min_wal_size", "32MB")
        .setting("max_wal_size", "48MB")
        .start()
        .await
        .unwrap();
    stage::migrate(&pg).await;
    Box::leak(Box::new(pg))
}
