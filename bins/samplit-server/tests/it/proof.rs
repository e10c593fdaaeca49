//! From a new key to a verdict that needs neither server nor database.

use std::os::unix::fs::PermissionsExt as _;

use samplit_audit::{Pseudonym, Signer};
use serde_json::json;

use crate::support::{
    Api, Json, Running, SigningKey, code, command, manager, migrated, on, run, run_on, stderr,
    stdout,
};
use crate::tamper;

#[test]
fn a_signing_key_is_private_and_never_replaced() {
    let key = SigningKey::make();
    let mode = std::fs::metadata(key.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let signer: Signer = key.secret().parse().unwrap();
    assert_eq!(signer.verifying_key().to_string(), key.public);
    let secret = key.secret();
    let file = key.file();
    let again = ["--name", "example.org", "--out", file.to_str().unwrap()];
    let again = run(&[&["admin", "keygen"], &again[..]].concat());
    assert_eq!(code(&again), 1);
    assert_eq!(key.secret(), secret);

    let printed = run(&["admin", "keygen", "--name", "example.org"]);
    let signer: Signer = stdout(&printed).trim().parse().unwrap();
    let public = signer.verifying_key().to_string();
    assert!(stderr(&printed).contains(&public), "{}", stderr(&printed));
    assert_ne!(public, key.public);
    let bad = run(&["admin", "keygen", "--name", "two words"]);
    assert_eq!(code(&bad), 1);
}

/// A file with this content; its path.
fn write(directory: &tempfile::TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_a_server_signs_convinces_without_it() {
    let database = migrated().await;
    let (key, exported) = (SigningKey::make(), tempfile::tempdir().unwrap());
    let token = manager(&database);
    let mut serve = key.serve(database.url());
    serve.env("SAMPLIT_CHECKPOINT_DIR", exported.path());
    let mut server = Running::start(serve);
    let api = Api::of_new(server.addresses().0, &token);
    api.assign(0..20);
    api.done("convert", &json!({"visitor_id": "visitor-3"}));
    api.done(
        "audit/redactions",
        &json!({"sequence_number": 4, "reason": "a test"}),
    );
    let note = api.checkpoint();
    let receipt = api.get("audit/receipt?visitor=visitor-3");
    api.assign(20..22);
    let unsealed = api.get("audit/bundle");
    api.done("complete", &json!({}));
    api.done("audit/seal", &json!({"close_window": true}));
    let sealed = api.get("audit/bundle");
    let folder = exported.path().join(&api.id);
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap());
    let mut notes: Vec<_> = files
        .map(|file| std::fs::read_to_string(file.path()).unwrap())
        .collect();
    notes.sort_by_key(|exported| *exported != note);
    assert_eq!((notes.len(), &notes[0]), (2, &note));
    let log = stderr(&server.terminate());
    assert!(!log.contains(&key.secret()), "{log}");

    let directory = tempfile::tempdir().unwrap();
    let other = SigningKey::make();
    let verify = |bundle: &[u8], more: &[&str]| {
        let file = write(&directory, "bundle.ndjson", bundle);
        let verified = run(&[&["audit", "verify", &file], more].concat());
        (code(&verified), stdout(&verified))
    };
    let pinned = ["--key", key.public.as_str()];
    let (status, report) = verify(sealed.as_bytes(), &pinned);
    assert_eq!(status, 0, "{report}");
    assert!(
        report.contains("2 checkpoints (0 given up), 2 signatures, 1 redactions"),
        "{report}"
    );
    assert!(
        report.contains("21 assignments (21 draws from the key)"),
        "{report}"
    );
    let (status, report) = verify(sealed.as_bytes(), &[]);
    assert_eq!(status, 0, "{report}");
    assert!(report.contains("NOT CHECKED: NO KEY IS PINNED"), "{report}");
    let (status, report) = verify(unsealed.as_bytes(), &pinned);
    assert_eq!(status, 0, "{report}");
    assert!(
        report.contains("entries 24..25 lie behind the last signed checkpoint"),
        "{report}"
    );
    assert_eq!(verify(sealed.as_bytes(), &["--key", &other.public]).0, 2);
    let kept = write(&directory, "kept.note", &note);
    let known = [&pinned[..], &["--known", &kept]].concat();
    assert_eq!(verify(sealed.as_bytes(), &known).0, 0);
    let wrong_key = ["--key", &other.public, "--known", &kept];
    assert_eq!(verify(sealed.as_bytes(), &wrong_key).0, 74);

    // Everything that somebody with the file, the database or even the key may do to it.
    let signers: [Signer; 1] = [key.secret().parse().unwrap()];
    let mut seen = std::collections::BTreeSet::new();
    for tampering in tamper::table() {
        let Some(tampered) = tampering.apply(sealed.as_bytes(), &signers) else {
            continue;
        };
        let expected = i32::from(tampering.expected.exit_code());
        let (status, report) = verify(&tampered, &pinned);
        assert_eq!(status, expected, "{}: {report}", tampering.name);
        assert!(
            report.starts_with("NOT SOUND"),
            "{}: {report}",
            tampering.name
        );
        seen.insert(expected);
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    // What only a kept checkpoint shows: what was the whole trail once is one without its tail now.
    let last = write(&directory, "last.note", &notes[1]);
    assert_eq!(verify(unsealed.as_bytes(), &pinned).0, 0);
    let known = [&pinned[..], &["--known", &last]].concat();
    assert_eq!(verify(unsealed.as_bytes(), &known).0, 1);

    let mut piped = command(&[
        "audit",
        "verify",
        "-",
        "--output",
        "json",
        "--key",
        &key.public,
    ]);
    let file = std::fs::File::open(write(&directory, "bundle.ndjson", &sealed)).unwrap();
    let piped = piped.stdin(file).output().unwrap();
    let outcome: Json = serde_json::from_str(&stdout(&piped)).unwrap();
    assert_eq!(outcome["sound"], true, "{outcome}");
    assert_eq!(outcome["report"]["sealed"], true, "{outcome}");

    let verify = |receipt: &str, more: &[&str]| {
        let file = write(&directory, "receipt.json", receipt);
        let all = ["audit", "verify-receipt", &file, "--output", "json"];
        let verified = run(&[&all, more].concat());
        let outcome: Json = serde_json::from_str(&stdout(&verified)).unwrap();
        (code(&verified), outcome)
    };
    let (status, outcome) = verify(&receipt, &pinned);
    assert_eq!(status, 0, "{outcome}");
    assert_eq!(outcome["report"]["conversions"][0]["goal"], "conversion");
    let visitor = outcome["report"]["visitor"].as_str().unwrap().to_owned();
    let theirs = [&pinned[..], &["--visitor-pseudonym", &visitor]].concat();
    assert_eq!(verify(&receipt, &theirs).0, 0);
    let stranger = Pseudonym([7; 32]).to_string();
    let strangers = [&pinned[..], &["--visitor-pseudonym", &stranger]].concat();
    assert_eq!(verify(&receipt, &strangers).0, 1);
    assert_eq!(verify(&receipt, &["--key", &other.public]).0, 2);
    let wider = receipt.replacen("{\"alg\"", "{ \"alg\"", 1);
    assert_eq!(verify(&wider, &pinned).0, 4);
    let edited = receipt.replacen("\"goal\":\"conversion\"", "\"goal\":\"conversiom\"", 1);
    assert_eq!(verify(&edited, &pinned).0, 1);
    assert_eq!(
        code(&run(&["audit", "verify-receipt", "/nowhere.json"])),
        74
    );
    let text = run(&[
        "audit",
        "verify-receipt",
        &write(&directory, "r.json", &receipt),
    ]);
    assert!(
        stdout(&text).contains("was given arm "),
        "{}",
        stdout(&text)
    );
    assert!(
        stdout(&text).contains("NOT CHECKED: NO KEY IS PINNED"),
        "{}",
        stdout(&text)
    );
}

#[tokio::test]
async fn an_operator_signs_seals_and_reveals_by_command() {
    let database = migrated().await;
    let key = SigningKey::make();
    let token = manager(&database);
    let mut server = Running::start(on(&database, &crate::support::ANY_PORT));
    let api = Api::of_new(server.addresses().0, &token);
    api.assign(0..3);
    // The server has no key; whoever has one signs.
    assert_eq!(api.ask("POST", "audit/checkpoint", None).0, 409);
    let of = |verb: &str, more: &[&str]| {
        let all = [&["audit", verb, "--experiment", &api.id], more].concat();
        let done = on(&database, &all)
            .env("SAMPLIT_SIGNING_KEYS", key.secret())
            .output()
            .unwrap();
        (code(&done), stdout(&done), stderr(&done))
    };
    let (status, note, why) = of("checkpoint", &[]);
    assert_eq!(status, 0, "{why}");
    assert_eq!(api.get("audit/checkpoint"), note);

    let redact = ["--sequence", "2", "--reason", "a test"];
    let (status, told, why) = of("redact", &redact);
    assert_eq!(status, 0, "{why}");
    assert_eq!(told, "entry 2 is redacted, entry 5 says so\n");
    assert_eq!(of("redact", &redact).0, 1);
    assert_eq!(of("reveal", &[]).0, 1);
    assert_eq!(of("seal", &["--close-window"]).0, 1);
    api.done("complete", &json!({}));
    let (status, revealed, why) = of("reveal", &[]);
    assert_eq!(status, 0, "{why}");
    assert_eq!(of("seal", &[]).0, 1);
    let (status, _, why) = of("seal", &["--close-window"]);
    assert_eq!(status, 0, "{why}");
    assert_eq!(
        api.ask("POST", "convert", Some(&json!({"visitor_id": "visitor-0"})))
            .0,
        409
    );
    server.signal(nix::sys::signal::Signal::SIGTERM);

    let bundle = |more: &[&str]| {
        let all = [&["audit", "export", "--experiment", &api.id], more].concat();
        let exported = run_on(&database, &all);
        assert_eq!(code(&exported), 0, "{}", stderr(&exported));
        stdout(&exported)
    };
    let whole = bundle(&[]);
    assert!(whole.lines().nth(1).unwrap().contains(revealed.trim()));
    let position = whole.find("\"sequence_number\":3}\n").unwrap();
    let (first, _) = whole.split_at(position + "\"sequence_number\":3}\n".len());
    assert_eq!(format!("{first}{}", bundle(&["--after", "3"])), whole);
}

#[tokio::test]
async fn a_visitor_is_erased_by_command() {
    let database = migrated().await;
    let token = manager(&database);
    let mut server = Running::start(on(&database, &crate::support::ANY_PORT));
    let api = Api::of_new(server.addresses().0, &token);
    api.assign(0..2);
    let erased = run_on(&database, &["admin", "erase-visitor", "visitor-0"]);
    assert_eq!(code(&erased), 0, "{}", stderr(&erased));
    assert_eq!(stdout(&erased), "erased 1 rows in 1 experiments\n");
    let verified = ["audit", "verify", "--database", "--experiment", &api.id];
    assert_eq!(code(&run_on(&database, &verified)), 0);
    let returned = api.done("assign", &json!({"visitor_id": "visitor-0"}));
    assert!(returned.contains("\"reason\":\"erased\""), "{returned}");
    server.terminate();
}
