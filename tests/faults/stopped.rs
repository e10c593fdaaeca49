//! A replica that stands still while it holds the head lock, and wakes up much later.

use nix::sys::signal::Signal;

use crate::load::Retry;
use crate::plan::Plan;
use crate::stage::{Setting, Stage};

pub(crate) async fn replica_stopped_with_lock(plan: Plan) {
    let setting = Setting {
        replicas: 3,
        ..Setting::default()
    };
    let mut stage = Stage::set(plan, setting).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for round in 0..plan.pick(1, 5) {
        let victim = round % stage.replicas.len();
        let others: Vec<usize> = stage.all().into_iter().filter(|i| *i != victim).collect();
        let replica = &mut stage.replicas[victim];
        replica.command("pause under_lock 5").await;
        replica.hears("paused").await;
        replica.signal(Signal::SIGSTOP);
        // PostgreSQL frees the lock when the transaction has been idle for too long.
        recoveries.push(load.recovers(&others).await);
        load.records(200).await;
        replica.signal(Signal::SIGCONT);
        replica.command("resume").await;
        load.recovers(&stage.all()).await;
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}
