//! `ope`: estimates from a made-up log, and what it says of bad input.

use crate::support::{Json, code, run, stderr, stdout};

/// 300 visitors of three arms that convert at 10, 20 and 40 %, under two sets of propensities.
const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/logged.csv");

fn near(json: &Json, pointer: &str, expected: f64) {
    let told = json.pointer(pointer).and_then(Json::as_f64).unwrap();
    assert!((told - expected).abs() < 1e-9, "{pointer}: {told}");
}

fn report(arguments: &[&str]) -> Json {
    let output = run(&[&["ope", LOG, "--output", "json"], arguments].concat());
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    serde_json::from_str(&stdout(&output)).unwrap()
}

/// The expected numbers come from the formulas, summed over the rows one by one by a script.
#[test]
fn a_split_is_judged_on_the_log() {
    let even = report(&[]);
    assert_eq!(even["visitors"], 300);
    near(&even, "/logged_rate", 0.213_333_333_333);
    near(&even, "/ips/estimate", 0.217_037_037_037);
    near(&even, "/snips/estimate", 0.214_652_014_652);
    near(&even, "/doubly_robust/estimate", 0.223_521_496_946);
    near(&even, "/doubly_robust/interval/0", 0.175_976_165_188);
    near(&even, "/doubly_robust/interval/1", 0.271_066_828_703);
    near(&even, "/effective_sample_size", 260.136_125_654_449);

    let directory = tempfile::tempdir().unwrap();
    let target = directory.path().join("target.csv");
    std::fs::write(&target, "arm,share\nblue,0.75\ngreen,0.25\n").unwrap();
    let skewed = report(&["--target-file", target.to_str().unwrap()]);
    near(&skewed, "/logged_rate", 0.213_333_333_333);
    near(&skewed, "/ips/estimate", 0.332_777_777_777);
    near(&skewed, "/snips/estimate", 0.347_246_376_811);
    near(&skewed, "/doubly_robust/estimate", 0.346_131_010_159);
    near(&skewed, "/doubly_robust/interval/0", 0.266_412_389_828);
    near(&skewed, "/doubly_robust/interval/1", 0.425_849_630_490);
    near(&skewed, "/effective_sample_size", 129.614_505_063_704);
    let unplayed = skewed["arms"].as_array().unwrap().iter();
    let unplayed = unplayed.filter(|arm| arm["target_share"] == 0.0);
    assert_eq!(
        unplayed.map(|arm| &arm["name"]).collect::<Vec<_>>(),
        ["grey"]
    );

    let text = stdout(&run(&["ope", LOG, "--target", "even"]));
    assert!(text.starts_with("300 visitors earned"), "{text}");
    assert!(text.contains("doubly robust"), "{text}");
}

#[test]
fn bad_input_is_refused() {
    let cases = [
        (vec!["ope"], 64, "FILE"),
        (
            vec!["ope", LOG, "--target", "best"],
            64,
            "[possible values: even]",
        ),
        (
            vec!["ope", LOG, "--target", "even", "--target-file", "x"],
            64,
            "cannot be used with",
        ),
        (vec!["ope", "/nowhere.csv"], 1, "cannot read /nowhere.csv"),
        (
            vec!["ope", LOG, "--reward-column", "clicks"],
            1,
            "line 1: there is no column `clicks`, only `arm`, `reward`, `propensity`",
        ),
        (
            vec!["ope", LOG, "--propensity-column", "arm"],
            1,
            "line 2: column `arm` must be a number above 0, at most 1",
        ),
    ];
    for (arguments, expected, words) in cases {
        let output = run(&arguments);
        assert_eq!(code(&output), expected, "{arguments:?}");
        assert!(stderr(&output).contains(words), "{}", stderr(&output));
    }
}
