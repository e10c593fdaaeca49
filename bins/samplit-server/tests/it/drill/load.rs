//! Visitors who come all along, and what they were told.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::json;
use tokio::time::{Duration, Instant, sleep};

use crate::support::{Json, try_http};

/// Visitors at once.
pub(super) const CLIENTS: usize = 2;

/// What one visitor was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    pub(super) visitor: String,
    pub(super) assignment: Json,
    pub(super) has_converted: bool,
}

/// Visitors of one experiment.
pub(super) struct Load {
    told: Arc<std::sync::Mutex<Vec<Told>>>,
    ends: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    /// Visitors whose names begin with `name`.
    pub(super) fn start(api: SocketAddr, token: &str, experiment: &str, name: &str) -> Self {
        let (told, ends) = (Arc::default(), Arc::new(AtomicBool::new(false)));
        let clients = (0..CLIENTS).map(|client| {
            let (told, ends) = (Arc::clone(&told), Arc::clone(&ends));
            let (token, path) = (token.to_owned(), format!("/v1/experiments/{experiment}"));
            let name = format!("{name}-{client}");
            std::thread::spawn(move || {
                for number in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    let visitor = format!("{name}-{number}");
                    visit(api, &token, &path, (visitor, number % 3 == 0), &told);
                }
            })
        });
        Self {
            clients: clients.collect(),
            told,
            ends,
        }
    }

    /// Everything that was told until now.
    pub(super) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    /// Waits for so many visitors.
    pub(super) async fn reaches(&self, visitors: usize) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while self.told.lock().unwrap().len() < visitors {
            assert!(Instant::now() < deadline, "too few visitors come");
            sleep(Duration::from_millis(5)).await;
        }
    }

    pub(super) fn stop(self) {
        self.ends.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().unwrap();
        }
    }
}

/// One visitor comes, and perhaps buys.
fn visit(
    api: SocketAddr,
    token: &str,
    path: &str,
    (visitor, buys): (String, bool),
    told: &std::sync::Mutex<Vec<Told>>,
) {
    let body = json!({"visitor_id": visitor});
    let ask = |what: &str| {
        let path = format!("{path}/{what}");
        let (status, answer) = try_http(api, "POST", &path, Some(token), Some(&body)).unwrap();
        assert_eq!(status, 200, "{path}: {answer}");
        serde_json::from_str::<Json>(&answer).unwrap()
    };
    let assignment = ask("assign");
    if buys {
        ask("convert");
    }
    told.lock().unwrap().push(Told {
        visitor,
        assignment,
        has_converted: buys,
    });
}
