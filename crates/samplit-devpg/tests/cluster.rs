//! The life of a throwaway cluster, its sudden deaths included.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests; one of them reports to the process that started it"
)]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use samplit_devpg::{DevPg, Mode};
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, query: &str) -> String {
    client.query_one(query, &[]).await.unwrap().get(0)
}

/// Waits for an effect in another process, for at most half a minute.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..600 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("never happened: {what}");
}

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[tokio::test]
async fn durable_unless_told_otherwise_and_gone_after_drop() {
    let pg = DevPg::start().await.unwrap();
    let dir = pg.directory().to_path_buf();
    let port = pg.port();
    let client = connect(&pg.url("postgres")).await;
    assert_eq!(text(&client, "SHOW fsync").await, "on");
    assert_eq!(text(&client, "SHOW synchronous_commit").await, "on");
    assert!(pg.bin("psql").is_file());
    assert!(dir.is_dir());
    drop(pg);
    assert!(!dir.exists(), "drop waits for the clean-up");
    assert!(!answers(port));
}

#[tokio::test]
async fn settings_survive_a_restart_and_a_later_one_wins() {
    let pg = DevPg::builder()
        .fsync(false)
        .setting("application_name", "first")
        .setting("application_name", "it's the second")
        .start()
        .await
        .unwrap();
    let before = pg.postmaster_pid().unwrap();
    pg.restart().await.unwrap();
    assert_ne!(pg.postmaster_pid().unwrap(), before);
    let client = connect(&pg.url("postgres")).await;
    assert_eq!(text(&client, "SHOW fsync").await, "off");
    assert_eq!(
        text(&client, "SHOW application_name").await,
        "it's the second"
    );
}

#[tokio::test]
async fn committed_rows_survive_a_crash_of_the_server() {
    let pg = DevPg::start().await.unwrap();
    let client = connect(&pg.url("postgres")).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 'kept' AS v")
        .await
        .unwrap();

    pg.stop(Mode::Immediate).await.unwrap();
    assert_eq!(pg.postmaster_pid(), None);
    pg.restart().await.unwrap();
    let client = connect(&pg.url("postgres")).await;
    assert_eq!(text(&client, "SELECT v FROM t").await, "kept");

    kill(Pid::from_raw(pg.postmaster_pid().unwrap()), Signal::SIGKILL).unwrap();
    pg.restart().await.unwrap();
    let client = connect(&pg.url("postgres")).await;
    assert_eq!(text(&client, "SELECT v FROM t").await, "kept");
}

#[tokio::test]
async fn databases_are_cloned_from_a_template_and_dropped() {
    let pg = DevPg::shared().await;
    pg.create_database("mould").await.unwrap();
    assert!(
        pg.create_database("mould").await.is_err(),
        "a name is given once"
    );
    let client = connect(&pg.url("mould")).await;
    client
        .batch_execute("CREATE TABLE t AS SELECT 'cast' AS v")
        .await
        .unwrap();
    assert!(
        pg.create_from_template("mould").await.is_err(),
        "a template in use is refused, not copied half-way"
    );
    drop(client);

    let admin = connect(&pg.url("postgres")).await;
    // The session of a dropped client ends a moment later.
    let sessions = "SELECT count(*)::text FROM pg_stat_activity WHERE datname = 'mould'";
    while text(&admin, sessions).await != "0" {}
    let (one, two) = tokio::join!(
        pg.create_from_template("mould"),
        pg.create_from_template("mould")
    );
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_ne!(one.name(), two.name());
    let open = connect(one.url()).await;
    assert_eq!(text(&open, "SELECT v FROM t").await, "cast");

    drop(one);
    let left = "SELECT string_agg(datname, ',') FROM pg_database WHERE datname LIKE 'test_%'";
    assert_eq!(text(&admin, left).await, two.name());
}

/// Not a test by itself: the process that the next test kills.
#[tokio::test]
#[ignore = "run by an_owner_killed_with_sigkill_leaves_nothing"]
async fn owner_to_be_killed() {
    let pg = DevPg::builder().fsync(false).start().await.unwrap();
    println!("\nOWNER {} {}", pg.port(), pg.directory().display());
    std::future::pending::<()>().await;
}

#[test]
fn an_owner_killed_with_sigkill_leaves_nothing() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "owner_to_be_killed", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let line = lines
        .find_map(|line| line.unwrap().strip_prefix("OWNER ").map(str::to_owned))
        .unwrap();
    let (port, dir) = line.split_once(' ').unwrap();
    let (port, dir): (u16, PathBuf) = (port.parse().unwrap(), dir.into());
    let lived = answers(port) && dir.is_dir();

    owner.kill().unwrap();
    owner.wait().unwrap();
    assert!(lived);
    eventually("the directory is deleted", || !dir.exists());
    eventually("the server is gone", || !answers(port));
}
