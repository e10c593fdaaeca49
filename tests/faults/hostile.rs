//! Slow and hostile clients: what they hold open, and what everybody else notices of it.
//!
//! A polite client asks one request after the other, first in peace, then beside the hostile ones.
//! It has to be answered each time, `/livez` too, and the server has to be rid of the hostile ones by
//! itself: they hold their sockets until the server has ended the last of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep};

use crate::client::{self, Client};
use crate::history::{Attempt, History, Outcome, What};
use crate::load::Retry;
use crate::plan::Plan;
use crate::replica::PATIENCE;
use crate::report;
use crate::stage::{QUEUE, Setting, Stage};
use crate::vitals::{metric, ops, resident_kib};

const ONE: Setting = Setting {
    replicas: 1,
    max_connections: 10,
    proxied: false,
    queue: QUEUE,
};

/// Places in the line of the server that is overloaded, and how many come.
const PLACES: usize = 64;
const CROWD: usize = 10 * PLACES;

/// The most memory that hostile clients may cost.
const MORE_KIB: u64 = 96 * 1024;

/// The connections of the polite client and of whoever else belongs to the test.
const OURS: f64 = 1.0;

pub(crate) async fn hostile_half_open(plan: Plan) {
    let stage = Stage::set(plan, ONE).await;
    let count = 2_000;
    let hostile = Hostile::begin(&stage, count, |number, mut stream, _| async move {
        let _ = stream.write_all(b"POST /v1/experiments HTTP/1.1\r\nhost: ").await;
        let mut drops = interval(Duration::from_millis(200));
        // Until the server ends it. Half of them say nothing more.
        let mut byte = [0; 64];
        loop {
            tokio::select! {
                read = stream.read(&mut byte) => if read.is_ok_and(|read| read > 0) { continue } else { break },
                _ = drops.tick(), if number % 2 == 0 => if stream.write_all(b"x").await.is_err() { break },
            }
        }
        History::default()
    })
    .await;
    hostile.end(stage).await;
}

pub(crate) async fn hostile_endless_bodies(plan: Plan) {
    let stage = Stage::set(plan, ONE).await;
    let hostile = Hostile::begin(
        &stage,
        plan.pick(100, 500),
        |number, mut stream, asks| async move {
            let head = format!(
                "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
             content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
                asks.path, asks.token
            );
            let _ = stream.write_all(head.as_bytes()).await;
            let flood = format!("2000\r\n{}\r\n", " ".repeat(0x2000));
            let (chunk, pause) = if number % 2 == 0 {
                ("1\r\n \r\n", Duration::from_millis(200))
            } else {
                (flood.as_str(), Duration::from_millis(1))
            };
            while stream.write_all(chunk.as_bytes()).await.is_ok() {
                sleep(pause).await;
            }
            History::default()
        },
    )
    .await;
    hostile.end(stage).await;
}

pub(crate) async fn hostile_pipelining(plan: Plan) {
    let stage = Stage::set(plan, ONE).await;
    let each = plan.pick(200, 2_000);
    let hostile = Hostile::begin(&stage, 50, move |number, stream, asks| async move {
        let (mut reading, mut writing) = stream.into_split();
        let asking = tokio::spawn(async move {
            for request in 0..each {
                let body = format!("{{\"visitor_id\":\"pipelined-{number}-{request}\"}}");
                let last = if request + 1 == each {
                    "connection: close\r\n"
                } else {
                    ""
                };
                let text = format!(
                    "POST {} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n{last}\
                     content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                    asks.path,
                    asks.token,
                    body.len()
                );
                writing.write_all(text.as_bytes()).await.unwrap();
            }
            writing
        });
        let mut answers = String::new();
        reading.read_to_string(&mut answers).await.unwrap();
        // Whoever ends its half of the connection sooner is taken to be gone.
        drop(asking.await.unwrap());
        let answers = parse(&answers);
        assert_eq!(answers.len(), each, "each is answered");
        let attempts = answers
            .iter()
            .enumerate()
            .map(|(request, (status, answer))| {
                let visitor = format!("pipelined-{number}-{request}");
                assert!(
                    *status != 200 || answer["visitor_id"] == visitor.as_str(),
                    "in the order of the questions"
                );
                let outcome = client::read(*status, answer);
                assigned(visitor, outcome)
            });
        History {
            attempts: attempts.collect(),
            given_up: 0,
        }
    })
    .await;
    hostile.end(stage).await;
}

/// The status and body of answers in a row.
fn parse(mut text: &str) -> Vec<(u16, Json)> {
    let mut answers = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let (body, next) = rest.split_at(length.unwrap().parse().unwrap());
        answers.push((status, serde_json::from_str(body).unwrap()));
        text = next;
    }
    answers
}

fn assigned(visitor: String, outcome: Outcome) -> Attempt {
    Attempt {
        visitor,
        what: What::Assign,
        outcome,
        knows_row: false,
    }
}

pub(crate) async fn hostile_never_reading(plan: Plan) {
    let mut stage = Stage::set(plan, ONE).await;
    let mut load = stage.load("entries", 20, Retry::Connections);
    load.records(plan.pick(3_000, 20_000)).await;
    stage.remember(load.stop().await);
    let hostile = Hostile::begin(&stage, plan.pick(50, 200), |_, mut stream, asks| async move {
        let bundle = format!(
            "GET /v1/experiments/{}/audit/bundle HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\r\n",
            asks.experiment, asks.token
        );
        // More than one, so that even small answers fill what the kernel keeps for us.
        let _ = stream.write_all(bundle.repeat(20).as_bytes()).await;
        // An error is told where nothing is read.
        while stream.writable().await.is_ok() {
            if stream.try_write(b" ").is_err_and(|error| error.kind() != std::io::ErrorKind::WouldBlock) {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        History::default()
    })
    .await;
    hostile.end(stage).await;
}

pub(crate) async fn hostile_overload(plan: Plan) {
    let setting = Setting {
        queue: PLACES,
        ..ONE
    };
    let mut stage = Stage::set(plan, setting).await;
    let polite = Polite::begin(&stage).await;
    let crowd = stage.load("crowd", CROWD, Retry::Connections);
    let until = Instant::now() + plan.pick(Duration::from_secs(4), Duration::from_secs(60));
    let attended = polite.attend(&stage, Until::Late(until)).await;
    let history = crowd.stop().await;
    // Refused at once, or admitted and answered; nothing in between.
    let odd = (history.attempts.iter())
        .find(|attempt| matches!(attempt.outcome, Outcome::Unknown(_) | Outcome::Wrong(_)));
    assert!(
        odd.is_none(),
        "every request of the crowd is answered: {odd:?}"
    );
    report::hostile(plan, CROWD, &attended);
    stage.remember(history);
    stage.remember(attended.history);
    stage.balance(&[]).await;
}

/// How long the polite client goes on.
#[derive(Clone, Copy)]
enum Until {
    /// Until the server is rid of everybody else; since when they are there.
    Rid(Instant),
    Late(Instant),
}

impl Until {
    async fn is_reached(self, stage: &Stage) -> bool {
        match self {
            Self::Late(late) => Instant::now() >= late,
            Self::Rid(since) => {
                let name = "samplit_http_connections{listener=\"public\"}";
                let open = metric(stage.replicas[0].ops, name).await;
                assert!(
                    since.elapsed() < PATIENCE,
                    "hostile clients are still connected: {open}"
                );
                open <= OURS
            }
        }
    }
}

/// What hostile clients know of the server.
#[derive(Clone)]
struct Asks {
    path: String,
    experiment: String,
    token: String,
}

/// Hostile clients at work.
struct Hostile {
    plan: Plan,
    count: usize,
    attended: Attended,
    clients: JoinSet<History>,
}

impl Hostile {
    /// Lets `count` clients do their worst while the polite one goes on, until the server is rid of
    /// all of them.
    async fn begin<F>(
        stage: &Stage,
        count: usize,
        does: impl Fn(usize, TcpStream, Asks) -> F,
    ) -> Self
    where
        F: Future<Output = History> + Send + 'static,
    {
        let polite = Polite::begin(stage).await;
        let address = stage.replicas[0].address;
        let asks = Asks {
            path: format!("/v1/experiments/{}/assign", stage.front.experiment),
            experiment: stage.front.experiment.clone(),
            token: stage.front.token.clone(),
        };
        let mut clients = JoinSet::new();
        for number in 0..count {
            let stream = TcpStream::connect(address).await.unwrap();
            clients.spawn(does(number, stream, asks.clone()));
        }
        let attended = polite.attend(stage, Until::Rid(Instant::now())).await;
        Self {
            plan: stage.plan,
            count,
            attended,
            clients,
        }
    }

    /// What all of them have seen.
    async fn history(mut self) -> History {
        report::hostile(self.plan, self.count, &self.attended);
        for seen in self.clients.join_all().await {
            self.attended.history.extend(seen);
        }
        self.attended.history
    }

    async fn end(self, mut stage: Stage) {
        let history = self.history().await;
        stage.remember(history);
        stage.balance(&[]).await;
    }
}

/// A client that behaves.
struct Polite {
    client: Client,
    quiet: Vec<Duration>,
    history: History,
    next: usize,
}

/// What it has seen.
pub(crate) struct Attended {
    /// How long its requests took in peace, and then.
    pub(crate) quiet: Vec<Duration>,
    pub(crate) beside: Vec<Duration>,
    /// The longest that `/livez` took.
    pub(crate) livez: Duration,
    /// Resident memory before and at its most.
    pub(crate) rss_kib: (u64, u64),
    history: History,
}

impl Polite {
    async fn begin(stage: &Stage) -> Self {
        let mut polite = Self {
            client: Client::new(&stage.front),
            quiet: Vec::new(),
            history: History::default(),
            next: 0,
        };
        for _ in 0..stage.plan.pick(100, 1_000) {
            let took = polite.ask().await;
            polite.quiet.push(took);
        }
        polite
    }

    /// Asks for one new visitor.
    async fn ask(&mut self) -> Duration {
        let visitor = format!("polite-{}", self.next);
        self.next += 1;
        let since = Instant::now();
        let outcome = self.client.ask(0, &visitor, &What::Assign).await;
        let took = since.elapsed();
        assert!(
            matches!(
                outcome,
                Outcome::Assigned { is_new: true, .. } | Outcome::Refused(_)
            ),
            "{outcome:?}"
        );
        self.history.attempts.push(assigned(visitor, outcome));
        took
    }

    /// Goes on asking, beside somebody who looks at `/livez` and at the memory.
    async fn attend(mut self, stage: &Stage, until: Until) -> Attended {
        let pid = stage.replicas[0].pid();
        let before = resident_kib(pid);
        let is_over = Arc::new(AtomicBool::new(false));
        let address = stage.replicas[0].ops;
        let looking = tokio::spawn({
            let is_over = Arc::clone(&is_over);
            async move {
                let (mut slowest, mut most) = (Duration::ZERO, before);
                while !is_over.load(Ordering::Relaxed) {
                    let since = Instant::now();
                    let (status, _) = ops(address, "/livez").await.unwrap();
                    assert_eq!(status, 200);
                    slowest = slowest.max(since.elapsed());
                    most = most.max(resident_kib(pid));
                    sleep(Duration::from_millis(10)).await;
                }
                (slowest, most)
            }
        });
        let mut beside = Vec::new();
        while !until.is_reached(stage).await {
            for _ in 0..10 {
                beside.push(self.ask().await);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        let (livez, most) = looking.await.unwrap();
        assert!(
            most <= before + MORE_KIB,
            "hostile clients cost memory: {before} to {most} KiB"
        );
        Attended {
            quiet: self.quiet,
            beside,
            livez,
            rss_kib: (before, most),
            history: self.history,
        }
    }
}
