//! Old test results, told again: what adaptive allocation would have earned in tests that were run
//! with an even split.
//!
//! What a visitor does is drawn without replacement from what the visitors of that arm did on record,
//! so that no rate has to be assumed. A test ends as soon as somebody is given an arm whose record is
//! used up. Nothing is stored: the same rule that allocates visitors of experiments allocates here,
//! in memory. `samplit-server backtest` does the same through the whole write path, trail included.

mod outcomes;
mod records;
mod replay;

use rand::SeedableRng as _;
use rand::rngs::ChaCha12Rng;

pub use outcomes::RecordedOutcomes;
pub use records::{MalformedOldTests, OldArm, OldTest, OldTestColumns, read_old_tests};
pub use replay::{Backtest, BacktestReport, BacktestRow};

/// A source of randomness for what `numbers` name.
fn random(numbers: [u64; 3]) -> ChaCha12Rng {
    let mut seed = [0; 32];
    for (chunk, number) in seed.chunks_exact_mut(8).zip(numbers) {
        chunk.copy_from_slice(&number.to_le_bytes());
    }
    ChaCha12Rng::from_seed(seed)
}
