//! Plans: what is used of them, what is refused for them, what Stripe says of them.

mod limits;
mod stripe;
mod usage;

use std::sync::Arc;

use samplit_devpg::TestDatabase;
use samplit_domain::{Clock as _, ManualClock, from_micros};
use samplit_engine::{
    Engine, EngineConfig, Error, ErrorKind, Experiment, Limits, NewApiKey, PlanDraft, Principal,
    Role, Scope, StripeSecret, Transition,
};
use samplit_tests::{Client, connect, database, draft, engine_with};
use time::OffsetDateTime;

const SECRET: &str = "whsec_c2VjcmV0";

/// Two engines over one database whose clock stands still, an admin, and a client.
struct Stage {
    database: TestDatabase,
    clock: Arc<ManualClock>,
    engine: Engine,
    other: Engine,
    client: Client,
    admin: Principal,
    ana: Principal,
}

impl Stage {
    /// It is the 21st of September 2026, 14:13:20 in UTC.
    async fn new() -> Self {
        let database = database().await;
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let engine = async |seed| {
            let config = EngineConfig {
                clock: Arc::<ManualClock>::clone(&clock),
                stripe_secret: Some(StripeSecret::new(SECRET)),
                ..samplit_tests::config(seed)
            };
            engine_with(database.url(), config).await
        };
        let (engine, other) = (engine(1).await, engine(2).await);
        let client = connect(database.url()).await;
        let admin = account(&engine, "admin@example.org", Role::Admin).await;
        let ana = account(&engine, "ana@example.org", Role::Client).await;
        Self {
            database,
            clock,
            engine,
            other,
            client,
            admin,
            ana,
        }
    }

    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }

    /// Sells a plan.
    async fn plan(&self, name: &str, price: Option<&str>, limits: Limits) {
        let draft = PlanDraft {
            title: name.to_uppercase(),
            limits,
            provider_price_id: price.map(str::to_owned),
        };
        let saved = self.engine.save_plan(&self.admin, name, draft).await;
        saved.unwrap();
    }

    /// Puts an account on a plan of its own with these limits.
    async fn limit(&self, who: &Principal, limits: Limits) {
        self.plan("limited", None, limits).await;
        let user = who.user_id.unwrap();
        let set = self.engine.set_subscription(&self.admin, user, "limited");
        set.await.unwrap();
    }

    async fn drafted(&self, who: &Principal, elements: &[usize]) -> Experiment {
        let made = self.engine.create_experiment(who, draft(elements)).await;
        made.unwrap()
    }

    async fn started(&self, who: &Principal, elements: &[usize]) -> Experiment {
        let made = self.drafted(who, elements).await;
        go(&self.engine, who, &made, Transition::Start)
            .await
            .unwrap()
    }

    /// Somebody's activity of one kind, oldest first, as JSON of its details.
    async fn noted(&self, who: &Principal, action: &str) -> Vec<serde_json::Value> {
        let noted =
            "SELECT detail FROM activity_log WHERE action = $1 AND user_id = $2 ORDER BY ctid";
        let user = who.user_id.unwrap().0;
        let rows = self.client.query(noted, &[&action, &user]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    async fn end(self) {
        self.engine.shutdown().await;
        self.other.shutdown().await;
        drop(self.database);
    }
}

async fn account(engine: &Engine, email: &str, role: Role) -> Principal {
    let new = NewApiKey {
        email: email.to_owned(),
        role,
        name: "test".to_owned(),
        scopes: Scope::ALL.to_vec(),
        expires_at: None,
    };
    let key = engine.create_api_key(new).await.unwrap();
    let principal = engine.authenticate(&key.token).await.unwrap();
    // As if signed in: programs let nobody in.
    Principal {
        key: None,
        ..principal
    }
}

async fn go(
    engine: &Engine,
    who: &Principal,
    experiment: &Experiment,
    step: Transition,
) -> Result<Experiment, Error> {
    let winner = Default::default();
    engine
        .transition(who, experiment.id, step, winner, None)
        .await
}

/// What came of something, in a word.
fn word<T>(result: &Result<T, Error>) -> &'static str {
    match result.as_ref().map_err(Error::kind) {
        Ok(_) => "done",
        Err(ErrorKind::Conflict { code, .. }) => code,
        Err(ErrorKind::Invalid(_)) => "invalid",
        Err(ErrorKind::NotFound(noun)) => noun,
        Err(ErrorKind::AdminOnly) => "admin_only",
        Err(ErrorKind::BadSignature) => "bad_signature",
        Err(other) => panic!("{other:?}"),
    }
}

const NO_LIMITS: Limits = Limits {
    active_experiments: None,
    monthly_visitors: None,
    seats: None,
};
