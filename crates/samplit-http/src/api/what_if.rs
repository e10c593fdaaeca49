//! Looking back: what another split would have earned.

use std::str::FromStr;

use hyper::StatusCode;
use samplit_domain::{Allocation, PolicyKind};
use samplit_engine::Target;

use crate::{
    call::Call,
    problem::Problem,
    query::Query,
    response::{Reply, json},
};

/// A word for a split.
enum Split {
    Even,
    Policy(PolicyKind),
}

impl FromStr for Split {
    type Err = &'static str;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        match word {
            "even" => Ok(Self::Even),
            _ => word
                .parse()
                .map(Self::Policy)
                .map_err(|_| "must be one of `even`, `thompson`, `top_two`"),
        }
    }
}

/// `GET /v1/experiments/{id}/what-if?element=0&policy=&floor=&shares=`
pub(crate) async fn what_if(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let element = query.element();
    let target = read(&mut query);
    query.finish()?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let told = engine.what_if(&who, id, element, target).await;
    // The engine names the field of an allocation, which is a parameter here.
    let told = told.map_err(|error| Problem::from(error).in_query())?;
    Ok(json(StatusCode::OK, &told))
}

/// The split that is asked for. When the query is at fault, any.
fn read(query: &mut Query) -> Target {
    if query.is_given("shares") {
        for name in ["policy", "floor"] {
            if query.text(name).is_some() {
                query.refuse(name, "conflict", "cannot be combined with `shares`");
            }
        }
        return Target::Shares(query.shares("shares"));
    }
    query.require("policy");
    let floor = query.share("floor");
    match query.word("policy") {
        Some(Split::Policy(policy)) => Target::Policy {
            policy,
            floor: floor.unwrap_or(Allocation::default().floor),
        },
        Some(Split::Even) => {
            if floor.is_some() {
                query.refuse("floor", "conflict", "belongs to `thompson` or `top_two`");
            }
            Target::Even
        }
        None => Target::Even,
    }
}
