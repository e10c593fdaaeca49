//! Server-sent events: what whoever watches an experiment is told, until the connection, the access or
//! the server ends.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future::BoxFuture, stream};
use hyper::header::{HeaderName, HeaderValue};
use samplit_engine::{LiveResults, Principal, ResultsWatch};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::{
    app::App,
    call::Call,
    problem::Problem,
    response::{Reply, stream as reply},
};

/// Tells a proxy not to hold events back.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What is said when nothing moved, so that whoever is between does not take the connection for dead.
const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");

/// After how long a browser asks again when the connection was lost.
const RETRY: Bytes = Bytes::from_static(b"retry: 2000\n\n");

/// Makes the event of results, once for all who watch: see [`crate::shared`].
pub(crate) type Event = fn(Arc<App>, Arc<LiveResults>) -> BoxFuture<'static, Bytes>;

/// Sends an event now and whenever the results of the experiment of the path change.
pub(crate) async fn events(
    call: Call,
    who: &Principal,
    watch: ResultsWatch,
    event: Event,
) -> Result<Reply, Problem> {
    let slot = call.app.stream_slot(who)?;
    let every = call.app.config.heartbeat;
    let watcher = Watcher {
        call,
        watch,
        event,
        heartbeat: heartbeat(every),
    };
    // The head goes out at once, however long the first results take.
    let parts = stream::once(async { RETRY }).chain(watcher.parts());
    let parts = parts.map(move |part| {
        // Until the last part has left.
        let _ = &slot;
        Ok(part)
    });
    let mut reply = reply("text/event-stream", parts).await?;
    let unbuffered = HeaderValue::from_static("no");
    reply.headers_mut().insert(X_ACCEL_BUFFERING, unbuffered);
    Ok(reply)
}

fn heartbeat(every: Duration) -> Interval {
    let mut heartbeat = interval_at(Instant::now() + every, every);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    heartbeat
}

struct Watcher {
    call: Call,
    watch: ResultsWatch,
    event: Event,
    heartbeat: Interval,
}

impl Watcher {
    fn parts(self) -> impl Stream<Item = Bytes> + Send {
        stream::unfold(self, |mut watcher| async move {
            let part = watcher.next().await?;
            Some((part, watcher))
        })
    }

    /// What is sent next; `None`: no more.
    async fn next(&mut self) -> Option<Bytes> {
        tokio::select! {
            () = self.call.app.drained() => None,
            results = self.watch.next() => {
                Some((self.event)(Arc::clone(&self.call.app), results?).await)
            }
            _ = self.heartbeat.tick() => self.may_still_see().await.then_some(HEARTBEAT),
        }
    }

    /// Whether the key or the session is still good, and may still see the experiment. While the database
    /// is away it is believed.
    async fn may_still_see(&self) -> bool {
        match self.ask_again().await {
            Ok(()) => true,
            Err(problem) => !problem.status.is_client_error() || problem.code == "rate_limited",
        }
    }

    async fn ask_again(&self) -> Result<(), Problem> {
        let who = self.call.principal().await?;
        let (engine, id) = (&self.call.app.engine, self.call.experiment_id());
        Ok(engine.may_watch(&who, id).await?)
    }
}

/// One event; `data` may have several lines.
pub(crate) fn event(name: &str, id: u64, data: &str) -> Bytes {
    let mut text = String::with_capacity(data.len() + data.len() / 16 + 64);
    text.push_str("event: ");
    text.push_str(name);
    text.push_str("\nid: ");
    text.push_str(&id.to_string());
    for line in data.lines() {
        text.push_str("\ndata: ");
        text.push_str(line);
    }
    text.push_str("\n\n");
    Bytes::from(text)
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn every_line_of_the_data_is_a_field() {
        assert_eq!(
            event("page", 7, "<p>\n  a\n</p>\n"),
            "event: page\nid: 7\ndata: <p>\ndata:   a\ndata: </p>\n\n"
        );
    }
}
