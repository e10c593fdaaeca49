//! The schema changes while visitors come.

use samplit_sql::Options;
use tokio_postgres::error::SqlState;

use crate::history::Outcome;
use crate::load::Retry;
use crate::plan::Plan;
use crate::stage::{Setting, Stage};

/// How often a change that got no lock is tried again, as an operator would.
const TRIES: usize = 50;

pub(crate) async fn migration_under_load(plan: Plan) {
    let mut stage = Stage::set(plan, Setting::default()).await;
    let mut client = stage.client().await;
    let options = Options::default();
    let mut load = stage.load("load", 12, Retry::Connections);
    let mut recoveries = Vec::new();
    for round in 0..plan.pick(2, 20) {
        load.records(100).await;
        // The runner itself, which finds nothing to do; then what a next version would do, the way the
        // runner does it: one transaction per migration under a short lock_timeout.
        samplit_sql::up(&mut client, &options).await.unwrap();
        change(&client, &options, round).await;
        recoveries.push(load.recovers(&stage.all()).await);
    }
    stage.remember(load.stop().await);
    // Some may be turned away, where a table is not to be had within the servers' `lock_timeout`.
    let unknown = stage
        .history()
        .count(|outcome| matches!(outcome, Outcome::Unknown(_)));
    assert_eq!(
        unknown, 0,
        "a migration makes visitors wait and leaves nobody in doubt"
    );
    stage.balance(&recoveries).await;
}

/// A column more in each table of the hot path, a constraint checked later, an index.
async fn change(client: &tokio_postgres::Client, options: &Options, round: usize) {
    let timeout = options.lock_timeout.as_millis();
    let sql = format!(
        "BEGIN; SET LOCAL lock_timeout = {timeout}; \
         ALTER TABLE assignments ADD COLUMN later_{round} BIGINT; \
         ALTER TABLE assignments ADD CONSTRAINT later_{round} CHECK (later_{round} > 0) NOT VALID; \
         ALTER TABLE algorithm_audit_trail ADD COLUMN later_{round} TEXT DEFAULT 'none'; \
         ALTER TABLE audit_heads ADD COLUMN later_{round} BIGINT; \
         CREATE INDEX later_{round} ON assignments (later_{round}); COMMIT"
    );
    for _ in 0..TRIES {
        match client.batch_execute(&sql).await {
            Ok(()) => return,
            Err(error)
                if [
                    SqlState::LOCK_NOT_AVAILABLE,
                    SqlState::T_R_DEADLOCK_DETECTED,
                ]
                .iter()
                .any(|state| error.code() == Some(state)) =>
            {
                client.batch_execute("ROLLBACK").await.unwrap();
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    panic!("no lock in {TRIES} tries");
}
