//! What can be done to a bundle, and what a verifier must say to it.
//!
//! The variations work on any sealed bundle that holds a bit of everything, `complete.ndjson` above
//! all. They are made from the lines, the way somebody with the file or the database would.

use samplit_audit::{
    Checkpoint, Entry, FailureKind, Head, Payload, SignedCheckpoint, Signer, bundle, checkpoint,
};

/// How far the forger covers the tracks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repair {
    /// Not at all.
    Nothing,
    /// All hashes behind the edit are made right, as whoever writes the database can.
    Chain,
    /// And the checkpoints are signed again, as only the operator can.
    Signed,
}
use Repair::{Chain, Nothing, Signed};

/// One way to tamper with a bundle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tampering {
    pub(crate) name: &'static str,
    /// What a verifier with pinned keys and replay must find.
    pub(crate) expected: FailureKind,
    pub(crate) repair: Repair,
    edit: fn(&mut Lines) -> Option<()>,
}

impl Tampering {
    /// The tampered bundle, or nothing if the bundle does not hold what would be altered.
    pub(crate) fn apply(&self, bundle: &[u8], signers: &[Signer]) -> Option<Vec<u8>> {
        let mut lines = Lines::read(bundle);
        (self.edit)(&mut lines)?;
        if self.repair != Nothing {
            lines.repair((self.repair == Signed).then_some(signers));
        }
        Some(lines.bytes())
    }
}

/// Every way to tamper that is tried.
pub(crate) fn table() -> Vec<Tampering> {
    use FailureKind::{Integrity, Malformed, Replay, Signature};
    let row = |name, expected, repair, edit| Tampering {
        name,
        expected,
        repair,
        edit,
    };
    vec![
        row("arm-edited", Integrity, Nothing, |l| l.other_arm()),
        row("value-edited-and-rechained", Integrity, Chain, |l| {
            let at = l.nth("conversion", 0)?;
            l.flip_digit(at, "\"value_f64\":\"", 5)
        }),
        row("entry-removed", Integrity, Nothing, |l| {
            l.remove(l.nth("assignment", 2)?);
            Some(())
        }),
        row("entry-doubled", Integrity, Nothing, |l| {
            let at = l.nth("assignment", 2)?;
            l.0.insert(at, l.0[at].clone());
            Some(())
        }),
        row("entries-swapped", Integrity, Nothing, |l| {
            let at = l.nth("assignment", 1)?;
            l.0.swap(at, at + 1);
            Some(())
        }),
        row("genesis-removed", Integrity, Nothing, |l| {
            l.remove(l.nth("genesis", 0)?);
            Some(())
        }),
        row("last-entry-cut", Integrity, Nothing, |l| {
            l.remove(l.nth("seal", 0)?);
            let reveal = l.line("\"kind\":\"reveal\"", 0)?;
            l.remove(reveal);
            l.recount();
            Some(())
        }),
        row("count-too-large", Integrity, Nothing, |l| {
            let count = l.entries() + 1;
            l.set_count(count);
            Some(())
        }),
        row("id-edited", Integrity, Nothing, |l| {
            let at = l.nth("conversion", 0)?;
            l.flip_digit(at, "\"id\":\"", 0)
        }),
        row("time-edited", Integrity, Nothing, |l| {
            let at = l.nth("conversion", 0)?;
            l.set(at, "{\"created_at_us\":1", "{\"created_at_us\":2")
        }),
        row("time-goes-back", Integrity, Signed, |l| {
            let at = l.nth("conversion", 0)?;
            l.set(at, "{\"created_at_us\":1", "{\"created_at_us\":")
        }),
        row("type-edited", Integrity, Nothing, |l| {
            let at = l.nth("conversion", 0)?;
            l.set(at, "\"conversion\"", "\"assignment\"")
        }),
        row("redacted-without-notice", Integrity, Nothing, |l| {
            let at = l.nth("assignment", 5)?;
            l.stub(at);
            Some(())
        }),
        row("redaction-of-another-entry", Integrity, Signed, |l| {
            let at = l.nth("redaction", 0)?;
            l.set(at, "\"sequence\":", "\"sequence\":1")
        }),
        row("genesis-redacted", Integrity, Nothing, |l| {
            let at = l.nth("genesis", 0)?;
            l.stub(at);
            Some(())
        }),
        row("second-genesis", Integrity, Signed, |l| {
            let at = l.nth("assignment", 3)?;
            l.set(at, "\"assignment\"", "\"genesis\"")
        }),
        row("checkpoint-of-another-history", Integrity, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 1)?;
            let note = l.note(at);
            let checkpoint = Checkpoint {
                root: samplit_audit::Hash::of(b"another history"),
                ..note.checkpoint().clone()
            };
            let signatures = l.0[at].split_once("\\n\\n").expect("signatures").1;
            let text = checkpoint_line(&checkpoint.text());
            let text = text.strip_suffix("\"}").expect("a note");
            l.0[at] = format!("{text}\\n{signatures}");
            Some(())
        }),
        row("checkpoint-of-another-trail", Integrity, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 1)?;
            l.set(at, "\"note\":\"", "\"note\":\"x")
        }),
        row("restore-skips-an-incarnation", Integrity, Signed, |l| {
            let at = l.nth("restore", 0)?;
            l.set(at, "{\"incarnation\":2", "{\"incarnation\":3")
        }),
        row("restore-gives-up-another-size", Integrity, Signed, |l| {
            let at = l.nth("restore", 0)?;
            l.set(at, "\"size\":", "\"size\":1")
        }),
        row("abandoned-without-restore", Integrity, Nothing, |l| {
            let abandoned = l.line("\"kind\":\"abandoned\"", 0)?;
            let line = l.remove(abandoned);
            let at = l.nth("assignment", 3)?;
            l.0.insert(at, line);
            Some(())
        }),
        row("signature-altered", Signature, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 0)?;
            l.alter_signatures(at);
            Some(())
        }),
        row("abandoned-signature-altered", Signature, Nothing, |l| {
            let at = l.line("\"kind\":\"abandoned\"", 0)?;
            l.alter_signatures(at);
            Some(())
        }),
        row("signed-by-a-stranger", Signature, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 0)?;
            let note = l.note(at);
            let stranger = Signer::from_seed("stranger", &[3; 32]).expect("a name");
            let note = checkpoint::sign(note.checkpoint(), &[stranger]).expect("an origin");
            l.0[at] = checkpoint_line(&note);
            Some(())
        }),
        row("checkpoints-removed", Signature, Nothing, |l| {
            l.0.retain(|line| !line.contains("\"kind\":\"checkpoint\""));
            Some(())
        }),
        row("wrong-arm", Replay, Signed, |l| l.other_arm()),
        row("wrong-draw", Replay, Signed, |l| {
            let at = l.nth("assignment", 0)?;
            l.flip_digit(at, "\"u64_hex\":\"", 15)
        }),
        row("wrong-scale", Replay, Signed, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"r_ppb\":", "\"r_ppb\":1")
        }),
        row("snapshot-that-is-none", Replay, Signed, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"snapshot_seq\":1", "\"snapshot_seq\":2")
        }),
        row("assigned-twice", Replay, Signed, |l| {
            let at = l.nth("assignment", 1)?;
            l.0.insert(at + 1, l.0[at].clone());
            l.recount();
            Some(())
        }),
        row("conversion-of-a-stranger", Replay, Signed, |l| {
            let at = l.last("conversion")?;
            l.flip_digit(at, "\"visitor\":\"", 0)
        }),
        row("conversion-of-a-near-stranger", Replay, Signed, |l| {
            // Another last digit: a part of the pseudonym is still that of the visitor.
            let at = l.last("conversion")?;
            l.flip_digit(at, "\"visitor\":\"", 63)
        }),
        row("converted-twice", Replay, Signed, |l| {
            let at = l.last("conversion")?;
            l.0.insert(at + 1, l.0[at].clone());
            l.recount();
            Some(())
        }),
        row("conversion-of-another-arm", Replay, Signed, |l| {
            let at = l.last("conversion")?;
            l.next_arm(at)
        }),
        row("conversion-names-another-entry", Replay, Signed, |l| {
            let at = l.last("conversion")?;
            l.set(at, "\"assignment_seq\":", "\"assignment_seq\":1")
        }),
        row("counts-too-large", Replay, Signed, |l| {
            let at = l.nth("reallocation", 0)?;
            l.set(at, "\"n\":", "\"n\":1")
        }),
        row("counts-up-to-a-later-entry", Replay, Signed, |l| {
            let at = l.nth("reallocation", 0)?;
            l.set(at, "\"upto_seq\":", "\"upto_seq\":1")
        }),
        row("posterior-of-other-counts", Replay, Signed, |l| {
            let at = l.nth("reallocation", 0)?;
            l.flip_digit(at, "\"alpha_f64\":\"", 3)
        }),
        row("weights-of-another-rule", Replay, Signed, |l| {
            let at = l.nth("reallocation", 0)?;
            l.move_weight(at);
            Some(())
        }),
        row("another-draw-key", Replay, Nothing, |l| {
            let at = l.line("\"kind\":\"reveal\"", 0)?;
            l.flip_digit(at, "\"draw_key_hex\":\"", 0)
        }),
        row("another-commitment", Replay, Signed, |l| {
            let at = l.nth("genesis", 0)?;
            l.flip_digit(at, "\"draw_key_commitment\":\"", 0)
        }),
        row("seal-of-other-counts", Replay, Signed, |l| {
            let at = l.nth("seal", 0)?;
            l.set(at, "\"n\":", "\"n\":1")
        }),
        row("decided-after-the-seal", Replay, Signed, |l| {
            let decided = l.last("assignment")?;
            let seal = l.nth("seal", 0)?;
            let mut line = l.0[decided].clone();
            let time = |line: &str| line.find(',');
            line.replace_range(..time(&line)?, &l.0[seal][..time(&l.0[seal])?]);
            l.0.insert(seal + 1, line);
            l.recount();
            Some(())
        }),
        row("reveal-removed", Malformed, Nothing, |l| {
            let reveal = l.line("\"kind\":\"reveal\"", 0)?;
            l.remove(reveal);
            Some(())
        }),
        row("end-removed", Malformed, Nothing, |l| {
            l.remove(l.0.len() - 1);
            Some(())
        }),
        row("something-after-the-end", Malformed, Nothing, |l| {
            let end = l.0.len() - 1;
            l.0.push(l.0[end].clone());
            Some(())
        }),
        row("header-removed", Malformed, Nothing, |l| {
            l.remove(0);
            Some(())
        }),
        row("header-of-another-version", Malformed, Nothing, |l| {
            l.set(0, "\"version\":1", "\"version\":2")
        }),
        row("header-of-another-genesis", Malformed, Nothing, |l| {
            l.flip_digit(0, "\"genesis\":\"", 0)
        }),
        row("byte-order-mark", Malformed, Nothing, |l| {
            l.0[0].insert(0, '\u{feff}');
            Some(())
        }),
        row("empty-line", Malformed, Nothing, |l| {
            l.0.insert(3, String::new());
            Some(())
        }),
        row("carriage-return", Malformed, Nothing, |l| {
            l.0[3].push('\r');
            Some(())
        }),
        row("space", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"arm\":", "\"arm\": ")
        }),
        row("keys-out-of-order", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"draw\":0,", "");
            l.set(at, "{\"arm\"", "{\"draw\":0,\"arm\"")
        }),
        row("key-doubled", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"draw\":0,", "\"draw\":0,\"draw\":0,")
        }),
        row("number-with-a-fraction", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"draw\":0", "\"draw\":0.0")
        }),
        row("null", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"draw\":0", "\"draw\":null")
        }),
        row("integer-too-large", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"draw\":0", "\"draw\":9007199254740992")
        }),
        row("upper-case-digits", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            let (key, value) = l.0[at].split_once("\"visitor\":\"").expect("a visitor");
            l.0[at] = format!("{key}\"visitor\":\"{}", value.to_uppercase());
            Some(())
        }),
        row("needless-escape", Malformed, Nothing, |l| {
            let at = l.nth("genesis", 0)?;
            l.set(at, "\"mode\":\"s", "\"mode\":\"\\u0073")
        }),
        row("unknown-decision-type", Malformed, Nothing, |l| {
            let at = l.nth("assignment", 0)?;
            l.set(at, "\"assignment\"", "\"guess\"")
        }),
        row("stub-with-a-second-key", Malformed, Nothing, |l| {
            let at = l.line("{\"payload_sha256\":", 0)?;
            l.set(at, "{\"payload_sha256\":", "{\"a\":1,\"payload_sha256\":")
        }),
        row(
            "key-that-the-payload-does-not-have",
            Malformed,
            Signed,
            |l| {
                let at = l.nth("assignment", 0)?;
                l.set(at, "{\"arm\":", "{\"aim\":1,\"arm\":")
            },
        ),
        row("checkpoint-behind-its-place", Malformed, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 0)?;
            l.0.swap(at, at + 1);
            Some(())
        }),
        row("note-without-signatures", Malformed, Nothing, |l| {
            let at = l.line("\"kind\":\"checkpoint\"", 0)?;
            let note = l.note(at);
            l.0[at] = checkpoint_line(&note.checkpoint().text());
            Some(())
        }),
    ]
}

/// The lines of a bundle, without their line feeds.
pub(crate) struct Lines(Vec<String>);

impl Lines {
    fn read(bundle: &[u8]) -> Self {
        let text = std::str::from_utf8(bundle).expect("UTF-8");
        Self(text.lines().map(str::to_owned).collect())
    }

    fn bytes(self) -> Vec<u8> {
        (self.0.join("\n") + "\n").into_bytes()
    }

    /// Index of the line that holds `part`, the first being number 0.
    fn line(&self, part: &str, number: usize) -> Option<usize> {
        let found = |line: &String| line.contains(part);
        let mut lines = (0..).zip(&self.0).filter(|(_, line)| found(line));
        lines.nth(number).map(|(index, _)| index)
    }

    /// Index of the entry line of a decision whose payload is there.
    fn nth(&self, kind: &str, number: usize) -> Option<usize> {
        self.of_kind(kind).nth(number)
    }

    fn last(&self, kind: &str) -> Option<usize> {
        self.of_kind(kind).last()
    }

    fn of_kind(&self, kind: &str) -> impl Iterator<Item = usize> {
        let part = format!("\"decision_type\":\"{kind}\"");
        let there = |line: &&String| line.contains(&part) && !line.contains("payload_sha256");
        let lines: Vec<_> = (0..).zip(&self.0).filter(|(_, line)| there(line)).collect();
        lines.into_iter().map(|(index, _)| index)
    }

    fn set(&mut self, at: usize, from: &str, to: &str) -> Option<()> {
        let place = self.0[at].find(from)?;
        self.0[at].replace_range(place..place + from.len(), to);
        Some(())
    }

    fn remove(&mut self, at: usize) -> String {
        self.0.remove(at)
    }

    /// Another hexadecimal digit, so many behind `key`.
    fn flip_digit(&mut self, at: usize, key: &str, offset: usize) -> Option<()> {
        let line = &mut self.0[at];
        let place = line.find(key)? + key.len() + offset;
        let other = if line[place..].starts_with('0') {
            "1"
        } else {
            "0"
        };
        line.replace_range(place..=place, other);
        Some(())
    }

    /// The first assignment goes to another arm.
    fn other_arm(&mut self) -> Option<()> {
        self.next_arm(self.nth("assignment", 0)?)
    }

    fn next_arm(&mut self, at: usize) -> Option<()> {
        self.flip_digit(at, "{\"arm\":", 0)
    }

    /// The payload of an entry becomes its stub.
    fn stub(&mut self, at: usize) {
        let entry = entry(&self.0[at]);
        let stub = entry.payload.redacted();
        self.0[at] = self.0[at].replacen(entry.payload.as_str(), stub.as_str(), 1);
    }

    /// A hundredth of a percent goes from the first arm to the second.
    fn move_weight(&mut self, at: usize) {
        let key = "\"weights_ppb\":[";
        let start = self.0[at].rfind(key).expect("weights") + key.len();
        let length = self.0[at][start..].find(']').expect("an array");
        let list = &self.0[at][start..start + length];
        let mut weights: Vec<u32> = list
            .split(',')
            .map(|weight| weight.parse().expect("a weight"))
            .collect();
        weights[0] -= 100_000;
        weights[1] += 100_000;
        let list: Vec<String> = weights.iter().map(u32::to_string).collect();
        self.0[at].replace_range(start..start + length, &list.join(","));
    }

    fn note(&self, at: usize) -> SignedCheckpoint {
        let line: serde_json::Value = serde_json::from_str(&self.0[at]).expect("JSON");
        SignedCheckpoint::parse(line["note"].as_str().expect("a note")).expect("a note")
    }

    /// The middle of every signature changes.
    fn alter_signatures(&mut self, at: usize) {
        let parts: Vec<String> = self.0[at]
            .split("\u{2014} ")
            .enumerate()
            .map(|(number, part)| {
                let mut part = part.to_owned();
                if number > 0 {
                    let place = part.find(' ').expect("a signature") + 41;
                    let other = if part[place..].starts_with('A') {
                        "B"
                    } else {
                        "A"
                    };
                    part.replace_range(place..=place, other);
                }
                part
            })
            .collect();
        self.0[at] = parts.join("\u{2014} ");
    }

    fn entries(&self) -> usize {
        let is_entry = |line: &&String| line.contains("\"kind\":\"entry\"");
        self.0.iter().filter(is_entry).count()
    }

    fn recount(&mut self) {
        self.set_count(self.entries());
    }

    fn set_count(&mut self, count: usize) {
        let end = self.0.len() - 1;
        self.0[end] = format!("{{\"count\":{count},\"kind\":\"end\"}}");
    }

    /// Numbers and chains the entries anew; with signers, signs the checkpoints anew too.
    fn repair(&mut self, signers: Option<&[Signer]>) {
        let mut head: Option<Head> = None;
        for at in 0..self.0.len() {
            let line = &self.0[at];
            if line.contains("\"kind\":\"entry\"") {
                let header: serde_json::Value = serde_json::from_str(&self.0[0]).expect("JSON");
                let id = header["experiment_id"].as_str().expect("an id");
                let head = head.get_or_insert_with(|| Head::new(id.parse().expect("an id")));
                self.0[at] = chained(head, &entry(line));
            } else if line.contains("\"kind\":\"checkpoint\"")
                && let (Some(signers), Some(head)) = (signers, &head)
            {
                let checkpoint = Checkpoint {
                    size: head.size(),
                    root: head.root(),
                    ..self.note(at).checkpoint().clone()
                };
                let note = checkpoint::sign(&checkpoint, signers).expect("an origin");
                self.0[at] = checkpoint_line(&note);
            }
        }
    }
}

/// The entry of a line, as far as the line says; hashes are not checked.
fn entry(line: &str) -> Entry {
    let fields: serde_json::Value = serde_json::from_str(line).expect("JSON");
    let text = |key: &str| fields[key].as_str().expect("text");
    Entry {
        experiment_id: uuid::Uuid::nil(),
        sequence_number: fields["sequence_number"].as_u64().expect("a number"),
        previous_hash: text("previous_hash").parse().expect("a hash"),
        id: text("id").parse().expect("an id"),
        decision_type: text("decision_type").parse().expect("a word"),
        created_at_us: fields["created_at_us"].as_i64().expect("a number"),
        payload: Payload::from_json(&fields["decision_data"]).expect("of the profile"),
        current_hash: text("current_hash").parse().expect("a hash"),
    }
}

/// The line of an entry appended as it says, its time included, though time may go back.
fn chained(head: &mut Head, entry: &Entry) -> String {
    let (size, frontier) = (head.size(), head.frontier_bytes());
    *head = Head::from_parts(head.experiment_id(), size, head.hash(), i64::MIN, &frontier)
        .expect("its own parts");
    let appended = head.append(
        entry.id,
        entry.decision_type,
        entry.created_at_us,
        entry.payload.clone(),
    );
    let mut line = Vec::new();
    bundle::entry(&mut line, &appended.as_ref());
    trimmed(line)
}

fn checkpoint_line(note: &str) -> String {
    let mut line = Vec::new();
    bundle::checkpoint(&mut line, note);
    trimmed(line)
}

fn trimmed(line: Vec<u8>) -> String {
    let line = String::from_utf8(line).expect("UTF-8");
    line.trim_end_matches('\n').to_owned()
}
