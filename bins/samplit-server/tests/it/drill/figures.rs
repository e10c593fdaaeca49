//! What people and programs are shown of everything that stands still.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::json;

use super::scene::Scene;
use crate::accounts::ask;
use crate::support::{Json, http};

/// What the API says of an experiment.
const OF_EXPERIMENT: [&str; 13] = [
    "",
    "/results",
    "/timeline",
    "/segments?key=device",
    "/combinations",
    "/registration",
    "/selector-misses",
    "/excluded-sessions",
    "/audit/checkpoint",
    "/audit/entries?limit=100",
    "/export/assignments",
    "/export/conversions",
    "/export/timeline",
];

/// What it says of the account and of the server.
const OF_ACCOUNT: [&str; 14] = [
    "/v1/experiments",
    "/v1/installations",
    "/v1/exclusions",
    "/v1/webhooks",
    "/v1/funnels",
    "/v1/leads",
    "/v1/keys",
    "/v1/users",
    "/v1/account",
    "/v1/activity",
    "/v1/audit/keys",
    "/v1/plans",
    "/v1/subscriptions",
    "/v1/onboarding",
];

/// Pages of the dashboard without an id. But for `/`, which adds up all experiments, and `/settings`, which
/// lists sessions by when they were last seen.
const PAGES: [&str; 10] = [
    "/experiments",
    "/installations",
    "/exclusions",
    "/webhooks",
    "/funnels",
    "/leads",
    "/plans",
    "/keys",
    "/users",
    "/activity",
];

/// Fields that say when somebody looked, or how much time has passed by then.
const MOVES: [&str; 6] = [
    "as_of",
    "days",
    "now",
    "progress",
    "last_used_at",
    "last_seen_at",
];

/// How a row of a table by time begins; the last one is of now.
const BY_TIME: &str = "<th scope=\"row\">20";

/// Answers by what was asked.
pub(super) struct Figures(BTreeMap<String, String>);

impl Figures {
    /// As a server shows them now.
    pub(super) fn of(api: SocketAddr, scene: &Scene) -> Self {
        let mut shown = BTreeMap::new();
        let experiments = scene
            .trails
            .iter()
            .flat_map(|id| OF_EXPERIMENT.map(|rest| format!("/v1/experiments/{id}{rest}")));
        let more = [
            format!("/v1/installations/{}", scene.installation),
            format!("/v1/webhooks/{}/deliveries", scene.webhook),
        ];
        let account = OF_ACCOUNT.map(str::to_owned);
        for path in experiments.chain(more).chain(account) {
            let (status, body) = http(api, "GET", &path, Some(&scene.token), None);
            let body = match serde_json::from_str(&body) {
                Ok(json) => still(json, &scene.loaded).to_string(),
                Err(_text) => body,
            };
            shown.insert(path, format!("{status} {body}"));
        }
        let of_experiments = scene.trails.iter().map(|id| format!("/experiments/{id}"));
        let of_site = format!("/installations/{}", scene.installation);
        let of_hook = format!("/webhooks/{}", scene.webhook);
        let pages = PAGES
            .map(str::to_owned)
            .into_iter()
            .chain([of_site, of_hook]);
        for path in pages.chain(of_experiments) {
            let (status, _, page) = ask(api, ("GET", &path), Some(&scene.session), &json!({}));
            assert_eq!(status, 200, "{path}: {page}");
            shown.insert(path, still_page(&page, &scene.loaded));
        }
        Self(shown)
    }

    /// Another server shows the same.
    pub(super) fn are_those_of(&self, api: SocketAddr, scene: &Scene) {
        let now = Self::of(api, scene);
        for (path, shown) in &self.0 {
            let found = &now.0[path];
            let lines = shown.lines().zip(found.lines());
            let differ: Vec<_> = lines.filter(|(one, other)| one != other).take(3).collect();
            assert!(shown == found, "{path}: {differ:#?}");
        }
    }
}

/// Without what looking moves, and without what is under load.
fn still(json: Json, loaded: &str) -> Json {
    match json {
        Json::Object(fields) => {
            let fields = fields
                .into_iter()
                .filter(|(name, _)| !MOVES.contains(&name.as_str()));
            Json::Object(
                fields
                    .map(|(name, value)| (name, still(value, loaded)))
                    .collect(),
            )
        }
        Json::Array(items) => {
            let is_loaded = |item: &Json| {
                ["id", "experiment_id"]
                    .iter()
                    .any(|name| item[*name] == loaded)
            };
            let items = items.into_iter().filter(|item| !is_loaded(item));
            Json::Array(items.map(|item| still(item, loaded)).collect())
        }
        other => other,
    }
}

/// A page without what tells the time, and without rows of the experiment under load.
fn still_page(page: &str, loaded: &str) -> String {
    // How long ago, until when, and charts whose axis is the time.
    let page = without(page, ("<time", "</time>"), |_| true);
    let page = without(&page, ("<svg", "</svg>"), |_| true);
    let page = without(&page, ("<tr", "</tr>"), |row| row.contains(loaded));
    let tells_time = |line: &&str| {
        ["minute", "second", BY_TIME]
            .iter()
            .any(|word| line.contains(word))
    };
    let lines = page.lines().filter(|line| !tells_time(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// A text without the parts from `begin` to `end` that are not to be compared.
fn without(text: &str, (begin, end): (&str, &str), is_left_out: impl Fn(&str) -> bool) -> String {
    let mut still = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once(begin) {
        let (part, after) = from.split_once(end).unwrap_or((from, ""));
        still.push_str(before);
        if !is_left_out(part) {
            still.push_str(part);
        }
        rest = after;
    }
    still + rest
}
