//! The pool of connections behind its circuit breaker.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::breaker::{Admission, BreakerState, CircuitBreaker, Epoch};
use crate::meter::{Meter, TransactionMeter};
use crate::statement::Session;
use crate::{Error, Server, Settings, tls};

/// How often a transaction is run again when PostgreSQL says that this may help.
const MAX_RETRIES: u32 = 5;

/// Every transaction touches rows by their keys. The planner is told so, because it cannot know: a
/// plan made while a table was small, kept for a prepared statement, scans it when it has grown,
/// and a batch of a thousand keys looks to it like a reason to hash the table.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL enable_seqscan = off; \
    SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off";

/// PostgreSQL answers a COMMIT of an aborted transaction with ROLLBACK and without an error, and the
/// driver does not show us the difference. Work that went on after a statement of it had failed would
/// pass for committed. Any statement but the end of the transaction fails there (25P02), so one goes
/// ahead of the COMMIT, which then is not run.
const COMMIT: &str = "SELECT; COMMIT";

static SHARED: OnceLock<Database> = OnceLock::new();

/// A PostgreSQL database: pooled connections, a circuit breaker, transactions that retry.
///
/// Cheap to clone; all clones share one pool.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    pool: Pool,
    server: Server,
    settings: Settings,
    breaker: Mutex<CircuitBreaker>,
    /// Held while the minimum is opened, so that two do not both open it.
    filling: tokio::sync::Mutex<()>,
    meter: Meter,
    started: Instant,
}

/// How the pool is used at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    /// Connections lent.
    pub in_use: usize,
    /// Connections open and not lent.
    pub idle: usize,
    /// Connections that may be open at most.
    pub limit: usize,
    /// Callers that wait for one.
    pub waiting: usize,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database")
            .field("settings", &self.inner.settings)
            .finish_non_exhaustive()
    }
}

/// The error of a unit of work: the caller's own, as long as it can carry one of the store's, which
/// decides about another try and about the breaker.
pub trait TxError: From<Error> {
    /// The store's error inside, if it is one.
    fn store(&self) -> Option<&Error>;
}

impl TxError for Error {
    fn store(&self) -> Option<&Error> {
        Some(self)
    }
}

/// A connection lent from the pool.
///
/// Dropped, it goes back once what was sent on it has run and a transaction left open is rolled back;
/// where that fails, and outside a tokio runtime, it is closed. What else was set on the connection
/// stays set for the next borrower.
pub struct Connection(Option<Session<'static>>);

impl Deref for Connection {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &Self::Target {
        self.0.as_ref().expect("present until dropped").connection()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if let Some(session) = self.0.take()
            && let Ok(runtime) = Handle::try_current()
        {
            // Ends a transaction whether or not there is one. A ROLLBACK alone without a transaction
            // would leave a warning in PostgreSQL's log for every well-behaved borrower.
            runtime.spawn(async move { session.end("BEGIN; ROLLBACK").await });
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").finish_non_exhaustive()
    }
}

impl Database {
    /// Connects, opens the minimum of connections, and keeps the pool in shape from then on.
    ///
    /// # Errors
    /// When the settings make no sense, or PostgreSQL is not reached within the retries.
    pub async fn connect(settings: Settings) -> Result<Self, Error> {
        let database = Self::lazy(settings)?;
        let mut pauses = database.inner.settings.connect_retries.clone().into_iter();
        loop {
            match database.fill().await {
                Ok(()) => break,
                Err(error) if error.is_unavailable() => match pauses.next() {
                    Some(pause) => {
                        tracing::warn!(%error, "PostgreSQL is not reached, trying again in {pause:?}");
                        tokio::time::sleep(pause).await;
                    }
                    None => return Err(error),
                },
                Err(error) => return Err(error),
            }
        }
        Ok(database)
    }

    /// Builds the pool without opening a connection.
    ///
    /// # Errors
    /// When the settings make no sense.
    ///
    /// # Panics
    /// Outside a tokio runtime: a task that keeps the pool in shape starts here.
    pub fn lazy(settings: Settings) -> Result<Self, Error> {
        settings.check()?;
        let mut server = Server::parse(&settings.url)?.named(&settings.application_name);
        let config = server.config_mut();
        config.connect_timeout(settings.connect_timeout);
        let config = config.clone();
        let recycle = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = if server.is_plain() {
            Manager::from_config(config, NoTls, recycle)
        } else {
            Manager::from_config(config, tls::connector(server.tls())?, recycle)
        };
        let prepare = Arc::<str>::from(session_settings(&settings));
        let pool = Pool::builder(manager)
            .max_size(settings.max_connections)
            .wait_timeout(Some(settings.acquire_timeout))
            .create_timeout(Some(settings.connect_timeout))
            .recycle_timeout(Some(settings.connect_timeout))
            .runtime(deadpool_postgres::Runtime::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                let prepare = Arc::clone(&prepare);
                Box::pin(async move {
                    client
                        .batch_execute(&prepare)
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| Error::settings(error.to_string()))?;
        let breaker = CircuitBreaker::new(settings.failure_threshold, settings.recovery_timeout);
        let inner = Arc::new(Inner {
            pool,
            server,
            settings,
            breaker: Mutex::new(breaker),
            filling: tokio::sync::Mutex::new(()),
            meter: Meter::new(),
            started: Instant::now(),
        });
        keep_in_shape(&inner);
        Ok(Self { inner })
    }

    /// Makes this database the one that [`Database::shared`] returns. The first call wins.
    ///
    /// # Errors
    /// The database itself when there is one already.
    pub fn share(self) -> Result<(), Self> {
        SHARED.set(self)
    }

    /// The process-wide database, for embedders that want one handle.
    #[must_use]
    pub fn shared() -> Option<&'static Self> {
        SHARED.get()
    }

    /// Lends a connection.
    ///
    /// # Errors
    /// [`Error::is_unavailable`] when the breaker is open, PostgreSQL is away or no connection
    /// becomes free in time.
    pub async fn acquire(&self) -> Result<Connection, Error> {
        let permit = self.admit()?;
        let object = self.inner.lend().await;
        permit.report(object.map(|object| Connection(Some(Session::new(object)))))
    }

    /// Runs `work` on a connection outside a transaction, once.
    ///
    /// # Errors
    /// Whatever `work` returns, that no connection was to be had, or that PostgreSQL fell silent.
    pub async fn run<'env, T, E, F>(&self, work: F) -> Result<T, E>
    where
        E: TxError,
        F: for<'s> FnOnce(&'s Session<'env>) -> BoxFuture<'s, Result<T, E>> + Send,
    {
        let permit = self.admit()?;
        let outcome = match self.inner.lend().await {
            Ok(connection) => {
                let session = Session::new(connection);
                // Where the deadline passes the session is dropped, and its connection with it.
                let outcome = within(self.inner.deadline(), work(&session)).await;
                match &outcome {
                    Some(Ok(_)) => session.give_back(),
                    // One of several statements failed: the empty one waits for the others. The
                    // caller is told of the first failure whatever comes of it.
                    Some(Err(_)) => drop(within(self.inner.deadline(), session.end("")).await),
                    None => drop(session),
                }
                outcome.unwrap_or_else(|| Err(Error::silence("a read").into()))
            }
            Err(error) => Err(error.into()),
        };
        permit.report(outcome)
    }

    /// Runs `work` as one READ COMMITTED transaction, and again from the start when PostgreSQL
    /// reports a conflict that another try may solve. `work` therefore must have no effect outside
    /// the transaction. `name` stands in logs and metrics.
    ///
    /// # Errors
    /// Whatever `work` returns, or the commit; [`Error::is_commit_unknown`] when the connection was
    /// lost in the COMMIT.
    pub async fn run_tx<'env, T, E, F>(&self, name: &'static str, work: F) -> Result<T, E>
    where
        E: TxError,
        F: for<'s> Fn(&'s Session<'env>) -> BoxFuture<'s, Result<T, E>> + Send + Sync,
    {
        let meter = self.inner.meter.transaction(name);
        let mut tries = 0;
        loop {
            let permit = self.admit()?;
            match permit.report(self.try_tx(name, &meter, &work).await) {
                Err(error)
                    if tries < MAX_RETRIES && error.store().is_some_and(Error::is_retryable) =>
                {
                    tries += 1;
                    meter.retried();
                    tracing::debug!(transaction = name, tries, "transaction runs again");
                }
                outcome => return outcome,
            }
        }
    }

    async fn try_tx<'env, T, E, F>(
        &self,
        name: &'static str,
        meter: &TransactionMeter,
        work: &F,
    ) -> Result<T, E>
    where
        E: TxError,
        F: for<'s> Fn(&'s Session<'env>) -> BoxFuture<'s, Result<T, E>> + Send + Sync,
    {
        let connection = self.inner.lend().await?;
        let session = Session::new(connection);
        let begin = async {
            let begun = session.batch(BEGIN).await;
            begun.map_err(|source| E::from(Error::postgres(name, source)))
        };
        // BEGIN travels together with the first statements of `work`, and ahead of them: hence
        // `biased`, without which the join may poll `work` first. It also looks at the answer to
        // BEGIN first, whose failure is the cause of any other.
        let both = async { tokio::try_join!(biased; begin, work(&session)) };
        // Where the deadline passes the session is dropped, and its connection with it.
        let Some(outcome) = within(self.inner.deadline(), both).await else {
            return Err(Error::silence(name).into());
        };
        match outcome {
            Ok(((), value)) => {
                let sent = Instant::now();
                let committed = within(self.inner.deadline(), session.end(COMMIT)).await;
                meter.committed(sent.elapsed());
                match committed {
                    Some(Ok(())) => Ok(value),
                    Some(Err(source)) => Err(Error::commit(name, source).into()),
                    None => Err(Error::commit_silence(name).into()),
                }
            }
            Err(error) => {
                // Where this fails the connection is closed, which rolls back, too.
                let _ = within(self.inner.deadline(), session.end("ROLLBACK")).await;
                Err(error)
            }
        }
    }

    /// Where the breaker stands.
    #[must_use]
    pub fn breaker_state(&self) -> BreakerState {
        self.inner.breaker.lock().state()
    }

    /// Connections open now, idle or lent.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.inner.pool.status().size
    }

    /// How the pool is used now.
    #[must_use]
    pub fn pool_status(&self) -> PoolStatus {
        let status = self.inner.pool.status();
        let idle = status.available.min(status.size);
        PoolStatus {
            in_use: status.size - idle,
            idle,
            limit: status.max_size,
            waiting: status.waiting,
        }
    }

    /// Tells the metrics recorder what has to be looked at to be known: the breaker and the pool.
    pub fn observe(&self) {
        self.inner
            .meter
            .show(self.breaker_state(), self.pool_status());
    }

    /// Closes the pool; every later call fails.
    pub fn close(&self) {
        self.inner.pool.close();
    }

    pub(crate) fn server(&self) -> &Server {
        &self.inner.server
    }

    async fn fill(&self) -> Result<(), Error> {
        self.inner.fill().await
    }

    fn admit(&self) -> Result<Permit<'_>, Error> {
        let inner = &*self.inner;
        match inner.breaker.lock().admit(inner.now()) {
            Admission::Allowed(epoch) => Ok(Permit {
                inner,
                epoch,
                is_reported: false,
            }),
            Admission::Refused { retry_in } => {
                inner.meter.unavailable();
                Err(Error::breaker_open(retry_in))
            }
        }
    }
}

impl Inner {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// A connection from the pool.
    async fn lend(&self) -> Result<Object, Error> {
        let asked = Instant::now();
        let lent = self.pool.get().await.map_err(Error::pool);
        self.meter.acquired(asked.elapsed());
        lent
    }

    /// How long the statements of a unit of work may take together, and a COMMIT. PostgreSQL itself
    /// ends what takes longer; but a network that swallows everything, or a host that is gone, never
    /// says so, and whoever waits for the answer would wait for ever.
    fn deadline(&self) -> Option<Duration> {
        let limit = self.settings.statement_timeout;
        (!limit.is_zero()).then(|| 2 * limit)
    }

    /// Opens connections up to the minimum.
    async fn fill(&self) -> Result<(), Error> {
        let _alone = self.filling.lock().await;
        let missing = self.settings.min_connections.max(1);
        if self.pool.status().size >= missing {
            return Ok(());
        }
        let lent = futures_util::future::try_join_all((0..missing).map(|_| self.pool.get()));
        lent.await.map(drop).map_err(Error::pool)
    }

    /// Closes connections idle for too long, down to the minimum.
    fn trim(&self) {
        let mut surplus = self
            .pool
            .status()
            .size
            .saturating_sub(self.settings.min_connections);
        let max_idle = self.settings.max_idle;
        self.pool.retain(|_, metrics| {
            let close = surplus > 0 && metrics.last_used() >= max_idle;
            surplus -= usize::from(close);
            !close
        });
    }
}

/// The output of `work`, unless a deadline passes before.
async fn within<F: Future>(deadline: Option<Duration>, work: F) -> Option<F::Output> {
    match deadline {
        Some(deadline) => tokio::time::timeout(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Trims and refills the pool until the last handle is gone.
fn keep_in_shape(inner: &Arc<Inner>) {
    let weak = Arc::downgrade(inner);
    let period = (inner.settings.max_idle / 10).max(Duration::from_millis(10));
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(period).await;
            let Some(inner) = weak.upgrade() else { return };
            if inner.pool.is_closed() {
                return;
            }
            inner.trim();
            if inner.pool.status().size < inner.settings.min_connections
                && inner.breaker.lock().state() == BreakerState::Closed
                && let Err(error) = inner.fill().await
            {
                tracing::debug!(%error, "the pool could not be refilled");
            }
        }
    });
}

/// Leave to try, and the duty to say how it went.
struct Permit<'a> {
    inner: &'a Inner,
    epoch: Epoch,
    is_reported: bool,
}

impl Permit<'_> {
    fn report<T, E: TxError>(mut self, outcome: Result<T, E>) -> Result<T, E> {
        self.is_reported = true;
        let mut breaker = self.inner.breaker.lock();
        let before = breaker.state();
        match outcome.as_ref().err().and_then(TxError::store) {
            Some(error) if error.is_unavailable() => {
                self.inner.meter.unavailable();
                breaker.on_failure(self.epoch, self.inner.now());
            }
            _ => breaker.on_success(self.epoch),
        }
        if breaker.state() != before {
            if breaker.state() == BreakerState::Open {
                self.inner.meter.breaker_opened();
            }
            tracing::warn!(from = ?before, to = ?breaker.state(), "circuit breaker moved");
        }
        outcome
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        if !self.is_reported {
            let mut breaker = self.inner.breaker.lock();
            breaker.on_abandoned(self.epoch, self.inner.now());
        }
    }
}

/// What every connection is told first. All of these are off or endless by default, and a replica
/// that is stopped while it holds a head lock would hold it for ever.
fn session_settings(settings: &Settings) -> String {
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}; \
         SET idle_in_transaction_session_timeout = {}; SET timezone = 'UTC'; \
         SELECT set_config('client_connection_check_interval', '1000', false) \
         WHERE current_setting('server_version_num')::int >= 140000",
        settings.lock_timeout.as_millis(),
        settings.statement_timeout.as_millis(),
        settings.idle_in_transaction_timeout.as_millis(),
    )
}
