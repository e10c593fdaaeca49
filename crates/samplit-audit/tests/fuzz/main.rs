//! The bodies of the fuzz targets on a few hundred inputs each; `fuzz/` runs them for hours.

use proptest::{collection::vec, prelude::*};
use samplit_audit::{Options, Signer, bundle};

mod bodies;
mod mutate;

use mutate::mutants;

const BUNDLES: [&[u8]; 4] = [
    include_bytes!("../golden/complete.ndjson"),
    include_bytes!("../golden/factorial.ndjson"),
    include_bytes!("../golden/independent.ndjson"),
    include_bytes!("../golden/single.ndjson"),
];
const RECEIPT: &[u8] = include_bytes!("../golden/receipt.ndjson");

/// What stands in the golden bundles between `before` and `after`, once a line at most.
fn found(before: &str, after: &str) -> Vec<Vec<u8>> {
    let text = BUNDLES.map(|bundle| std::str::from_utf8(bundle).expect("text"));
    let part = |line: &str| {
        let rest = line.split_once(before)?.1;
        Some(rest.split_once(after)?.0.to_owned())
    };
    let lines = text.iter().flat_map(|text| text.lines());
    let found: Vec<_> = lines.filter_map(part).map(String::into_bytes).collect();
    assert!(!found.is_empty(), "{before}");
    found
}

/// Every payload of the golden bundles.
fn payloads() -> Vec<Vec<u8>> {
    found("\"decision_data\":", ",\"decision_type\":")
}

/// Every note of the golden bundles.
fn notes() -> Vec<Vec<u8>> {
    let unescape = |note: Vec<u8>| {
        let quoted = [b"\"", note.as_slice(), b"\""].concat();
        let note: String = serde_json::from_slice(&quoted).expect("a string");
        note.into_bytes()
    };
    let notes = found("\"note\":\"", "\"");
    notes.into_iter().map(unescape).collect()
}

/// Public and secret keys in their text form.
fn keys() -> Vec<Vec<u8>> {
    let signer = Signer::from_seed("o.example", &[7; 32]).expect("a name");
    let public = bodies::pinned().into_iter().map(|key| key.to_string());
    let all = public.chain([signer.expose()]);
    all.map(String::into_bytes).collect()
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..512)
}

/// Text of the signs that JSON is made of.
fn almost_json() -> impl Strategy<Value = Vec<u8>> {
    "[{}\\[\\]\",:\\\\ a-fnrtu0-9.+-]{0,64}".prop_map(String::into_bytes)
}

#[test]
fn the_seeds_are_sound() {
    let parsed = |payload: &Vec<u8>| samplit_audit::sj1::check(payload).is_ok();
    assert!(payloads().iter().all(parsed));
    let read = |note: &Vec<u8>| {
        let note = std::str::from_utf8(note).expect("text");
        samplit_audit::SignedCheckpoint::parse(note).is_ok()
    };
    assert!(notes().iter().all(read));
    BUNDLES.iter().for_each(|data| bodies::bundle(data));
    payloads().iter().for_each(|data| bodies::payload(data));
    notes().iter().for_each(|data| bodies::note(data));
    keys().iter().for_each(|data| bodies::keys(data));
    bodies::receipt(RECEIPT);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn sj1(data in prop_oneof![noise(), almost_json(), mutants(payloads())]) {
        bodies::sj1(&data);
    }

    #[test]
    fn payload(data in prop_oneof![noise(), almost_json(), mutants(payloads())]) {
        bodies::payload(&data);
    }

    #[test]
    fn bundle(data in prop_oneof![noise(), mutants(BUNDLES.map(<[u8]>::to_vec).to_vec())]) {
        bodies::bundle(&data);
    }

    #[test]
    fn receipt(data in prop_oneof![noise(), mutants(vec![RECEIPT.to_vec()])]) {
        bodies::receipt(&data);
    }

    #[test]
    fn note(data in prop_oneof![noise(), mutants(notes())]) {
        bodies::note(&data);
    }

    #[test]
    fn key(data in prop_oneof![noise(), mutants(keys())]) {
        bodies::keys(&data);
    }

    /// Notes may go missing or stand twice; what the pinned keys signed may not change.
    #[test]
    fn a_mutant_that_verifies_tells_the_golden_trail(
        (golden, mutant) in prop::sample::select(&BUNDLES[..])
            .prop_flat_map(|golden| (Just(golden), mutants(vec![golden.to_vec()])))
    ) {
        let verify = |bytes: &[u8]| {
            let options = Options { keys: bodies::pinned(), ..Options::default() };
            bundle::verify(bytes, options)
        };
        if let Ok(report) = verify(&mutant) {
            prop_assert_eq!(report.root, verify(golden).expect("golden").root);
        }
    }
}
