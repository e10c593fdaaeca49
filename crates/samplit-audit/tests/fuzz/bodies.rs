//! What must hold of any bytes: the bodies of the fuzz targets and of the property tests.
//!
//! Each panics on a fault and returns otherwise.

use samplit_audit::{
    Failure, Options, Payload, Report, SignedCheckpoint, Signer, TypedPayload, VerifyingKey,
    bundle,
    payload::{Assignment, Conversion, Genesis, Reallocation, Redaction, Restore, Seal},
    receipt::{self, ReceiptOptions},
    sj1,
};

/// The keys that signed the golden files.
pub(crate) fn pinned() -> Vec<VerifyingKey> {
    let key = |line: &str| line.parse().expect("a golden key");
    let keys = include_str!("../golden/keys.txt");
    keys.lines().map(key).collect()
}

/// The two readers of sj1 agree with each other and with the writer.
pub(crate) fn sj1(data: &[u8]) {
    let canonical = sj1::check(data).is_ok();
    let Ok(value) = sj1::parse(data) else {
        assert!(!canonical, "canonical, but not of the profile");
        return;
    };
    let written = value.canonical();
    assert_eq!(canonical, written == data, "the readers disagree");
    assert_eq!(sj1::check(&written), Ok(()));
    assert_eq!(sj1::parse(&written).as_ref(), Ok(&value));
    assert_eq!(sj1::Value::from_json(&value.to_json()), Ok(value));
    let payload = Payload::from_text(data).expect("what parses is a payload");
    assert_eq!(payload.bytes(), written);
}

/// What the reader of a typed payload takes is canonical, and is written back as it was.
pub(crate) fn payload(data: &[u8]) {
    fn one<T: TypedPayload>(data: &[u8]) {
        if let Ok(typed) = T::parse(data) {
            let mut written = Vec::new();
            typed.write_canonical(&mut written);
            assert!(written == data, "{} is written otherwise", T::DECISION_TYPE);
            if data.len() <= sj1::MAX_BYTES {
                assert_eq!(sj1::check(data), Ok(()), "{}", T::DECISION_TYPE);
            }
        }
    }
    one::<Genesis>(data);
    one::<Assignment>(data);
    one::<Conversion>(data);
    one::<Reallocation>(data);
    one::<Seal>(data);
    one::<Redaction>(data);
    one::<Restore>(data);
}

/// A bundle that stands a stricter check stands a laxer one, which tells the same trail.
pub(crate) fn bundle(data: &[u8]) {
    let verify = |replay, keys| {
        let options = Options {
            replay,
            keys,
            ..Options::default()
        };
        said(bundle::verify(data, options))
    };
    let plain = verify(false, Vec::new());
    let replayed = verify(true, Vec::new());
    let signed = verify(false, pinned());
    for stricter in [replayed, signed].into_iter().flatten() {
        let plain = plain.as_ref().expect("a laxer check");
        let trail = |report: &Report| (report.entries, report.head, report.root);
        assert_eq!(trail(&stricter), trail(plain));
    }
}

/// A receipt that stands the check of signatures stands without, and tells the same.
pub(crate) fn receipt(data: &[u8]) {
    let verify = |keys| {
        let options = ReceiptOptions {
            keys,
            visitor: None,
        };
        said(receipt::verify(data, &options))
    };
    let plain = verify(Vec::new());
    if let Some(mut signed) = verify(pinned()) {
        assert!(signed.signatures > 0);
        signed.signatures = 0;
        assert_eq!(Some(signed), plain);
    }
}

/// The text that a note's signatures cover is the text that stands in it.
pub(crate) fn note(data: &[u8]) {
    let Ok(note) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(signed) = SignedCheckpoint::parse(note) {
        let text = signed.checkpoint().text();
        assert!(note.starts_with(&format!("{text}\n")), "another text");
        // Whether it holds depends on who signed; it has to be an answer.
        let _ = signed.verify(&pinned());
    }
}

/// A key has one spelling.
pub(crate) fn keys(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Ok(key) = text.parse::<VerifyingKey>() {
        assert_eq!(key.to_string(), text);
    }
    if let Ok(signer) = text.parse::<Signer>() {
        assert_eq!(signer.expose(), text);
    }
}

/// The report, or nothing if there is a failure that can be told.
fn said<T>(result: Result<T, Failure>) -> Option<T> {
    result
        .map_err(|failure| assert!(!failure.to_string().is_empty()))
        .ok()
}
