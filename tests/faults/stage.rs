//! What a fault plays on: a durable PostgreSQL, a database, an experiment, servers, and the balance
//! at the end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use samplit_devpg::{DevPg, TestDatabase};
use samplit_engine::{Engine, EngineConfig, KeyRing, NewApiKey, Role, Scope};
use samplit_store::{Database, Settings};
use samplit_tests::{connect, draft, start};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use crate::check::{self, Balance};
use crate::client::Front;
use crate::history::{Attempt, History, Outcome, What};
use crate::load::{Load, Retry};
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::replica::{PATIENCE, Replica};
use crate::report;
use crate::server::Setup;
use crate::vitals::{Vitals, metric};

/// The database that all others are cloned from.
const TEMPLATE: &str = "faults_template";

/// The key that seals what is at rest.
const KEY: [u8; 32] = [7; 32];

/// Visitors that a server has recorded when its vitals are taken.
const WARM: u64 = 200;

pub(crate) fn keys() -> KeyRing {
    KeyRing::new(&[KEY]).unwrap()
}

/// The cluster that faults share. Durable, as it is crashed.
pub(crate) async fn shared_cluster() -> &'static DevPg {
    static SHARED: OnceCell<DevPg> = OnceCell::const_new();
    let start = async || {
        let pg = DevPg::start().await.unwrap();
        migrate(&pg).await;
        pg
    };
    SHARED.get_or_init(start).await
}

/// Makes the template in a cluster.
pub(crate) async fn migrate(pg: &DevPg) {
    pg.create_database(TEMPLATE).await.unwrap();
    let mut client = connect(&pg.url(TEMPLATE)).await;
    let options = samplit_sql::Options::default();
    samplit_sql::up(&mut client, &options).await.unwrap();
    let version = client.query_one("SHOW server_version", &[]).await.unwrap();
    report::runs_on(version.get(0));
}

/// A queue that no fault fills but the one that means to; as in production.
pub(crate) const QUEUE: usize = 16_384;

/// How a stage is set.
pub(crate) struct Setting {
    pub(crate) replicas: usize,
    /// Per replica.
    pub(crate) max_connections: usize,
    /// Whether servers reach PostgreSQL through a proxy.
    pub(crate) proxied: bool,
    /// Requests that wait in a server at most.
    pub(crate) queue: usize,
}

impl Default for Setting {
    fn default() -> Self {
        Self {
            replicas: 2,
            max_connections: 10,
            proxied: false,
            queue: QUEUE,
        }
    }
}

/// A set stage. The order of its parts is that in which they go.
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    pub(crate) replicas: Vec<Replica>,
    pub(crate) front: Arc<Front>,
    pub(crate) proxy: Option<Proxy>,
    pub(crate) pg: &'static DevPg,
    pub(crate) database: TestDatabase,
    before: Vec<Vitals>,
    history: History,
    logs: TempDir,
}

impl Stage {
    /// On the shared cluster.
    pub(crate) async fn set(plan: Plan, setting: Setting) -> Self {
        Self::set_on(plan, setting, shared_cluster().await).await
    }

    pub(crate) async fn set_on(plan: Plan, setting: Setting, pg: &'static DevPg) -> Self {
        let database = pg.create_from_template(TEMPLATE).await.unwrap();
        let engine = engine(database.url()).await;
        let experiment = start(&engine, draft(&[2, 3])).await;
        let key = engine
            .create_api_key(NewApiKey {
                email: "faults@example.org".to_owned(),
                role: Role::Admin,
                name: "faults".to_owned(),
                scopes: Scope::ALL.to_vec(),
                expires_at: None,
            })
            .await
            .unwrap();
        close(engine).await;
        let proxy = if setting.proxied {
            let upstream = SocketAddr::from(([127, 0, 0, 1], pg.port()));
            Some(Proxy::start(upstream).await)
        } else {
            None
        };
        let database_url = match &proxy {
            Some(proxy) => format!(
                "postgresql://postgres@127.0.0.1:{}/{}",
                proxy.port(),
                database.name()
            ),
            None => database.url().to_owned(),
        };
        let front = Front {
            token: key.token,
            experiment: experiment.id.to_string(),
            replicas: (0..setting.replicas).map(|_| Mutex::new(None)).collect(),
        };
        let mut stage = Self {
            plan,
            replicas: Vec::new(),
            front: Arc::new(front),
            proxy,
            pg,
            database,
            before: Vec::new(),
            history: History::default(),
            logs: TempDir::new().unwrap(),
        };
        for index in 0..setting.replicas {
            let setup = Setup {
                name: format!("replica-{index}"),
                database_url: database_url.clone(),
                max_connections: setting.max_connections,
                queue: setting.queue,
            };
            let replica = Replica::start(setup, stage.logs.path()).await;
            *stage.front.replicas[index].lock() = Some(replica.address);
            stage.replicas.push(replica);
        }
        stage.warm_up("before").await;
        stage.before = stage.vitals().await;
        stage
    }

    /// Lets clients ask.
    pub(crate) fn load(&self, label: &str, clients: usize, retry: Retry) -> Load {
        Load::start(&self.front, clients, retry, label, self.plan.stream(label))
    }

    /// Starts a server again that has ended.
    pub(crate) async fn restart(&mut self, index: usize) {
        let setup = self.replicas[index].setup.clone();
        let replica = Replica::start(setup, self.logs.path()).await;
        *self.front.replicas[index].lock() = Some(replica.address);
        self.replicas[index] = replica;
    }

    /// Every replica.
    pub(crate) fn all(&self) -> Vec<usize> {
        (0..self.replicas.len()).collect()
    }

    /// Takes what clients have seen into the balance.
    pub(crate) fn remember(&mut self, history: History) {
        self.history.extend(history);
    }

    /// Takes one answer into the balance.
    pub(crate) fn note(&mut self, visitor: &str, what: What, outcome: Outcome) {
        self.history.attempts.push(Attempt {
            visitor: visitor.to_owned(),
            what,
            outcome,
            knows_row: false,
        });
    }

    /// A connection of our own, past any proxy.
    pub(crate) async fn client(&self) -> tokio_postgres::Client {
        connect(self.database.url()).await
    }

    /// How often the breakers of all servers have opened since they started.
    pub(crate) async fn breaker_openings(&self) -> f64 {
        let mut openings = 0.0;
        for replica in &self.replicas {
            openings += metric(replica.ops, "samplit_db_breaker_opened_total").await;
        }
        openings
    }

    /// The end of every fault: the servers work as before and use no more than before, and the
    /// history holds against the database.
    pub(crate) async fn balance(mut self, recoveries: &[f64]) {
        self.warm_up("after").await;
        for replica in &self.replicas {
            let closed = metric(replica.ops, "samplit_db_breaker{state=\"closed\"}").await;
            assert!(
                closed > 0.0,
                "the breaker of {} is closed again",
                replica.setup.name
            );
        }
        let after = self.settled().await;
        let balance = self.check().await;
        let logs = self.logs.path();
        let logged = self
            .replicas
            .iter()
            .map(|replica| logs.join(&replica.setup.name));
        let panics: Vec<String> = logged
            .flat_map(|log| {
                let log = std::fs::read_to_string(log).unwrap();
                let lines = log.lines().filter(|line| line.contains("panicked"));
                lines.map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        report::add(
            self.plan,
            &self.history,
            &balance,
            recoveries,
            &self.before,
            &after,
        );
        let wrong: Vec<_> = (self.history.attempts.iter())
            .filter(|attempt| matches!(attempt.outcome, Outcome::Wrong(_)))
            .take(5)
            .collect();
        let is_sound = wrong.is_empty() && panics.is_empty() && balance.is_sound();
        if !is_sound {
            // For whoever looks for the cause.
            self.logs.disable_cleanup(true);
        }
        assert!(
            is_sound,
            "seed {}, logs in {}: {balance:#?} {wrong:#?} {panics:#?}",
            self.plan.seed,
            self.logs.path().display(),
        );
    }

    /// The history so far, for what one fault has to say about it.
    pub(crate) const fn history(&self) -> &History {
        &self.history
    }

    async fn check(&self) -> Balance {
        let engine = engine(self.database.url()).await;
        let doctor = engine.doctor().await.unwrap();
        close(engine).await;
        let findings = doctor
            .into_iter()
            .filter(|check| !check.is_passed())
            .collect();
        check::balance(&self.client().await, &self.history, findings).await
    }

    /// The same work for every server, so that what it uses can be compared.
    async fn warm_up(&mut self, label: &str) {
        let mut load = self.load(label, 4 * self.replicas.len(), Retry::Connections);
        load.recovers(&self.all()).await;
        load.records(WARM).await;
        let history = load.stop().await;
        self.remember(history);
    }

    async fn vitals(&self) -> Vec<Vitals> {
        let client = self.client().await;
        let mut vitals = Vec::new();
        for replica in &self.replicas {
            vitals.push(Vitals::of(replica, &client).await);
        }
        vitals
    }

    /// Waits until every server is back near its base line.
    async fn settled(&self) -> Vec<Vitals> {
        let since = Instant::now();
        loop {
            let after = self.vitals().await;
            if after
                .iter()
                .zip(&self.before)
                .all(|(after, before)| after.is_near(before))
            {
                return after;
            }
            assert!(
                since.elapsed() < PATIENCE,
                "more is used than before: {:?} {after:?}",
                self.before
            );
            sleep(Duration::from_millis(100)).await;
        }
    }
}

/// An engine of our own, as patient as verification wants it.
async fn engine(url: &str) -> Engine {
    let settings = Settings {
        min_connections: 1,
        statement_timeout: Duration::ZERO,
        ..Settings::new(url)
    };
    let database = Database::connect(settings).await.unwrap();
    Engine::start(database, EngineConfig::new(keys()))
        .await
        .unwrap()
}

async fn close(engine: Engine) {
    engine.shutdown().await;
    engine.database().close();
}
