//! Clients that mean no good, or a network that lets them look so: connections that say nothing,
//! heads and bodies that drip, answers that nobody reads, and ten times the load.
//!
//! Meanwhile `/livez` answers and honest clients get on. Everything that only holds a connection is
//! cut by a time limit; what is beyond the queue is refused at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::Client;
use crate::history::{Attempt, History, Outcome, What};
use crate::load::Retry;
use crate::plan::{self, Plan};
use crate::replica::PATIENCE;
use crate::report;
use crate::stage::{Setting, Stage};
use crate::vitals::ops;

/// Connections that say one byte and no more, where the system lets a process have so many.
const HALF_OPEN: usize = 2_000;

/// Of each other kind of hostile client.
const OF_EACH: usize = 50;

/// Requests that are sent in one go.
const PIPELINED: usize = 50;

/// Clients of the load, and the queue of the server.
const CLIENTS: usize = 12;

/// Honest clients whose waiting is measured.
const HONEST: usize = 4;

/// How often one of them asks, all visitors together, before it gives up.
const TRIES: usize = 10_000;

/// Between two bytes of those that drip.
const DRIP: Duration = Duration::from_millis(50);

pub(crate) async fn hostile_clients(plan: Plan) {
    let setting = Setting {
        replicas: 1,
        queue: CLIENTS,
        ..Setting::default()
    };
    let mut stage = Stage::set(plan, setting).await;
    let mut lines = Vec::new();
    let asked = plan.pick(50, 500);

    let (quiet, base) = honest(&stage, "quiet", asked).await;
    stage.remember(quiet);
    lines.push(line("nobody else", asked, 0, base, base));

    // All that hold a connection, at once.
    let mut siege = besiege(&stage);
    let sieged = siege.len();
    let (history, p99) = honest(&stage, "siege", asked).await;
    let refused = history.count(|outcome| !outcome.is_acknowledged());
    assert_eq!(refused, 0, "hostile clients turn no honest one away");
    stage.remember(history);
    lines.push(line(
        &format!("{sieged} hostile connections"),
        asked,
        refused,
        p99,
        base,
    ));
    let mut cut = BTreeMap::new();
    let ended = async {
        while let Some(kind) = siege.join_next().await {
            *cut.entry(kind.unwrap()).or_insert(0) += 1;
            if siege.len() % 100 == 0 {
                lives(&stage).await;
            }
        }
    };
    let is_over = timeout(PATIENCE, ended).await.is_ok();
    assert!(is_over, "of {sieged} only these are cut in time: {cut:?}");
    lives(&stage).await;

    // Ten times what the queue holds.
    let mut load = stage.load("overload", 10 * CLIENTS, Retry::Connections);
    let mut waits = Vec::new();
    let mut turned_away = 0;
    let mut round = 0;
    let until = Instant::now() + plan.pick(Duration::from_secs(3), Duration::from_secs(60));
    while Instant::now() < until {
        load.records(10).await;
        lives(&stage).await;
        let (history, admitted) = ask(&stage, &format!("overload-honest-{round}"), 10).await;
        turned_away += history.count(|outcome| !outcome.is_acknowledged());
        stage.remember(history);
        waits.extend(admitted);
        round += 1;
    }
    let history = load.stop().await;
    let is_refusal = |outcome: &Outcome| *outcome == Outcome::Refused("overloaded".to_owned());
    let refused = history.count(is_refusal);
    assert!(
        refused > 0,
        "what the queue does not hold is refused at once"
    );
    assert_eq!(
        history.count(|outcome| matches!(outcome, Outcome::Unknown(_))),
        0,
        "nobody is kept waiting and told nothing"
    );
    stage.remember(history);
    let admitted = waits.len();
    lines.push(line(
        "10 times as many clients as fit the queue",
        admitted,
        turned_away,
        percentile(waits),
        base,
    ));
    stage.balance(&[]).await;
    report::hostile(&lines, plan::is_long());
}

/// One line of the table: admitted and refused of the honest, their p99, and how many times that of
/// the quiet run it is.
fn line(what: &str, admitted: usize, refused: usize, p99: Duration, base: Duration) -> String {
    let ratio = p99.as_secs_f64() / base.as_secs_f64();
    let p99 = p99.as_secs_f64() * 1e3;
    format!("| {what} | {admitted} | {refused} | {p99:.1} | {ratio:.1} |\n")
}

async fn lives(stage: &Stage) {
    let (status, _) = ops(stage.replicas[0].ops, "/livez").await.unwrap();
    assert_eq!(status, 200);
}

/// Honest clients ask until `asked` are answered; gives back what they heard and their p99.
async fn honest(stage: &Stage, label: &str, asked: usize) -> (History, Duration) {
    let (history, waits) = ask(stage, label, asked).await;
    lives(stage).await;
    (history, percentile(waits))
}

/// New visitors of honest clients, and how long those that were admitted took.
async fn ask(stage: &Stage, label: &str, asked: usize) -> (History, Vec<Duration>) {
    let mut clients = JoinSet::new();
    for number in 0..HONEST {
        let mut client = Client::new(&stage.front);
        let label = label.to_owned();
        clients.spawn(async move {
            let (mut history, mut waits) = (History::default(), Vec::new());
            for index in (number..asked).step_by(HONEST) {
                let visitor = format!("{label}-{index}");
                // Whoever is turned away asks again.
                loop {
                    let since = Instant::now();
                    let outcome = client.ask(0, &visitor, &What::Assign).await;
                    let is_admitted = outcome.is_acknowledged();
                    if is_admitted {
                        waits.push(since.elapsed());
                    }
                    history.attempts.push(Attempt {
                        visitor: visitor.clone(),
                        what: What::Assign,
                        outcome,
                        knows_row: false,
                    });
                    if is_admitted || history.attempts.len() > TRIES {
                        break;
                    }
                }
            }
            (history, waits)
        });
    }
    let (mut history, mut waits) = (History::default(), Vec::new());
    for (heard, waited) in clients.join_all().await {
        history.extend(heard);
        waits.extend(waited);
    }
    (history, waits)
}

/// The p99.
fn percentile(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    waits[(waits.len() * 99 / 100).min(waits.len() - 1)]
}

/// Every kind of hostile client at once. Each ends when the server has cut it.
fn besiege(stage: &Stage) -> JoinSet<&'static str> {
    let address = stage.replicas[0].address;
    let mut chances = stage.plan.chances();
    let mut siege = JoinSet::new();
    for _ in 0..HALF_OPEN.min(open_files() / 4) {
        siege.spawn(async move {
            let mut stream = open(address).await;
            // Without a byte a connection that the kernel's full queue dropped would never notice.
            stream.write_all(b"G").await.unwrap();
            to_the_end(&mut stream).await;
            "silent"
        });
    }
    let head = "GET /v1/experiments HTTP/1.1\r\nhost: faults\r\nx-drip: ";
    let post = format!(
        "POST /v1/experiments/{}/assign HTTP/1.1\r\nhost: faults\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
        stage.front.experiment, stage.front.token
    );
    for _ in 0..OF_EACH {
        // Heads that stop after a few bytes and go on one by one.
        let sent = chances.random_range(0..head.len());
        let start = head[..sent].to_owned();
        siege.spawn(async move {
            drip(address, start, "x").await;
            "head"
        });
        let start = post.clone();
        siege.spawn(async move {
            drip(address, start, "1\r\n \r\n").await;
            "body"
        });
        siege.spawn(async move {
            pipeline(address).await;
            "pipeline"
        });
        siege.spawn(async move {
            never_read(address).await;
            "unread"
        });
    }
    siege
}

async fn open(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Reads until the server closes, however it does.
async fn to_the_end(stream: &mut TcpStream) {
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 200 "), "nothing was asked");
}

/// Says `start` and then `more` again and again.
async fn drip(address: SocketAddr, start: String, more: &'static str) {
    let mut stream = open(address).await;
    stream.write_all(start.as_bytes()).await.unwrap();
    let (mut from, mut to) = stream.split();
    let drip = async {
        while to.write_all(more.as_bytes()).await.is_ok() {
            // The drip is the fault.
            sleep(DRIP).await;
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = from.read_to_end(&mut answer) => {}
    }
    assert!(!answer.starts_with(b"HTTP/1.1 200 "), "it was never whole");
}

/// Sends requests without waiting; each is answered, in turn.
async fn pipeline(address: SocketAddr) {
    let mut stream = open(address).await;
    let request = "GET /v1/experiments HTTP/1.1\r\nhost: faults\r\n\r\n".repeat(PIPELINED - 1);
    let last = "GET /v1/experiments HTTP/1.1\r\nhost: faults\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.write_all(last.as_bytes()).await.unwrap();
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.unwrap();
    assert_eq!(answers.matches("HTTP/1.1 401 ").count(), PIPELINED);
}

/// Asks for the largest page and reads nothing until it cannot send any more.
async fn never_read(address: SocketAddr) {
    let mut stream = open(address).await;
    let request = "GET /verify HTTP/1.1\r\nhost: faults\r\n\r\n".repeat(100);
    while stream.write_all(request.as_bytes()).await.is_ok() {}
}

/// The files that this process, and each server that it starts, may have open.
fn open_files() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3));
    soft.and_then(|soft| soft.parse().ok())
        .unwrap_or(usize::MAX)
}
