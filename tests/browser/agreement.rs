//! The page's own code and the verifier in Rust give the same verdict, in the same words. Where in a
//! malformed line the first strange byte stands may differ: a literal can be read in parts.

use fantoccini::Client;
use samplit_audit::Failure;
use serde_json::{Value as Json, json};

use crate::{bundles, page};

/// Judges every bundle: `[kind, entry, words]`, or null if it is sound. An edit is the number of a
/// bundle and the byte of it in which one bit is another; -1 leaves it as it is.
const JUDGE: &str = "
    const [keys, bundles, edits, done] = arguments;
    (async () => {
        const options = { keys: readKeys(keys), drawKey: null, ed25519: await ed25519(crypto.subtle) };
        const all = bundles.map((text) => Uint8Array.from(text, (char) => char.charCodeAt(0)));
        const verdicts = [];
        for (const [number, at] of edits) {
            const bytes = all[number];
            if (at >= 0) bytes[at] ^= 1 << (at % 8);
            // Two chunks, so that a line lies across.
            const cut = bytes.length >> 1;
            const { failure } = await verify([bytes.subarray(0, cut), bytes.subarray(cut)], options);
            if (at >= 0) bytes[at] ^= 1 << (at % 8);
            verdicts.push(failure ? [failure.kind, failure.sequence, failure.what] : null);
        }
        done(verdicts);
    })();";

/// See [`JUDGE`].
#[derive(Clone, Copy)]
pub(crate) struct Edit {
    pub(crate) bundle: usize,
    pub(crate) at: Option<usize>,
}

/// Lets both judge, and gives how often they found something wrong.
pub(crate) async fn assert_agreement(
    client: &Client,
    keys: &str,
    bundles: &[String],
    edits: &[Edit],
) -> usize {
    let script = "arguments[0](document.getElementById('logic').textContent)";
    let logic = page::run(client, script, Vec::new()).await;
    let logic = logic.as_str().expect("text").to_owned();
    // One char for one byte.
    let texts: Vec<String> = bundles
        .iter()
        .map(|bundle| bundle.bytes().map(char::from).collect())
        .collect();
    let numbers: Vec<Json> = edits
        .iter()
        .map(|edit| json!([edit.bundle, edit.at.map_or(json!(-1), Json::from)]))
        .collect();
    let args = vec![json!(keys), json!(texts), json!(numbers)];
    let verdicts = page::run(client, &format!("{logic}{JUDGE}"), args).await;
    let verdicts = verdicts.as_array().expect("verdicts");
    assert_eq!(verdicts.len(), edits.len());

    let mut wrong = 0;
    for (edit, said) in edits.iter().zip(verdicts) {
        let mut bytes = bundles[edit.bundle].clone().into_bytes();
        if let Some(at) = edit.at {
            bytes[at] ^= 1 << (at % 8);
        }
        let expected = match bundles::verdict(&bytes, keys) {
            Ok(_) => Json::Null,
            Err(Failure {
                kind,
                sequence,
                what,
            }) => json!([kind, sequence, without_offset(&what)]),
        };
        let mut said = said.clone();
        if let Some(Json::String(what)) = said.get_mut(2) {
            *what = without_offset(what);
        }
        assert_eq!(said, expected, "bundle {}, byte {:?}", edit.bundle, edit.at);
        wrong += usize::from(!said.is_null());
    }
    wrong
}

/// The words without the offset of `line 3: at byte 1044: ...`.
fn without_offset(what: &str) -> String {
    match what.split_once("at byte ") {
        Some((line, rest)) => {
            line.to_owned() + rest.trim_start_matches(|c: char| c.is_ascii_digit())
        }
        None => what.to_owned(),
    }
}
