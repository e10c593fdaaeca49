//! A bundle taken apart, altered and written again: as somebody who has only the file could, or as
//! somebody who writes the database and holds the signing key.

use samplit_audit::checkpoint::sign;
use samplit_audit::{Checkpoint, DecisionType, Entry, Head, Payload, Signer, bundle};
use serde_json::Value;
use uuid::Uuid;

/// One line of a bundle between the header and the end.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Entry(Row),
    /// Signed anew whenever the trail is written.
    Checkpoint,
    /// Kept as it is.
    Abandoned(String),
}

/// What an entry says; numbers and hashes follow from where it stands.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) kind: DecisionType,
    pub(crate) us: i64,
    pub(crate) payload: Payload,
}

/// A trail without its hashes and signatures.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    pub(crate) experiment: Uuid,
    pub(crate) reveal: Option<String>,
    pub(crate) items: Vec<Item>,
}

/// The key of the golden bundles.
pub(crate) fn signer() -> Signer {
    Signer::from_seed("o.example", &[9; 32]).unwrap()
}

impl Trail {
    pub(crate) fn read(bundle: &[u8]) -> Self {
        let mut trail = Self {
            experiment: Uuid::nil(),
            reveal: None,
            items: Vec::new(),
        };
        for line in lines(bundle) {
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            match line["kind"].as_str().unwrap() {
                "bundle" => trail.experiment = text("experiment_id").parse().unwrap(),
                "reveal" => trail.reveal = Some(text("draw_key_hex")),
                "entry" => trail.items.push(Item::Entry(Row {
                    id: text("id").parse().unwrap(),
                    kind: text("decision_type").parse().unwrap(),
                    us: line["created_at_us"].as_i64().unwrap(),
                    payload: Payload::from_json(&line["decision_data"]).unwrap(),
                })),
                "checkpoint" => trail.items.push(Item::Checkpoint),
                "abandoned" => trail.items.push(Item::Abandoned(text("note"))),
                _ => {}
            }
        }
        trail
    }

    pub(crate) fn rows(&mut self) -> Vec<&mut Row> {
        let mut rows = Vec::new();
        for item in &mut self.items {
            if let Item::Entry(row) = item {
                rows.push(row);
            }
        }
        rows
    }

    /// The bundle, with every hash and every signature as it should be.
    pub(crate) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut head = Head::new(self.experiment);
        let mut origin = String::new();
        bundle::header(&mut out, self.experiment);
        if let Some(key) = &self.reveal {
            out.extend(format!("{{\"draw_key_hex\":\"{key}\",\"kind\":\"reveal\"}}\n").bytes());
        }
        for item in &self.items {
            match item {
                Item::Entry(row) => {
                    let entry: Entry = head.append(row.id, row.kind, row.us, row.payload.clone());
                    if let Some(named) = row.payload.to_json()["origin"].as_str() {
                        named.clone_into(&mut origin);
                    }
                    bundle::entry(&mut out, &entry.as_ref());
                }
                Item::Checkpoint => {
                    let checkpoint = Checkpoint {
                        // Without an origin nothing could be signed.
                        origin: if origin.is_empty() {
                            "none".into()
                        } else {
                            origin.clone()
                        },
                        size: head.size(),
                        root: head.root(),
                    };
                    let note = sign(&checkpoint, &[signer()]).unwrap();
                    bundle::checkpoint(&mut out, &note);
                }
                Item::Abandoned(note) => bundle::abandoned(&mut out, note),
            }
        }
        bundle::end(&mut out, head.size());
        out
    }
}

/// The lines of a bundle as values.
pub(crate) fn lines(bundle: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bundle).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines.collect()
}

/// Values as the lines of a bundle, in canonical form.
pub(crate) fn to_bundle(lines: &[Value]) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines {
        canonical(&mut out, line);
        out.push(b'\n');
    }
    out
}

/// The canonical form of any JSON, also of what no payload may hold.
fn canonical(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Object(fields) => {
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            out.push(b'{');
            for (index, key) in keys.into_iter().enumerate() {
                out.extend(if index > 0 { "," } else { "" }.bytes());
                out.extend(format!("\"{key}\":").bytes());
                canonical(out, &fields[key]);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                out.extend(if index > 0 { "," } else { "" }.bytes());
                canonical(out, item);
            }
            out.push(b']');
        }
        other => out.extend(other.to_string().bytes()),
    }
}
