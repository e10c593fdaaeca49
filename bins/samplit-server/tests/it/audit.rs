//! `audit` and `doctor` on a database with real trails.

use samplit_audit::Signer;
use samplit_devpg::TestDatabase;

use crate::support::{Json, code, execute, migrated, run, run_on, stderr, stdout};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/old_tests.csv");

/// A database with the trails of a backtest, the id of one experiment, and keys that open it.
struct Proved {
    database: TestDatabase,
    experiment: String,
}

async fn proved() -> Proved {
    let database = migrated().await;
    let url = database.url().to_owned();
    let arguments = [
        "backtest",
        FIXTURE,
        "--limit",
        "2",
        "--output",
        "json",
        "--database-url",
        &url,
    ];
    let output = run_on(&database, &arguments);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let report: Json = serde_json::from_str(&stdout(&output)).unwrap();
    Proved {
        experiment: report["tests"][0]["experiment_id"]
            .as_str()
            .unwrap()
            .to_owned(),
        database,
    }
}

fn write(directory: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = directory.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_bundle_proves_itself_offline_and_shows_every_kind_of_fraud() {
    let Proved {
        database,
        experiment,
    } = proved().await;
    let exported = run_on(&database, &["audit", "export", "--experiment", &experiment]);
    assert_eq!(code(&exported), 0, "{}", stderr(&exported));
    let bundle = stdout(&exported);
    let directory = tempfile::tempdir().unwrap();
    let verify = |text: &str, more: &[&str]| {
        let file = write(&directory, "bundle.ndjson", text);
        let output = run(&[&["audit", "verify", &file, "--output", "json"], more].concat());
        let outcome: Json = serde_json::from_str(&stdout(&output)).unwrap();
        (code(&output), outcome)
    };
    let (sound, outcome) = verify(&bundle, &[]);
    assert_eq!(
        (sound, &outcome["sound"]),
        (0, &Json::Bool(true)),
        "{outcome}"
    );
    assert!(
        outcome["report"]["replay"]["weights"].as_u64().unwrap() > 0,
        "{outcome}"
    );

    let tampered = bundle.replacen(
        "\"decision_type\":\"assignment\"",
        "\"decision_type\":\"conversion\"",
        1,
    );
    assert_eq!(verify(&tampered, &[]).0, 1);
    // There is no checkpoint, so none that this key has signed.
    let signer = Signer::from_seed("auditor", &[7; 32]).unwrap();
    let key = signer.verifying_key().to_string();
    assert_eq!(verify(&bundle, &["--key", &key]).0, 2);
    assert_eq!(
        verify(&bundle.replace("{\"count\"", "{ \"count\""), &[]).0,
        4
    );
    // What cannot be read is no verdict; a folder can be opened, but not read.
    for file in ["/nowhere/bundle.ndjson", directory.path().to_str().unwrap()] {
        let unread = run(&["audit", "verify", file]);
        assert_eq!(code(&unread), 74, "{file}");
        let told = stdout(&unread) + &stderr(&unread);
        assert!(told.starts_with("error: cannot read "), "{told}");
    }
}

#[tokio::test]
async fn a_trail_is_verified_in_place_and_the_doctor_finds_what_was_altered() {
    let Proved {
        database,
        experiment,
    } = proved().await;
    let in_place = ["audit", "verify", "--database", "--experiment", &experiment];
    let verified = run_on(&database, &in_place);
    assert_eq!(code(&verified), 0, "{}", stderr(&verified));
    assert!(
        stdout(&verified).starts_with("sound: "),
        "{}",
        stdout(&verified)
    );
    let unknown = "00000000-0000-4000-8000-000000000000";
    let unknown = ["audit", "verify", "--database", "--experiment", unknown];
    assert_eq!(code(&run_on(&database, &unknown)), 74);

    let doctor = || {
        let output = run_on(&database, &["doctor", "--output", "json"]);
        let diagnosis: Json = serde_json::from_str(&stdout(&output)).unwrap();
        let failed = diagnosis["checks"].as_array().unwrap().iter();
        let failed = failed.filter(|check| check["findings"] != Json::Array(Vec::new()));
        let failed = failed.map(|check| check["name"].as_str().unwrap().to_owned());
        (code(&output), failed.collect::<Vec<_>>())
    };
    assert_eq!(doctor(), (0, Vec::new()));

    // A counter that is off follows from the rows, and is put right.
    let off = "UPDATE element_variants SET total_allocations = total_allocations + 5 \
               WHERE element_id IN (SELECT id FROM experiment_elements WHERE experiment_id = $)";
    execute(&database, &off.replace('$', &format!("'{experiment}'"))).await;
    assert_eq!(doctor().0, 1);
    let repaired = run_on(&database, &["doctor", "--repair", "--output", "json"]);
    let diagnosis: Json = serde_json::from_str(&stdout(&repaired)).unwrap();
    assert_eq!(code(&repaired), 0, "{diagnosis}");
    let repairs = diagnosis["repairs"].as_array().unwrap();
    assert!(
        !repairs.is_empty() && repairs.iter().all(|repair| repair["from"] != repair["to"]),
        "{diagnosis}"
    );
    let again = run_on(&database, &["doctor", "--repair"]);
    assert!(!stdout(&again).contains("repaired"), "{}", stdout(&again));

    // One row less: nothing that is counted or logged agrees with it any longer.
    let delete = "DELETE FROM assignments WHERE id = (SELECT id FROM assignments \
                  WHERE experiment_id = $ AND converted_at IS NULL LIMIT 1)";
    let on_it = |sql: &str| sql.replace('$', &format!("'{experiment}'"));
    execute(&database, &on_it(delete)).await;
    let rows = [
        "counters of variants are the rows",
        "statistics are the rows",
        "rows are in the trail",
    ];
    assert_eq!(doctor(), (1, rows.map(str::to_owned).to_vec()));
    let refused = run_on(&database, &["doctor", "--repair"]);
    let told = format!("NOT REPAIRED {experiment}: rows are in the trail: ");
    assert!(stdout(&refused).starts_with(&told), "{}", stdout(&refused));
    assert_eq!(code(&refused), 1);

    // One entry less, from the middle.
    let cut = "ALTER TABLE algorithm_audit_trail DISABLE TRIGGER ALL; \
               DELETE FROM algorithm_audit_trail WHERE experiment_id = $ AND sequence_number = 40";
    execute(&database, &on_it(cut)).await;
    let (failed, checks) = doctor();
    assert_eq!(failed, 1);
    assert!(
        checks.contains(&"trails have no gap".to_owned()),
        "{checks:?}"
    );
    assert!(
        checks.contains(&"trails verify, with replay".to_owned()),
        "{checks:?}"
    );
    assert_eq!(code(&run_on(&database, &in_place)), 1);

    // The tail cut off.
    let cut = "DELETE FROM algorithm_audit_trail WHERE experiment_id = $ AND sequence_number >= 40";
    execute(&database, &on_it(cut)).await;
    let (_, checks) = doctor();
    assert!(
        checks.contains(&"heads are the last entries".to_owned()),
        "{checks:?}"
    );
}
