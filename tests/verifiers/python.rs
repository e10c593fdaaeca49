//! The Python verifiers, many bundles in one process.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use samplit_audit::VerifyingKey;
use serde_json::Value;

use crate::folder;

/// What `verify.py` says of a bundle.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: u8,
    pub(crate) sequence: Option<u64>,
    #[expect(dead_code, reason = "printed where a test fails")]
    pub(crate) what: String,
    pub(crate) report: Option<Value>,
}

/// Both programs read one line of JSON: the folder of verify.py, keys, and what to verify.
const OPENING: &str = r"
import sys, json
asked = json.loads(sys.stdin.readline())
sys.dont_write_bytecode = True
sys.path.insert(0, asked['docs'])
import functools
import verify_form, verify_replay, verify_full as verify
from verify_form import read_key
# Hundreds of variations of one bundle ask the same of functions whose answer depends on nothing else: of the
# signatures of its notes, and of the weights that follow from counts.
verify_form.holds = functools.lru_cache(None)(verify_form.holds)
def remembered(function, known={}):
    def asked(*about):
        key = repr(about)
        if key not in known: known[key] = function(*about)
        return known[key]
    return asked
verify_replay.weights = remembered(verify_replay.weights)
keys = [read_key(key) for key in asked['keys']]
";

const EACH: &str = r"
for path in asked['paths']:
    try:
        with open(path, 'rb') as bundle:
            print(json.dumps([0, None, '', verify.verify(bundle, keys=keys, weights=asked['weights'])]))
    except verify.Wrong as wrong:
        print(json.dumps(list(wrong.args) + [None]))
";

const SHORT: &str = r"
import verify as short
codes = []
for path in asked['paths']:
    try:
        with open(path, 'rb') as bundle: short.verify(bundle)
        codes.append(0)
    except short.Wrong as wrong:
        codes.append(wrong.args[0])
print(json.dumps(codes))
";

const FLIPS: &str = r"
whole = bytearray(open(asked['path'], 'rb').read())
codes = []
for bit in range(len(whole) * 8):
    whole[bit // 8] ^= 1 << bit % 8
    try:
        verify.verify(bytes(whole), keys=keys)
        codes.append(0)
    except verify.Wrong as wrong:
        codes.append(wrong.args[0])
    whole[bit // 8] ^= 1 << bit % 8
print(json.dumps(codes))
";

/// What `verify.py` says of each of the bundles.
pub(crate) fn verify<'a>(
    bundles: impl IntoIterator<Item = &'a [u8]>,
    keys: &[VerifyingKey],
    weights: bool,
) -> Vec<Said> {
    let files = tempfile::tempdir().unwrap();
    let paths = write(files.path(), bundles);
    let asked = serde_json::json!({"paths": paths, "weights": weights});
    let said: Vec<Said> = run(EACH, asked, keys)
        .lines()
        .map(|line| {
            let said: Value = serde_json::from_str(line).unwrap();
            Said {
                code: said[0].as_u64().unwrap().try_into().unwrap(),
                sequence: said[1].as_u64(),
                what: said[2].as_str().unwrap().to_owned(),
                report: Some(said[3].clone()).filter(Value::is_object),
            }
        })
        .collect();
    assert_eq!(said.len(), paths.len());
    said
}

/// The exit codes of the short verifier, which knows no keys.
pub(crate) fn verify_shortly<'a>(bundles: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let files = tempfile::tempdir().unwrap();
    let paths = write(files.path(), bundles);
    let codes = run(SHORT, serde_json::json!({"paths": paths}), &[]);
    serde_json::from_str(&codes).unwrap()
}

/// Puts each of the bundles into a file.
fn write<'a>(folder: &Path, bundles: impl IntoIterator<Item = &'a [u8]>) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (number, bundle) in bundles.into_iter().enumerate() {
        let path = folder.join(number.to_string());
        std::fs::write(&path, bundle).unwrap();
        paths.push(path);
    }
    paths
}

/// The exit codes for every single flipped bit of a bundle.
pub(crate) fn verify_flips(bundle: &[u8], keys: &[VerifyingKey]) -> Vec<u8> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bundle).unwrap();
    let codes = run(FLIPS, serde_json::json!({"path": file.path()}), keys);
    serde_json::from_str(&codes).unwrap()
}

/// Runs a program behind [`OPENING`] and gives what it prints.
pub(crate) fn run(program: &str, mut asked: Value, keys: &[VerifyingKey]) -> String {
    asked["docs"] = folder("docs").to_string_lossy().into();
    asked["keys"] = keys.iter().map(ToString::to_string).collect();
    let mut python = Command::new("python3")
        .args(["-c", &format!("{OPENING}{program}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test runs docs/verify_full.py: install python3, 3.9 or newer");
    let mut input = python.stdin.take().unwrap();
    writeln!(input, "{asked}").unwrap();
    drop(input);
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "verify.py itself failed");
    String::from_utf8(output.stdout).unwrap()
}
