//! When a delivery that failed is tried again, and when an endpoint has failed for too long.

use time::{Duration, OffsetDateTime};

use super::sender::WebhookAnswer;

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

/// The longest pause that a receiver may ask for.
const LONGEST_ASKED: Duration = Duration::hours(24);

/// After how long of nothing but failures an endpoint is switched off.
const PATIENCE: Duration = Duration::days(5);

/// How far apart two failures may be that belong together: longer than the longest pause. Of days in which
/// nothing was tried nobody knows whether it would have failed.
pub(super) const TOGETHER: Duration = Duration::hours(36);

/// The pause after the failure of attempt number `attempts`, from 1; `None`: it is given up. At least as
/// long as the receiver `asked` for. `chance` in `[0, 1)` decides how much longer than it should it is.
pub(super) fn pause_after(attempts: u32, asked: Duration, chance: f64) -> Option<Duration> {
    let index = usize::try_from(attempts.checked_sub(1)?).ok()?;
    let pause = *PAUSES.get(index)?;
    Some(pause.max(asked) * (1.0 + JITTER * chance))
}

/// For how long a receiver asks to be left alone, in seconds or until a date; nothing where it does not.
pub(super) fn asked_pause(answer: &WebhookAnswer, now: OffsetDateTime) -> Duration {
    let asked = answer.retry_after.as_deref().map(str::trim);
    let Some(asked) = asked.filter(|_| matches!(answer.status, 429 | 503)) else {
        return Duration::ZERO;
    };
    let is_number = !asked.is_empty() && asked.bytes().all(|byte| byte.is_ascii_digit());
    let pause = if is_number {
        // Of what is no number any more the most is taken.
        asked.parse().map_or(Duration::MAX, Duration::seconds)
    } else {
        let until = httpdate::parse_http_date(asked);
        until.map_or(Duration::ZERO, |until| OffsetDateTime::from(until) - now)
    };
    pause.clamp(Duration::ZERO, LONGEST_ASKED)
}

/// Whether an endpoint that has failed since `since` is to be switched off.
pub(super) fn is_hopeless(since: OffsetDateTime, now: OffsetDateTime) -> bool {
    now - since >= PATIENCE
}

#[cfg(test)]
mod tests {
    use time::{Duration, OffsetDateTime};

    use super::{TOGETHER, asked_pause, is_hopeless, pause_after};
    use crate::webhooks::WebhookAnswer;

    #[test]
    fn pauses_grow_and_end_after_the_ninth_attempt() {
        let pauses = |chance| {
            let pauses = (1..=9).map(|attempts| pause_after(attempts, Duration::ZERO, chance));
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
                assert!(longest < TOGETHER.whole_seconds());
            }
        }
        for none in [0, 9, u32::MAX] {
            assert_eq!(pause_after(none, Duration::HOUR, 0.0), None);
        }
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_and_for_no_shorter_one() {
        let now = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();
        let asked = |status, retry_after: Option<&str>| {
            let answer = WebhookAnswer {
                status,
                retry_after: retry_after.map(str::to_owned),
                ..WebhookAnswer::default()
            };
            asked_pause(&answer, now).whole_seconds()
        };
        for status in [429, 503] {
            for (said, seconds) in [
                (None, 0),
                (Some("120"), 120),
                (Some(" 7 "), 7),
                (Some("0"), 0),
                (Some("Sun, 06 Nov 1994 08:59:37 GMT"), 600),
                (Some("Sunday, 06-Nov-94 08:59:37 GMT"), 600),
                (Some("Sun Nov  6 08:59:37 1994"), 600),
                // It is over, it is none, and it is longer than we wait.
                (Some("Sun, 06 Nov 1994 08:39:37 GMT"), 0),
                (Some(""), 0),
                (Some("-5"), 0),
                (Some("1.5"), 0),
                (Some("tomorrow"), 0),
                (Some("90000"), 86_400),
                (Some("99999999999999999999999"), 86_400),
                (Some("Tue, 08 Nov 1994 08:49:37 GMT"), 86_400),
                (Some("Fri, 31 Dec 9999 23:59:59 GMT"), 86_400),
            ] {
                assert_eq!(asked(status, said), seconds, "{status} {said:?}");
            }
        }
        assert_eq!(asked(500, Some("120")), 0);
        let pause = |asked| pause_after(2, Duration::seconds(asked), 0.0);
        assert_eq!(pause(59), Some(Duration::MINUTE));
        assert_eq!(pause(61), Some(Duration::seconds(61)));
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
