//! A running bandit, looked at every day: has the difference been proved, and what is missing?
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use samplit_bandit::{
    Contrast, Counts, Error, Minimums, Prior, Scores, Snapshot, Standing, StoppingRule, Weights,
    confidence_sequence, expected_loss, may_stop, p_best, planned_variance, tune,
};

fn main() -> Result<(), Error> {
    // Per day: the logged weights, and (visitors, conversions) of control and of the new page.
    let days = [
        ([500_000_000, 500_000_000], [(498, 26), (502, 41)]),
        ([108_000_000, 892_000_000], [(107, 5), (893, 68)]),
        ([51_000_000, 949_000_000], [(55, 2), (945, 70)]),
    ];
    // Fixed before the start: an error rate of 5 %, tightest at 10,000 visitors and a rate of 6 %.
    let planned = planned_variance(Scores::Weighted, 10_000, 0.06 * 0.94, &[0.5, 0.5])?;
    let eta = tune(planned, 0.05)?;

    let mut snapshots = Vec::new();
    let mut totals = [Counts::default(); 2];
    let mut elapsed = 0.0;
    for (weights, counts) in days {
        let counts = counts.map(|(n, s)| Counts { n, s });
        snapshots.push(Snapshot::of_counts(
            Weights::from_ppb(weights.to_vec())?,
            &counts,
        )?);
        for (total, today) in totals.iter_mut().zip(counts) {
            total.n += today.n;
            total.s += today.s;
        }
        elapsed += 1.0;

        let contrast = Contrast::Difference { arm: 1, control: 0 };
        let sequence = confidence_sequence(&snapshots, contrast, Scores::Weighted, eta, 0.05)?;
        let posteriors = [
            Prior::default().posterior(totals[0])?,
            Prior::default().posterior(totals[1])?,
        ];
        let (p, loss) = (p_best(&posteriors)?, expected_loss(&posteriors)?);
        let shares = snapshots[snapshots.len() - 1].weights().to_probabilities();
        let standing = |arm: usize, versus_control| Standing {
            visitors: totals[arm].n,
            visitors_per_day: 1_000.0 * shares[arm],
            p_best: p[arm],
            expected_loss: loss[arm],
            versus_control,
            competes: true,
        };
        let arms = [standing(0, None), standing(1, Some(sequence))];
        let rule = StoppingRule::ConfidenceSequence;
        let report = may_stop(rule, Minimums::default(), &arms, elapsed)?;
        let (low, high) = sequence.interval();
        println!("day {elapsed}: difference {low:+.4} to {high:+.4} at any look");
        for missing in &report.missing {
            println!("  missing: {missing}");
        }
    }
    Ok(())
}
