//! The way to the sinks. Each has a task of its own with a mailbox, in which the newest checkpoint of
//! a trail takes the place of the one before. So handing one over never waits, and a sink that is
//! slow, silent or broken keeps nobody waiting but itself.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{FutureExt as _, join_all};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use parking_lot::Mutex;
use samplit_domain::ExperimentId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::{CheckpointSink, StoredCheckpoint};

/// Checkpoints on the way to one sink at once, each of another trail.
const AT_ONCE: usize = 4;

/// How long a sink may take over one.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause after a first failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The mailboxes of all sinks.
#[derive(Debug)]
pub(crate) struct Sinks(Mutex<Vec<Carrier>>);

/// Who empties one of them. Ends by itself once nobody can put anything in any more.
#[derive(Debug)]
struct Carrier {
    slot: UnboundedSender<StoredCheckpoint>,
    task: JoinHandle<()>,
}

impl Sinks {
    /// Starts a task per sink.
    pub(crate) fn start(sinks: &[Arc<dyn CheckpointSink>]) -> Self {
        let carriers = sinks.iter().map(|sink| {
            let (slot, posted) = unbounded_channel();
            let task = tokio::spawn(carry(Arc::clone(sink), posted));
            Carrier { slot, task }
        });
        Self(Mutex::new(carriers.collect()))
    }

    /// Whether there is none, or none any more.
    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }

    /// Hands a checkpoint over to every sink.
    pub(super) fn publish(&self, checkpoint: &StoredCheckpoint) {
        for carrier in &*self.0.lock() {
            // Nobody takes it once the task is gone, which it says itself.
            let _ = carrier.slot.send(checkpoint.clone());
        }
    }

    /// Takes nothing more, tries once what waits, and stops at `deadline` at the latest.
    pub(crate) async fn close(&self, deadline: Instant) {
        let carriers = std::mem::take(&mut *self.0.lock());
        let closing = carriers
            .into_iter()
            .map(|Carrier { slot, mut task }| async move {
                drop(slot);
                if timeout_at(deadline, &mut task).await.is_err() {
                    task.abort();
                    tracing::warn!("a sink did not take all checkpoints in time");
                }
            });
        join_all(closing).await;
    }
}

/// Brings to a sink what is posted, until nothing can be posted any more.
async fn carry(sink: Arc<dyn CheckpointSink>, mut posted: UnboundedReceiver<StoredCheckpoint>) {
    let mut mailbox = Mailbox::default();
    let mut under_way = FuturesUnordered::new();
    let mut is_open = true;
    loop {
        let now = Instant::now();
        // At the end nobody waits for a pause to be over.
        let by = if is_open { now } else { now + LONGEST_PAUSE };
        while under_way.len() < AT_ONCE
            && let Some(letter) = mailbox.take(by)
        {
            under_way.push(deliver(&*sink, letter));
        }
        if !is_open && under_way.is_empty() {
            return;
        }
        let due = mailbox
            .next_due()
            .filter(|_| is_open && under_way.len() < AT_ONCE);
        tokio::select! {
            letter = posted.recv(), if is_open => match letter {
                Some(checkpoint) => mailbox.put(checkpoint, Instant::now()),
                None => is_open = false,
            },
            Some((letter, outcome)) = under_way.next() => {
                let id = letter.checkpoint.experiment_id;
                match outcome.inspect_err(|error| failed("sink", id, &**error)) {
                    Err(_) if is_open => mailbox.put_back(letter, Instant::now()),
                    _ => mailbox.done(id),
                }
            }
            () = sleep_until(due.unwrap_or(now)), if due.is_some() => {}
        }
    }
}

/// Tries to deliver; whatever the sink does comes to an end.
async fn deliver(
    sink: &dyn CheckpointSink,
    letter: Letter,
) -> (Letter, Result<(), Box<dyn Error + Send + Sync>>) {
    let publishing = async { sink.publish(&letter.checkpoint).await };
    let publishing = AssertUnwindSafe(publishing).catch_unwind();
    let outcome = match timeout(PATIENCE, publishing).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_panic)) => Err("the sink panicked".into()),
        Err(_elapsed) => Err(format!("nothing within {} s", PATIENCE.as_secs()).into()),
    };
    (letter, outcome)
}

/// Counts and logs that a checkpoint did not arrive, with every cause.
pub(super) fn failed(target: &'static str, experiment: ExperimentId, error: &dyn Error) {
    metrics::counter!("samplit_checkpoint_export_failures_total", "target" => target).increment(1);
    let causes = std::iter::successors(Some(error), |error| (*error).source());
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    let error = causes.join(": ");
    tracing::warn!(%experiment, target_kind = target, error, "a checkpoint could not be exported");
}

/// A checkpoint on its way.
#[derive(Debug)]
struct Letter {
    checkpoint: StoredCheckpoint,
    /// How often in a row a checkpoint of this trail did not arrive.
    failures: u32,
    /// Not to be tried before.
    due: Instant,
}

impl Letter {
    fn place(&self) -> (u32, u64) {
        (self.checkpoint.incarnation, self.checkpoint.size)
    }
}

/// What waits for one sink: of each trail at most one checkpoint, beside one that is under way.
#[derive(Debug, Default)]
struct Mailbox {
    waiting: HashMap<ExperimentId, Letter>,
    under_way: HashSet<ExperimentId>,
}

impl Mailbox {
    /// Puts a checkpoint in, unless a newer one of its trail waits. A pause goes on.
    fn put(&mut self, checkpoint: StoredCheckpoint, now: Instant) {
        let id = checkpoint.experiment_id;
        let new = Letter {
            checkpoint,
            failures: 0,
            due: now,
        };
        match self.waiting.get_mut(&id) {
            None => drop(self.waiting.insert(id, new)),
            Some(old) if old.place() < new.place() => old.checkpoint = new.checkpoint,
            Some(_) => {}
        }
    }

    /// Takes out what has been due longest by `by` and whose trail is not under way.
    fn take(&mut self, by: Instant) -> Option<Letter> {
        let (due, id) = self.next()?;
        if due > by {
            return None;
        }
        self.under_way.insert(id);
        self.waiting.remove(&id)
    }

    /// When something can be taken out.
    fn next_due(&self) -> Option<Instant> {
        self.next().map(|(due, _)| due)
    }

    fn next(&self) -> Option<(Instant, ExperimentId)> {
        let waiting = self.waiting.iter();
        let free = waiting.filter(|(id, _)| !self.under_way.contains(id));
        free.map(|(id, letter)| (letter.due, *id)).min()
    }

    /// What was taken out has arrived, or never will.
    fn done(&mut self, id: ExperimentId) {
        self.under_way.remove(&id);
    }

    /// What was taken out did not arrive: it, or what is newer by now, is tried again after a pause.
    fn put_back(&mut self, mut letter: Letter, now: Instant) {
        let id = letter.checkpoint.experiment_id;
        self.under_way.remove(&id);
        letter.due = now + pause(letter.failures);
        letter.failures += 1;
        if let Some(newer) = self.waiting.remove(&id)
            && newer.place() > letter.place()
        {
            letter.checkpoint = newer.checkpoint;
        }
        self.waiting.insert(id, letter);
    }
}

/// The pause after one more failure.
fn pause(failures: u32) -> Duration {
    let factor = 2_u32.saturating_pow(failures);
    FIRST_PAUSE.saturating_mul(factor).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use samplit_audit::Hash;
    use samplit_domain::from_micros;
    use uuid::Uuid;

    use super::*;

    fn checkpoint(trail: u128, incarnation: u32, size: u64) -> StoredCheckpoint {
        StoredCheckpoint {
            experiment_id: ExperimentId(Uuid::from_u128(trail)),
            incarnation,
            size,
            root: Hash::of(b""),
            note: String::new(),
            signed_at: from_micros(0),
        }
    }

    fn place(letter: Option<Letter>) -> Option<(u32, u64)> {
        letter.map(|letter| letter.place())
    }

    #[test]
    fn the_newest_of_a_trail_is_what_waits() {
        let (mut mailbox, now) = (Mailbox::default(), Instant::now());
        for (incarnation, size) in [(1, 5), (1, 9), (1, 7), (2, 3), (1, 20)] {
            mailbox.put(checkpoint(1, incarnation, size), now);
        }
        assert_eq!(place(mailbox.take(now)), Some((2, 3)));
        assert_eq!(place(mailbox.take(now)), None);
    }

    #[test]
    fn of_a_trail_one_is_under_way_and_others_pass_it() {
        let (mut mailbox, now) = (Mailbox::default(), Instant::now());
        mailbox.put(checkpoint(1, 1, 5), now);
        let first = mailbox.take(now).unwrap();
        mailbox.put(checkpoint(1, 1, 6), now);
        mailbox.put(checkpoint(2, 1, 8), now);
        assert_eq!(place(mailbox.take(now)), Some((1, 8)));
        assert_eq!(place(mailbox.take(now)), None);
        mailbox.done(first.checkpoint.experiment_id);
        assert_eq!(place(mailbox.take(now)), Some((1, 6)));
    }

    #[test]
    fn what_did_not_arrive_waits_longer_each_time() {
        let (mut mailbox, mut now) = (Mailbox::default(), Instant::now());
        mailbox.put(checkpoint(1, 1, 5), now);
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let letter = mailbox.take(now).unwrap();
            mailbox.put_back(letter, now);
            // What is newer is not tried sooner.
            mailbox.put(checkpoint(1, 1, 6), now);
            let due = mailbox.next_due().unwrap();
            assert!(mailbox.take(now).is_none());
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
        let newest = mailbox.take(now).unwrap();
        assert_eq!(newest.place(), (1, 6));
        mailbox.done(newest.checkpoint.experiment_id);
        mailbox.put(checkpoint(1, 1, 7), now);
        assert_eq!(mailbox.next_due(), Some(now), "it arrived: no pause");
    }
}
