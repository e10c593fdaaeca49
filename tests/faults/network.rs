//! The network between the servers and PostgreSQL.

use std::time::Duration;

use rand::RngExt as _;
use tokio::time::{sleep, timeout};

use crate::load::{Load, Retry};
use crate::plan::Plan;
use crate::proxy::Proxy;
use crate::replica::PATIENCE;
use crate::stage::{QUEUE, Setting, Stage};

const PROXIED: Setting = Setting {
    replicas: 2,
    max_connections: 10,
    proxied: true,
    queue: QUEUE,
};

/// The longest answer to a COMMIT, in bytes.
const ANSWER: usize = 40;

async fn set(plan: Plan) -> (Stage, Load) {
    let stage = Stage::set(plan, PROXIED).await;
    let load = stage.load("load", 12, Retry::Connections);
    (stage, load)
}

fn proxy(stage: &Stage) -> &Proxy {
    stage.proxy.as_ref().expect("the stage is set with one")
}

pub(crate) async fn network_swallows(plan: Plan) {
    let (mut stage, mut load) = set(plan).await;
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(1, 3) {
        load.records(100).await;
        proxy(&stage).swallow(true);
        // Nothing is waited for here: that nothing gets through for so long is the fault.
        sleep(plan.pick(Duration::from_secs(3), Duration::from_secs(10))).await;
        proxy(&stage).swallow(false);
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

pub(crate) async fn network_delays(plan: Plan) {
    let (mut stage, mut load) = set(plan).await;
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(1, 5) {
        proxy(&stage).delay(Duration::from_millis(20));
        load.records(plan.pick(50, 100)).await;
        proxy(&stage).delay(Duration::ZERO);
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

pub(crate) async fn network_resets(plan: Plan) {
    let mut chances = plan.chances();
    let (mut stage, mut load) = set(plan).await;
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(10, 100) {
        load.records(chances.random_range(1..50)).await;
        proxy(&stage).reset();
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

pub(crate) async fn commit_answer_cut(plan: Plan) {
    let mut chances = plan.chances();
    let (mut stage, mut load) = set(plan).await;
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(10, 100) {
        load.records(chances.random_range(1..50)).await;
        let cut = proxy(&stage).cut_commit(chances.random_range(0..ANSWER));
        timeout(PATIENCE, cut).await.expect("somebody commits");
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}
