//! What came of an experiment, and what may come.

use samplit_engine::{ForecastResults, WhatIf};
use serde_json::json;

use super::{RESULTS, Section, needs_a_start};
use crate::{
    api::{
        forecast,
        results::ResultsJson,
        segments::{CombinationsJson, SegmentsJson},
        selector_misses::MissesJson,
        timeline::TimelineJson,
    },
    openapi::{bodies::NewForecast, operation::Operation},
};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = reports();
    all.extend(exports());
    all.into_iter().map(needs_a_start).collect()
}

fn reports() -> Vec<Operation> {
    let section = Section(RESULTS);
    let text = json!({"type": "string", "minLength": 1});
    let share = json!({"type": "number", "minimum": 0, "maximum": 1});
    let element = json!({"type": "integer", "minimum": 0, "maximum": 99, "default": 0});
    let snapshot = json!({"type": "integer", "minimum": 1});
    vec![
        section
            .get("/v1/experiments/{id}/results", "What it has shown so far")
            .account()
            .query("as_of", "the number of an earlier snapshot", &snapshot)
            .gives::<ResultsJson<'_>>(200),
        section
            .get(
                "/v1/experiments/{id}/results/stream",
                "The same as server-sent events `results`, now and whenever it changes",
            )
            .account()
            .no_query()
            .gives_text(200, "text/event-stream")
            .refuses(503, &["too_many_streams", "draining"]),
        section
            .get(
                "/v1/experiments/{id}/timeline",
                "The weights of every snapshot",
            )
            .account()
            .query(
                "evidence",
                "counts and intervals too",
                &json!({"type": "boolean"}),
            )
            .gives::<TimelineJson<'_>>(200),
        section
            .get(
                "/v1/experiments/{id}/weights.svg",
                "The weights as a picture",
            )
            .account()
            .query("element", "which draw, from 0 on", &element)
            .gives_text(200, "image/svg+xml"),
        section
            .get(
                "/v1/experiments/{id}/segments",
                "The arms by a key of the visitors' context, after the fact",
            )
            .account()
            .required_query("key", "the key", &text)
            .gives::<SegmentsJson<'_>>(200),
        section
            .get(
                "/v1/experiments/{id}/combinations",
                "What was shown together, and what came of it",
            )
            .account()
            .no_query()
            .gives::<CombinationsJson>(200),
        section
            .get(
                "/v1/experiments/{id}/what-if",
                "What another split would have earned; `policy` or `shares` says which",
            )
            .account()
            .query("element", "which draw, from 0 on", &element)
            .query(
                "policy",
                "a policy, or `even`",
                &json!({
                    "type": "string", "enum": ["even", "thompson", "top_two"],
                }),
            )
            .query("floor", "the least share of an arm under `policy`", &share)
            .query(
                "shares",
                "shares of the arms, with commas between them",
                &text,
            )
            .gives::<WhatIf>(200)
            .refuses(409, &["no_visitors"]),
        section
            .post("/v1/forecast", "How an experiment may go")
            .account()
            .body::<NewForecast>(|body| drop(forecast::read_alone(body)))
            .gives::<ForecastResults>(200)
            .refuses(404, &["not_found"]),
        section
            .get(
                "/v1/experiments/{id}/selector-misses",
                "Elements that pages did not have, most frequent first",
            )
            .account()
            .paged()
            .gives::<MissesJson<'_>>(200),
    ]
}

fn exports() -> Vec<Operation> {
    let section = Section(RESULTS);
    let format = json!({"type": "string", "enum": ["csv", "ndjson"], "default": "csv"});
    let tables = [
        (
            "/v1/experiments/{id}/export/assignments",
            "A row per visitor",
        ),
        (
            "/v1/experiments/{id}/export/conversions",
            "A row per visitor who converted",
        ),
        (
            "/v1/experiments/{id}/export/results",
            "A row per arm: what it has shown so far",
        ),
        (
            "/v1/experiments/{id}/export/timeline",
            "A row per arm of each snapshot",
        ),
    ];
    let table = |(path, summary)| {
        section
            .get(path, summary)
            .account()
            .query("format", "of the table", &format)
            .query(
                "after",
                "goes on behind the row with this cursor",
                &json!({"type": "string"}),
            )
            .gives_text(200, "text/csv")
            .gives_text(200, "application/x-ndjson")
            .refuses(503, &["too_many_exports"])
    };
    tables.map(table).into()
}
