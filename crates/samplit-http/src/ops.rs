//! The ops listener: is the process alive, can it do its work, what does it measure, what is it.

use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::time::timeout;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content, json},
    router::{Handler, Route, Router},
};

/// How long the database may take to answer before the process counts as not ready.
const READY_DEADLINE: Duration = Duration::from_secs(2);

pub(crate) fn router() -> Router {
    let get = |pattern, handler: Handler| Route {
        method: Method::GET,
        pattern,
        handler,
        timed: true,
    };
    Router::new(vec![
        get("/livez", |_call| {
            Box::pin(async { Ok(content("text/plain", "ok\n")) })
        }),
        get("/readyz", |call| Box::pin(ready(call))),
        get("/metrics", |call| Box::pin(async move { metrics(&call) })),
        get("/version", |call| {
            Box::pin(async move {
                let version = &call.app.config.version;
                Ok(json(
                    StatusCode::OK,
                    &json!({"name": "samplit", "version": version}),
                ))
            })
        }),
    ])
}

async fn ready(call: Call) -> Result<Reply, Problem> {
    if call.app.is_draining() {
        return Err(Problem::unavailable(
            "draining",
            "this process is shutting down",
            1,
        ));
    }
    match timeout(READY_DEADLINE, call.app.engine.ready()).await {
        Ok(Ok(())) => Ok(content("text/plain", "ready\n")),
        Ok(Err(error)) => Err(error.into()),
        Err(_elapsed) => Err(Problem::unavailable(
            "database_unavailable",
            "the database did not answer in time",
            1,
        )),
    }
}

fn metrics(call: &Call) -> Result<Reply, Problem> {
    let handle = call.app.config.metrics.as_ref();
    let handle = handle.ok_or_else(|| Problem::not_found("path"))?;
    Ok(content("text/plain; version=0.0.4", handle.render()))
}
