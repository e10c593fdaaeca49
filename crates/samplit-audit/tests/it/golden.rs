//! Bundles that were written once and must verify for ever.

use crate::support::{World, complete, rule, signers, tamper, verifying_key};
use samplit_audit::{
    Options, bundle,
    payload::Mode,
    receipt::{self, ReceiptOptions},
};

/// The key of the golden checkpoints, as an auditor would have written it down.
const PINNED: &str = "o.example+1fef7f2c+Af0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";

const GOLDEN: [(Mode, &str, &[u8]); 3] = [
    (
        Mode::Single,
        "single",
        include_bytes!("../golden/single.ndjson"),
    ),
    (
        Mode::Independent,
        "independent",
        include_bytes!("../golden/independent.ndjson"),
    ),
    (
        Mode::Factorial,
        "factorial",
        include_bytes!("../golden/factorial.ndjson"),
    ),
];

fn options() -> Options {
    Options {
        keys: vec![PINNED.parse().expect("a key")],
        replay: true,
        rule: Some(Box::new(rule)),
        ..Options::default()
    }
}

#[test]
fn golden_bundles_verify() {
    for (_, name, bytes) in GOLDEN {
        let report =
            bundle::verify(bytes, options()).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(report.signed_size, report.entries, "{name}");
        assert!(
            report.sealed && report.redactions == 2 && report.incarnation == 2,
            "{name}"
        );
    }
}

#[test]
fn the_same_trail_is_still_written_byte_for_byte() {
    assert_eq!(verifying_key().to_string(), PINNED);
    for (mode, name, bytes) in GOLDEN {
        assert!(World::full(mode).bundle() == bytes, "{name}");
    }
}

/// One of everything by the real rule, and the keys that an auditor pins, one a line.
const COMPLETE: &[u8] = include_bytes!("../golden/complete.ndjson");
const KEYS: &str = include_str!("../golden/keys.txt");
const RECEIPT: &[u8] = include_bytes!("../golden/receipt.ndjson");

/// Every golden bundle.
pub(crate) const BUNDLES: [&[u8]; 4] = [GOLDEN[0].2, GOLDEN[1].2, GOLDEN[2].2, COMPLETE];

/// The receipt of the visitor who came back and converted.
fn golden_receipt() -> Vec<u8> {
    let world = complete::world();
    world.receipt(&world.entries_of(complete::VISITOR))
}

#[test]
fn the_complete_bundle_has_one_of_everything() {
    let keys: Vec<_> = KEYS
        .lines()
        .map(|line| line.parse().expect("a key"))
        .collect();
    assert_eq!(keys, complete::keys());
    let report = bundle::verify(COMPLETE, complete::options()).expect("sound");
    assert!(report.sealed);
    assert_eq!((report.checkpoints, report.abandoned), (3, 1));
    assert_eq!(
        report.signatures,
        2 * (report.checkpoints + report.abandoned)
    );
    assert_eq!((report.redactions, report.incarnation), (2, 2));
    assert_eq!(report.signed_size, report.entries);
    let replay = report.replay.expect("replayed");
    assert_eq!((replay.reallocations, replay.weights), (4, 4));
    assert_eq!(replay.draws, replay.assignments);
    for key in keys {
        let options = Options {
            keys: vec![key],
            ..complete::options()
        };
        bundle::verify(COMPLETE, options).expect("each key alone will do");
    }
    assert!(complete::world().bundle() == COMPLETE);
    assert!(COMPLETE.iter().filter(|byte| **byte == b'\n').count() <= 60);
}

#[test]
fn the_golden_receipt_is_one_of_the_complete_bundle() {
    let bundle = bundle::verify(COMPLETE, complete::options()).expect("sound");
    let options = ReceiptOptions {
        keys: complete::keys(),
        visitor: Some(complete::world().visitors[complete::VISITOR].pseudonym),
    };
    let report = receipt::verify(RECEIPT, &options).expect("sound");
    assert_eq!((report.size, report.root), (bundle.entries, bundle.root));
    assert_eq!((report.assignments.len(), report.conversions.len()), (1, 1));
    assert!(golden_receipt() == RECEIPT);
}

#[test]
fn every_tampered_variation_is_refused_for_its_reason() {
    let check = |name: &str, golden: &[u8], options: fn() -> Options| {
        for tampering in tamper::table() {
            let Some(bytes) = tampering.apply(golden, &signers()) else {
                assert_ne!(name, "complete", "{} does not apply", tampering.name);
                continue;
            };
            let failure = bundle::verify(bytes.as_slice(), options());
            let failure = failure.expect_err(tampering.name);
            assert_eq!(
                failure.kind, tampering.expected,
                "{name}, {}: {failure}",
                tampering.name
            );
        }
    };
    check("complete", COMPLETE, complete::options);
    for (_, name, bytes) in GOLDEN {
        check(name, bytes, options);
    }
}

/// For a new version of the format only; the files in place are kept.
#[test]
#[ignore = "writes the golden files anew"]
fn write_golden_bundles() {
    let write = |name: &str, bytes: &[u8]| {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, bytes).expect("a writable folder");
    };
    for (mode, name, _) in GOLDEN {
        write(&format!("{name}.ndjson"), &World::full(mode).bundle());
    }
    write("complete.ndjson", &complete::world().bundle());
    write("receipt.ndjson", &golden_receipt());
    let keys = complete::keys();
    let keys: String = keys.iter().map(|key| format!("{key}\n")).collect();
    write("keys.txt", keys.as_bytes());
}
