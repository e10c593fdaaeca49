//! The reference values, computed elsewhere with scipy and mpmath.
#![expect(
    clippy::unwrap_used,
    reason = "a malformed vector file should stop the test"
)]
#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::path::PathBuf;

use samplit_bandit::*;
use serde_json::Value;

/// The cases of one section, or nothing where the vectors are not at hand.
fn section(name: &str) -> Vec<Value> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests take the folder of test data from here"
    )]
    let Ok(folder) = std::env::var("SAMPLIT_TEST_DATA") else {
        println!("skipped: SAMPLIT_TEST_DATA is not set");
        return Vec::new();
    };
    let path = PathBuf::from(folder).join("vectors/stats.json");
    let text = std::fs::read_to_string(path).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    let cases = all[name].as_array().unwrap().clone();
    assert!(!cases.is_empty(), "no case called {name}");
    cases
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn beta(value: &Value) -> Beta {
    Beta::new(number(&value[0]), number(&value[1])).unwrap()
}

fn betas(value: &Value) -> Vec<Beta> {
    value.as_array().unwrap().iter().map(beta).collect()
}

fn close(got: &[f64], expected: &[f64], tolerance: f64, case: &Value) {
    assert_eq!(got.len(), expected.len());
    for (g, e) in got.iter().zip(expected) {
        assert!((g - e).abs() <= tolerance, "{g} is not {e} in {case}");
    }
}

#[test]
fn probability_of_being_best() {
    for case in section("p_best") {
        let p = p_best(&betas(&case["ab"])).unwrap();
        close(&p, &numbers(&case["p"]), number(&case["tol"]), &case);
    }
}

#[test]
fn loss_of_choosing() {
    for case in section("expected_loss") {
        let loss = expected_loss(&betas(&case["ab"])).unwrap();
        close(&loss, &numbers(&case["loss"]), number(&case["tol"]), &case);
    }
}

#[test]
fn beta_quantiles() {
    for case in section("beta_quantile") {
        let beta = Beta::new(number(&case["a"]), number(&case["b"])).unwrap();
        let x = number(&case["x"]);
        let got = beta.quantile(number(&case["q"])).unwrap();
        let tolerance = number(&case["rel_tol"]) * x;
        close(&[got], &[x], tolerance, &case);
        let back = beta.cdf(got).unwrap();
        close(&[back], &[number(&case["q"])], 1e-9, &case);
    }
}

#[test]
fn probability_to_beat() {
    for case in section("prob_beats") {
        let p = prob_beats(&beta(&case["b"]), &beta(&case["a"])).unwrap();
        close(
            &[p],
            &[number(&case["p_b_beats_a"])],
            number(&case["tol"]),
            &case,
        );
    }
}

#[test]
fn floor_and_rounding() {
    for case in section("weights") {
        let weights =
            Weights::from_probabilities(&numbers(&case["p"]), number(&case["floor"])).unwrap();
        let got: Vec<f64> = weights.as_slice().iter().map(|w| f64::from(*w)).collect();
        close(
            &got,
            &numbers(&case["weights_ppb"]),
            number(&case["tol_ppb"]),
            &case,
        );
    }
}

#[test]
fn top_two_sampling() {
    for case in section("top_two") {
        let w = top_two(&numbers(&case["p"])).unwrap();
        close(&w, &numbers(&case["w"]), number(&case["tol"]), &case);
    }
}

#[test]
fn relative_lift() {
    for case in section("lift") {
        let lift = lift(&beta(&case["arm"]), &beta(&case["control"]), 0.95).unwrap();
        let expected = ["q025", "q500", "q975"].map(|q| number(&case[q]));
        close(
            &[lift.low, lift.median, lift.high],
            &expected,
            number(&case["tol"]),
            &case,
        );
    }
}

#[test]
fn wilson_intervals() {
    for case in section("wilson") {
        let counts = Counts {
            n: case["n"].as_u64().unwrap(),
            s: case["s"].as_u64().unwrap(),
        };
        let (low, high) = wilson(counts, 0.95).unwrap();
        close(
            &[low, high],
            &numbers(&case["ci95"]),
            number(&case["tol"]),
            &case,
        );
    }
}

fn snapshots(case: &Value) -> Vec<Snapshot> {
    let whole = |value: &Value| value.as_u64().unwrap();
    let one = |snapshot: &Value| {
        let ppb = snapshot["weights_ppb"].as_array().unwrap();
        let ppb = ppb
            .iter()
            .map(|w| u32::try_from(whole(w)).unwrap())
            .collect();
        let n = snapshot["n"].as_array().unwrap();
        // Cases of the split alone have no conversions.
        let s = |i: usize| snapshot["s"].get(i).map_or(0, whole);
        let arms: Vec<Counts> = n
            .iter()
            .enumerate()
            .map(|(i, n)| Counts {
                n: whole(n),
                s: s(i),
            })
            .collect();
        Snapshot::of_counts(Weights::from_ppb(ppb).unwrap(), &arms).unwrap()
    };
    case["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(one)
        .collect()
}

#[test]
fn adaptive_sample_ratio() {
    for case in section("srm") {
        let split = sample_ratio(&snapshots(&case)).unwrap();
        assert_eq!(split.degrees as u64, case["df"].as_u64().unwrap());
        for (got, name) in [(split.chi_square, "chi2"), (split.p_value, "p_value")] {
            let expected = number(&case[name]);
            let tolerance = expected * number(&case["rel_tol"]) + 1e-300;
            close(&[got], &[expected], tolerance, &case);
        }
    }
}

#[test]
fn adaptively_weighted_means() {
    for case in section("aipw") {
        let snapshots = snapshots(&case);
        let tolerance = number(&case["tol"]);
        for (arm, expected) in case["arms"].as_array().unwrap().iter().enumerate() {
            let got = adaptive_mean(&snapshots, arm).unwrap();
            let expected = [number(&expected["estimate"]), number(&expected["se"])];
            close(
                &[got.value, got.standard_error],
                &expected,
                tolerance,
                &case,
            );
        }
        let sequence = &case["design_cs_1_vs_0"];
        let got = confidence_sequence(
            &snapshots,
            Contrast::Difference { arm: 1, control: 0 },
            Scores::Plain,
            number(&sequence["eta"]),
            number(&sequence["alpha"]),
        )
        .unwrap();
        let expected = [
            number(&sequence["estimate"]),
            number(&sequence["half_width"]),
        ];
        close(&[got.estimate, got.half_width], &expected, tolerance, &case);
    }
}
