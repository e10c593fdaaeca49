//! Leads: the form that captures them, and what their owner does with them.

use samplit_domain::LeadStatus;
use serde_json::json;
use utoipa::PartialSchema as _;

use super::{LEADS, Section};
use crate::{
    api::{
        exclusions::PageJson,
        lead_capture::{self, ReceivedJson},
        leads::{self, LeadJson},
    },
    openapi::{
        bodies::{LeadChange, NewLead},
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let section = Section(LEADS);
    let form = json!({
        "type": "object",
        "required": ["token"],
        "properties": {
            "token": {"type": "string"},
            "next": {"type": "string", "description": "where the browser goes on"},
        },
        "additionalProperties": {"type": "string"},
        "description": "The fields of the JSON and `next`; every other name is one of `fields`.",
    });
    vec![
        section
            .post(
                "/v1/leads",
                "Takes in what somebody leaves in a form on a page",
            )
            .page()
            .body::<NewLead>(|body| drop(lead_capture::read_lead(body)))
            .or_form(&form)
            .gives::<ReceivedJson>(202)
            .gives_text(200, "text/html")
            .gives_nothing(303),
        section.preflight("/v1/leads"),
        filtered(section.get("/v1/leads", "The leads, newest first"))
            .account()
            .paged()
            .gives_inline::<PageJson<'_, LeadJson<'_>>>(200),
        section
            .get("/v1/leads/{lead_id}", "One lead")
            .account()
            .unless_known()
            .gives::<LeadJson<'_>>(200),
        section
            .patch(
                "/v1/leads/{lead_id}",
                "Moves it on, or says something of it",
            )
            .account()
            .if_match()
            .body::<LeadChange>(|body| drop(leads::read_change(body)))
            .gives::<LeadJson<'_>>(200)
            .refuses(409, &["illegal_transition"]),
        section
            .delete("/v1/leads/{lead_id}", "Erases it")
            .account()
            .gives_nothing(204),
        filtered(section.get("/v1/export/leads", "The leads as a table"))
            .account()
            .query(
                "format",
                "of the table",
                &json!({"enum": ["csv", "ndjson"]}),
            )
            .gives_text(200, "text/csv")
            .gives_text(200, "application/x-ndjson")
            .refuses(503, &["too_many_exports"]),
    ]
}

/// The parameters that narrow a list.
fn filtered(operation: Operation) -> Operation {
    let text = json!({"type": "string"});
    let id = json!({"type": "string", "format": "uuid"});
    let moment = "by RFC 3339, or a day, which begins in UTC";
    operation
        .query(
            "status",
            "how far they have come",
            &json!(LeadStatus::schema()),
        )
        .query("source", "the form that captured them", &text)
        .query(
            "experiment_id",
            "the experiment that the person was in",
            &id,
        )
        .query("created_after", moment, &text)
        .query("created_before", moment, &text)
        .query(
            "q",
            "a part of email, name, company or telephone number",
            &text,
        )
}
