//! Servers replaced one after the other while clients ask.

use nix::sys::signal::Signal;

use crate::client::Client;
use crate::history::{Outcome, What};
use crate::load::Retry;
use crate::plan::Plan;
use crate::stage::{Setting, Stage};

pub(crate) async fn rolling_restart(plan: Plan) {
    let setting = Setting {
        replicas: 3,
        ..Setting::default()
    };
    let mut stage = Stage::set(plan, setting).await;
    let mut load = stage.load("load", 12, Retry::Everything(10));
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(1, 5) {
        for index in stage.all() {
            load.records(100).await;
            recoveries.push(replace(&mut stage, index, recoveries.len()).await);
            load.recovers(&stage.all()).await;
        }
    }
    stage.remember(load.stop().await);
    let history = stage.history();
    assert_eq!(history.given_up, 0, "no request fails");
    let unexcused = history.count(|outcome| {
        !outcome.is_answered() && !matches!(outcome, Outcome::Refused(code) if code == "not_sent")
    });
    // A connection that was accepted and not yet read from is cut when its server goes; whoever
    // sends on it just then has to ask again.
    let bound = recoveries.len() * 12;
    assert!(
        unexcused <= bound,
        "{unexcused} requests were cut by {} restarts",
        recoveries.len()
    );
    stage.balance(&recoveries).await;
}

/// Ends a server in the middle of a request, which is answered all the same, and starts it again.
/// Gives back the seconds from SIGTERM to its end.
async fn replace(stage: &mut Stage, index: usize, number: usize) -> f64 {
    let replica = &mut stage.replicas[index];
    replica.command("pause under_lock 0").await;
    replica.hears("paused").await;
    let front = std::sync::Arc::clone(&stage.front);
    let in_flight = tokio::spawn(async move {
        let mut client = Client::new(&front);
        client
            .ask(index, &format!("in-flight-{number}"), &What::Assign)
            .await
    });
    let since = tokio::time::Instant::now();
    replica.signal(Signal::SIGTERM);
    replica.hears("terminating").await;
    replica.command("resume").await;
    let ended = replica.ended().await;
    assert!(ended.success(), "{ended}");
    let seconds = since.elapsed().as_secs_f64();
    let outcome = in_flight.await.unwrap();
    stage.note(&format!("in-flight-{number}"), What::Assign, outcome);
    stage.restart(index).await;
    seconds
}
