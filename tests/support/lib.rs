//! What the integration tests share: a migrated database per test, engines over it, drafts.

#![expect(clippy::missing_panics_doc, reason = "in a test a panic is the answer")]

use std::sync::Arc;
use std::time::Duration;

use samplit_devpg::{DevPg, TestDatabase};
use samplit_domain::{
    ElementDraft, ExperimentDraft, ManualClock, Transition, VariantDraft, from_micros,
};
use samplit_engine::{Engine, EngineConfig, Experiment, KeyRing, Principal, SeededEntropy};
use samplit_store::{Database, Settings};
use serde_json::json;
use tokio::sync::OnceCell;
use tokio_postgres::NoTls;

pub use tokio_postgres::Client;

/// The database that all others are cloned from.
const TEMPLATE: &str = "samplit_template";

/// A migrated database of its own.
pub async fn database() -> TestDatabase {
    static MIGRATED: OnceCell<()> = OnceCell::const_new();
    let pg = DevPg::shared().await;
    MIGRATED.get_or_init(|| migrate_template(pg)).await;
    pg.create_from_template(TEMPLATE)
        .await
        .expect("the template can be cloned")
}

async fn migrate_template(pg: &DevPg) {
    pg.create_database(TEMPLATE)
        .await
        .expect("a fresh cluster has no template");
    let mut client = connect(&pg.url(TEMPLATE)).await;
    samplit_sql::up(&mut client, &samplit_sql::Options::default())
        .await
        .expect("the migrations run");
}

/// A plain connection, for looking behind the engine's back.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("it accepts");
    tokio::spawn(connection);
    client
}

/// Settings that fail fast where PostgreSQL is away, and are patient where a test holds a lock.
#[must_use]
pub fn settings(url: &str) -> Settings {
    Settings {
        connect_retries: Vec::new(),
        min_connections: 1,
        acquire_timeout: Duration::from_secs(2),
        connect_timeout: Duration::from_secs(2),
        lock_timeout: Duration::from_secs(30),
        ..Settings::new(url)
    }
}

/// A configuration whose keys and ids follow from `seed` and that learns before every batch.
#[must_use]
pub fn config(seed: u64) -> EngineConfig {
    EngineConfig {
        reallocate_every: Duration::ZERO,
        entropy: Arc::new(SeededEntropy::new(seed)),
        // A machine that has much to do is no reason for another answer.
        step_patience: Duration::from_secs(60),
        ..EngineConfig::new(KeyRing::new(&[[7; 32]]).expect("32 bytes are a key"))
    }
}

/// A configuration whose clock stands still, too: every id, key and draw follows from `seed`.
#[must_use]
pub fn fixed(seed: u64) -> EngineConfig {
    let clock = Arc::new(ManualClock::new(from_micros(1_767_323_045_000_000)));
    EngineConfig {
        clock,
        ..config(seed)
    }
}

/// An engine over `url`.
pub async fn engine_with(url: &str, config: EngineConfig) -> Engine {
    let database = Database::connect(settings(url))
        .await
        .expect("PostgreSQL is there");
    Engine::start(database, config)
        .await
        .expect("the engine starts")
}

/// An engine over `url` with the usual configuration.
pub async fn engine(url: &str, seed: u64) -> Engine {
    engine_with(url, config(seed)).await
}

/// A draft with one element per entry of `elements`, each with that many variants: `A` (control),
/// `B`, ...
#[must_use]
pub fn draft(elements: &[usize]) -> ExperimentDraft {
    let variant = |index: usize| {
        let name = char::from(b'A' + u8::try_from(index).expect("few variants")).to_string();
        let content = json!({ "text": format!("variant {index}") });
        if index == 0 {
            VariantDraft::control(name, content)
        } else {
            VariantDraft::new(name, content)
        }
    };
    let element = |(index, &variants): (usize, &usize)| {
        ElementDraft::new(
            format!("element {index}"),
            (0..variants).map(variant).collect(),
        )
    };
    ExperimentDraft::new("test", elements.iter().enumerate().map(element).collect())
}

/// Creates and starts an experiment.
pub async fn start(engine: &Engine, draft: ExperimentDraft) -> Experiment {
    let me = Principal::system();
    let experiment = engine
        .create_experiment(&me, draft)
        .await
        .expect("the draft is sound");
    step(engine, &experiment, Transition::Start).await
}

/// Moves an experiment through its lifecycle.
pub async fn step(engine: &Engine, experiment: &Experiment, transition: Transition) -> Experiment {
    let (me, id) = (Principal::system(), experiment.id);
    engine
        .transition(&me, id, transition, Default::default(), None)
        .await
        .expect("the step is legal")
}

/// Asks again and again until `is_so`, for at most a minute.
pub async fn eventually(is_so: impl AsyncFn() -> bool) {
    let asking = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asking)
        .await
        .expect("it comes true in a minute");
}
