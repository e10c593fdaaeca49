//! Funnels.

use samplit_domain::FunnelStatus;
use samplit_engine::FunnelResults;
use serde_json::json;
use utoipa::PartialSchema as _;
use uuid::Uuid;

use super::{FUNNELS, Section};
use crate::{
    api::funnels::{self, CheckJson, FunnelJson, PageJson},
    openapi::{
        bodies::{FunnelChange, NewFunnel},
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let section = Section(FUNNELS);
    let experiment = json!({"type": "string", "format": "uuid"});
    let status = serde_json::to_value(FunnelStatus::schema()).unwrap_or_default();
    let mut all = vec![
        section
            .post("/v1/funnels", "Makes a draft")
            .account()
            .once()
            .body::<NewFunnel>(|body| drop(funnels::read_new(body, &Uuid::nil)))
            .gives::<FunnelJson<'_>>(201),
        section
            .get(
                "/v1/funnels",
                "The funnels without their drawings, newest first",
            )
            .account()
            .query("status", "only those that are this", &status)
            .paged()
            .gives::<PageJson<'_>>(200),
        section
            .get("/v1/funnels/{funnel_id}", "One funnel")
            .account()
            .unless_known()
            .gives::<FunnelJson<'_>>(200),
        section
            .patch("/v1/funnels/{funnel_id}", "Changes the named fields")
            .account()
            .if_match()
            .body::<FunnelChange>(|body| drop(funnels::read_change(body, &Uuid::nil)))
            .gives::<FunnelJson<'_>>(200)
            .refuses(409, &["not_a_draft"]),
        section
            .get(
                "/v1/funnels/{funnel_id}/check",
                "Everything that keeps it from being activated",
            )
            .account()
            .gives::<CheckJson>(200),
        section
            .get(
                "/v1/funnels/{funnel_id}/results",
                "Who came to which step, and where the others were lost",
            )
            .account()
            .query(
                "by",
                "an experiment on its way, whose variants are told apart at every step",
                &experiment,
            )
            .gives::<FunnelResults>(200),
        section
            .post(
                "/v1/funnels/{funnel_id}/duplicate",
                "Makes a draft that is drawn alike",
            )
            .account()
            .once()
            .no_fields()
            .gives::<FunnelJson<'_>>(201),
    ];
    let starts: &[&'static str] = &["illegal_transition", "too_many_funnels"];
    let ends: &[&'static str] = &["illegal_transition"];
    for (path, summary, refusals) in [
        (
            "/v1/funnels/{funnel_id}/activate",
            "Begins to follow visitors",
            starts,
        ),
        ("/v1/funnels/{funnel_id}/pause", "Stops for a while", ends),
        ("/v1/funnels/{funnel_id}/resume", "Goes on", starts),
        ("/v1/funnels/{funnel_id}/archive", "Puts it away", ends),
    ] {
        let step = section.post(path, summary);
        all.push(
            step.account()
                .if_match()
                .no_fields()
                .gives::<FunnelJson<'_>>(200)
                .refuses(409, refusals),
        );
    }
    all
}
