//! Numbers and times as people read them: thin spaces between thousands, as many digits as say
//! something, moments in UTC, which a script makes local.

use std::{borrow::Borrow, fmt};

use askama::filters::HtmlSafe;
use time::{
    OffsetDateTime, UtcOffset,
    format_description::{StaticFormatDescription, well_known::Rfc3339},
    macros::format_description,
};

/// Between groups of digits, and between a number and its unit; no line ends there.
const THIN: char = '\u{202f}';
const MINUS: char = '\u{2212}';
/// Stands for a number that there is not.
pub(crate) const NOTHING: &str = "\u{2013}";

const SHOWN: StaticFormatDescription =
    format_description!("[day padding:none] [month repr:short] [year], [hour]:[minute] UTC");

/// What counts something. Templates hand numbers over by reference.
pub(crate) trait Count: Copy {
    /// How many; none, if less.
    fn number(self) -> u64;
}

impl Count for u64 {
    fn number(self) -> u64 {
        self
    }
}

impl Count for u32 {
    fn number(self) -> u64 {
        self.into()
    }
}

impl Count for usize {
    fn number(self) -> u64 {
        self.try_into().unwrap_or(u64::MAX)
    }
}

impl Count for i64 {
    fn number(self) -> u64 {
        self.try_into().unwrap_or_default()
    }
}

impl<T: Count> Count for &T {
    fn number(self) -> u64 {
        (*self).number()
    }
}

/// A whole number: `12 345`.
pub(crate) fn count(number: impl Count) -> String {
    grouped(&number.number().to_string())
}

/// A number of things: `1 visitor`, `12 345 visitors`.
pub(crate) fn plural(number: impl Count, noun: &str) -> String {
    let number = number.number();
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {noun}{ending}", count(number))
}

/// A share that was measured, with the digits that matter: `0.053 %`, `3.42 %`, `45.2 %`, `100 %`.
pub(crate) fn percent(share: impl Borrow<f64>) -> String {
    let share = *share.borrow();
    let percent = 100.0 * share;
    let digits = match percent.abs() {
        0.0 | 100.0.. => 0,
        10.0.. => 1,
        0.1.. => 2,
        _ => 3,
    };
    number_of(percent, digits, "%")
}

/// A share that was measured, if there is one.
pub(crate) fn percent_or_nothing(share: Option<f64>) -> String {
    share.map_or_else(|| NOTHING.to_owned(), percent)
}

/// How many of how many, as a share; nothing of nobody.
pub(crate) fn rate(of: impl Count, all: impl Count) -> String {
    let (of, all) = (of.number(), all.number());
    // Beyond 2^32 visitors the digits that are shown do not change.
    let shift = 32_u32.saturating_sub(all.leading_zeros());
    let small = |number: u64| u32::try_from(number >> shift).map_or(f64::NAN, f64::from);
    if all == 0 {
        return NOTHING.to_owned();
    }
    percent(small(of) / small(all))
}

/// A share that somebody chose, with no digit that says nothing: `50 %`, `12.5 %`.
pub(crate) fn share(share: impl Borrow<f64>) -> String {
    let share = *share.borrow();
    format!("{}{THIN}%", value(100.0 * share))
}

/// A probability. What is not certain is never called so: `> 99.9 %`.
pub(crate) fn chance(probability: impl Borrow<f64>) -> String {
    let probability = *probability.borrow();
    if probability > 0.0 && probability < 0.001 {
        format!("<{THIN}0.1{THIN}%")
    } else if probability > 0.999 && probability < 1.0 {
        format!(">{THIN}99.9{THIN}%")
    } else {
        number_of(100.0 * probability, 1, "%")
    }
}

/// A relative change with its sign: `+12 %`, `−4.1 %`.
pub(crate) fn change(ratio: impl Borrow<f64>) -> String {
    let ratio = *ratio.borrow();
    let digits = usize::from(ratio.abs() < 0.0995);
    let sign = if ratio < 0.0 { MINUS } else { '+' };
    format!("{sign}{}", number_of(100.0 * ratio.abs(), digits, "%"))
}

/// A number without a unit, with two digits after the point at most: `1 234.5`.
pub(crate) fn value(number: impl Borrow<f64>) -> String {
    let number = *number.borrow();
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    let (sign, digits) = match text.strip_prefix('-') {
        Some("0") => ("", "0"),
        Some(digits) => ("\u{2212}", digits),
        None => ("", text),
    };
    let (whole, rest) = digits
        .split_once('.')
        .map_or((digits, String::new()), |(whole, rest)| {
            (whole, format!(".{rest}"))
        });
    format!("{sign}{}{rest}", grouped(whole))
}

/// How long something took or takes: `5 hours`, `12 days`.
pub(crate) fn days(days: impl Borrow<f64>) -> String {
    let days = *days.borrow();
    let span = time::Duration::checked_seconds_f64(days * 86_400.0);
    in_words(span.unwrap_or(time::Duration::MAX))
}

/// A moment, in words seen from another: `3 days ago`, `in 5 hours`, `just now`.
pub(crate) fn ago(at: OffsetDateTime, now: OffsetDateTime) -> String {
    let span = now - at;
    if span.abs() < time::Duration::MINUTE {
        "just now".to_owned()
    } else if span.is_negative() {
        format!("in {}", in_words(span.abs()))
    } else {
        format!("{} ago", in_words(span))
    }
}

/// The largest unit in which a span is two at least, or its only one.
fn in_words(span: time::Duration) -> String {
    const UNITS: [(i64, &str); 5] = [
        (365 * 86_400, "year"),
        (30 * 86_400, "month"),
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
    ];
    let seconds = span.whole_seconds();
    // A year and a half is told in months, 36 hours in hours.
    let fits = |(unit, _): &(i64, &str)| seconds >= 2 * unit;
    let (unit, noun) = UNITS.into_iter().find(fits).unwrap_or((60, "minute"));
    plural((seconds / unit).number().max(1), noun)
}

/// A moment as HTML, `<time>`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    at: OffsetDateTime,
    now: OffsetDateTime,
    relative: bool,
}

impl Moment {
    /// Shown as a date with a time; how long ago that is, is its title.
    pub(crate) fn new(at: OffsetDateTime, now: OffsetDateTime) -> Self {
        Self {
            at,
            now,
            relative: false,
        }
    }

    /// Shown as the time that has passed; the date is its title.
    pub(crate) fn relative(self) -> Self {
        Self {
            relative: true,
            ..self
        }
    }
}

/// Nothing in it comes from people.
impl HtmlSafe for Moment {}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = self.at.to_offset(UtcOffset::UTC);
        // Only years beyond 9999 cannot be written.
        let (Ok(machine), Ok(date)) = (at.format(&Rfc3339), at.format(SHOWN)) else {
            return f.write_str(NOTHING);
        };
        let passed = ago(self.at, self.now);
        if self.relative {
            write!(
                f,
                r#"<time datetime="{machine}" title="{date}" data-relative>{passed}</time>"#
            )
        } else {
            write!(
                f,
                r#"<time datetime="{machine}" title="{passed}">{date}</time>"#
            )
        }
    }
}

fn number_of(number: f64, digits: usize, unit: &str) -> String {
    let text = format!("{:.digits$}", number.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let is_zero = text.bytes().all(|b| matches!(b, b'0' | b'.'));
    let sign = if number < 0.0 && !is_zero {
        "\u{2212}"
    } else {
        ""
    };
    format!("{sign}{}{rest}{THIN}{unit}", grouped(whole))
}

/// Digits in groups of three. Four stay together.
fn grouped(digits: &str) -> String {
    if digits.len() < 5 {
        return digits.to_owned();
    }
    let mut grouped = String::with_capacity(2 * digits.len());
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(THIN);
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::{Moment, ago, chance, change, count, days, percent, plural, rate, share, value};

    /// With plain characters in the place of thin spaces and the minus.
    fn plain(text: &str) -> String {
        text.replace('\u{202f}', " ").replace('\u{2212}', "-")
    }

    #[test]
    fn counts_are_grouped() {
        let cases = [
            (0_u64, "0"),
            (9_999, "9999"),
            (12_345, "12 345"),
            (1_234_567, "1 234 567"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(&count(number)), expected);
        }
        let by_reference = &7_usize;
        let counted = (count(-1_i64), count(by_reference));
        assert_eq!(counted, ("0".to_owned(), "7".to_owned()));
        assert_eq!(plural(1_u64, "visitor"), "1 visitor");
        assert_eq!(plural(0_u64, "visitor"), "0 visitors");
    }

    #[test]
    fn shares_have_the_digits_that_matter() {
        let cases = [
            (0.0, "0 %"),
            (0.000_53, "0.053 %"),
            (0.0342, "3.42 %"),
            (0.452, "45.2 %"),
            (1.0, "100 %"),
            (-0.0342, "-3.42 %"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(&percent(number)), expected);
        }
        for (of, all, expected) in [(1_u64, 4_u64, "25.0 %"), (0, 9, "0 %"), (0, 0, "\u{2013}")] {
            assert_eq!(plain(&rate(of, all)), expected);
        }
        assert_eq!(plain(&rate(u64::MAX / 3, u64::MAX)), "33.3 %");
        assert_eq!(plain(&share(0.5)), "50 %");
        assert_eq!(plain(&share(0.125)), "12.5 %");
    }

    #[test]
    fn what_is_not_certain_is_not_called_so() {
        let cases = [
            (0.0, "0.0 %"),
            (0.0001, "< 0.1 %"),
            (0.5, "50.0 %"),
            (0.999_9, "> 99.9 %"),
            (1.0, "100.0 %"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(&chance(number)), expected);
        }
    }

    #[test]
    fn changes_have_a_sign() {
        for (number, expected) in [(0.123, "+12 %"), (-0.041, "-4.1 %"), (2.5, "+250 %")] {
            assert_eq!(plain(&change(number)), expected);
        }
    }

    #[test]
    fn values_are_plain() {
        let cases = [
            (0.0, "0"),
            (-0.001, "0"),
            (1_234.5, "1234.5"),
            (-12_345.678, "-12 345.68"),
        ];
        for (number, expected) in cases {
            assert_eq!(plain(&value(number)), expected);
        }
    }

    #[test]
    fn spans_are_told_in_a_unit_of_which_there_are_two() {
        let now = datetime!(2026-03-01 12:00 UTC);
        let cases = [
            (datetime!(2026-03-01 11:59:30 UTC), "just now"),
            (datetime!(2026-03-01 11:59 UTC), "1 minute ago"),
            (datetime!(2026-03-01 10:30 UTC), "90 minutes ago"),
            (datetime!(2026-02-27 12:00 UTC), "2 days ago"),
            (datetime!(2024-03-01 12:00 UTC), "2 years ago"),
            (datetime!(2026-03-01 17:00 UTC), "in 5 hours"),
        ];
        for (at, expected) in cases {
            assert_eq!(ago(at, now), expected);
        }
        assert_eq!(days(12.4), "12 days");
        assert_eq!(days(f64::INFINITY).split(' ').next_back(), Some("years"));
    }

    #[test]
    fn a_moment_is_told_in_utc_to_people_and_to_programs() {
        let moment = Moment::new(
            datetime!(2026-02-27 13:00 +1),
            datetime!(2026-03-01 12:00 UTC),
        );
        assert_eq!(
            moment.to_string(),
            "<time datetime=\"2026-02-27T12:00:00Z\" title=\"2 days ago\">27 Feb 2026, 12:00 UTC</time>"
        );
        assert_eq!(
            moment.relative().to_string(),
            "<time datetime=\"2026-02-27T12:00:00Z\" title=\"27 Feb 2026, 12:00 UTC\" data-relative>\
             2 days ago</time>"
        );
    }
}
