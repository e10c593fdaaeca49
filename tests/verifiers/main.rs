//! Four programs say the same of a bundle: ours, `docs/verify_full.py`, `sql/verify.sql`; and in place, the
//! last of them and the engine. (The browser has a test target of its own.)

#![expect(clippy::unwrap_used, reason = "a test fails loudly")]

mod in_place;
mod python;
mod sql;
mod trail;
mod variations;
mod weights;

use std::path::{Path, PathBuf};

use samplit_audit::{Failure, FailureKind, Options, Report, VerifyingKey, bundle};
use samplit_devpg::DevPg;
use samplit_engine::BanditRule;

use python::Said;
use trail::{Item, Trail, signer};
use variations::Variation;

/// A folder of the repository.
fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The golden bundles, by name.
fn golden() -> Vec<(String, Vec<u8>)> {
    let files = std::fs::read_dir(folder("crates/samplit-audit/tests/golden")).unwrap();
    let mut golden: Vec<_> = files
        .map(|file| file.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "ndjson"))
        .map(|path| {
            (
                path.file_stem().unwrap().to_string_lossy().into_owned(),
                path,
            )
        })
        // A receipt is no bundle.
        .filter(|(name, _)| !name.starts_with("receipt"))
        .map(|(name, path)| (name, std::fs::read(path).unwrap()))
        .collect();
    golden.sort();
    golden
}

fn pinned() -> Vec<VerifyingKey> {
    vec![signer().verifying_key().clone()]
}

/// What our own verifier says. The golden trails follow a rule of integers, made for them, so their
/// weights are not recomputed.
fn ours(bundle: &[u8], weights: bool) -> Result<Report, Failure> {
    let options = Options {
        keys: pinned(),
        replay: true,
        rule: weights.then(|| Box::new(BanditRule) as _),
        ..Options::default()
    };
    bundle::verify(bundle, options)
}

fn code(verdict: &Result<Report, Failure>) -> u8 {
    verdict
        .as_ref()
        .map_or_else(|failure| failure.kind.exit_code(), |_| 0)
}

/// Asks all three about the same bundles and gives what each of them comes to, as exit codes.
///
/// psql checks neither signatures nor weights, so there only `sound` and `not sound` are compared, and
/// nothing where a signature is what is wrong. It takes a process each, so it is asked about one in
/// `psql_every`.
async fn agree(
    name: &str,
    variations: &[Variation],
    weights: bool,
    psql_every: usize,
) -> [usize; 5] {
    // psql and Python take seconds each, so they work side by side.
    let bundles: Vec<Vec<u8>> = variations.iter().map(|v| v.bundle.clone()).collect();
    let python = std::thread::spawn(move || {
        python::verify(bundles.iter().map(Vec::as_slice), &pinned(), weights)
    });
    let mut codes = [0; 5];
    let mut wrong = Vec::new();
    let mut verdicts = Vec::new();
    for (index, variation) in variations.iter().enumerate() {
        let verdict = ours(&variation.bundle, weights);
        let expected = code(&verdict);
        if expected != 2 && index % psql_every == 0 {
            let by_psql = sql::verify(&variation.bundle).await;
            if by_psql.is_ok() != (expected == 0) {
                let what = &variation.what;
                wrong.push(format!("{what}: {verdict:?} and psql {by_psql:?}"));
            }
        }
        verdicts.push((expected, verdict));
    }
    let python = python.join().unwrap();
    for ((variation, (expected, verdict)), said) in variations.iter().zip(verdicts).zip(&python) {
        codes[usize::from(expected)] += 1;
        let what = &variation.what;
        match (&verdict, said) {
            (
                Ok(report),
                Said {
                    code: 0,
                    report: Some(theirs),
                    ..
                },
            ) => {
                let ours = serde_json::to_value(report).unwrap();
                let same = theirs
                    .as_object()
                    .unwrap()
                    .iter()
                    .all(|(key, value)| ours[key] == *value);
                if !same {
                    wrong.push(format!("{what}: {ours} and {theirs}"));
                }
            }
            (Err(failure), said) if said.code == expected => {
                // A line that cannot be read has no entry to Python.
                if expected < 4 && said.sequence != failure.sequence {
                    wrong.push(format!("{what}: {failure} and {said:?}"));
                }
            }
            _ => wrong.push(format!("{what}: {verdict:?} and {said:?}")),
        }
    }
    assert!(
        wrong.is_empty(),
        "{name}: {} of {} differ:\n{}",
        wrong.len(),
        variations.len(),
        wrong.join("\n")
    );
    codes
}

#[tokio::test]
async fn golden_bundles_are_sound_to_all_of_them() {
    let sound: Vec<Variation> = golden()
        .into_iter()
        .map(|(what, bundle)| Variation { what, bundle })
        .collect();
    assert!(sound.len() >= 3);
    let codes = agree("golden", &sound, false, 1).await;
    assert_eq!(codes, [sound.len(), 0, 0, 0, 0]);
}

#[tokio::test]
async fn all_of_them_say_the_same_of_every_alteration() {
    for (name, bundle) in golden() {
        let variations = variations::all(&bundle);
        let every = if name == "complete" { 20 } else { 60 };
        let codes = agree(&name, &variations, false, every).await;
        assert!(codes.iter().all(|count| *count > 0), "{name}: {codes:?}");
    }
}

/// What the one file that an auditor reads in ten minutes leaves to the others: signatures, and what
/// neither the chain nor the replay of draws needs.
#[test]
fn the_short_verifier_misses_what_it_says_it_does_not_check() {
    for (name, bundle) in golden() {
        let variations = variations::all(&bundle);
        let codes = python::verify_shortly(variations.iter().map(|v| v.bundle.as_slice()));
        let options = || Options {
            replay: true,
            ..Options::default()
        };
        let mut found = 0;
        for (variation, code) in variations.iter().zip(codes) {
            let what = &variation.what;
            match (bundle::verify(variation.bundle.as_slice(), options()), code) {
                (Ok(_), code) => assert_eq!(code, 0, "{name}: {what}"),
                (Err(failure), 0) => assert!(
                    failure.kind == FailureKind::Malformed || failure.what.contains("posterior"),
                    "{name}: {what}: {failure}"
                ),
                (Err(_), _) => found += 1,
            }
        }
        assert!(2 * found > variations.len(), "{name}: only {found}");
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_bundle_is_rejected_by_all_of_them() {
    let (_, whole) = golden()
        .into_iter()
        .find(|(name, _)| name == "single")
        .unwrap();
    let mut trail = Trail::read(&whole);
    trail.reveal = None;
    trail.items.retain(|item| matches!(item, Item::Entry(_)));
    trail.items.truncate(2);
    trail.items.push(Item::Checkpoint);
    let bundle = trail.write();
    assert_eq!(code(&ours(&bundle, true)), 0);

    let flips = || {
        (0..bundle.len() * 8).map(|bit| {
            let mut flipped = bundle.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        })
    };
    let by_us: Vec<u8> = flips().map(|flipped| code(&ours(&flipped, true))).collect();
    assert!(!by_us.contains(&0));
    let by_python = python::verify_flips(&bundle, &pinned());
    let differing: Vec<_> = (0..by_us.len())
        .filter(|&bit| by_us[bit] != by_python[bit])
        .collect();
    assert_eq!(by_us.len(), by_python.len());
    assert!(differing.is_empty(), "bits {differing:?}");
    // A process each is too slow for all of them.
    for (flipped, code) in flips().zip(&by_us).step_by(499) {
        assert!(*code == 2 || sql::verify(&flipped).await.is_err());
    }
}

/// Line ends are the one thing that psql cannot see: it reads lines, not bytes.
#[tokio::test]
async fn line_ends_are_compared_by_all_but_psql() {
    let (_, whole) = golden().into_iter().next().unwrap();
    let crlf = String::from_utf8(whole.clone())
        .unwrap()
        .replace('\n', "\r\n")
        .into_bytes();
    let open = whole[..whole.len() - 1].to_vec();
    for bundle in [crlf, open] {
        assert_eq!(code(&ours(&bundle, false)), 4);
        assert_eq!(
            python::verify([bundle.as_slice()], &pinned(), false)[0].code,
            4
        );
        assert!(sql::verify(&bundle).await.is_ok());
    }
}

#[test]
fn the_python_verifier_is_short_enough_to_be_read() {
    let read = |name: &str| std::fs::read_to_string(folder("docs").join(name)).unwrap();
    for name in [
        "verify.py",
        "verify_full.py",
        "verify_form.py",
        "verify_replay.py",
        "verify_weights.py",
    ] {
        assert!(read(name).lines().count() <= 150, "{name}");
        let foreign = |line: &&str| line.starts_with("import ") || line.starts_with("from ");
        for import in read(name).lines().filter(foreign) {
            let standard = [
                "argparse",
                "base64",
                "collections",
                "hashlib",
                "hmac",
                "io",
                "json",
                "math",
                "re",
                "struct",
                "sys",
            ];
            let named = import
                .split([' ', ','])
                .filter(|word| !word.is_empty())
                .nth(1)
                .unwrap();
            assert!(
                standard.contains(&named) || named.starts_with("verify_"),
                "{name}: {import}"
            );
        }
    }
}

/// The programs that this target runs, in the server that the tests share.
async fn shared() -> &'static DevPg {
    DevPg::shared().await
}
