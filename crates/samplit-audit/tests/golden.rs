//! Bundles that were written once and must verify for ever.

#[expect(dead_code, reason = "only the full trail is used here")]
mod support;

use samplit_audit::{Options, bundle, payload::Mode};
use support::{World, rule, verifying_key};

/// The key of the golden checkpoints, as an auditor would have written it down.
const PINNED: &str = "o.example+1fef7f2c+Af0XJDhaoMdbZPt4zWAvodmR/ev3axPFjtcC6sg16fYY";

const GOLDEN: [(Mode, &str, &[u8]); 3] = [
    (
        Mode::Single,
        "single",
        include_bytes!("golden/single.ndjson"),
    ),
    (
        Mode::Independent,
        "independent",
        include_bytes!("golden/independent.ndjson"),
    ),
    (
        Mode::Factorial,
        "factorial",
        include_bytes!("golden/factorial.ndjson"),
    ),
];

#[test]
fn golden_bundles_verify() {
    for (_, name, bytes) in GOLDEN {
        let options = Options {
            keys: vec![PINNED.parse().expect("a key")],
            replay: true,
            rule: Some(Box::new(rule)),
            ..Options::default()
        };
        let report =
            bundle::verify(bytes, options).unwrap_or_else(|failure| panic!("{name}: {failure}"));
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

/// For a new version of the format only; the files in place are kept.
#[test]
#[ignore = "writes the golden files anew"]
fn write_golden_bundles() {
    for (mode, name, _) in GOLDEN {
        let path = format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, World::full(mode).bundle()).expect("a writable folder");
    }
    panic!("{}", verifying_key());
}
