//! Three headlines with their counts: rates, chances, losses, lift over the first.
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use samplit_bandit::{Counts, Error, Prior, expected_gain, expected_loss, lift, p_best};

fn main() -> Result<(), Error> {
    let counts = [(4_120, 206), (4_160, 225), (4_090, 262)];
    let arms = counts
        .iter()
        .map(|&(n, s)| Prior::default().posterior(Counts::new(n, s)?))
        .collect::<Result<Vec<_>, _>>()?;
    let (p, loss) = (p_best(&arms)?, expected_loss(&arms)?);
    for (i, arm) in arms.iter().enumerate() {
        let (low, high) = arm.interval(0.95)?;
        let versus_first = lift(arm, &arms[0], 0.95)?;
        println!(
            "arm {i}: rate {:.2} % ({:.2} to {:.2}), best with probability {:.4}, loss {:.5}",
            100.0 * arm.mean(),
            100.0 * low,
            100.0 * high,
            p[i],
            loss[i]
        );
        if i > 0 {
            println!(
                "       lift {:+.1} % ({:+.1} to {:+.1}), {:+.1} conversions per 1,000 visitors",
                100.0 * versus_first.median,
                100.0 * versus_first.low,
                100.0 * versus_first.high,
                expected_gain(arm, &arms[0])
            );
        }
    }
    Ok(())
}
