//! What the engine counts and times.
//!
//! The handles are looked up in the recorder once, when the engine is made: a program that wants the
//! figures installs its recorder before. On the way of a request a count costs an addition and a
//! time a read of the clock; what has to be looked at to be known is looked at when it is asked for.

use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Unit, counter, describe_counter, describe_gauge, describe_histogram,
    gauge, histogram,
};
use tokio::time::Instant;

use crate::assign::{Assigned, NotRecorded};
use crate::webhooks::{self, WebhookStatus};
use crate::{Error, ErrorKind, leads};

/// The metrics of one engine.
#[derive(Clone)]
pub(crate) struct Meter {
    assigned: [Histogram; ASSIGNED.len()],
    pub(crate) sticky_hits: Counter,
    pub(crate) sticky_misses: Counter,
    pub(crate) queue_wait: Histogram,
    pub(crate) batch_requests: Histogram,
    pub(crate) batch: Histogram,
    pub(crate) queue_full: Counter,
    pub(crate) splits: Counter,
    pub(crate) lost_commits: Counter,
    pub(crate) reallocations: Counter,
    pub(crate) funnels_steps: Counter,
    pub(crate) funnels_batch: Histogram,
    pub(crate) funnels_refused: Counter,
    queue: Gauge,
    queue_longest: Gauge,
    snapshot_age: Gauge,
    weights_age: Gauge,
    experiments: Gauge,
    visitors: Gauge,
    round_age: Gauge,
    on_hold: Gauge,
    webhooks_pending: Gauge,
    webhooks_overdue: Gauge,
}

/// What an assign that is answered may come to.
const ASSIGNED: [&str; 12] = [
    "new",
    "known",
    NotRecorded::Traffic.as_str(),
    NotRecorded::Paused.as_str(),
    NotRecorded::Completed.as_str(),
    NotRecorded::Degraded.as_str(),
    NotRecorded::Erased.as_str(),
    NotRecorded::Privacy.as_str(),
    NotRecorded::Bot.as_str(),
    NotRecorded::Excluded.as_str(),
    NotRecorded::ReadOnly.as_str(),
    NotRecorded::Preview.as_str(),
];

/// What is seen of an engine by looking at it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sight {
    /// Requests in line or being written, over all experiments.
    pub(crate) queue: usize,
    /// The same of the experiment that has most.
    pub(crate) queue_longest: usize,
    /// Since experiments in memory were last compared with the database.
    pub(crate) snapshot_age: Duration,
    /// Age of the oldest weights in force of an adaptive experiment that runs.
    pub(crate) weights_age: Duration,
    /// Experiments in memory.
    pub(crate) experiments: usize,
    /// Visitors in memory.
    pub(crate) visitors: u64,
    /// Since the last round of the checkpointer that went through.
    pub(crate) round_age: Duration,
    /// Trails on hold.
    pub(crate) on_hold: u64,
    /// How webhooks are delivered, where they are.
    pub(crate) webhooks: Option<WebhookStatus>,
}

impl Meter {
    pub(crate) fn new() -> Self {
        describe();
        begin_at_zero();
        let lookups = |result| counter!("samplit_sticky_lookups_total", "result" => result);
        Self {
            assigned: ASSIGNED
                .map(|outcome| histogram!("samplit_assign_seconds", "outcome" => outcome)),
            sticky_hits: lookups("hit"),
            sticky_misses: lookups("miss"),
            queue_wait: histogram!("samplit_writer_queue_wait_seconds"),
            batch_requests: histogram!("samplit_writer_batch_requests"),
            batch: histogram!("samplit_writer_batch_seconds"),
            queue_full: counter!("samplit_writer_refused_total"),
            splits: counter!("samplit_writer_splits_total"),
            lost_commits: counter!("samplit_writer_lost_commits_total"),
            reallocations: counter!("samplit_reallocations_total"),
            funnels_steps: counter!("samplit_funnel_steps_total"),
            funnels_batch: histogram!("samplit_funnel_batch_seconds"),
            funnels_refused: counter!("samplit_funnel_refused_total"),
            queue: gauge!("samplit_writer_queue_requests"),
            queue_longest: gauge!("samplit_writer_queue_longest_requests"),
            snapshot_age: gauge!("samplit_snapshot_age_seconds"),
            weights_age: gauge!("samplit_weights_age_seconds"),
            experiments: gauge!("samplit_experiments_in_memory"),
            visitors: gauge!("samplit_visitors_in_memory"),
            round_age: gauge!("samplit_checkpoint_round_age_seconds"),
            on_hold: gauge!("samplit_trails_on_hold"),
            webhooks_pending: gauge!("samplit_webhook_pending"),
            webhooks_overdue: gauge!("samplit_webhook_overdue_seconds"),
        }
    }

    /// An assign was answered or refused.
    pub(crate) fn assigned(&self, since: Instant, outcome: &Result<Assigned, Error>) {
        let elapsed = since.elapsed().as_secs_f64();
        let slot = match outcome {
            Ok(assigned) => match assigned.reason {
                None if assigned.is_new => 0,
                None => 1,
                Some(NotRecorded::Traffic) => 2,
                Some(NotRecorded::Paused) => 3,
                Some(NotRecorded::Completed) => 4,
                Some(NotRecorded::Degraded) => 5,
                Some(NotRecorded::Erased) => 6,
                Some(NotRecorded::Privacy) => 7,
                Some(NotRecorded::Bot) => 8,
                Some(NotRecorded::Excluded) => 9,
                Some(NotRecorded::ReadOnly) => 10,
                Some(NotRecorded::Preview) => 11,
            },
            Err(error) => {
                let outcome = word(error.kind());
                return histogram!("samplit_assign_seconds", "outcome" => outcome).record(elapsed);
            }
        };
        self.assigned[slot].record(elapsed);
    }

    /// A convert was answered or refused.
    pub(crate) fn converted(since: Instant, outcome: &Result<crate::Converted, Error>) {
        let outcome = match outcome {
            Ok(converted) if converted.duplicate => "duplicate",
            Ok(_) => "counted",
            Err(error) => word(error.kind()),
        };
        histogram!("samplit_convert_seconds", "outcome" => outcome)
            .record(since.elapsed().as_secs_f64());
    }

    /// What is looked at and not counted.
    pub(crate) fn show(&self, sight: Sight) {
        self.queue.set(number(sight.queue));
        self.queue_longest.set(number(sight.queue_longest));
        self.snapshot_age.set(sight.snapshot_age.as_secs_f64());
        self.weights_age.set(sight.weights_age.as_secs_f64());
        self.experiments.set(number(sight.experiments));
        let small = |count: u64| number(usize::try_from(count).unwrap_or(usize::MAX));
        self.visitors.set(small(sight.visitors));
        self.round_age.set(sight.round_age.as_secs_f64());
        self.on_hold.set(small(sight.on_hold));
        let webhooks = sight.webhooks;
        let pending = webhooks.map_or(0, |webhooks| webhooks.pending);
        let overdue = webhooks.map_or(Duration::ZERO, |webhooks| webhooks.overdue);
        self.webhooks_pending.set(small(pending));
        self.webhooks_overdue.set(overdue.as_secs_f64());
    }
}

impl std::fmt::Debug for Meter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

/// The word for a refusal, as a label.
const fn word(kind: &ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid(_) => "invalid",
        ErrorKind::NotFound(_) => "not_found",
        ErrorKind::NotAssigned => "not_assigned",
        ErrorKind::NotRunning(_) => "not_running",
        ErrorKind::IllegalTransition(_)
        | ErrorKind::Conflict { .. }
        | ErrorKind::IdempotencyKeyReused
        | ErrorKind::VersionMismatch { .. } => "conflict",
        ErrorKind::WindowClosed => "window_closed",
        ErrorKind::Unauthenticated => "unauthenticated",
        ErrorKind::WrongCredentials => "wrong_credentials",
        ErrorKind::Throttled { .. } => "throttled",
        ErrorKind::TooManyTokens { .. } => "too_many_tokens",
        ErrorKind::LinkOver => "link_over",
        ErrorKind::AdminOnly => "admin_only",
        ErrorKind::SessionOnly => "session_only",
        ErrorKind::UnknownInstallation => "unknown_installation",
        ErrorKind::BadSignature => "bad_signature",
        ErrorKind::ShopFailed => "shop_failed",
        ErrorKind::Token(_) => "token",
        ErrorKind::Forbidden(_) => "forbidden",
        ErrorKind::OnHold { .. } => "on_hold",
        ErrorKind::Overloaded => "overloaded",
        ErrorKind::Unavailable { .. } => "unavailable",
        ErrorKind::OutcomeUnknown => "outcome_unknown",
        ErrorKind::DirectoryUnavailable => "checkpoint_directory",
        ErrorKind::Internal => "internal",
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "far from 2^53 of anything in memory"
)]
pub(crate) fn number(count: usize) -> f64 {
    count as f64
}

/// Lets be seen what an alert looks at before it happens for the first time: a rise from nothing is
/// none.
fn begin_at_zero() {
    for outcome in ["signed", "known", "held", "failed"] {
        counter!("samplit_checkpoints_total", "outcome" => outcome).increment(0);
    }
    for target in ["directory", "sink"] {
        counter!("samplit_checkpoint_export_failures_total", "target" => target).increment(0);
    }
    counter!("samplit_checkpoint_panics_total").increment(0);
    gauge!("samplit_checkpoint_unsigned_seconds").increment(0);
    webhooks::begin_at_zero();
    leads::begin_at_zero();
}

/// The one list of the engine's metrics.
fn describe() {
    describe_histogram!(
        "samplit_assign_seconds",
        Unit::Seconds,
        "Time to decide about a visitor, by outcome: new, known, why nothing was recorded \
         (traffic, paused, completed, degraded, erased, privacy, bot, excluded, read_only), or why it was refused"
    );
    describe_histogram!(
        "samplit_convert_seconds",
        Unit::Seconds,
        "Time to count a conversion, by outcome: counted, duplicate, or why it was refused"
    );
    describe_counter!(
        "samplit_leads_total",
        "Forms that were sent by pages, by outcome: new, repeated, trapped (a field was filled in that nobody \
         sees), bot, invalid, failed"
    );
    describe_counter!(
        "samplit_sticky_lookups_total",
        "Looks into the memory for a visitor who may be known, by result: hit or miss"
    );
    describe_histogram!(
        "samplit_writer_queue_wait_seconds",
        Unit::Seconds,
        "Time that a request stood in line before a batch took it"
    );
    describe_histogram!(
        "samplit_writer_batch_requests",
        "Requests that shared a transaction"
    );
    describe_histogram!(
        "samplit_writer_batch_seconds",
        Unit::Seconds,
        "Time to write a batch, from the draws to the COMMIT"
    );
    describe_gauge!(
        "samplit_writer_queue_requests",
        "Requests in line or being written, over all experiments"
    );
    describe_gauge!(
        "samplit_writer_queue_longest_requests",
        "Requests in line or being written, of the experiment that has most"
    );
    describe_counter!(
        "samplit_writer_refused_total",
        "Requests refused because their experiment's line was full"
    );
    describe_counter!(
        "samplit_writer_splits_total",
        "Batches that failed and were written in parts"
    );
    describe_counter!(
        "samplit_writer_lost_commits_total",
        "COMMITs whose answer was lost, each looked up afterwards"
    );
    describe_counter!(
        "samplit_reallocations_total",
        "New weights that were recorded"
    );
    describe_counter!(
        "samplit_funnel_steps_total",
        "Steps of visitors through funnels that were recorded"
    );
    describe_histogram!(
        "samplit_funnel_batch_seconds",
        Unit::Seconds,
        "Time to look where visitors are in funnels and to write down where they went, per batch"
    );
    describe_counter!(
        "samplit_funnel_refused_total",
        "Visits of which no step was recorded because too many were waiting"
    );
    describe_counter!(
        "samplit_checkpoints_total",
        "Checkpoints that were asked for, by outcome: signed, known, held, failed"
    );
    describe_counter!(
        "samplit_checkpoint_export_failures_total",
        "Tries to bring a checkpoint to where it should be that failed, by target: directory, sink"
    );
    describe_counter!(
        "samplit_checkpoint_panics_total",
        "Panics of the checkpointer, which went on with the next trail"
    );
    describe_gauge!(
        "samplit_checkpoint_round_age_seconds",
        Unit::Seconds,
        "Time since the last round of the checkpointer that went through"
    );
    describe_gauge!(
        "samplit_trails_on_hold",
        "Trails on hold: nothing is recorded in their experiments"
    );
    describe_gauge!(
        "samplit_checkpoint_unsigned_seconds",
        Unit::Seconds,
        "Time for which what was decided has not been signed, of the trail that waits longest"
    );
    describe_gauge!(
        "samplit_snapshot_age_seconds",
        Unit::Seconds,
        "Time since the experiments in memory were last compared with the database"
    );
    describe_gauge!(
        "samplit_weights_age_seconds",
        Unit::Seconds,
        "Age of the oldest weights in force, of the adaptive experiments in memory that run"
    );
    describe_counter!(
        "samplit_webhook_attempts_total",
        "Attempts to deliver a webhook, by outcome: delivered, refused (an answer that is not 2xx), failed (none)"
    );
    describe_histogram!(
        "samplit_webhook_attempt_seconds",
        Unit::Seconds,
        "Time until the receiver of a webhook answered, or until nobody waited any more"
    );
    describe_counter!(
        "samplit_webhook_dead_letters_total",
        "Deliveries of webhooks that were given up"
    );
    describe_counter!(
        "samplit_webhooks_switched_off_total",
        "Webhooks that were switched off, by reason: gone (410), failing (nothing else for five days)"
    );
    describe_gauge!(
        "samplit_webhook_pending",
        "Deliveries of webhooks that wait, up to 100,000, retries that are not due yet among them"
    );
    describe_gauge!(
        "samplit_webhook_overdue_seconds",
        Unit::Seconds,
        "Time for which the oldest delivery of a webhook should have been tried"
    );
    describe_gauge!("samplit_experiments_in_memory", "Experiments in memory");
    describe_gauge!(
        "samplit_visitors_in_memory",
        "Known visitors in memory, about"
    );
}
