//! The audit trail, and what proves it.

use samplit_engine::{ConsistencyProof, Failure, InclusionProof, Report};
use serde_json::json;

use super::{Section, TRAIL, needs_a_start};
use crate::{
    api::{
        audit::{EntriesJson, VerdictJson},
        custody::{self, AcknowledgedJson, DrawKeyJson, RedactedJson},
        experiment_json::ExperimentJson,
        proofs::KeysJson,
        registration::RegistrationJson,
    },
    openapi::{
        bodies::{Redaction, RestoreAcknowledgement, Sealing},
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = reading();
    all.extend(writing());
    all.into_iter().map(needs_a_start).collect()
}

fn reading() -> Vec<Operation> {
    let section = Section(TRAIL);
    let from_0 = json!({"type": "integer", "minimum": 0, "default": 0});
    let from_1 = json!({"type": "integer", "minimum": 1});
    let limit = json!({"type": "integer", "minimum": 1, "maximum": 100, "default": 50});
    let visitor = json!({"type": "string", "minLength": 1, "maxLength": 255});
    vec![
        section
            .get(
                "/v1/experiments/{id}/audit/entries",
                "The entries, oldest first",
            )
            .account()
            .query("after", "`next_after` of the page before", &from_0)
            .query("limit", "how long a page is", &limit)
            .gives::<EntriesJson<'_>>(200),
        section
            .get(
                "/v1/experiments/{id}/audit/verify",
                "Recomputes and replays the whole trail",
            )
            .account()
            .gives_inline::<VerdictJson<Report, Failure>>(200)
            .of::<Report>()
            .of::<Failure>()
            .refuses(409, &["redacted_meanwhile"]),
        section
            .get(
                "/v1/experiments/{id}/audit/bundle",
                "The trail, to verify without this server",
            )
            .account()
            .query("after", "only what follows this entry", &from_0)
            .query("size", "only the first so many entries", &from_1)
            .gives_text(200, "application/x-ndjson")
            .refuses(409, &["not_in_trail"])
            .refuses(503, &["too_many_exports"]),
        section
            .get(
                "/v1/experiments/{id}/audit/checkpoint",
                "The latest signed checkpoint",
            )
            .account()
            .no_query()
            .gives_text(200, "text/plain"),
        section
            .get(
                "/v1/experiments/{id}/audit/proof/inclusion",
                "That an entry is in the tree",
            )
            .account()
            .required_query("sequence", "the entry", &from_1)
            .query("size", "how many entries the tree has", &from_1)
            .gives::<InclusionProof>(200),
        section
            .get(
                "/v1/experiments/{id}/audit/proof/consistency",
                "That the trail only grew",
            )
            .account()
            .required_query("first", "how many entries the smaller tree has", &from_1)
            .query("second", "how many entries the larger tree has", &from_1)
            .gives::<ConsistencyProof>(200),
        section
            .get(
                "/v1/experiments/{id}/audit/receipt",
                "What the trail holds about one visitor, verifiable alone",
            )
            .account()
            .required_query("visitor", "the visitor", &visitor)
            .gives_json(200)
            .refuses(404, &["not_assigned"])
            .refuses(
                409,
                &["not_in_trail", "not_yet_signed", "redacted_meanwhile"],
            ),
        section
            .get(
                "/v1/audit/keys",
                "The verifier keys of this server, for everybody",
            )
            .no_query()
            .gives::<KeysJson>(200),
        section
            .get(
                "/v1/experiments/{id}/audit/draw-key",
                "The draw key of a completed experiment",
            )
            .account()
            .no_query()
            .gives::<DrawKeyJson>(200)
            .refuses(409, &["not_completed", "window_open"]),
        section
            .get(
                "/v1/experiments/{id}/registration",
                "What was registered at the start, and every deviation from it",
            )
            .account()
            .no_query()
            .gives::<RegistrationJson<'_>>(200),
    ]
}

fn writing() -> Vec<Operation> {
    let section = Section(TRAIL);
    vec![
        section
            .post(
                "/v1/experiments/{id}/audit/checkpoint",
                "Signs a checkpoint now",
            )
            .account()
            .no_fields()
            .gives_text(200, "text/plain")
            .refuses(409, &["no_signing_key"])
            .refuses(503, &["trail_on_hold", "checkpoint_directory"]),
        section
            .post(
                "/v1/experiments/{id}/audit/seal",
                "Ends the trail and reveals the draw key",
            )
            .account()
            .optional_body::<Sealing>(|body| drop(custody::read_seal(body)))
            .gives::<ExperimentJson<'_>>(200)
            .refuses(409, &["not_completed", "window_open", "sealed"])
            .refuses(503, &["trail_on_hold", "checkpoint_directory"]),
        section
            .post(
                "/v1/experiments/{id}/audit/redactions",
                "Replaces the payload of an entry by its hash, in the open",
            )
            .account()
            .body::<Redaction>(|body| drop(custody::read_redaction(body)))
            .gives::<RedactedJson>(201)
            .refuses(409, &["already_redacted", "not_in_trail", "sealed"])
            .refuses(503, &["trail_on_hold"]),
        section
            .post(
                "/v1/experiments/{id}/audit/acknowledge-restore",
                "Goes on with a trail on hold after a restore",
            )
            .account()
            .body::<RestoreAcknowledgement>(|body| drop(custody::read_acknowledgement(body)))
            .gives::<AcknowledgedJson>(200)
            .refuses(409, &["not_on_hold"])
            .refuses(503, &["trail_on_hold", "checkpoint_directory"]),
    ]
}
