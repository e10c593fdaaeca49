//! Pages and files for browsers.

use super::{FILES, Section};
use crate::openapi::operation::Operation;

pub(super) fn operations() -> Vec<Operation> {
    let section = Section(FILES);
    vec![
        section
            .get("/s/{token}.js", "The snippet with the settings of its site")
            .unless_known()
            .refuses(400, &["unknown_host"])
            .refuses(401, &["unknown_installation"])
            .refuses(429, &["rate_limited"])
            .gives_text(200, "text/javascript"),
        section
            .get(
                "/live/{id}",
                "A page with live numbers; the key goes into the fragment",
            )
            .gives_text(200, "text/html"),
        section
            .get("/verify", "A page that verifies a bundle in the browser")
            .gives_text(200, "text/html"),
        section
            .get("/assets/picker.js", "The picker, which the snippet loads")
            .gives_text(200, "text/javascript"),
        section
            .get("/assets/live.css", "The style of the live page")
            .gives_text(200, "text/css"),
        section
            .get("/assets/live.js", "Its script")
            .gives_text(200, "text/javascript"),
        section
            .get("/assets/dashboard.css", "The style of the dashboard")
            .gives_text(200, "text/css"),
        section
            .get("/assets/dashboard/{asset}", "Its scripts")
            .gives_text(200, "text/javascript"),
        section
            .get(
                "/assets/dashboard/canvas/{asset}",
                "Those of the canvas of funnels",
            )
            .gives_text(200, "text/javascript"),
        section
            .get("/assets/icon.svg", "Its icon")
            .gives_text(200, "image/svg+xml"),
        section
            .get("/docs", "This document as a page")
            .gives_text(200, "text/html"),
        section
            .get("/assets/docs.css", "Its style")
            .gives_text(200, "text/css"),
        section
            .get("/openapi.json", "This document")
            .no_query()
            .unless_known()
            .gives_json(200),
    ]
}
