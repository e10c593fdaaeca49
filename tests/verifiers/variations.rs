//! Bundles with one thing wrong: each column of each kind of entry, each line, each key of each
//! payload, and what somebody with the signing key could put together.

use samplit_audit::{DecisionType, Payload};
use serde_json::{Value, json};

use crate::trail::{Item, Trail, lines, to_bundle};

/// A bundle and what was done to it.
#[derive(Debug)]
pub(crate) struct Variation {
    pub(crate) what: String,
    pub(crate) bundle: Vec<u8>,
}

/// Everything this module knows to do to a bundle.
pub(crate) fn all(bundle: &[u8]) -> Vec<Variation> {
    let mut all = Vec::new();
    let mut add = |what: String, bundle| all.push(Variation { what, bundle });
    columns(bundle, &mut add);
    order(bundle, &mut add);
    spelling(bundle, &mut add);
    notes(bundle, &mut add);
    payloads(bundle, &mut add);
    forgeries(bundle, &mut add);
    all
}

/// The number of the first line of each kind of entry.
fn first_of_each_kind(lines: &[Value]) -> Vec<usize> {
    let at = |kind: &DecisionType| {
        lines
            .iter()
            .position(|l| l["decision_type"] == kind.as_str())
    };
    DecisionType::ALL.iter().filter_map(at).collect()
}

/// Each column of each kind of entry, altered in the row only.
fn columns(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let whole = lines(bundle);
    for at in first_of_each_kind(&whole) {
        let kind = whole[at]["decision_type"].clone();
        for column in [
            "created_at_us",
            "current_hash",
            "decision_type",
            "id",
            "previous_hash",
            "sequence_number",
        ] {
            let mut lines = whole.clone();
            lines[at][column] = altered(&lines[at][column]);
            if column == "decision_type" {
                lines[at][column] = if kind == "seal" { "redaction" } else { "seal" }.into();
            }
            add(format!("{column} of {kind} altered"), to_bundle(&lines));
            lines[at].as_object_mut().unwrap().remove(column);
            add(format!("{column} of {kind} removed"), to_bundle(&lines));
        }
        let mut lines = whole.clone();
        let key = lines[at]["decision_data"]
            .as_object()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        lines[at]["decision_data"][key.as_str()] =
            altered(&lines[at]["decision_data"][key.as_str()]);
        add(
            format!("decision_data of {kind} altered"),
            to_bundle(&lines),
        );
    }
}

/// Lines taken away, moved and doubled.
fn order(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let whole = lines(bundle);
    for at in 0..whole.len() {
        let mut lines = whole.clone();
        lines.remove(at);
        add(format!("line {} removed", at + 1), to_bundle(&lines));
        let mut lines = whole.clone();
        lines.insert(at, whole[at].clone());
        add(format!("line {} doubled", at + 1), to_bundle(&lines));
        if at > 0 {
            let mut lines = whole.clone();
            lines.swap(at, at - 1);
            add(
                format!("lines {at} and {} swapped", at + 1),
                to_bundle(&lines),
            );
        }
    }
    let mut lines = whole.clone();
    let end = lines.len() - 1;
    lines[end]["count"] = altered(&lines[end]["count"]);
    add("another count".into(), to_bundle(&lines));
    for key in ["alg", "experiment_id", "genesis", "version"] {
        let mut lines = whole.clone();
        lines[0][key] = altered(&lines[0][key]);
        add(format!("{key} of the header altered"), to_bundle(&lines));
    }
    // A tail cut so that the file looks whole. What is left is sound; it only ends earlier.
    let last = whole
        .iter()
        .rposition(|line| line["kind"] == "entry")
        .unwrap();
    let mut lines = whole[..last].to_vec();
    lines.push(
        json!({"kind": "end", "count": whole[last]["sequence_number"].as_u64().unwrap() - 1}),
    );
    add("the tail cut".into(), to_bundle(&lines));
    lines.retain(|line| line["kind"] != "reveal");
    add("the tail and the reveal cut".into(), to_bundle(&lines));
    lines.retain(|line| line["kind"] != "checkpoint");
    add("the tail and all checkpoints cut".into(), to_bundle(&lines));
    add("nothing at all".into(), Vec::new());
    add("a header only".into(), to_bundle(&whole[..1]));
    add(
        "a header and an end".into(),
        to_bundle(&[whole[0].clone(), json!({"kind": "end", "count": 0})]),
    );
}

/// The same values in another spelling, and values outside the profile.
fn spelling(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let text = std::str::from_utf8(bundle).unwrap();
    for (what, from, to) in [
        ("a space", ",\"kind\"", ", \"kind\""),
        ("a space at the end", "}\n", "} \n"),
        ("an empty line", "}\n", "}\n\n"),
        ("a key twice", "\"draw\":0", "\"draw\":0,\"draw\":0"),
        (
            "keys out of order",
            "\"arm\":1,\"draw\":0",
            "\"draw\":0,\"arm\":1",
        ),
        ("a real", "\"draw\":0", "\"draw\":0.0"),
        ("minus zero", "\"draw\":0", "\"draw\":-0"),
        ("an exponent", "\"draw\":0", "\"draw\":0e0"),
        ("a leading zero", "\"draw\":0", "\"draw\":00"),
        ("a null", "\"draw\":0", "\"draw\":null"),
        ("not a number", "\"draw\":0", "\"draw\":NaN"),
        ("2^53", "\"draw\":0", "\"draw\":9007199254740992"),
        (
            "a huge integer",
            "\"draw\":0",
            "\"draw\":123456789012345678901234567890",
        ),
        ("an upper-case key", "\"draw\":0", "\"Draw\":0"),
        (
            "the reserved key beside others",
            "\"draw\":0",
            "\"draw\":0,\"payload_sha256\":\"00\"",
        ),
        (
            "an escape that is not needed",
            "\"name\":\"",
            "\"name\":\"\\u0041",
        ),
        ("an escaped slash", "\"name\":\"", "\"name\":\"\\/"),
        ("a lone surrogate", "\"name\":\"", "\"name\":\"\\ud800"),
        ("U+0000", "\"name\":\"", "\"name\":\"\\u0000"),
        ("a raw control character", "\"name\":\"", "\"name\":\"\u{1}"),
        (
            "a quote and a backslash, rightly escaped",
            "\"name\":\"",
            "\"name\":\"\\\"\\\\\\u001f\u{7f}",
        ),
        (
            "upper-case digits",
            "\"decision_type\":\"assignment\",\"id\":\"0",
            "\"decision_type\":\"assignment\",\"id\":\"A",
        ),
        (
            "a text behind the end",
            "\"kind\":\"end\"}\n",
            "\"kind\":\"end\"}\n{}\n",
        ),
        (
            "an unknown line",
            "{\"kind\":\"checkpoint\"",
            "{\"kind\":\"comment\"",
        ),
        (
            "a key more in a line",
            "\"kind\":\"checkpoint\"",
            "\"kind\":\"checkpoint\",\"more\":1",
        ),
        (
            "no object",
            "{\"kind\":\"checkpoint\"",
            "[{\"kind\":\"checkpoint\"",
        ),
        (
            "a negative number",
            "\"sequence_number\":1}",
            "\"sequence_number\":-1}",
        ),
    ] {
        if text.contains(from) {
            add(what.into(), text.replacen(from, to, 1).into_bytes());
        }
    }
    let deep = format!("\"draw\":{}{}", "[".repeat(5000), "]".repeat(5000));
    add(
        "nested deeply".into(),
        text.replacen("\"draw\":0", &deep, 1).into_bytes(),
    );
    let nine = format!("\"draw\":{}{}", "[".repeat(8), "]".repeat(8));
    add(
        "nested one too deep".into(),
        text.replacen("\"draw\":0", &nine, 1).into_bytes(),
    );
    let long = format!("\"name\":\"{}", "x".repeat(16 * 1024));
    add(
        "a payload too long".into(),
        text.replacen("\"name\":\"", &long, 1).into_bytes(),
    );
    let longer = format!("\"name\":\"{}", "x".repeat(64 * 1024));
    add(
        "a line too long".into(),
        text.replacen("\"name\":\"", &longer, 1).into_bytes(),
    );
    let at = bundle.iter().position(|byte| *byte == b'\n').unwrap() + 3;
    for byte in [0, 0xff, 0x80, b'\\', b'\n', b'\r'] {
        let mut bytes = bundle.to_vec();
        bytes[at] = byte;
        add(format!("the byte {byte} somewhere"), bytes);
    }
}

/// Notes of checkpoints.
fn notes(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let whole = lines(bundle);
    for kind in ["checkpoint", "abandoned"] {
        let Some(at) = whole.iter().position(|line| line["kind"] == kind) else {
            continue;
        };
        let note = whole[at]["note"].as_str().unwrap();
        let mut parts = note.splitn(4, '\n');
        let [origin, size, root] = std::array::from_fn(|_| parts.next().unwrap());
        let signature = note.rsplit_once(' ').unwrap().1.trim_end();
        let mut bits = signature.to_owned();
        bits.replace_range(20..21, if &bits[20..21] == "A" { "B" } else { "A" });
        let other_root = format!(
            "{}{}",
            if root.starts_with('A') { "B" } else { "A" },
            &root[1..]
        );
        for (what, altered) in [
            ("another origin", note.replacen(origin, "p.example", 1)),
            (
                "another size",
                note.replacen(&format!("\n{size}\n"), "\n2\n", 1),
            ),
            (
                "a huge size",
                note.replacen(&format!("\n{size}\n"), "\n18446744073709551616\n", 1),
            ),
            (
                "a size with a zero",
                note.replacen(&format!("\n{size}\n"), &format!("\n0{size}\n"), 1),
            ),
            ("another root", note.replacen(root, &other_root, 1)),
            (
                "a root in another spelling",
                note.replacen(&root[42..], "B=", 1),
            ),
            ("another signature", note.replacen(signature, &bits, 1)),
            (
                "a signature that is not base64",
                note.replacen(signature, "*", 1),
            ),
            ("a short signature", note.replacen(signature, "AAAAAAAA", 1)),
            (
                "another key",
                note.replacen("\u{2014} o.example", "\u{2014} p.example", 1),
            ),
            (
                "no signature",
                format!("{}\n\n", note.split("\n\n").next().unwrap()),
            ),
            ("no line feed", note.trim_end().to_owned()),
            ("a control character", note.replacen('o', "\u{7}", 1)),
            (
                "an extension line",
                note.replacen("\n\n", "\nextension\n\n", 1),
            ),
            ("no note", String::new()),
        ] {
            let mut lines = whole.clone();
            lines[at]["note"] = altered.into();
            add(format!("{kind}: {what}"), to_bundle(&lines));
        }
    }
}

/// Each value in the first payload of each kind, altered and removed, and all hashes and signatures
/// made right again.
fn payloads(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let whole = Trail::read(bundle);
    for kind in DecisionType::ALL {
        let Some(at) = whole
            .clone()
            .rows()
            .iter()
            .position(|row| row.kind == kind && !row.payload.is_redacted())
        else {
            continue;
        };
        let payload = whole.clone().rows()[at].payload.to_json();
        let mut paths = Vec::new();
        collect(&payload, "", &mut paths);
        let mut forge = |what: String, payload: &Value| {
            if let Ok(payload) = Payload::from_json(payload) {
                let mut trail = whole.clone();
                trail.rows()[at].payload = payload;
                add(format!("{kind}, rightly hashed: {what}"), trail.write());
            }
        };
        for path in paths {
            let mut other = payload.clone();
            let value = other.pointer_mut(&path).unwrap();
            *value = altered(value);
            forge(format!("{path} altered"), &other);
            let (parent, key) = path.rsplit_once('/').unwrap();
            let mut other = payload.clone();
            match other.pointer_mut(parent).unwrap() {
                Value::Object(fields) => drop(fields.remove(key)),
                Value::Array(items) => drop(items.remove(key.parse().unwrap())),
                _ => {}
            }
            forge(format!("{path} removed"), &other);
        }
        let mut other = payload.clone();
        other["zzz"] = 1.into();
        forge("one key more".into(), &other);
        forge("empty".into(), &json!({}));
        for (key, value) in [
            ("arm", 70_000_u64),
            ("floor_ppb", 5_000_000_000),
            ("incarnation", 1 << 40),
            ("sequence", 1),
            ("upto_seq", 1),
            ("upto_seq", 1 << 40),
            ("snapshot_seq", 2),
            ("assignment_seq", 0),
        ] {
            if payload.get(key).is_some() {
                let mut other = payload.clone();
                other[key] = value.into();
                forge(format!("{key} {value}"), &other);
            }
        }
        for bits in [
            "7ff0000000000000",
            "bff0000000000000",
            "8000000000000000",
            "4059000000000000",
        ] {
            let at = |path: &&&str| payload.pointer(path).is_some();
            for path in [
                "/value_f64",
                "/prior/alpha_f64",
                "/arms/0/p_best_f64",
                "/arms/0/alpha_f64",
            ]
            .iter()
            .filter(at)
            {
                let mut other = payload.clone();
                *other.pointer_mut(path).unwrap() = bits.into();
                forge(format!("{path} {bits}"), &other);
            }
        }
    }
}

/// Trails whose every hash and signature is right, and whose decisions are not, or are hidden.
fn forgeries(bundle: &[u8], add: &mut impl FnMut(String, Vec<u8>)) {
    let whole = Trail::read(bundle);
    add("written again as it was".into(), whole.write());
    for at in 0..whole.items.len() {
        let mut trail = whole.clone();
        trail.items.remove(at);
        add(format!("item {at} left out, rightly hashed"), trail.write());
        let mut trail = whole.clone();
        if let Item::Entry(row) = &mut trail.items[at] {
            row.payload = row.payload.redacted();
            add(
                format!("item {at} hidden without a redaction"),
                trail.write(),
            );
            let mut trail = whole.clone();
            trail.items.insert(at, whole.items[at].clone());
            add(format!("item {at} twice, rightly hashed"), trail.write());
        }
        if at > 0 {
            let mut trail = whole.clone();
            trail.items.swap(at, at - 1);
            add(
                format!("items {} and {at} swapped, rightly hashed", at - 1),
                trail.write(),
            );
        }
    }
    let count = whole.clone().rows().len();
    for at in [1, count / 2, count - 1] {
        let mut trail = whole.clone();
        trail.rows()[at].us -= 1_000_000;
        add(
            format!("entry {} earlier, rightly hashed", at + 1),
            trail.write(),
        );
    }
    let mut trail = whole.clone();
    for row in trail.rows().iter_mut().skip(count / 2) {
        row.us += 3_600_000_000;
    }
    add("weights an hour old".into(), trail.write());
    let mut trail = whole.clone();
    let key = trail.reveal.get_or_insert_with(|| "00".repeat(32));
    key.replace_range(..1, "f");
    add("another draw key revealed".into(), trail.write());
    let mut trail = whole.clone();
    trail.reveal = whole.reveal.is_none().then(|| "00".repeat(32));
    add("a reveal line too few or too many".into(), trail.write());
    // A suffix rewritten by somebody without the signing key: the old notes stay.
    let mut trail = whole.clone();
    for row in trail.rows().iter_mut().skip(count / 2) {
        row.us += 1;
    }
    let mut rewritten = lines(&trail.write());
    let old = lines(bundle);
    let mut old = old.iter().filter(|line| line["kind"] == "checkpoint");
    for line in rewritten
        .iter_mut()
        .filter(|line| line["kind"] == "checkpoint")
    {
        *line = old.next().unwrap().clone();
    }
    add(
        "a suffix rewritten without the signing key".into(),
        to_bundle(&rewritten),
    );
}

/// Pointers to all values inside.
fn collect(value: &Value, path: &str, into: &mut Vec<String>) {
    let inside: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), value))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(i, value)| (i.to_string(), value))
            .collect(),
        _ => Vec::new(),
    };
    for (key, value) in inside {
        let path = format!("{path}/{key}");
        into.push(path.clone());
        collect(value, &path, into);
    }
}

/// Another value of the same type.
fn altered(value: &Value) -> Value {
    match value {
        Value::Number(number) => (number.as_i64().unwrap() + 1).into(),
        Value::Bool(truth) => (!truth).into(),
        Value::String(text) => {
            // The first sign: our own verifier tells visitors apart by the first half of their pseudonyms.
            let rest: String = text.chars().skip(1).collect();
            let first = if text.starts_with('0') { '1' } else { '0' };
            format!("{first}{rest}").into()
        }
        Value::Array(items) => {
            let mut items = items.clone();
            items.reverse();
            items.extend(items.first().cloned());
            items.into()
        }
        Value::Object(_) | Value::Null => 1.into(),
    }
}
