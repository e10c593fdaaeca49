//! Prints what this crate computes for a fixed set of inputs, as JSON: inputs and results, for
//! `docs/oracles/compare.py` to compute again with other people's code.
#![expect(clippy::print_stdout, reason = "an example shows its answer")]

use samplit_bandit::{
    Beta, Comparison, Counts, CovariateSums, Error, Prior, Snapshot, StudentT, Weights, cuped,
    expected_loss, holm, lift, newcombe, p_best, prob_beats, sample_ratio, sample_size,
    two_proportion_z, wilson,
};
use serde_json::{Value, json};

/// Arms as (n, s): few and many visitors, close and far apart, two and more.
const ARMS: [&[(u64, u64)]; 7] = [
    &[(40, 1), (55, 4)],
    &[(1_000, 50), (1_000, 65)],
    &[(12_000, 130), (9_000, 121)],
    &[(1_000_000, 50_000), (1_000_000, 50_600)],
    &[(500, 25), (480, 30), (1_900, 121)],
    &[(2_000, 20), (2_100, 25), (1_900, 31), (2_050, 22), (300, 9)],
    &[(100, 0), (100, 1), (100, 2)],
];

/// Rate, effect, alpha, power.
const PLANS: [(f64, f64, f64, f64); 4] = [
    (0.05, 0.01, 0.05, 0.8),
    (0.10, 0.02, 0.05, 0.9),
    (0.01, 0.002, 0.01, 0.8),
    (0.30, -0.03, 0.05, 0.8),
];

fn main() -> Result<(), Error> {
    let values = json!({
        "arms": ARMS.iter().map(|arms| bayesian(arms)).collect::<Result<Vec<_>, _>>()?,
        "pairs": ARMS.iter().map(|arms| fixed(arms)).collect::<Result<Vec<_>, _>>()?,
        "plans": PLANS.iter().map(|plan| planned(*plan)).collect::<Result<Vec<_>, _>>()?,
        "student": [student(1.0, 0.1, 12.0)?, student(-3.0, 2.0, 3.5)?, student(0.0, 1.0, 5e4)?],
        "cuped": [covariate(200)?, covariate(5_000)?],
        "holm": holms(&[0.012, 0.04, 0.003, 0.7])?,
        "split": [split(&[500, 553])?, split(&[1_000, 1_050, 990, 961])?],
    });
    println!("{values:#}");
    Ok(())
}

fn counts(arms: &[(u64, u64)]) -> Result<Vec<Counts>, Error> {
    arms.iter().map(|&(n, s)| Counts::new(n, s)).collect()
}

fn bayesian(arms: &[(u64, u64)]) -> Result<Value, Error> {
    let posteriors = counts(arms)?
        .into_iter()
        .map(|counts| Prior::default().posterior(counts))
        .collect::<Result<Vec<Beta>, _>>()?;
    let intervals = posteriors
        .iter()
        .map(|beta| beta.interval(0.95))
        .collect::<Result<Vec<_>, _>>()?;
    let lift = lift(&posteriors[1], &posteriors[0], 0.95)?;
    Ok(json!({
        "arms": arms,
        "p_best": p_best(&posteriors)?,
        "expected_loss": expected_loss(&posteriors)?,
        "interval": intervals,
        "prob_beats": prob_beats(&posteriors[1], &posteriors[0])?,
        "lift": [lift.low, lift.median, lift.high],
        "expected_loss_of_two": expected_loss(&posteriors[..2])?,
    }))
}

fn fixed(arms: &[(u64, u64)]) -> Result<Value, Error> {
    let counts = counts(arms)?;
    let (control, arm) = (counts[0], counts[1]);
    let z = two_proportion_z(arm, control)?;
    Ok(json!({
        "arms": &arms[..2],
        "wilson": [wilson(control, 0.95)?, wilson(arm, 0.95)?],
        "newcombe": newcombe(arm, control, 0.95)?,
        "z": z.z,
        "p_value": z.p_value,
    }))
}

fn planned((rate, effect, alpha, power): (f64, f64, f64, f64)) -> Result<Value, Error> {
    let plan = Comparison {
        rate,
        effect,
        alpha,
        power,
    };
    Ok(json!({
        "rate": rate, "effect": effect, "alpha": alpha, "power": power,
        "per_arm": sample_size(plan)?.per_arm,
    }))
}

fn student(location: f64, scale: f64, degrees: f64) -> Result<Value, Error> {
    let t = StudentT::new(location, scale, degrees)?;
    Ok(json!({
        "location": location, "scale": scale, "degrees": degrees,
        "interval": t.interval(0.95)?,
        "below_zero": t.cdf(0.0)?,
    }))
}

/// Outcomes that follow a covariate, by a formula and not by chance, so that anybody can repeat it.
fn covariate(visitors: u32) -> Result<Value, Error> {
    let (mut arm, mut control) = (CovariateSums::default(), CovariateSums::default());
    let mut rows = Vec::new();
    for i in 0..visitors {
        let x = f64::from(i * i % 97) / 10.0;
        let noise = f64::from(i * 7_919 % 101) / 20.0;
        let treated = i % 2 == 1;
        let y = 0.8 * x + noise + if treated { 0.3 } else { 0.0 };
        if treated { &mut arm } else { &mut control }.add(y, x);
        rows.push(json!([u8::from(treated), x, y]));
    }
    let adjusted = cuped(&arm, &control)?;
    Ok(json!({
        "rows": rows,
        "theta": adjusted.theta,
        "difference": adjusted.difference.value,
        "standard_error": adjusted.difference.standard_error,
    }))
}

fn holms(p_values: &[f64]) -> Result<Value, Error> {
    Ok(json!({ "p_values": p_values, "adjusted": holm(p_values)? }))
}

/// A split that should have been even.
fn split(visitors: &[u64]) -> Result<Value, Error> {
    let even = Weights::uniform(&vec![true; visitors.len()])?;
    let counts: Vec<Counts> = visitors.iter().map(|&n| Counts { n, s: 0 }).collect();
    let found = sample_ratio(&[Snapshot::of_counts(even, &counts)?])?;
    Ok(json!({ "visitors": visitors, "chi_square": found.chi_square, "p_value": found.p_value }))
}
