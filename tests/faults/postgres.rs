//! PostgreSQL itself: sessions ended, backends killed, the whole of it crashed or standing still.

use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::RngExt as _;
use samplit_devpg::{DevPg, Mode};
use tokio::time::{Instant, sleep, timeout};

use crate::load::Retry;
use crate::plan::Plan;
use crate::replica::PATIENCE;
use crate::stage::{Setting, Stage};

/// Sessions of the servers that are at work.
const BUSY: &str = "FROM pg_stat_activity WHERE datname = current_database() \
    AND application_name LIKE 'replica-%' AND state <> 'idle'";

pub(crate) async fn connections_terminated(plan: Plan) {
    let mut chances = plan.chances();
    let mut stage = Stage::set(plan, Setting::default()).await;
    let client = stage.client().await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(10, 100) {
        load.records(chances.random_range(1..50)).await;
        let cut = format!("SELECT count(pg_terminate_backend(pid)) {BUSY}");
        let until = Instant::now() + PATIENCE;
        while client.query_one(&cut, &[]).await.unwrap().get::<_, i64>(0) == 0 {
            assert!(Instant::now() < until, "somebody is at work");
        }
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

pub(crate) async fn postgresql_crashed(plan: Plan) {
    let mut chances = plan.chances();
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(3, 20) {
        load.records(chances.random_range(1..300)).await;
        if chances.random() {
            kill_a_backend(&stage).await;
        } else {
            stage.pg.stop(Mode::Immediate).await.unwrap();
            stage.pg.restart().await.unwrap();
        }
        answers(stage.pg).await;
        recoveries.push(load.recovers(&stage.all()).await);
    }
    assert!(
        stage.breaker_openings().await > 0.0,
        "a crash opens a breaker"
    );
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

/// Kills a session at work, upon which PostgreSQL ends all others and recovers from its log.
async fn kill_a_backend(stage: &Stage) {
    let client = stage.client().await;
    let find = format!("SELECT pid {BUSY} LIMIT 1");
    let until = Instant::now() + PATIENCE;
    let row = loop {
        if let Some(row) = client.query_opt(&find, &[]).await.unwrap() {
            break row;
        }
        assert!(Instant::now() < until, "somebody is at work");
    };
    // It may have ended by itself a moment ago; then nothing has happened.
    if kill(Pid::from_raw(row.get(0)), Signal::SIGKILL).is_ok() {
        // PostgreSQL ends our session, too, before it recovers.
        let ended = async { while client.simple_query("SELECT 1").await.is_ok() {} };
        timeout(PATIENCE, ended)
            .await
            .expect("PostgreSQL notices in time");
    }
}

/// Waits until PostgreSQL lets somebody in and answers.
pub(crate) async fn answers(pg: &DevPg) {
    let url = pg.url("postgres");
    let asked = async {
        loop {
            if let Ok((client, connection)) =
                tokio_postgres::connect(&url, tokio_postgres::NoTls).await
            {
                let connection = tokio::spawn(connection);
                let answered = client.simple_query("SELECT 1").await.is_ok();
                drop(client);
                let _ = connection.await;
                if answered {
                    return;
                }
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, asked)
        .await
        .expect("PostgreSQL answers in time");
}

pub(crate) async fn postgresql_stopped(plan: Plan) {
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(1, 3) {
        load.records(100).await;
        let stopped = Stopped::all_of(stage.pg);
        // Nothing is waited for here: that nothing moves for so long is the fault.
        sleep(plan.pick(Duration::from_secs(3), Duration::from_secs(10))).await;
        drop(stopped);
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

/// Processes that stand still. Dropped, they go on.
struct Stopped(Vec<Pid>);

impl Stopped {
    /// The postmaster first, so that no more children come.
    fn all_of(pg: &DevPg) -> Self {
        let postmaster = pg.postmaster_pid().unwrap();
        let mut stopped = Self(Vec::new());
        stopped.stop(postmaster);
        for entry in std::fs::read_dir("/proc").unwrap() {
            let name = entry.unwrap().file_name();
            if let Some(pid) = name.to_str().and_then(|name| name.parse().ok())
                && parent(pid) == Some(postmaster)
            {
                stopped.stop(pid);
            }
        }
        stopped
    }

    fn stop(&mut self, pid: i32) {
        let pid = Pid::from_raw(pid);
        if kill(pid, Signal::SIGSTOP).is_ok() {
            self.0.push(pid);
        }
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        for pid in self.0.iter().rev() {
            let _ = kill(*pid, Signal::SIGCONT);
        }
    }
}

/// The parent of a process, unless it is gone.
fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: the state, then the parent.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}
