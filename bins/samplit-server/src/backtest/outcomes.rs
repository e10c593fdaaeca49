//! What the next visitor of an arm does, according to the record.

use rand::rngs::ChaCha12Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::records::ArmRecord;

/// The recorded visitors of one arm in a random order, drawn without replacement.
///
/// Drawing one after the other with the odds of what is left gives every order of the recorded
/// visitors the same chance, as a shuffle would, without holding them.
#[derive(Debug)]
pub(super) struct Outcomes {
    rng: ChaCha12Rng,
    impressions: u64,
    clicks: u64,
}

impl Outcomes {
    /// The record of `arm`; the order follows from `seed` and the places of the test and the arm.
    pub(super) fn new(arm: &ArmRecord, seed: u64, test: usize, position: usize) -> Self {
        let mut bytes = [0; 32];
        for (chunk, number) in bytes
            .chunks_exact_mut(8)
            .zip([seed, test as u64, position as u64])
        {
            chunk.copy_from_slice(&number.to_le_bytes());
        }
        Self {
            rng: ChaCha12Rng::from_seed(bytes),
            impressions: arm.impressions,
            clicks: arm.clicks,
        }
    }

    /// Whether the next recorded visitor clicked; `None` when the record is used up.
    pub(super) fn next(&mut self) -> Option<bool> {
        if self.impressions == 0 {
            return None;
        }
        let clicked = self.rng.random_range(0..self.impressions) < self.clicks;
        self.impressions -= 1;
        self.clicks -= u64::from(clicked);
        Some(clicked)
    }
}

#[cfg(test)]
mod tests {
    use super::{ArmRecord, Outcomes};

    fn drawn(seed: u64) -> Vec<bool> {
        let arm = ArmRecord {
            name: "a".to_owned(),
            impressions: 400,
            clicks: 100,
        };
        let mut outcomes = Outcomes::new(&arm, seed, 0, 0);
        std::iter::from_fn(|| outcomes.next()).collect()
    }

    #[test]
    fn the_record_is_used_up_exactly() {
        for seed in 0..20 {
            let drawn = drawn(seed);
            assert_eq!(drawn.len(), 400);
            assert_eq!(drawn.iter().filter(|clicked| **clicked).count(), 100);
        }
    }

    #[test]
    fn the_order_follows_the_seed_and_favours_no_place() {
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
        // Clicks in the first half, over 400 seeds: 50 each on average, standard deviation 4.3.
        let first: usize = (0..400)
            .map(|seed| drawn(seed)[..200].iter().filter(|c| **c).count())
            .sum();
        assert!((first as i64 - 20_000).abs() < 400, "{first}");
    }
}
