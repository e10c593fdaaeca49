//! Clients that ask until they are told to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::client::{Client, Front};
use crate::history::{Attempt, History, Outcome, What};
use crate::replica::PATIENCE;

/// Visitors whom every client may ask for.
const SHARED: u32 = 200;

/// What clients do about a request that was not answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// They ask another replica when nobody listened at their own; else they let it be.
    Connections,
    /// They ask again, at the next replica, until they are answered, for so many times, at once.
    Everything(usize),
}

/// Clients at work.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    clients: JoinSet<History>,
    /// Per replica: new visitors it has acknowledged.
    recorded: watch::Receiver<Vec<u64>>,
}

impl Load {
    /// Lets `clients` ask; each belongs to a replica. What they ask follows from `seed`; `label` keeps
    /// their visitors apart from those of other loads.
    pub(crate) fn start(
        front: &Arc<Front>,
        clients: usize,
        retry: Retry,
        label: &str,
        seed: u64,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, recorded) = watch::channel(vec![0; front.replicas.len()]);
        let tell = Arc::new(tell);
        let clients = (0..clients).map(|index| {
            Visits {
                client: Client::new(front),
                name: format!("{label}-{index}"),
                home: index % front.replicas.len(),
                retry,
                chances: ChaCha12Rng::seed_from_u64(seed ^ (index as u64) << 32),
                own: Vec::new(),
                recorded: Arc::clone(&tell),
                history: History::default(),
            }
            .run(Arc::clone(&stop))
        });
        let clients = clients.collect();
        Self {
            stop,
            clients,
            recorded,
        }
    }

    /// Waits until so many more new visitors are acknowledged.
    pub(crate) async fn records(&mut self, more: u64) {
        let goal = self.recorded.borrow().iter().sum::<u64>() + more;
        let reached = self
            .recorded
            .wait_for(|recorded| recorded.iter().sum::<u64>() >= goal);
        let reached = timeout(PATIENCE, reached).await;
        reached.expect("visitors are recorded in time").unwrap();
    }

    /// Waits until each of `replicas` acknowledges a new visitor again; gives back how long it took,
    /// in seconds.
    pub(crate) async fn recovers(&mut self, replicas: &[usize]) -> f64 {
        let since = Instant::now();
        let before = self.recorded.borrow().clone();
        let reached = self.recorded.wait_for(|recorded| {
            replicas
                .iter()
                .all(|&replica| recorded[replica] > before[replica])
        });
        let reached = timeout(PATIENCE, reached).await;
        reached
            .expect("every replica records again in time")
            .unwrap();
        since.elapsed().as_secs_f64()
    }

    /// Lets every client finish its request.
    pub(crate) async fn stop(self) -> History {
        self.stop.store(true, Ordering::Relaxed);
        let mut whole = History::default();
        for history in self.clients.join_all().await {
            whole.extend(history);
        }
        whole
    }
}

/// One client's course.
struct Visits {
    client: Client,
    name: String,
    home: usize,
    retry: Retry,
    chances: ChaCha12Rng,
    /// Visitors it has asked for, and whether it was told that they have a row.
    own: Vec<(String, bool)>,
    recorded: Arc<watch::Sender<Vec<u64>>>,
    history: History,
}

impl Visits {
    async fn run(mut self, stop: Arc<AtomicBool>) -> History {
        while !stop.load(Ordering::Relaxed) {
            let (visitor, what) = self.next();
            self.request(visitor, what).await;
        }
        self.history
    }

    /// New visitors, returning ones, conversions, conversions once more, and visitors of everybody.
    fn next(&mut self) -> (usize, What) {
        let kind = self.chances.random_range(0..100);
        if kind < 55 || self.own.is_empty() {
            let name = if kind < 5 {
                format!("shared-{}", self.chances.random_range(0..SHARED))
            } else {
                format!("{}-{}", self.name, self.own.len())
            };
            self.own.push((name, false));
            return (self.own.len() - 1, What::Assign);
        }
        let index = self.chances.random_range(0..self.own.len());
        let visitor = &self.own[index].0;
        let what = match kind {
            55..70 => What::Assign,
            70..95 => What::Convert(format!("event-{visitor}")),
            _ => What::Convert(format!("other-{visitor}")),
        };
        (index, what)
    }

    /// Asks until it is answered, as far as clients of this kind do.
    async fn request(&mut self, index: usize, what: What) {
        let replicas = self.client.front.replicas.len();
        let tries = match self.retry {
            Retry::Connections => replicas,
            Retry::Everything(tries) => tries,
        };
        for number in 0..tries {
            let replica = (self.home + number) % replicas;
            let outcome = self.client.ask(replica, &self.own[index].0, &what).await;
            let is_answered = outcome.is_answered();
            let again = match self.retry {
                Retry::Connections => outcome == Outcome::Refused("not_sent".to_owned()),
                Retry::Everything(_) => !is_answered,
            };
            self.note(replica, index, &what, outcome);
            if !again {
                return;
            }
        }
        self.history.given_up += 1;
        if self.retry == Retry::Connections {
            // Nobody listens anywhere; somebody has to get at the processor to change that.
            sleep(Duration::from_millis(20)).await;
        }
    }

    fn note(&mut self, replica: usize, index: usize, what: &What, outcome: Outcome) {
        let (visitor, knows_row) = &mut self.own[index];
        // Known visitors are answered from memory, also while the database is away.
        if matches!(outcome, Outcome::Assigned { is_new: true, .. }) {
            self.recorded.send_modify(|recorded| recorded[replica] += 1);
        }
        let knew_row = *knows_row;
        *knows_row |= outcome.is_acknowledged();
        self.history.attempts.push(Attempt {
            visitor: visitor.clone(),
            what: what.clone(),
            outcome,
            knows_row: knew_row,
        });
    }
}
