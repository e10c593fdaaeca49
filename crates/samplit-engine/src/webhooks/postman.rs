//! Delivers what is due, until the engine ends.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use metrics::{counter, histogram};
use parking_lot::Mutex;
use samplit_domain::{UserId, WebhookEvent, WebhookId};
use samplit_store::webhook_outbox::{self, ClaimedDelivery, Room};
use time::OffsetDateTime;
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

use super::attempt::{LEASE, attempt};
use crate::Error;
use crate::core::Core;

/// Attempts under way at once.
const AT_ONCE: usize = 32;

/// Of them those to endpoints that fail, which may each take as long as an attempt can.
const FAILING: usize = 8;

/// Of them those of one account.
const OF_ACCOUNT: i64 = 8;

/// How often it is counted what waits.
const COUNT_EVERY: Duration = Duration::from_secs(15);

/// How often old messages are forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);

/// For how long messages are kept.
const KEPT_FOR: time::Duration = time::Duration::days(30);

/// The most messages that are forgotten in one transaction.
const FORGOTTEN_AT_ONCE: u32 = 1_000;

/// The most transactions of that kind in a row.
const FORGOTTEN_IN_A_ROW: u32 = 50;

/// Messages that are kept as long as their experiment, since they are said once.
const KEPT: [WebhookEvent; 2] = [WebhookEvent::WinnerFound, WebhookEvent::SampleRatioMismatch];

/// How late the oldest of what waits may be before something is wrong.
const LATE: Duration = Duration::from_secs(300);

/// What is known of the deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookStatus {
    /// Since it was last looked for what is due.
    pub round_age: Duration,
    /// Deliveries that wait, when they were last counted; retries that are not due yet among them.
    pub pending: u64,
    /// For how long the oldest of them should have been tried.
    pub overdue: Duration,
}

impl WebhookStatus {
    /// Whether what should have been tried was not, for minutes.
    #[must_use]
    pub fn is_late(&self) -> bool {
        self.round_age >= LATE || self.overdue >= LATE
    }
}

/// Who delivers, if anybody does.
#[derive(Debug, Default)]
pub(crate) struct Postman {
    wake: Arc<Notify>,
    task: Mutex<Option<Task>>,
    sight: Mutex<Option<Sight>>,
}

#[derive(Debug)]
struct Task {
    stop: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

/// What was last seen.
#[derive(Clone, Copy, Debug)]
struct Sight {
    looked: Instant,
    pending: u64,
    oldest: Option<OffsetDateTime>,
}

impl Postman {
    /// Begins to deliver, looking for what is due every so often.
    pub(crate) fn start(&self, core: Weak<Core>, every: Duration) {
        let (stop, stopped) = oneshot::channel();
        let handle = tokio::spawn(deliver(core, Arc::clone(&self.wake), stopped, every));
        *self.sight.lock() = Some(Sight {
            looked: Instant::now(),
            pending: 0,
            oldest: None,
        });
        *self.task.lock() = Some(Task { stop, handle });
    }

    /// Something may be due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Begins no attempt any more, brings those under way to their end, and stops at `deadline` at the
    /// latest. What is cut off is made again by somebody else.
    pub(crate) async fn close(&self, deadline: Instant) {
        let Some(Task { stop, mut handle }) = self.task.lock().take() else {
            return;
        };
        // It may have ended by itself.
        let _ = stop.send(());
        if timeout_at(deadline, &mut handle).await.is_err() {
            handle.abort();
            tracing::warn!("not all webhooks under way were answered in time");
        }
    }

    /// What is known of the deliveries at `now`; `None`: this process makes none.
    pub(crate) fn status(&self, now: OffsetDateTime) -> Option<WebhookStatus> {
        let sight = (*self.sight.lock())?;
        let overdue = sight.oldest.map(|oldest| now - oldest);
        Some(WebhookStatus {
            round_age: sight.looked.elapsed(),
            pending: sight.pending,
            overdue: overdue
                .and_then(|overdue| overdue.try_into().ok())
                .unwrap_or_default(),
        })
    }

    fn saw(&self, change: impl FnOnce(&mut Sight)) {
        if let Some(sight) = self.sight.lock().as_mut() {
            change(sight);
        }
    }
}

/// What is under way to one endpoint.
#[derive(Clone, Copy, Debug)]
struct Busy {
    user_id: UserId,
    /// As it was when it was taken.
    is_failing: bool,
    attempts: usize,
}

/// When a duty was last done.
struct Duty {
    every: Duration,
    done: Option<Instant>,
}

impl Duty {
    const fn new(every: Duration) -> Self {
        Self { every, done: None }
    }

    /// Whether it is time again.
    fn is_due(&mut self) -> bool {
        let is_due = self.done.is_none_or(|done| done.elapsed() >= self.every);
        if is_due {
            self.done = Some(Instant::now());
        }
        is_due
    }
}

/// Delivers until it is stopped and what is under way has ended, or the core is gone.
async fn deliver(
    core: Weak<Core>,
    wake: Arc<Notify>,
    mut stopped: oneshot::Receiver<()>,
    every: Duration,
) {
    let mut under_way: FuturesUnordered<BoxFuture<'static, WebhookId>> = FuturesUnordered::new();
    let mut busy = HashMap::<WebhookId, Busy>::new();
    let (mut count, mut forget) = (Duty::new(COUNT_EVERY), Duty::new(FORGET_EVERY));
    let (mut is_open, mut look) = (true, true);
    loop {
        if is_open && look && under_way.len() < AT_ONCE {
            let Some(core) = core.upgrade() else { return };
            let claimed = tell(caught(claim(&core, &busy, AT_ONCE - under_way.len())).await);
            let claimed = claimed.unwrap_or_default();
            // Where there was something there may be more, once there is room.
            look = !claimed.is_empty();
            for claimed in claimed {
                let begun = busy.entry(claimed.delivery.webhook_id).or_insert(Busy {
                    user_id: claimed.user_id,
                    is_failing: claimed.is_failing,
                    attempts: 0,
                });
                begun.attempts += 1;
                under_way.push(Box::pin(carry(Arc::clone(&core), claimed)));
            }
            if count.is_due() {
                tell(caught(count_backlog(&core)).await);
            }
            if forget.is_due() {
                tell(caught(forget_old(&core)).await);
            }
        }
        if !is_open && under_way.is_empty() {
            return;
        }
        tokio::select! {
            Some(webhook) = under_way.next() => {
                if let Some(left) = busy.get_mut(&webhook) {
                    left.attempts -= 1;
                    if left.attempts == 0 {
                        busy.remove(&webhook);
                        // More may wait for it.
                        look = true;
                    }
                }
            }
            _ = &mut stopped, if is_open => is_open = false,
            () = wake.notified(), if is_open => look = true,
            () = sleep(every), if is_open => look = true,
        }
    }
}

/// Takes what is due, nothing of endpoints that are still at what was taken before.
async fn claim(
    core: &Core,
    busy: &HashMap<WebhookId, Busy>,
    room: usize,
) -> Result<Vec<ClaimedDelivery>, Error> {
    let under_way = busy.values();
    let failing = under_way.clone().filter(|busy| busy.is_failing);
    let failing: usize = failing.map(|busy| busy.attempts).sum();
    let accounts = under_way.flat_map(|busy| std::iter::repeat_n(busy.user_id.0, busy.attempts));
    let (accounts, busy): (Vec<_>, Vec<_>) =
        (accounts.collect(), busy.keys().map(|id| id.0).collect());
    let room = Room {
        limit: i64::try_from(room).unwrap_or(i64::MAX),
        failing: i64::try_from(FAILING.saturating_sub(failing)).unwrap_or(i64::MAX),
        of_account: OF_ACCOUNT,
        busy: &busy,
        accounts: &accounts,
    };
    let now = core.config.clock.now();
    let claim = core.database.run_tx("claim_webhooks", |session| {
        Box::pin(async move { webhook_outbox::claim(session, now, now + LEASE, room).await })
    });
    let claimed = claim.await?;
    core.postman.saw(|sight| sight.looked = Instant::now());
    Ok(claimed)
}

/// Makes one attempt, whatever becomes of it.
async fn carry(core: Arc<Core>, claimed: ClaimedDelivery) -> WebhookId {
    tell(caught(attempt(&core, &claimed)).await);
    claimed.delivery.webhook_id
}

async fn count_backlog(core: &Core) -> Result<(), Error> {
    let read = core
        .database
        .run(|session| Box::pin(webhook_outbox::backlog(session)));
    let (pending, oldest) = read.await?;
    core.postman.saw(|sight| {
        sight.pending = u64::try_from(pending).unwrap_or(0);
        sight.oldest = oldest;
    });
    Ok(())
}

async fn forget_old(core: &Core) -> Result<(), Error> {
    let before = core.config.clock.now() - KEPT_FOR;
    for _ in 0..FORGOTTEN_IN_A_ROW {
        let forget = core.database.run_tx("forget_webhooks", |session| {
            let limit = i64::from(FORGOTTEN_AT_ONCE);
            Box::pin(async move { webhook_outbox::forget(session, before, &KEPT, limit).await })
        });
        if forget.await? < u64::from(FORGOTTEN_AT_ONCE) {
            break;
        }
    }
    Ok(())
}

/// What comes of `work`; a panic in it becomes an error.
async fn caught<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let outcome = AssertUnwindSafe(work).catch_unwind().await;
    outcome.unwrap_or_else(|_panic| Err(Error::internal("a panic, which the log has")))
}

/// Logs a failure, but that PostgreSQL is away: others say so.
fn tell<T>(outcome: Result<T, Error>) -> Option<T> {
    outcome
        .inspect_err(|error| {
            if !error.is_unavailable() {
                tracing::warn!(error = ?error, "webhooks could not be looked after");
            }
        })
        .ok()
}

/// Lets be seen what an alert looks at before it happens for the first time.
pub(crate) fn begin_at_zero() {
    for outcome in ["delivered", "refused", "failed"] {
        counter!("samplit_webhook_attempts_total", "outcome" => outcome).increment(0);
    }
    for reason in ["gone", "failing"] {
        counter!("samplit_webhooks_switched_off_total", "reason" => reason).increment(0);
    }
    counter!("samplit_webhook_dead_letters_total").increment(0);
    drop(histogram!("samplit_webhook_attempt_seconds"));
}
