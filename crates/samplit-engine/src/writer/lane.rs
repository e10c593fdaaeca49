//! A lane: takes what waits, writes it, answers, again and again.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use samplit_store::TxError as _;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tracing::{Instrument as _, Span};

use super::line::Line;
use super::{Answer, Job, Waiting, batch};
use crate::core::Core;
use crate::meter::number;
use crate::{Error, ErrorKind};

/// How often a batch is run again after a COMMIT whose outcome is not known.
const MAX_LOST_COMMITS: u32 = 3;

pub(super) async fn run(core: Arc<Core>, line: Arc<Line>, lane: usize) {
    let limit = core.config.max_batch.max(1);
    loop {
        let waiting = line.take(lane, limit).await;
        if waiting.is_empty() {
            return;
        }
        let now = Instant::now();
        core.meter.batch_requests.record(number(waiting.len()));
        for waiting in &waiting {
            let waited = now.duration_since(waiting.since);
            core.meter.queue_wait.record(waited.as_secs_f64());
        }
        write(&core, waiting).await;
    }
}

/// Where an answer goes; the permit is the caller's place in the line.
type Reply = Option<(oneshot::Sender<Result<Answer, Error>>, OwnedSemaphorePermit)>;

/// Writes a batch and answers everybody in it.
async fn write(core: &Core, waiting: Vec<Waiting>) {
    let mut jobs = Vec::with_capacity(waiting.len());
    let mut spans: Vec<Span> = Vec::with_capacity(waiting.len());
    let mut replies: Vec<Reply> = Vec::with_capacity(waiting.len());
    for one in waiting {
        jobs.push(one.job);
        spans.push(one.span);
        replies.push(Some((one.reply, one.place)));
    }
    // Parts of the batch still to be written, by position.
    let mut parts: Vec<Vec<usize>> = vec![(0..jobs.len()).collect()];
    while let Some(part) = parts.pop() {
        let batch: Vec<&Job> = part.iter().map(|&index| &jobs[index]).collect();
        // What is logged about a batch stands in the span of its first request.
        let span = part
            .first()
            .map_or_else(Span::none, |&first| spans[first].clone());
        // A panic costs whoever caused it, and neither the neighbours nor the lane.
        let written = AssertUnwindSafe(write_durably(core, &batch))
            .catch_unwind()
            .instrument(span.clone())
            .await;
        let _entered = span.enter();
        match written.unwrap_or_else(|_| Err(Error::internal("a batch panicked"))) {
            Ok(answers) => {
                for (index, answer) in part.into_iter().zip(answers) {
                    send(&mut replies[index], Ok(answer));
                }
            }
            Err(error) => {
                let split = split(&error, &jobs, &part);
                if split.len() > 1 {
                    core.meter.splits.increment(1);
                    tracing::warn!(size = part.len(), error = ?error, "a batch failed and is split");
                    parts.extend(split);
                    continue;
                }
                tell(&error, part.len());
                for index in part {
                    send(&mut replies[index], Err(error.kind().clone().into()));
                }
            }
        }
    }
}

/// The parts into which a failed batch is worth splitting; one part: it is not.
fn split(error: &Error, jobs: &[Job], part: &[usize]) -> Vec<Vec<usize>> {
    // Run again, a part would find PostgreSQL away and be told that nothing was done.
    if *error.kind() == ErrorKind::OutcomeUnknown {
        return vec![part.to_vec()];
    }
    let store = error.store();
    if store.is_some_and(samplit_store::Error::is_lock_timeout) {
        let mut by_experiment = BTreeMap::<_, Vec<usize>>::new();
        for &index in part {
            by_experiment
                .entry(jobs[index].live.experiment.id)
                .or_default()
                .push(index);
        }
        return by_experiment.into_values().collect();
    }
    // Without an error of the store it is one of our own, about one of the requests.
    if part.len() > 1 && store.is_none_or(samplit_store::Error::is_about_data) {
        let (first, second) = part.split_at(part.len() / 2);
        return vec![first.to_vec(), second.to_vec()];
    }
    vec![part.to_vec()]
}

/// Logs the cause once, for all who are told of the failure.
fn tell(error: &Error, requests: usize) {
    let refused = error
        .store()
        .and_then(samplit_store::Error::retry_in)
        .is_some();
    match error.kind() {
        // The breaker has said already that it opened, and why.
        ErrorKind::Unavailable { .. } if refused => {}
        ErrorKind::Unavailable { .. } | ErrorKind::OutcomeUnknown | ErrorKind::Overloaded => {
            tracing::warn!(requests, error = ?error, "requests could not be written");
        }
        _ => tracing::error!(requests, error = ?error, "requests could not be written"),
    }
}

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
            Err(error) if matches!(error.kind(), ErrorKind::OutcomeUnknown) => {
                lost += 1;
                core.meter.lost_commits.increment(1);
                if lost > MAX_LOST_COMMITS {
                    return Err(error);
                }
                tracing::warn!(lost, "a COMMIT was lost; looking up what became of it");
                tokio::time::sleep(Duration::from_millis(100 << lost)).await;
            }
            // Whatever kept us from looking, be it that PostgreSQL is away or that the head is not to
            // be had: what became of the first try is still unknown.
            Err(error) if lost > 0 => {
                tracing::warn!(error = ?error, "it could not be looked up");
                return Err(ErrorKind::OutcomeUnknown.into());
            }
            outcome => return outcome,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::split;
    use crate::{Error, ErrorKind};

    #[test]
    fn a_batch_of_unknown_outcome_is_answered_as_a_whole() {
        let unknown = Error::from(ErrorKind::OutcomeUnknown);
        assert_eq!(split(&unknown, &[], &[0, 1, 2]), [[0, 1, 2]]);
        let ours = Error::internal("about one of the requests");
        assert_eq!(split(&ours, &[], &[0, 1, 2]), [vec![0], vec![1, 2]]);
    }
}
