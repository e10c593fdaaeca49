//! A clock that jumps under a running server.

use rand::RngExt as _;

use crate::load::Retry;
use crate::plan::Plan;
use crate::stage::{Setting, Stage};

const HOUR: i64 = 3_600;

pub(crate) async fn clock_jumps(plan: Plan) {
    let mut chances = plan.chances();
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for _ in 0..plan.pick(2, 10) {
        let victim = chances.random_range(0..stage.replicas.len());
        for offset in [HOUR, 0, -HOUR, 0] {
            stage.replicas[victim]
                .command(&format!("clock {offset}"))
                .await;
            recoveries.push(load.recovers(&stage.all()).await);
            load.records(chances.random_range(1..300)).await;
        }
    }
    stage.remember(load.stop().await);
    let unanswered = stage.history().count(|outcome| !outcome.is_answered());
    assert_eq!(unanswered, 0, "a clock that jumps costs no request");
    stage.balance(&recoveries).await;
}
