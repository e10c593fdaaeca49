//! Two thousand visitors, three arms with hidden rates: watch the weights move to the best one.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha12Rng};
use samplit_bandit::{ArmState, Error, Rule, allocate, scale_to_ppb};

fn main() -> Result<(), Error> {
    let hidden_rates = [0.04, 0.05, 0.09];
    let mut random = ChaCha12Rng::seed_from_u64(1);
    let mut arms = [ArmState {
        n: 0,
        s: 0,
        active: true,
    }; 3];
    let rule = Rule::default();

    for block in 1..=10 {
        let allocation = allocate(&rule, &arms)?;
        for _ in 0..200 {
            let arm = allocation.weights.choose(scale_to_ppb(random.next_u64()));
            arms[arm].n += 1;
            arms[arm].s += u64::from(random.random_bool(hidden_rates[arm]));
        }
        println!(
            "after {:>4} visitors: counts {:?}, next weights {:?}",
            block * 200,
            arms.map(|arm| (arm.n, arm.s)),
            allocate(&rule, &arms)?.weights.as_slice()
        );
    }
    Ok(())
}
