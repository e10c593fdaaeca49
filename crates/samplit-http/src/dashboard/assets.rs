//! The one stylesheet of the dashboard, its scripts and its icon.

use hyper::header::{CACHE_CONTROL, HeaderValue};

use crate::{
    call::Call,
    problem::Problem,
    response::{Reply, content},
};

const STYLE: &str = concat!(
    include_str!("../../assets/dashboard/css/base.css"),
    include_str!("../../assets/dashboard/css/components.css"),
    include_str!("../../assets/dashboard/css/forms.css"),
    include_str!("../../assets/dashboard/css/experiment.css"),
    include_str!("../../assets/dashboard/css/funnels.css"),
);

/// Modules by the name that pages and other modules know them by.
const SCRIPTS: &[(&str, &str)] = &[
    ("frame.js", include_str!("../../assets/dashboard/frame.js")),
    ("times.js", include_str!("../../assets/dashboard/times.js")),
    ("live.js", include_str!("../../assets/dashboard/live.js")),
    (
        "passwords.js",
        include_str!("../../assets/dashboard/passwords.js"),
    ),
    ("copy.js", include_str!("../../assets/dashboard/copy.js")),
    (
        "wizard.js",
        include_str!("../../assets/dashboard/wizard.js"),
    ),
    (
        "canvas/controls.js",
        include_str!("../../assets/dashboard/canvas/controls.js"),
    ),
    (
        "canvas/dom.js",
        include_str!("../../assets/dashboard/canvas/dom.js"),
    ),
    (
        "canvas/editor.js",
        include_str!("../../assets/dashboard/canvas/editor.js"),
    ),
    (
        "canvas/faults.js",
        include_str!("../../assets/dashboard/canvas/faults.js"),
    ),
    (
        "canvas/geometry.js",
        include_str!("../../assets/dashboard/canvas/geometry.js"),
    ),
    (
        "canvas/keys.js",
        include_str!("../../assets/dashboard/canvas/keys.js"),
    ),
    (
        "canvas/model.js",
        include_str!("../../assets/dashboard/canvas/model.js"),
    ),
    (
        "canvas/panel.js",
        include_str!("../../assets/dashboard/canvas/panel.js"),
    ),
    (
        "canvas/pointer.js",
        include_str!("../../assets/dashboard/canvas/pointer.js"),
    ),
    (
        "canvas/saving.js",
        include_str!("../../assets/dashboard/canvas/saving.js"),
    ),
    (
        "canvas/scene.js",
        include_str!("../../assets/dashboard/canvas/scene.js"),
    ),
    (
        "canvas/start.js",
        include_str!("../../assets/dashboard/canvas/start.js"),
    ),
    (
        "canvas/waiting.js",
        include_str!("../../assets/dashboard/canvas/waiting.js"),
    ),
    (
        "canvas/ways.js",
        include_str!("../../assets/dashboard/canvas/ways.js"),
    ),
    (
        "canvas/words.js",
        include_str!("../../assets/dashboard/canvas/words.js"),
    ),
];

/// `GET /assets/dashboard.css`
pub(crate) fn stylesheet() -> Reply {
    asset("text/css; charset=utf-8", STYLE)
}

/// `GET /assets/dashboard/{asset}`
pub(crate) fn script(call: &Call) -> Result<Reply, Problem> {
    named(call.asset())
}

/// `GET /assets/dashboard/canvas/{asset}`
pub(crate) fn canvas_script(call: &Call) -> Result<Reply, Problem> {
    named(&format!("canvas/{}", call.asset()))
}

fn named(wanted: &str) -> Result<Reply, Problem> {
    let mut scripts = SCRIPTS.iter();
    let found = scripts.find(|(name, _)| *name == wanted);
    let (_, text) = found.ok_or_else(|| Problem::not_found("file"))?;
    Ok(asset("text/javascript; charset=utf-8", text))
}

/// `GET /assets/icon.svg`
pub(crate) fn icon() -> Reply {
    asset(
        "image/svg+xml",
        include_str!("../../assets/dashboard/icon.svg"),
    )
}

fn asset(content_type: &'static str, text: &'static str) -> Reply {
    let mut reply = content(content_type, text);
    let fresh = HeaderValue::from_static("public, max-age=60");
    reply.headers_mut().insert(CACHE_CONTROL, fresh);
    reply
}

#[cfg(test)]
mod tests {
    use super::{SCRIPTS, STYLE};

    #[test]
    fn nothing_is_loaded_from_elsewhere() {
        let scripts = SCRIPTS.iter().map(|(_, text)| *text);
        for text in scripts.chain([STYLE]) {
            for part in ["http:", "https:", "@import", "url("] {
                assert!(!text.contains(part), "{part}");
            }
        }
    }

    #[test]
    fn modules_import_only_what_is_served() {
        for (name, text) in SCRIPTS {
            for line in text.lines().filter(|line| line.starts_with("import ")) {
                let from = line.split('"').nth(1).unwrap().trim_start_matches("./");
                let folder = name.rfind('/').map_or("", |at| &name[..=at]);
                let from = format!("{folder}{from}");
                let served = SCRIPTS.iter().any(|(other, _)| *other == from);
                assert!(served, "{name}: {from}");
            }
        }
    }

    #[test]
    fn the_arms_have_the_colours_of_the_charts() {
        let charts = include_str!("../chart/mod.rs");
        for arm in 0..8 {
            let name = format!("--arm-{arm}: #");
            let at = STYLE.find(&name).unwrap() + name.len();
            let [red, green, blue] = [0, 2, 4].map(|digit| &STYLE[at + digit..at + digit + 2]);
            let colour = format!("RGBColor(0x{red}, 0x{green}, 0x{blue})");
            assert!(charts.contains(&colour), "{arm}: {colour}");
        }
    }
}
