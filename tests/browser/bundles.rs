//! Bundles to verify: the golden ones, and every way in which one of them is tampered with.

use std::str;

use samplit_audit::{
    Failure, Head, Options, Payload, Report, VerifyingKey,
    bundle::{self, verify},
};
use serde_json::Value as Json;
use uuid::Uuid;

/// A trail with some of everything, sealed and signed.
pub(crate) const COMPLETE: &str =
    include_str!("../../crates/samplit-audit/tests/golden/complete.ndjson");
/// A smaller one, signed by one key.
pub(crate) const SINGLE: &str =
    include_str!("../../crates/samplit-audit/tests/golden/single.ndjson");
/// Golden bundles of every mode.
pub(crate) const GOLDEN: [&str; 4] = [
    COMPLETE,
    SINGLE,
    include_str!("../../crates/samplit-audit/tests/golden/independent.ndjson"),
    include_str!("../../crates/samplit-audit/tests/golden/factorial.ndjson"),
];
/// Verifier keys, one on each line.
pub(crate) const KEYS: &str = include_str!("../../crates/samplit-audit/tests/golden/keys.txt");

/// The key that signed every golden bundle.
pub(crate) fn pinned() -> &'static str {
    KEYS.lines().next().expect("a key")
}

/// What the verifier in Rust says, weights taken as they are.
pub(crate) fn verdict(bundle: &[u8], keys: &str) -> Result<Report, Failure> {
    let keys: Result<Vec<VerifyingKey>, _> = keys.lines().map(str::parse).collect();
    let options = Options {
        keys: keys.expect("keys"),
        replay: true,
        ..Options::default()
    };
    verify(bundle, options)
}

/// The bundle with another line `number`, counted from 0.
pub(crate) fn with_line(bundle: &str, number: usize, line: &str) -> String {
    let mut lines: Vec<&str> = bundle.lines().collect();
    lines[number] = line;
    lines.join("\n") + "\n"
}

/// The number of the line of an entry, counted from 0.
pub(crate) fn line_of(bundle: &str, sequence: u64) -> usize {
    let end = format!("\"sequence_number\":{sequence}}}");
    let found = bundle.lines().position(|line| line.ends_with(&end));
    found.expect("such an entry")
}

/// The bundle with `change` made to the payload of an entry and every hash behind it made right
/// again, as whoever can write the database could; there are no checkpoints then.
pub(crate) fn forged(bundle: &str, sequence: u64, change: impl FnOnce(&mut Json)) -> String {
    let mut out = Vec::new();
    let mut head = None;
    let mut change = Some(change);
    for line in bundle.lines() {
        let mut json: Json = serde_json::from_str(line).expect("a line of JSON");
        match json["kind"].as_str() {
            Some("bundle") => {
                let id: Uuid = text(&json["experiment_id"]).parse().expect("a UUID");
                bundle::header(&mut out, id);
                head = Some(Head::new(id));
            }
            Some("entry") => {
                let head: &mut Head = head.as_mut().expect("the header comes first");
                if json["sequence_number"] == sequence {
                    change.take().expect("once")(&mut json["decision_data"]);
                }
                let Ok(payload) = Payload::from_json(&json["decision_data"]) else {
                    return bundle.to_owned();
                };
                let entry = head.append(
                    text(&json["id"]).parse().expect("a UUID"),
                    text(&json["decision_type"]).parse().expect("a type"),
                    json["created_at_us"].as_i64().expect("a time"),
                    payload,
                );
                bundle::entry(&mut out, &entry.as_ref());
            }
            Some("checkpoint" | "abandoned") => {}
            _ => out.extend_from_slice(format!("{line}\n").as_bytes()),
        }
    }
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn text(json: &Json) -> &str {
    json.as_str().expect("a string")
}

/// Bundles with one line deleted, doubled or swapped with the next.
pub(crate) fn rearranged(bundle: &str) -> Vec<String> {
    let lines: Vec<&str> = bundle.lines().collect();
    let mut all = Vec::new();
    for at in 0..lines.len() {
        let mut deleted = lines.clone();
        deleted.remove(at);
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at]);
        let mut swapped = lines.clone();
        swapped.swap(at, (at + 1) % lines.len());
        let cut = lines[..at].to_vec();
        for lines in [deleted, doubled, swapped, cut] {
            all.push(lines.into_iter().flat_map(|line| [line, "\n"]).collect());
        }
    }
    all
}

/// Bundles at the edges of the format: of lines, and of what a payload may hold.
pub(crate) fn odd(bundle: &str) -> Vec<String> {
    let line = line_of(bundle, 7);
    let row = bundle.lines().nth(line).expect("a line");
    let values = [
        "[[[[[[[1]]]]]]]",
        "[[[[[[[[1]]]]]]]]",
        "{\"a\":{},\"b\":[]}",
        "{\"b\":1,\"a\":1}",
        "{\"a\":1,\"a\":1}",
        "{\"A\":1}",
        "{\"payload_sha256\":1}",
        "9007199254740991",
        "-9007199254740991",
        "9007199254740992",
        "99999999999999999999",
        "-0",
        "01",
        "1.5",
        "null",
        "false",
        "\"\\u0001\"",
        "\"\\u0008\"",
        "\"\\u001F\"",
        "\"\\u0000\"",
        "\"\\/\"",
        "\"\\n\u{fffd}\u{feff}\"",
        "\"\u{1}\"",
    ];
    let mut members: Vec<String> = values.map(|value| format!("\"aaa\":{value},")).into();
    for length in [16_100, 16_200, 16_300, 17_300, 17_400, 20_000] {
        members.push(format!("\"aaa\":\"{}\",", "x".repeat(length)));
    }
    for length in [64, 65] {
        members.push(format!("\"{}\":1,", "a".repeat(length)));
    }
    let mut all: Vec<String> = members
        .iter()
        .map(|member| {
            let payload = format!("\"decision_data\":{{{member}");
            with_line(
                bundle,
                line,
                &row.replacen("\"decision_data\":{", &payload, 1),
            )
        })
        .collect();
    all.extend([
        String::new(),
        "\n".to_owned(),
        bundle.replace('\n', "\r\n"),
        bundle.trim_end().to_owned(),
        format!("\u{feff}{bundle}"),
        format!("{bundle}\n"),
        "x".repeat(100_000),
    ]);
    all
}

/// Bundles in which one value of one payload is another one, with all hashes right.
pub(crate) fn forgeries(bundle: &str) -> Vec<String> {
    let mut all = Vec::new();
    let entries = bundle
        .lines()
        .filter(|line| line.starts_with("{\"created_at_us\""));
    for (sequence, line) in (1..).zip(entries) {
        let json: Json = serde_json::from_str(line).expect("a line of JSON");
        for place in places(&json["decision_data"], "") {
            for by in [1, -1] {
                let change = |payload: &mut Json| {
                    alter(payload.pointer_mut(&place).expect("a place"), by);
                };
                all.push(forged(bundle, sequence, change));
            }
        }
    }
    all
}

/// The pointers of all values that hold no others.
fn places(json: &Json, at: &str) -> Vec<String> {
    match json {
        Json::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| places(value, &format!("{at}/{key}")))
            .collect(),
        Json::Array(items) => (0..)
            .zip(items)
            .flat_map(|(index, value): (usize, _)| places(value, &format!("{at}/{index}")))
            .collect(),
        _ => vec![at.to_owned()],
    }
}

fn alter(value: &mut Json, by: i64) {
    *value = match value {
        Json::Number(number) => (number.as_i64().expect("an integer") + by).into(),
        Json::Bool(truth) => (!*truth).into(),
        Json::String(text) => {
            let last = text.pop();
            let other = if last == Some('0') { '1' } else { '0' };
            if by > 0 {
                text.push(other);
            }
            std::mem::take(text).into()
        }
        Json::Null | Json::Array(_) | Json::Object(_) => unreachable!("no such value here"),
    };
}
