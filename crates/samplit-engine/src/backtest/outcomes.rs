//! What the next visitor of an arm does, according to the record.

use rand::RngExt as _;
use rand::rngs::ChaCha12Rng;

use super::random;
use super::records::OldArm;

/// The recorded visitors of one arm in a random order, drawn without replacement.
///
/// Drawing one after the other with the odds of what is left gives every order of the recorded
/// visitors the same chance, as a shuffle would, without holding them.
#[derive(Debug)]
pub struct RecordedOutcomes {
    rng: ChaCha12Rng,
    impressions: u64,
    clicks: u64,
}

impl RecordedOutcomes {
    /// The record of `arm`; the order follows from `seed` and the places of the test and the arm.
    #[must_use]
    pub fn new(arm: &OldArm, seed: u64, test: u64, position: u64) -> Self {
        Self {
            rng: random([seed, test, position]),
            impressions: arm.impressions,
            clicks: arm.clicks,
        }
    }
}

impl Iterator for RecordedOutcomes {
    type Item = bool;

    /// Whether the next recorded visitor converted; `None` when the record is used up.
    fn next(&mut self) -> Option<bool> {
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
    use super::{OldArm, RecordedOutcomes};

    fn drawn(seed: u64) -> Vec<bool> {
        let arm = OldArm {
            name: "a".to_owned(),
            impressions: 400,
            clicks: 100,
        };
        RecordedOutcomes::new(&arm, seed, 0, 0).collect()
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
