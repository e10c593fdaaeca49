//! Experiments, their visitors, and experiments as flags.

use samplit_domain::{Assign, Convert, ExperimentDraft, Status, Transition};
use serde_json::{Value as Json, json};
use utoipa::PartialSchema as _;

use super::{EXPERIMENTS, FLAGS, Section, VISITORS};
use crate::{
    api::{
        custody::ErasureJson,
        draft,
        experiment_json::ExperimentJson,
        experiments::{self, PageJson},
        ofrep::{Bulk, Evaluation, Failure},
        preview::{self, LinkJson},
        visit::{AssignBody, Batch, ConvertBody, read_batch, read_one},
        visits::{AssignReply, BatchReply, ConvertReply},
    },
    openapi::{
        bodies::{Completion, ExperimentChange, NewExperiment, NewPreview},
        operation::Operation,
    },
};

/// Why nobody gets a variant, or converts.
const NOT_NOW: &[&str] = &[
    "experiment_not_running",
    "sealed",
    "attribution_window_closed",
    "not_in_trail",
];

pub(super) fn operations() -> Vec<Operation> {
    let mut all = experiments();
    all.extend(visitors());
    all.extend(flags());
    all
}

fn experiments() -> Vec<Operation> {
    let section = Section(EXPERIMENTS);
    let status = serde_json::to_value(Status::schema()).unwrap_or_default();
    let text = json!({"type": "string"});
    let change = |operation: Operation| {
        operation
            .account()
            .gives::<ExperimentJson<'_>>(200)
            .refuses(409, &["illegal_transition", "sealed"])
            .refuses(503, &["trail_on_hold"])
    };
    let step = |path, summary| change(section.post(path, summary)).if_match().no_fields();
    vec![
        section
            .post("/v1/experiments", "Makes a draft")
            .account()
            .once()
            .body::<NewExperiment>(|body| drop(draft::read_new(body)))
            .gives::<ExperimentJson<'_>>(201)
            .refuses(409, &["key_taken"]),
        section
            .get("/v1/experiments", "The experiments, newest first")
            .account()
            .query("status", "only those that are this", &status)
            .query("q", "only those with this in their name", &text)
            .paged()
            .gives::<PageJson<'_>>(200),
        section
            .get("/v1/experiments/{id}", "One experiment")
            .account()
            .unless_known()
            .gives::<ExperimentJson<'_>>(200),
        change(section.patch("/v1/experiments/{id}", "Changes the named fields"))
            .if_match()
            .body::<ExperimentChange>(|body| {
                drop(draft::read_over(body, ExperimentDraft::new("", Vec::new())));
            })
            .refuses(409, &["key_taken", "not_a_draft"]),
        step("/v1/experiments/{id}/start", "Begins to take visitors").refuses(
            409,
            &["not_fit_to_start", "not_registrable", "too_many_arms"],
        ),
        step("/v1/experiments/{id}/pause", "Takes no new visitors"),
        step("/v1/experiments/{id}/resume", "Takes new visitors again"),
        change(section.post("/v1/experiments/{id}/complete", "Ends it"))
            .if_match()
            .optional_body::<Completion>(|body| {
                drop(experiments::read_winner(body, Transition::Complete));
            }),
        step("/v1/experiments/{id}/archive", "Puts it away"),
        change(section.post(
            "/v1/experiments/{id}/variants/{variant_id}/activate",
            "New visitors may get the variant",
        ))
        .no_fields()
        .refuses(409, &["already_so", "experiment_not_running"]),
        change(section.post(
            "/v1/experiments/{id}/variants/{variant_id}/deactivate",
            "New visitors do not get the variant any more",
        ))
        .no_fields()
        .refuses(
            409,
            &[
                "already_so",
                "last_active_variant",
                "experiment_not_running",
            ],
        ),
        section
            .post(
                "/v1/experiments/{id}/preview",
                "A link that shows chosen variants and records nothing",
            )
            .account()
            .body::<NewPreview>(|body| drop(preview::read_preview(body)))
            .gives::<LinkJson<'_>>(201)
            .refuses(409, &["experiment_not_running", "no_secret"]),
    ]
}

fn visitors() -> Vec<Operation> {
    let section = Section(VISITORS);
    let visit = |operation: Operation| {
        operation
            .account()
            .refuses(409, NOT_NOW)
            .refuses(503, &["trail_on_hold"])
    };
    vec![
        visit(section.post(
            "/v1/experiments/{id}/assign",
            "Which variants a visitor gets",
        ))
        .body::<AssignBody>(|body| {
            drop(read_one::<Assign>(&explained(body)));
        })
        .gives::<AssignReply<'_>>(200),
        visit(section.post(
            "/v1/experiments/{id}/assign/batch",
            "Which variants 1 to 1,000 visitors get",
        ))
        .body_inline::<Batch<AssignBody>>(|body| {
            drop(read_batch::<Assign>(&explained_batch(body)));
        })
        .gives_inline::<BatchReply<'_, AssignReply<'_>>>(200),
        visit(section.post("/v1/experiments/{id}/convert", "A visitor converted"))
            .body::<ConvertBody>(|body| {
                drop(read_one::<Convert>(&explained(body)));
            })
            .gives::<ConvertReply>(200)
            .refuses(404, &["not_assigned"]),
        visit(section.post(
            "/v1/experiments/{id}/convert/batch",
            "1 to 1,000 visitors converted",
        ))
        .body_inline::<Batch<ConvertBody>>(|body| {
            drop(read_batch::<Convert>(&explained_batch(body)));
        })
        .gives_inline::<BatchReply<'_, ConvertReply>>(200),
        section
            .delete("/v1/visitors/{visitor}", "Erases a visitor everywhere")
            .account()
            .no_fields()
            .gives::<ErasureJson>(200)
            .refuses(503, &["trail_on_hold"]),
    ]
}

/// The bytes of a body that the quick way of reading does not take, so that the other one reads it.
fn explained(mut body: Json) -> Vec<u8> {
    body["unknown"] = Json::Null;
    body.to_string().into_bytes()
}

/// Likewise, of a batch.
fn explained_batch(mut body: Json) -> Vec<u8> {
    for request in body["requests"].as_array_mut().into_iter().flatten() {
        request["unknown"] = Json::Null;
    }
    body.to_string().into_bytes()
}

fn flags() -> Vec<Operation> {
    let section = Section(FLAGS);
    let asked = json!({
        "type": "object",
        "properties": {
            "context": {
                "type": "object",
                "description": "What is known of the visitor; `targetingKey` says who it is.",
                "properties": {
                    "targetingKey": {"type": "string", "minLength": 1, "example": "visitor-42"},
                    "samplit_read_only": {
                        "type": "boolean", "description": "Nothing is stored.", "example": false,
                    },
                },
                "required": ["targetingKey"],
            },
        },
        "required": ["context"],
    });
    vec![
        section
            .post(
                "/ofrep/v1/evaluate/flags/{key}",
                "One experiment as a feature flag",
            )
            .flags::<Failure<'_>>()
            .foreign_body("application/json", &asked)
            .gives::<Evaluation<'_>>(200),
        section
            .post(
                "/ofrep/v1/evaluate/flags",
                "All experiments that have a key",
            )
            .flags::<Failure<'_>>()
            .foreign_body("application/json", &asked)
            .unless_known()
            .gives::<Bulk<'_>>(200),
    ]
}
