//! A lane: takes what waits, writes it, answers, again and again.

use std::sync::Arc;
use std::time::Duration;

use samplit_store::TxError as _;
use tokio::sync::{Mutex, mpsc};

use super::{Answer, Job, Waiting, batch};
use crate::Error;
use crate::core::Core;

/// How often a batch is run again after a COMMIT whose outcome is not known.
const MAX_LOST_COMMITS: u32 = 3;

pub(super) async fn run(core: Arc<Core>, line: Arc<Mutex<mpsc::UnboundedReceiver<Waiting>>>) {
    let limit = core.config.max_batch.max(1);
    loop {
        let mut waiting = Vec::new();
        // The lock is held while waiting: only one lane is next.
        if line.lock().await.recv_many(&mut waiting, limit).await == 0 {
            return;
        }
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        metrics::histogram!("samplit_writer_batch_requests").record(waiting.len() as f64);
        write(&core, waiting).await;
    }
}

/// Writes a batch and answers everybody in it.
async fn write(core: &Core, waiting: Vec<Waiting>) {
    let (jobs, mut replies): (Vec<Job>, Vec<_>) = waiting
        .into_iter()
        .map(|waiting| (waiting.job, Some((waiting.reply, waiting._place))))
        .unzip();
    // Ranges of the batch still to be written; a range that fails is cut in two.
    let mut ranges: Vec<_> = std::iter::once(0..jobs.len()).collect();
    while let Some(range) = ranges.pop() {
        let batch: Vec<&Job> = jobs[range.clone()].iter().collect();
        match write_durably(core, &batch).await {
            Ok(answers) => {
                for (index, answer) in range.zip(answers) {
                    send(&mut replies[index], Ok(answer));
                }
            }
            Err(error) if !error.is_unavailable() && range.len() > 1 => {
                tracing::warn!(size = range.len(), error = ?error, "a batch failed and is split");
                let middle = range.start + range.len() / 2;
                ranges.push(middle..range.end);
                ranges.push(range.start..middle);
            }
            Err(error) => {
                if !error.is_unavailable() {
                    tracing::error!(error = ?error, "a request could not be written");
                }
                for index in range {
                    send(&mut replies[index], Err(repeat(&error)));
                }
            }
        }
    }
}

type Reply = Option<(
    tokio::sync::oneshot::Sender<Result<Answer, Error>>,
    tokio::sync::OwnedSemaphorePermit,
)>;

fn send(reply: &mut Reply, answer: Result<Answer, Error>) {
    if let Some((reply, _place)) = reply.take() {
        // A caller that went away does not want its answer; what it asked for is done all the same.
        let _ = reply.send(answer);
    }
}

/// Writes a batch; where the outcome of a COMMIT is not known, finds out by running it again: the
/// ids are the same, so what was stored is found and not stored twice.
async fn write_durably(core: &Core, jobs: &[&Job]) -> Result<Vec<Answer>, Error> {
    let mut lost = 0;
    loop {
        match batch::write(core, jobs).await {
            Err(error)
                if lost < MAX_LOST_COMMITS
                    && error
                        .store()
                        .is_some_and(samplit_store::Error::is_commit_unknown) =>
            {
                lost += 1;
                metrics::counter!("samplit_writer_lost_commits_total").increment(1);
                tracing::warn!(lost, "a COMMIT was lost; looking up what became of it");
                tokio::time::sleep(Duration::from_millis(100 << lost)).await;
            }
            outcome => return outcome,
        }
    }
}

/// The same failure for one more caller; the cause is logged once, with the batch.
fn repeat(error: &Error) -> Error {
    error.kind().clone().into()
}
