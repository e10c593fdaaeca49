//! The group-commit writer.
//!
//! A decision is only answered once it is durable, and a commit costs a flush to disk whatever it
//! holds. So requests do not commit for themselves: they wait in line, and a lane takes all that
//! wait (at most `max_batch`), writes them in one transaction, and answers each caller by itself.
//! There is no artificial delay: under little load a batch is one request, under much load the
//! line grows while a batch commits and the next batch takes it.
//!
//! Two lanes, so that one prepares and waits for the head lock while the other commits; with many
//! busy experiments each lane has its own. A batch may hold several experiments; their heads are locked in id order. One writer for all experiments
//! rather than one each: with a thousand busy experiments, a thousand small transactions cost far
//! more than one large one, and the connections in use stay a constant.
//!
//! A row that the database refuses does not take its neighbours down: the batch is halved until the
//! culprit stands alone. A head that is not to be had in time does not hold up other experiments:
//! the batch is split by experiment. Any other failure is everybody's, and is answered at once. A
//! lost COMMIT is run again with the same ids, which finds what was stored; as long as that cannot
//! be found out, the callers are told that the outcome is unknown.

mod batch;
mod lane;
mod line;
mod plan;
mod prepare;

use std::sync::Arc;

use parking_lot::Mutex;
use samplit_audit::Pseudonym;
use samplit_store::trail::RawJson;
use tokio::sync::{OwnedSemaphorePermit, TryAcquireError, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::Span;
use uuid::Uuid;

use line::Line;

use crate::core::Core;
use crate::live::Live;
use crate::meter::Meter;
use crate::visitor::{Digest, KnownVisitor};
use crate::{Converted, Error, ErrorKind};

/// A request on its way into the database.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) live: Arc<Live>,
    pub(crate) visitor: String,
    pub(crate) digest: Digest,
    pub(crate) pseudonym: Pseudonym,
    pub(crate) what: What,
}

/// What a request wants.
#[derive(Debug)]
pub(crate) enum What {
    /// A row for the visitor, unless there is one.
    Assign {
        /// The id that a new row gets.
        id: Uuid,
        session: Option<String>,
        context: RawJson,
        /// One uniform number per draw.
        draws: Vec<u64>,
    },
    /// The row of the visitor converted, unless it is.
    Convert {
        goal: String,
        value: f64,
        event_id: String,
    },
}

/// What became of a request.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// The visitor has this row.
    Assigned { visitor: KnownVisitor, is_new: bool },
    /// The visitor has converted.
    Converted(Converted),
    /// The visitor has no row.
    NotAssigned,
    /// The attribution window is over.
    WindowClosed,
    /// The visitor's row is none of ours: it has no entry in the trail.
    NotInTrail,
    /// The experiment is at another version, under which the request has to be thought over.
    Stale { version: i64 },
}

struct Waiting {
    job: Job,
    since: Instant,
    /// That of the caller, so that what is logged about the request names it.
    span: Span,
    reply: oneshot::Sender<Result<Answer, Error>>,
    place: OwnedSemaphorePermit,
}

/// The way into the lanes.
#[derive(Debug)]
pub(crate) struct Writer {
    line: Arc<Line>,
    lanes: Mutex<Vec<JoinHandle<()>>>,
    meter: Meter,
}

impl Writer {
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let lanes = core.config.lanes.max(1);
        let line = Arc::new(Line::new(lanes));
        let lanes = (0..lanes)
            .map(|lane| tokio::spawn(lane::run(Arc::clone(core), Arc::clone(&line), lane)))
            .collect();
        Self {
            line,
            lanes: Mutex::new(lanes),
            meter: core.meter.clone(),
        }
    }

    /// Waits until the request is durable.
    pub(crate) async fn submit(&self, job: Job) -> Result<Answer, Error> {
        let place = match Arc::clone(&job.live.waiting).try_acquire_owned() {
            Ok(place) => place,
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                self.meter.queue_full.increment(1);
                return Err(ErrorKind::Overloaded.into());
            }
        };
        let (reply, answer) = oneshot::channel();
        let is_open = self.line.push(Waiting {
            job,
            since: Instant::now(),
            span: Span::current(),
            reply,
            place,
        });
        if !is_open {
            return Err(Error::unavailable());
        }
        answer
            .await
            .unwrap_or_else(|_| Err(Error::internal("a lane gave no answer")))
    }

    /// Takes no more requests and waits until those in line are answered.
    pub(crate) async fn drain(&self) {
        self.line.close();
        let lanes = std::mem::take(&mut *self.lanes.lock());
        for lane in lanes {
            if let Err(error) = lane.await {
                tracing::error!(%error, "a lane of the writer failed");
            }
        }
    }
}
