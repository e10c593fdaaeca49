//! `backtest`: finishes, verifies, and says the same for the same seed.

use crate::support::{Json, KEYS, code, migrated, run, stderr, stdout};

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/old_tests.csv");

/// A report without what nobody can repeat.
fn without_times(mut report: Json) -> Json {
    report["totals"]
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["seconds", "visitors_per_second"].contains(&name.as_str()));
    report
}

fn backtest(arguments: &[&str]) -> Json {
    let all = [
        &["backtest", FIXTURE, "--warm-up", "20", "--output", "json"],
        arguments,
    ]
    .concat();
    let output = run(&all);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

#[test]
fn a_backtest_verifies_and_repeats_itself_for_a_seed() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("table.csv");
    let report = backtest(&[
        "--seed",
        "3",
        "--wave",
        "50",
        "--csv",
        table.to_str().unwrap(),
    ]);
    let totals = &report["totals"];
    assert_eq!(totals["tests"], 5);
    assert_eq!(totals["arms"], 14);
    assert_eq!(totals["sound_trails"], 5);
    // The arms of the fixture differ by factors; whoever learns anything beats the even split.
    assert!(totals["uplift_percent"].as_f64().unwrap() > 5.0, "{totals}");
    for test in report["tests"].as_array().unwrap() {
        let visitors = test["visitors"].as_u64().unwrap();
        let counted = visitors + test["conversions"].as_u64().unwrap();
        assert!(test["entries"].as_u64().unwrap() >= counted, "{test}");
        assert_eq!(test["trail"], "sound");
    }
    let lines = std::fs::read_to_string(table).unwrap();
    assert_eq!(lines.lines().count(), 6, "{lines}");

    // How many tests run at once changes batches and times, but no decision.
    let again = backtest(&["--seed", "3", "--wave", "50", "--parallel", "2"]);
    assert_eq!(without_times(report), without_times(again.clone()));
    let other = backtest(&["--seed", "4", "--wave", "50"]);
    assert_ne!(again["tests"], other["tests"]);
}

#[tokio::test]
async fn a_backtest_can_run_in_a_database_of_ones_own() {
    let database = migrated().await;
    let url = database.url();
    let refused = run(&["backtest", FIXTURE, "--database-url", url]);
    // Nobody could open the trails that it would leave there.
    assert!(
        stderr(&refused).contains("SAMPLIT_KEYS"),
        "{}",
        stderr(&refused)
    );
    let report = backtest(&["--limit", "2", "--database-url", url, "--keys", KEYS]);
    assert_eq!(report["totals"]["sound_trails"], 2);
}

#[test]
fn a_bad_file_is_refused_before_anything_runs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "test_id,headline,impressions,clicks\na,x,10,many\na,y,5,1\n",
    )
    .unwrap();
    let refused = run(&["backtest", file.path().to_str().unwrap()]);
    assert_eq!(code(&refused), 1);
    let text = stderr(&refused);
    assert!(text.contains("line 2: column `clicks`"), "{text}");
    assert!(stdout(&refused).is_empty());
}
