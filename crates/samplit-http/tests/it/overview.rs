//! What a look at the overview costs the database.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]
#![expect(clippy::print_stdout, reason = "the numbers are worth seeing")]

use std::{sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use samplit_devpg::DevPg;
use samplit_domain::ManualClock;
use samplit_engine::{Assign, Clock as _, EngineConfig, ExperimentId, Principal, SystemClock};
use samplit_http::HttpConfig;
use serde_json::json;

use crate::{desk::sign_in, support::Server};

/// Not while the test runs.
const NEVER: Duration = Duration::from_secs(3_600);

/// Running experiments, as many as the overview shows with their results.
const RUNNING: usize = 12;

/// A server whose database tells its log what it runs.
struct Watched {
    pg: DevPg,
    server: Server,
    cookie: String,
    clock: Arc<ManualClock>,
}

impl Watched {
    async fn open() -> Self {
        // A cluster of its own, whose log holds nothing of other tests.
        let pg = DevPg::start().await.unwrap();
        pg.create_database("overview").await.unwrap();
        let url = pg.url("overview");
        let mut client = samplit_tests::connect(&url).await;
        let options = samplit_sql::Options::default();
        samplit_sql::up(&mut client, &options).await.unwrap();
        client
            .batch_execute("ALTER DATABASE overview SET log_statement = 'all'")
            .await
            .unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let config = EngineConfig {
            clock: Arc::clone(&clock) as _,
            refresh_every: NEVER,
            complete_every: NEVER,
            checkpoint_every: NEVER,
            ..samplit_tests::config(1)
        };
        let engine = samplit_tests::engine_with(&url, config).await;
        let server = Server::start(engine, HttpConfig::default()).await;
        let cookie = sign_in(&server, "owner@example.org").await;
        Self {
            pg,
            server,
            cookie,
            clock,
        }
    }

    /// Looks at the overview: what it shows, how many statements that took, and of how many experiments the
    /// whole life was read.
    async fn look(&self) -> (String, usize, usize) {
        let before = self.log().len();
        let request = Request::builder()
            .method(Method::GET)
            .uri(format!("http://{}/", self.server.public))
            .header("cookie", &self.cookie);
        let answer = self.server.send(request.body(Full::default()).unwrap());
        let answer = answer.await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        let log = self.log();
        let count = |name: &str| log[before..].matches(&format!("-- {name}\n")).count();
        let names = samplit_store::statements()
            .into_iter()
            .map(|known| known.name);
        let all = names.map(count).sum();
        (answer.text().to_owned(), all, count("READ_STATISTICS"))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.pg.directory().join("log")).unwrap()
    }

    async fn visit(&self, experiment: &str, visitor: &str) {
        let id: ExperimentId = experiment.rsplit('/').next().unwrap().parse().unwrap();
        let visit = Assign {
            visitor: visitor.to_owned(),
            ..Assign::default()
        };
        let system = Principal::system();
        self.server.engine.assign(&system, id, visit).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_computed_a_moment_ago_is_not_computed_again() {
    let watched = Watched::open().await;
    let mut experiments = Vec::new();
    for number in 0..RUNNING {
        let experiment = watched.server.started().await;
        for visitor in 0..=number {
            watched
                .visit(&experiment, &format!("visitor-{visitor}"))
                .await;
        }
        experiments.push(experiment);
    }
    let (_, first, read) = watched.look().await;
    assert_eq!(read, RUNNING, "nothing is remembered yet");
    let (shown, again, read) = watched.look().await;
    println!(
        "{RUNNING} running experiments: {first} statements at the first look, {again} at the next"
    );
    assert_eq!(read, 0);
    assert!(again <= 20, "{again} statements");
    assert!(shown.contains("12 visitors"), "{shown}");

    // Visitors are counted anew after half a minute, and nothing but what moved.
    watched.visit(&experiments[RUNNING - 1], "one more").await;
    let (shown, _, read) = watched.look().await;
    assert_eq!(read, 0);
    assert!(
        shown.contains("12 visitors") && !shown.contains("13 visitors"),
        "{shown}"
    );
    watched.clock.advance(time::Duration::seconds(31));
    let (shown, _, read) = watched.look().await;
    assert_eq!(read, 1);
    assert!(shown.contains("13 visitors"), "{shown}");

    // What somebody changes is seen at once.
    let name = json!({"name": "Colour of the button"});
    let renamed = watched.server.patch(&experiments[0], &name).await;
    assert_eq!(renamed.status, StatusCode::OK, "{}", renamed.text());
    let (shown, _, read) = watched.look().await;
    assert_eq!(read, 1);
    assert!(shown.contains("Colour of the button"), "{shown}");
    let paused = format!("{}/pause", experiments[1]);
    watched.server.post(&paused, &json!({})).await;
    let (shown, _, read) = watched.look().await;
    assert_eq!(
        read, 0,
        "it does not run any more, and the others stayed as they were"
    );
    assert!(shown.contains("11 experiments are running"), "{shown}");

    // Whether one may stop is a matter of time as well.
    watched.clock.advance(time::Duration::minutes(10));
    let (_, _, read) = watched.look().await;
    assert_eq!(read, RUNNING - 1);

    // Somebody else sees nothing of it, remembered or not.
    let stranger = "stranger@example.org";
    let scopes = samplit_engine::Scope::ALL.to_vec();
    crate::support::create_key(&watched.server.engine, stranger, scopes).await;
    let cookie = sign_in(&watched.server, stranger).await;
    let stranger = Watched { cookie, ..watched };
    let (shown, _, read) = stranger.look().await;
    assert_eq!(read, 0);
    assert!(!shown.contains("Colour of the button"), "{shown}");
}
