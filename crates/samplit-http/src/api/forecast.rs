//! Looking ahead: how an experiment may go.

use hyper::StatusCode;
use samplit_domain::{Allocation, ExperimentId, Strategy, Violations};
use samplit_engine::{ErrorKind, ForecastRequest, Results};
use serde_json::Value as Json;

use super::draft::allocation;
use crate::{
    call::Call,
    fields::{Fields, merge},
    problem::Problem,
    response::{Reply, json},
};

/// What stands in for the rates, the strategy and the allocation that a body leaves out.
struct Defaults {
    rates: Vec<f64>,
    strategy: Strategy,
    allocation: Allocation,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            // As few as there can be; only ever seen by rules about something else.
            rates: vec![0.5; 2],
            strategy: Strategy::Adaptive,
            allocation: Allocation::default(),
        }
    }
}

impl Defaults {
    /// What is known of an experiment: the posterior means of the arms of its first draw that still
    /// get visitors, control first, and how it allocates.
    fn like(results: &Results) -> Self {
        let arms = results.elements.first().map_or(&[][..], |draw| &draw.arms);
        let control = arms.iter().filter(|arm| arm.is_control);
        let others = arms.iter().filter(|arm| !arm.is_control && arm.is_active);
        Self {
            rates: control
                .chain(others)
                .map(|arm| arm.posterior_mean)
                .collect(),
            strategy: results.experiment.strategy,
            allocation: results.experiment.allocation.clone(),
        }
    }
}

/// `POST /v1/forecast`
pub(crate) async fn forecast(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let body = call.json().await?;
    let engine = &call.app.engine;
    let defaults = match named_experiment(&body) {
        Some(id) => Defaults::like(&engine.results(&who, id).await?),
        None => Defaults::default(),
    };
    let (request, mut violations) = read_over(body, defaults);
    if !violations.0.is_empty() {
        // The engine knows the rules, and is not to simulate what will be refused: an impossible
        // prior keeps it from that. The rules of the allocation are asked for apart.
        let (arms, given) = (request.rates.len(), request.allocation.clone());
        let impossible = ForecastRequest {
            allocation: Allocation {
                prior_alpha: f64::NAN,
                ..Allocation::default()
            },
            ..request
        };
        let mut rules = Violations::default();
        if let Err(error) = engine.forecast(&who, impossible).await {
            match error.kind() {
                ErrorKind::Invalid(broken) => rules.0.extend(broken.0.iter().cloned()),
                _ => return Err(error.into()),
            }
        }
        rules
            .0
            .retain(|rule| !rule.pointer.starts_with("/allocation/"));
        given.check("/allocation", arms, &mut rules);
        merge(&mut violations, rules);
        return Err(Problem::invalid(violations));
    }
    let told = engine.forecast(&who, request).await?;
    Ok(json(StatusCode::OK, &told))
}

/// The experiment that the body takes its defaults from, if it names one by a sound id.
fn named_experiment(body: &Json) -> Option<ExperimentId> {
    body.get("like_experiment")?.as_str()?.parse().ok()
}

/// What is asked, and every field that is of the wrong type.
fn read_over(body: Json, defaults: Defaults) -> (ForecastRequest, Violations) {
    let mut violations = Violations::default();
    let request = Fields::read(body, String::new(), &mut violations, |fields| {
        read(fields, defaults)
    });
    (request, violations)
}

/// Likewise, of a body alone.
pub(crate) fn read_alone(body: Json) -> (ForecastRequest, Violations) {
    read_over(body, Defaults::default())
}

fn read(fields: &mut Fields<'_>, defaults: Defaults) -> ForecastRequest {
    let like = fields.is_given("like_experiment");
    if like && fields.is_given("rates") {
        let detail = "give either `rates` or `like_experiment`";
        fields.refuse("like_experiment", "conflict", detail);
    }
    if !like {
        fields.require("rates");
    }
    fields.word::<ExperimentId>("like_experiment");
    let whole = |fields: &mut Fields<'_>, name, default| fields.optional(name).unwrap_or(default);
    fields.require("visitors_per_day");
    ForecastRequest {
        rates: fields.numbers("rates").unwrap_or(defaults.rates),
        visitors_per_day: whole(fields, "visitors_per_day", 0),
        // What no u32 holds is out of range too.
        days: u32::try_from(whole(fields, "days", 28)).unwrap_or(u32::MAX),
        strategy: fields
            .word("allocation_strategy")
            .unwrap_or(defaults.strategy),
        allocation: {
            let base = defaults.allocation;
            let given = fields.object("allocation", |fields| allocation(fields, base.clone()));
            given.unwrap_or(base)
        },
        stop_at_p_best: fields.optional("stop_at_p_best").unwrap_or(0.95),
        min_visitors_per_arm: whole(fields, "min_visitors_per_arm", 1_000),
        min_days: fields.optional("min_days").unwrap_or(7.0),
        rule: None,
        max_runs: u32::MAX,
        seed: whole(fields, "seed", 1),
    }
}
