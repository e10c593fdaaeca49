//! When a delivery that failed is tried again, and when an endpoint has failed for too long.

use time::{Duration, OffsetDateTime};

/// The pauses after each failure. The last attempt is made a day after the one before it, two days
/// after the first.
const PAUSES: [Duration; 8] = [
    Duration::seconds(5),
    Duration::minutes(1),
    Duration::minutes(5),
    Duration::minutes(30),
    Duration::hours(2),
    Duration::hours(6),
    Duration::hours(12),
    Duration::hours(24),
];

/// How much longer a pause may be than it should, so that what failed together is not tried together.
const JITTER: f64 = 0.25;

/// After how long of nothing but failures an endpoint is switched off.
const PATIENCE: Duration = Duration::days(5);

/// The pause after the failure of attempt number `attempts`, from 1; `None`: it is given up.
/// `chance` in `[0, 1)` decides how much longer than it should the pause is.
pub(super) fn pause_after(attempts: u32, chance: f64) -> Option<Duration> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    PAUSES
        .get(index)
        .map(|pause| *pause * (1.0 + JITTER * chance))
}

/// Whether an endpoint that has failed since `since` is to be switched off.
pub(super) fn is_hopeless(since: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - since >= PATIENCE
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{is_hopeless, pause_after};

    #[test]
    fn pauses_grow_and_end_after_the_ninth_attempt() {
        let pauses = |chance| {
            let pauses = (1..=9).map(|attempts| pause_after(attempts, chance));
            pauses
                .map(|pause| pause.map(Duration::whole_seconds))
                .collect::<Vec<_>>()
        };
        let seconds = [5, 60, 300, 1_800, 7_200, 21_600, 43_200, 86_400];
        let mut expected: Vec<Option<i64>> = seconds.into_iter().map(Some).collect();
        expected.push(None);
        assert_eq!(pauses(0.0), expected);
        for (longest, pause) in pauses(0.999).into_iter().zip(expected) {
            if let (Some(longest), Some(pause)) = (longest, pause) {
                assert!(
                    longest > pause && longest <= pause * 5 / 4,
                    "{longest} {pause}"
                );
            }
        }
        assert_eq!(pause_after(0, 0.0), None);
        assert_eq!(pause_after(u32::MAX, 0.0), None);
    }

    #[test]
    fn five_days_of_failures_are_enough() {
        let since = OffsetDateTime::UNIX_EPOCH;
        assert!(!is_hopeless(
            since,
            since + Duration::days(5) - Duration::SECOND
        ));
        assert!(is_hopeless(since, since + Duration::days(5)));
    }
}
