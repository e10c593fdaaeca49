//! `kill -9` of a server, in every place of its transaction and at random.

use nix::sys::signal::Signal;
use rand::RngExt as _;

use crate::load::Retry;
use crate::plan::Plan;
use crate::stage::{Setting, Stage};

/// Batches that may pass the point before the one that dies there.
const PASSES: u32 = 20;

pub(crate) async fn server_killed_before_insert(plan: Plan) {
    killed_at(plan, "before_insert").await;
}

pub(crate) async fn server_killed_after_insert(plan: Plan) {
    killed_at(plan, "after_insert").await;
}

pub(crate) async fn server_killed_under_lock(plan: Plan) {
    killed_at(plan, "under_lock").await;
}

pub(crate) async fn server_killed_before_commit(plan: Plan) {
    killed_at(plan, "before_commit").await;
}

pub(crate) async fn server_killed_after_commit(plan: Plan) {
    killed_at(plan, "after_commit").await;
}

async fn killed_at(plan: Plan, point: &str) {
    let mut chances = plan.chances();
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for round in 0..plan.pick(1, 10) {
        let victim = round % stage.replicas.len();
        let passes = chances.random_range(0..PASSES);
        let command = format!("kill {point} {passes}");
        stage.replicas[victim].command(&command).await;
        stage.replicas[victim].ended().await;
        stage.restart(victim).await;
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}

pub(crate) async fn server_killed_at_random(plan: Plan) {
    let mut chances = plan.chances();
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(3, 30) {
        load.records(chances.random_range(1..400)).await;
        let victim = chances.random_range(0..stage.replicas.len());
        stage.replicas[victim].signal(Signal::SIGKILL);
        stage.replicas[victim].ended().await;
        stage.restart(victim).await;
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    stage.balance(&recoveries).await;
}
