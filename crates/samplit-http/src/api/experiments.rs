//! Experiments: make, list, show, change, and move through their lifecycle.

use std::collections::BTreeMap;

use hyper::{StatusCode, header::HeaderValue};
use samplit_domain::{ElementId, Experiment, Transition, VariantId, Violations, json_pointer};
use samplit_engine::{ExperimentFilter, Once, Page};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use utoipa::ToSchema;

use super::{
    draft::{read_change, read_new},
    experiment_json::ExperimentJson,
};
use crate::{
    call::Call,
    fields::{Fields, no_fields},
    idempotency,
    problem::Problem,
    response::{Reply, etag, json, tagged},
};

/// `POST /v1/experiments`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let draft = read_new(body)?;
    let answer = |made: &Experiment| {
        let path = format!("/v1/experiments/{}", made.id);
        idempotency::created(path, &tag(made), &ExperimentJson::from(made))
    };
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: false,
    });
    let engine = &call.app.engine;
    let made = engine.create_experiment_once(&who, draft, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

#[derive(Serialize, ToSchema)]
#[schema(as = ExperimentPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<ExperimentJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// `GET /v1/experiments`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let filter = ExperimentFilter {
        status: query.word("status"),
        query: query.text("q"),
    };
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.experiments(&who, &filter, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(ExperimentJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/experiments/{id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let experiment = call
        .app
        .engine
        .experiment(&who, call.experiment_id())
        .await?;
    Ok(call.unless_known(one(StatusCode::OK, &experiment)))
}

/// `PATCH /v1/experiments/{id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let body = call.json().await?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let current = engine.experiment(&who, id).await?;
    let change = read_change(body, &current)?;
    // A new tree was made from what is there now, so it may replace nothing newer.
    let if_version = if_version.or_else(|| change.replace.is_some().then_some(current.version));
    let experiment = engine
        .update_experiment(&who, id, change, if_version)
        .await?;
    Ok(one(StatusCode::OK, &experiment))
}

/// `POST /v1/experiments/{id}/{start|pause|resume|complete|archive}`
pub(crate) async fn transition(mut call: Call, transition: Transition) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let winner = read_winner(call.optional_json().await?, transition)?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let experiment = engine
        .transition(&who, id, transition, winner, if_version)
        .await?;
    Ok(one(StatusCode::OK, &experiment))
}

/// `POST /v1/experiments/{id}/variants/{variant_id}/{activate|deactivate}`
pub(crate) async fn set_variant_active(mut call: Call, active: bool) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let (engine, id, variant) = (&call.app.engine, call.experiment_id(), call.variant_id());
    let experiment = engine.set_variant_active(&who, id, variant, active).await?;
    Ok(one(StatusCode::OK, &experiment))
}

/// An experiment with its entity tag.
pub(super) fn one(status: StatusCode, experiment: &Experiment) -> Reply {
    tagged(
        json(status, &ExperimentJson::from(experiment)),
        tag(experiment),
    )
}

/// The counters of an experiment move without a new version.
fn tag(experiment: &Experiment) -> HeaderValue {
    let variants = experiment
        .elements
        .iter()
        .flat_map(|element| &element.variants);
    let (mut allocations, mut conversions) = (0, 0);
    for variant in variants {
        allocations += variant.total_allocations;
        conversions += variant.total_conversions;
    }
    etag(experiment.version, &[allocations, conversions])
}

/// The declared winners, `{"winner": {element_id: variant_id}}`; only completion takes any.
pub(crate) fn read_winner(
    body: Json,
    transition: Transition,
) -> Result<BTreeMap<ElementId, VariantId>, Problem> {
    if transition != Transition::Complete {
        return no_fields(body).map(|()| BTreeMap::new());
    }
    let mut violations = Violations::default();
    let given: Map<String, Json> = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.optional("winner").unwrap_or_default()
    });
    let mut winner = BTreeMap::new();
    for (element, variant) in given {
        let pair = element
            .parse()
            .ok()
            .zip(variant.as_str().and_then(|id| id.parse().ok()));
        match pair {
            Some((element, variant)) => {
                winner.insert(element, variant);
            }
            None => violations.add(
                json_pointer("/winner", &element),
                "malformed",
                "must be the id of an element with the id of one of its variants",
            ),
        }
    }
    violations.into_result(winner).map_err(Problem::invalid)
}

#[cfg(test)]
mod tests {
    use samplit_domain::Transition;
    use serde_json::json;

    use super::read_winner;

    #[test]
    fn winners_are_read_for_completion_only() {
        let id = "0197f0a0-0000-7000-8000-000000000001";
        let good = json!({"winner": {id: id}});
        assert_eq!(
            read_winner(good.clone(), Transition::Complete)
                .unwrap()
                .len(),
            1
        );
        assert!(
            read_winner(json!({}), Transition::Complete)
                .unwrap()
                .is_empty()
        );

        let cases = [
            (good, Transition::Start, vec!["/winner unknown_field"]),
            (
                json!({"winner": 1}),
                Transition::Complete,
                vec!["/winner wrong_type"],
            ),
            (
                json!({"winner": {"a/b": id, id: 7}, "x": 1}),
                Transition::Complete,
                vec![
                    "/x unknown_field",
                    "/winner/0197f0a0-0000-7000-8000-000000000001 malformed",
                    "/winner/a~1b malformed",
                ],
            ),
        ];
        for (body, transition, expected) in cases {
            let problem = read_winner(body, transition).unwrap_err();
            let errors = problem
                .errors
                .iter()
                .map(|v| format!("{} {}", v.pointer, v.code));
            assert_eq!(errors.collect::<Vec<_>>(), expected);
        }
    }
}
