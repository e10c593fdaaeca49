//! What the server measures, against what the dashboard, the alerts and the guide speak of.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::support::{Json, Running, SigningKey, code, create_key, http, migrated};

/// What ends the series of a histogram.
const SUFFIXES: [&str; 3] = ["_bucket", "_sum", "_count"];

fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let path = root.join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The names of metrics that a text speaks of.
fn names(text: &str) -> BTreeSet<String> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_of_name(c));
    let ours = words.filter(|word| word.starts_with("samplit_"));
    ours.map(ToOwned::to_owned).collect()
}

/// Every expression of a dashboard, however deep.
fn expressions(json: &Json, found: &mut String) {
    match json {
        Json::Object(map) => {
            for (key, value) in map {
                match value {
                    Json::String(text) if key == "expr" || key == "query" => {
                        found.push_str(text);
                        found.push('\n');
                    }
                    other => expressions(other, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

/// One of every kind: new, known, converted, twice, refused, and a bot.
fn send_traffic(api: SocketAddr, token: &str) {
    let draft = json!({
        "name": "measured",
        "elements": [{ "name": "h1", "variants": [
            { "name": "A", "content": {}, "is_control": true },
            { "name": "B", "content": {} },
        ] }],
    });
    let (_, made) = http(api, "POST", "/v1/experiments", Some(token), Some(&draft));
    let made: Json = serde_json::from_str(&made).unwrap();
    let path = format!("/v1/experiments/{}", made["id"].as_str().unwrap());
    let post = |rest: &str, body: &Json| {
        http(
            api,
            "POST",
            &format!("{path}/{rest}"),
            Some(token),
            Some(body),
        )
        .0
    };
    assert_eq!(post("start", &json!({})), 200);
    for _ in 0..2 {
        assert_eq!(post("assign", &json!({ "visitor_id": "v" })), 200);
        assert_eq!(post("convert", &json!({ "visitor_id": "v" })), 200);
    }
    let bot = json!({ "visitor_id": "b", "context": { "user_agent": "Googlebot/2.1" } });
    assert_eq!(post("assign", &bot), 200);
    assert_eq!(post("convert", &json!({ "visitor_id": "w" })), 404);
    assert_eq!(post("assign", &json!({})), 422);
}

/// Names and kinds of what is exported, and the whole text.
async fn scrape() -> (Vec<(String, String)>, String) {
    let database = migrated().await;
    let token = create_key(
        &[
            "--email",
            "me@example.org",
            "--name",
            "t",
            "--scopes",
            "manage,assign,read",
        ],
        &database,
    );
    let key = SigningKey::make();
    let mut server = Running::start(key.serve(database.url()));
    let (api, ops) = server.addresses();
    send_traffic(api, &token);
    let (status, text) = http(ops, "GET", "/metrics", None, None);
    assert_eq!(status, 200);
    server.signal(Signal::SIGTERM);
    assert_eq!(code(&server.output()), 0);
    let kinds = text.lines().filter_map(|line| {
        let (name, kind) = line.strip_prefix("# TYPE ")?.split_once(' ')?;
        Some((name.to_owned(), kind.to_owned()))
    });
    (kinds.collect(), text)
}

#[tokio::test]
async fn dashboard_and_alerts_speak_of_what_is_exported() {
    let (kinds, text) = scrape().await;
    let mut series = BTreeSet::new();
    for (name, kind) in &kinds {
        if kind == "histogram" {
            series.extend(SUFFIXES.map(|suffix| format!("{name}{suffix}")));
        } else {
            series.insert(name.clone());
        }
    }
    let dashboard: Json = serde_json::from_str(&file("ops/grafana/samplit.json")).unwrap();
    let mut asked = String::new();
    expressions(&dashboard, &mut asked);
    let alerts = file("ops/prometheus/alerts.yaml");
    for (source, text) in [("dashboard", &asked), ("alerts", &alerts)] {
        let unknown: Vec<_> = names(text)
            .into_iter()
            .filter(|name| !series.contains(name))
            .collect();
        assert!(
            unknown.is_empty(),
            "{source}: {unknown:?} in none of {series:?}"
        );
    }

    // All of it is shown, described and explained.
    let guide = names(&file("docs/OPERATING.md"));
    let shown = names(&asked);
    for (name, kind) in &kinds {
        assert!(
            text.contains(&format!("# HELP {name} ")),
            "{name} has no description"
        );
        assert!(guide.contains(name), "docs/OPERATING.md lacks {name}");
        let is_shown = if kind == "histogram" {
            SUFFIXES
                .iter()
                .any(|suffix| shown.contains(&format!("{name}{suffix}")))
        } else {
            shown.contains(name)
        };
        assert!(is_shown, "no panel shows {name}");
    }
    let exported: BTreeSet<_> = kinds.iter().map(|(name, _)| name.clone()).collect();
    let invented: Vec<_> = guide
        .iter()
        .filter(|name| {
            let is_crate = name.matches('_').count() == 1 && !exported.contains(*name);
            let is_known = exported.contains(*name) || series.contains(*name);
            !is_known && !is_crate
        })
        .collect();
    assert!(
        invented.is_empty(),
        "docs/OPERATING.md speaks of {invented:?}"
    );
}

#[tokio::test]
async fn what_was_sent_is_what_is_counted() {
    let (_, text) = scrape().await;
    for line in [
        "samplit_assign_seconds_count{outcome=\"new\"} 1",
        "samplit_assign_seconds_count{outcome=\"known\"} 1",
        "samplit_assign_seconds_count{outcome=\"bot\"} 1",
        "samplit_sticky_lookups_total{result=\"hit\"} 1",
        "samplit_sticky_lookups_total{result=\"miss\"} 1",
        "samplit_convert_seconds_count{outcome=\"counted\"} 1",
        "samplit_convert_seconds_count{outcome=\"duplicate\"} 1",
        "samplit_convert_seconds_count{outcome=\"not_assigned\"} 1",
        "samplit_http_refusals_total{code=\"not_assigned\"} 1",
        "samplit_http_refusals_total{code=\"invalid\"} 1",
        // One assign and three converts, as the second assign came from memory.
        "samplit_writer_queue_wait_seconds_count 4",
        "samplit_db_commit_seconds_count{transaction=\"write_batch\"} 4",
        "samplit_writer_queue_requests 0",
        "samplit_writer_refused_total 0",
        "samplit_db_breaker{state=\"closed\"} 1",
        "samplit_db_breaker{state=\"open\"} 0",
        "samplit_db_connections_limit 20",
        "samplit_experiments_in_memory 1",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "no `{line}` in\n{text}"
        );
    }
}

#[test]
fn every_alert_has_its_section_in_the_guide() {
    let (alerts, guide) = (
        file("ops/prometheus/alerts.yaml"),
        file("docs/OPERATING.md"),
    );
    let after = |prefix: &'static str| {
        let lines = alerts.lines().map(str::trim);
        lines.filter_map(move |line| line.strip_prefix(prefix))
    };
    let names: Vec<_> = after("- alert: ").collect();
    assert!(names.len() > 10);
    let sections: Vec<_> = guide
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .collect();
    for name in &names {
        assert!(
            sections.contains(name),
            "docs/OPERATING.md lacks `### {name}`"
        );
    }
    let links: Vec<_> = after("runbook_url: docs/OPERATING.md#").collect();
    let expected: Vec<_> = names.iter().map(|name| name.to_lowercase()).collect();
    assert_eq!(links, expected, "each alert leads to its own section");
}
