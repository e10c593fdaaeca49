//! A split that lost one visitor in twenty of the second arm, and one that lost none.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use samplit_bandit::{Counts, Error, Snapshot, Weights, sample_ratio};

fn main() -> Result<(), Error> {
    let days = [
        ([500_000_000, 500_000_000], [10_021, 9_480]),
        ([300_000_000, 700_000_000], [5_990, 13_310]),
    ];
    for lost in [true, false] {
        let snapshots = days
            .iter()
            .map(|(weights, n)| {
                // Give the lost visitors back for the second round.
                let second = if lost { n[1] } else { n[1] * 20 / 19 };
                let arms = [Counts { n: n[0], s: 0 }, Counts { n: second, s: 0 }];
                Snapshot::of_counts(Weights::from_ppb(weights.to_vec())?, &arms)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let split = sample_ratio(&snapshots)?;
        println!(
            "{:?}: {:?} visitors where the weights promised {:.0?}; p = {:.2e} at this look, \
             {:.2e} at any",
            split.verdict(),
            split.observed,
            split.expected,
            split.p_value,
            split.always_valid_p
        );
    }
    Ok(())
}
