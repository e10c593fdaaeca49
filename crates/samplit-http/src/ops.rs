//! The ops listener: is the process alive, can it do its work, what does it measure, what does it
//! log, what is it.

use hyper::{Method, StatusCode};
use serde_json::json;

use crate::{
    call::Call,
    problem::Problem,
    readiness,
    response::{Reply, content, json},
    router::{Handler, Route, Router},
};

pub(crate) fn router() -> Router {
    let route = |method, pattern, handler: Handler| Route {
        method,
        pattern,
        handler,
        page: false,
        timed: true,
    };
    let get = |pattern, handler| route(Method::GET, pattern, handler);
    Router::new(vec![
        get("/livez", |_call| {
            Box::pin(async { Ok(content("text/plain", "ok\n")) })
        }),
        get("/readyz", |call| Box::pin(readiness::ready(call))),
        get("/metrics", |call| Box::pin(async move { metrics(&call) })),
        get("/log-level", |call| {
            Box::pin(async move { log_level(&call) })
        }),
        route(Method::PUT, "/log-level", |call| {
            Box::pin(set_log_level(call))
        }),
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

fn metrics(call: &Call) -> Result<Reply, Problem> {
    let handle = call.app.config.metrics.as_ref();
    let handle = handle.ok_or_else(|| Problem::not_found("path"))?;
    call.app.engine.observe();
    Ok(content("text/plain; version=0.0.4", handle.render()))
}

fn log_level(call: &Call) -> Result<Reply, Problem> {
    let log = call.app.config.log.as_ref();
    let log = log.ok_or_else(|| Problem::not_found("path"))?;
    Ok(content("text/plain", format!("{}\n", log.filter())))
}

/// The body is the filter itself, like `info,samplit_engine=debug`.
async fn set_log_level(mut call: Call) -> Result<Reply, Problem> {
    let wanted = call.text().await?;
    let log = call.app.config.log.as_ref();
    let log = log.ok_or_else(|| Problem::not_found("path"))?;
    let before = log.filter();
    log.set_filter(wanted.trim()).map_err(|reason| {
        Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_log_filter",
            format!("the filter cannot be used: {reason}"),
        )
    })?;
    let filter = log.filter();
    tracing::warn!(before, filter, "the log filter was changed");
    Ok(content("text/plain", format!("{filter}\n")))
}
