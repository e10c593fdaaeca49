//! The Open Bandit Dataset (Saito et al. 2020): what Thompson sampling earns, told from the log of
//! a uniform policy and held against its own log.
#![expect(clippy::unwrap_used, reason = "a malformed file should stop the test")]
#![expect(clippy::print_stdout, reason = "the estimates are worth seeing")]
#![expect(
    clippy::cast_precision_loss,
    reason = "ten thousand rows are a small number"
)]

use samplit_bandit::{Estimate, Logged, off_policy};

const ITEMS: usize = 34;
const POSITIONS: usize = 3;

/// One impression: item and position as one arm, the click, the item's probability.
struct Impression {
    arm: usize,
    click: f64,
    propensity: f64,
}

fn log(name: &str) -> Option<Vec<Impression>> {
    #[expect(
        clippy::disallowed_methods,
        reason = "tests take the folder of test data from here"
    )]
    let folder = std::env::var("SAMPLIT_TEST_DATA").ok()?;
    let text = std::fs::read_to_string(format!("{folder}/data/{name}")).unwrap();
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        let item: usize = fields[1].parse().unwrap();
        let position: usize = fields[2].parse().unwrap();
        Impression {
            arm: item * POSITIONS + position - 1,
            click: fields[3].parse().unwrap(),
            propensity: fields[4].parse().unwrap(),
        }
    };
    Some(text.lines().skip(1).map(parse).collect())
}

fn share(impressions: &[Impression], of: impl Fn(&Impression) -> bool) -> f64 {
    impressions.iter().filter(|i| of(i)).count() as f64 / impressions.len() as f64
}

#[test]
fn thompson_sampling_from_the_uniform_log() {
    let (Some(uniform), Some(thompson)) = (
        log("open_bandit_random_men.csv"),
        log("open_bandit_bts_men.csv"),
    ) else {
        println!("skipped: SAMPLIT_TEST_DATA is not set");
        return;
    };
    let arms = ITEMS * POSITIONS;
    let target: Vec<f64> = (0..arms)
        .map(|arm| share(&thompson, |i| i.arm == arm))
        .collect();
    let positions: Vec<f64> = (0..POSITIONS)
        .map(|position| share(&uniform, |i| i.arm % POSITIONS == position))
        .collect();
    let logged: Vec<Logged> = uniform
        .iter()
        .map(|i| Logged::one(i.arm, i.propensity * positions[i.arm % POSITIONS], i.click))
        .collect();
    let told = off_policy(&logged, &target).unwrap();
    let own = thompson.iter().map(|i| i.click).sum::<f64>() / thompson.len() as f64;
    println!("its own log {own}; {told:?}");
    let agrees = |estimate: &Estimate| {
        // The truth of its own log is an estimate too, of 69 clicks.
        let own_error = (own * (1.0 - own) / thompson.len() as f64).sqrt();
        let error = estimate.standard_error.hypot(own_error);
        (estimate.value - own).abs() < 2.6 * error
    };
    assert!(agrees(&told.ips) && agrees(&told.snips) && agrees(&told.doubly_robust));
    assert!(told.effective_sample_size > 1_000.0);
}
