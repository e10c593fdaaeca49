//! `/readyz`: can this process do its work, and with `?verbose`: if not, which part cannot?

use std::time::Duration;

use hyper::StatusCode;
use samplit_engine::{BreakerState, Error, ErrorKind, Health};
use serde_json::{Value as Json, json};
use tokio::time::timeout;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content, json},
};

/// How long the database may take to answer before the process counts as not ready.
const DEADLINE: Duration = Duration::from_secs(2);

/// 200 when the process is not draining and the database answers with a schema that is not too old.
pub(crate) async fn ready(call: Call) -> Result<Reply, Problem> {
    let is_draining = call.app.is_draining();
    let expected = call.app.config.schema_version;
    let query = call.head.uri.query().unwrap_or_default();
    if query.split('&').any(|part| part == "verbose") {
        let health = timeout(DEADLINE, call.app.engine.health()).await.ok();
        return Ok(verbose(is_draining, expected, health.as_ref()));
    }
    if is_draining {
        return Err(Problem::unavailable(
            "draining",
            "this process is shutting down",
            1,
        ));
    }
    match timeout(DEADLINE, call.app.engine.health()).await {
        Ok(Health {
            schema_version: Ok(version),
            ..
        }) if is_current(version, expected) => Ok(content("text/plain", "ready\n")),
        Ok(Health {
            schema_version: Ok(_),
            ..
        }) => Err(Problem::unavailable(
            "schema_outdated",
            "the schema of the database is older than this process needs",
            1,
        )),
        Ok(Health {
            schema_version: Err(error),
            ..
        }) => Err(error.into()),
        Err(_elapsed) => Err(Problem::unavailable(
            "database_unavailable",
            "the database did not answer in time",
            1,
        )),
    }
}

/// A newer schema is fine: migrations leave what a running server of the version before needs.
fn is_current(version: Option<i32>, expected: Option<i32>) -> bool {
    version >= expected
}

/// Every part with its state. Breaker and pool explain and do not decide: the one closes as soon as
/// the database answers, and the other is full for a moment in every burst. Nor do the checkpointer
/// and webhooks, which no answer waits for, or a trail on hold, beside which all others work.
fn verbose(is_draining: bool, expected: Option<i32>, health: Option<&Health>) -> Reply {
    let version = health.and_then(|health| health.schema_version.as_ref().ok());
    let is_schema_current = version.is_some_and(|version| is_current(*version, expected));
    let ready = !is_draining && is_schema_current;
    let document = json!({
        "ready": ready,
        "parts": {
            "database": database(health),
            "schema": {
                "ok": is_schema_current,
                "version": version,
                "expected": expected,
            },
            "breaker": health.map(|health| json!({
                "ok": health.breaker == BreakerState::Closed,
                "state": health.breaker.as_str(),
            })),
            "pool": health.map(|health| json!({
                "ok": health.pool.in_use < health.pool.limit,
                "in_use": health.pool.in_use,
                "idle": health.pool.idle,
                "limit": health.pool.limit,
                "waiting": health.pool.waiting,
            })),
            "checkpointer": health.map(|health| json!({
                "ok": !health.checkpointer.is_late(),
                "round_age_seconds": health.checkpointer.round_age.as_secs_f64(),
                "every_seconds": health.checkpointer.every.as_secs_f64(),
            })),
            "trails": health.map(|health| json!({
                "ok": health.checkpointer.on_hold == 0,
                "on_hold": health.checkpointer.on_hold,
            })),
            "webhooks": health.and_then(|health| health.webhooks).map(|webhooks| json!({
                "ok": !webhooks.is_late(),
                "round_age_seconds": webhooks.round_age.as_secs_f64(),
                "pending": webhooks.pending,
                "overdue_seconds": webhooks.overdue.as_secs_f64(),
            })),
            "drain": {
                "ok": !is_draining,
                "state": if is_draining { "draining" } else { "serving" },
            },
        },
    });
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &document)
}

fn database(health: Option<&Health>) -> Json {
    let state = match health.map(|health| &health.schema_version) {
        Some(Ok(_)) => "up",
        Some(Err(error)) if is_unavailable(error) => "away",
        Some(Err(_)) => "failing",
        None => "silent",
    };
    json!({ "ok": state == "up", "state": state })
}

fn is_unavailable(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable { .. })
}

#[cfg(test)]
mod tests {
    use super::is_current;

    #[test]
    fn a_schema_may_be_newer_and_not_older_or_absent() {
        assert!(is_current(Some(3), Some(3)));
        assert!(is_current(Some(4), Some(3)));
        assert!(!is_current(Some(2), Some(3)));
        assert!(!is_current(None, Some(3)));
        assert!(is_current(Some(1), None), "nobody said what to expect");
    }
}
