//! What came of a funnel.

use hyper::StatusCode;

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, json},
};

/// `GET /v1/funnels/{funnel_id}/results?by=`
pub(crate) async fn results(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let by = query.word("by");
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.funnel_id());
    let results = engine.funnel_results(&who, id, by).await?;
    Ok(json(StatusCode::OK, &results))
}
