//! What a back-test found, for people.

use askama::Template;
use samplit_engine::{BacktestReport, BacktestRow};

use crate::dashboard::format::{change, count, percent, plural, value};

/// Rows of the table at most; all are in the sums.
const MAX_ROWS: usize = 500;

/// Bars of the picture at most; more tests share one.
const MAX_BARS: usize = 90;

/// The picture, in its own units.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 160.0;

#[derive(Template)]
#[template(path = "dashboard/backtest/result.html")]
pub(super) struct Told {
    /// `good`, `info` or `warn`.
    kind: &'static str,
    verdict: String,
    explained: String,
    /// What the difference is worth; empty where nobody says what a conversion is worth.
    worth: String,
    tests: String,
    visitors: String,
    better: String,
    /// Class, name, conversions, note, width of 100.
    bars: [(&'static str, &'static str, String, String, f64); 3],
    /// Where each bar stands, how high, and whether it is a loss.
    picture: Vec<Bar>,
    zero: f64,
    rows: Vec<Row>,
    more: usize,
}

struct Bar {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
    class: &'static str,
}

struct Row {
    test: String,
    arms: usize,
    visitors: String,
    conversions: String,
    even_split: String,
    uplift: String,
    class: &'static str,
    best: String,
    best_arm: String,
}

impl Told {
    pub(super) fn new(report: &BacktestReport, worth: Option<f64>) -> Self {
        let conversions = real(report.conversions);
        let gained = conversions - report.even_split;
        let most = [conversions, report.even_split, report.best_possible];
        let most = most.into_iter().fold(1.0, f64::max);
        let width = |of: f64| 100.0 * of / most;
        let (kind, verdict, explained) = verdict(gained, report);
        Self {
            kind,
            verdict,
            explained,
            worth: worth.map_or_else(String::new, |worth| {
                let sign = if gained < 0.0 { "less" } else { "more" };
                format!(
                    "Worth {} {sign}, at {} each.",
                    tenths((gained * worth).abs()),
                    value(worth)
                )
            }),
            tests: count(report.rows.len() as u64),
            visitors: count(report.visitors),
            better: format!(
                "{} of {}",
                count(report.better() as u64),
                count(report.rows.len() as u64)
            ),
            bars: [
                (
                    "even",
                    "Even split",
                    value(report.even_split.round()),
                    "what was run".to_owned(),
                    width(report.even_split),
                ),
                (
                    "better",
                    "Adaptive",
                    count(report.conversions),
                    change(report.uplift()),
                    width(conversions),
                ),
                (
                    "best",
                    "Always the best",
                    value(report.best_possible.round()),
                    format!(
                        "{}, known only afterwards",
                        change(report.best_possible_uplift())
                    ),
                    width(report.best_possible),
                ),
            ],
            picture: Vec::new(),
            zero: 0.0,
            rows: report.rows.iter().take(MAX_ROWS).map(Row::new).collect(),
            more: report.rows.len().saturating_sub(MAX_ROWS),
        }
        .with_picture(&report.rows)
    }

    /// One bar per test, from the greatest loss to the greatest gain.
    fn with_picture(mut self, rows: &[BacktestRow]) -> Self {
        let mut uplifts: Vec<f64> = rows.iter().map(BacktestRow::uplift).collect();
        uplifts.sort_by(f64::total_cmp);
        let share = uplifts.len().div_ceil(MAX_BARS).max(1);
        let means: Vec<f64> = uplifts
            .chunks(share)
            .map(|chunk| chunk.iter().sum::<f64>() / real(chunk.len() as u64))
            .collect();
        let high = means.iter().copied().fold(0.0, f64::max);
        let low = means.iter().copied().fold(0.0, f64::min);
        let scale = HEIGHT / (high - low).max(1e-9);
        let step = WIDTH / real(means.len().max(1) as u64);
        self.zero = high * scale;
        let bar = |(index, mean): (usize, &f64)| {
            let height = (mean.abs() * scale).max(1.0);
            Bar {
                x: real(index as u64) * step + 0.1 * step,
                y: if *mean >= 0.0 {
                    self.zero - height
                } else {
                    self.zero
                },
                width: 0.8 * step,
                height,
                class: if *mean >= 0.0 { "gain" } else { "loss" },
            }
        };
        self.picture = means.iter().enumerate().map(bar).collect();
        self
    }
}

/// A number that was expected: with a digit behind the point as long as that says something.
fn tenths(number: f64) -> String {
    let scale = if number.abs() < 100.0 { 10.0 } else { 1.0 };
    value((number * scale).round() / scale)
}

/// What to think of a difference: kind, in a sentence, and why.
fn verdict(gained: f64, report: &BacktestReport) -> (&'static str, String, String) {
    let difference = plural(whole(gained.abs()), "conversion");
    let chance = format!(
        "Chance alone moves the number of conversions by about {}.",
        count(whole(report.chance))
    );
    if gained.abs() < 2.0 * report.chance {
        let verdict = "No difference that chance would not make as well".to_owned();
        let explained = format!(
            "{difference} {} than an even split. {chance} Where variants are \
             about as good as each other, there is nothing to win, and little to lose.",
            if gained < 0.0 { "less" } else { "more" }
        );
        ("info", verdict, explained)
    } else if gained > 0.0 {
        let verdict = format!("{difference} more: {}", change(report.uplift()));
        (
            "good",
            verdict,
            format!("Than an even split of the same visitors. {chance}"),
        )
    } else {
        let verdict = format!("{difference} less: {}", change(report.uplift()));
        (
            "warn",
            verdict,
            format!(
                "Than an even split of the same visitors. {chance} Look at the tests \
                 below: a prior that fits your rates helps where they are low."
            ),
        )
    }
}

impl Row {
    fn new(row: &BacktestRow) -> Self {
        let uplift = row.uplift();
        Self {
            test: row.test.clone(),
            arms: row.arms,
            visitors: count(row.visitors),
            conversions: count(row.conversions),
            even_split: tenths(row.even_split),
            uplift: change(uplift),
            class: if uplift >= 0.0 { "good" } else { "soft" },
            best: percent(row.best_arm_share),
            best_arm: row.best_arm.clone(),
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "never negative, and at most the visitors of a back-test"
)]
fn whole(number: f64) -> u64 {
    number.max(0.0).round() as u64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "at most the visitors of a back-test"
)]
fn real(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use askama::Template as _;
    use samplit_engine::{BacktestReport, BacktestRow};

    use super::Told;

    fn report(rows: &[(u64, f64)]) -> BacktestReport {
        let row = |&(conversions, even_split): &(u64, f64)| BacktestRow {
            test: "<a>".to_owned(),
            arms: 2,
            best_arm: "2. B".to_owned(),
            visitors: 1_000,
            conversions,
            even_split,
            best_possible: 2.0 * even_split,
            best_arm_share: 0.6,
        };
        let conversions: u64 = rows.iter().map(|row| row.0).sum();
        BacktestReport {
            visitors: 1_000 * rows.len() as u64,
            conversions,
            even_split: rows.iter().map(|row| row.1).sum(),
            best_possible: rows.iter().map(|row| 2.0 * row.1).sum(),
            chance: super::real(conversions).sqrt(),
            rows: rows.iter().map(row).collect(),
        }
    }

    #[test]
    fn a_difference_is_called_one_beyond_chance_only() {
        for (conversions, kind) in [(200, "good"), (105, "info"), (95, "info"), (50, "warn")] {
            let told = Told::new(&report(&[(conversions, 100.0)]), None);
            assert_eq!(told.kind, kind, "{conversions}: {}", told.verdict);
        }
        let told = Told::new(&report(&[(200, 100.0)]), Some(2.5));
        assert_eq!(told.worth, "Worth 250 more, at 2.5 each.");
    }

    #[test]
    fn the_picture_goes_from_loss_to_gain_and_the_table_ends() {
        let rows: Vec<(u64, f64)> = (0..600).map(|number| (number, 300.0)).collect();
        let told = Told::new(&report(&rows), None);
        assert!(told.picture.len() <= 90);
        assert_eq!(
            (told.picture[0].class, told.rows.len(), told.more),
            ("loss", 500, 100)
        );
        assert_eq!(told.picture.last().map(|bar| bar.class), Some("gain"));
        let html = told.render().unwrap();
        assert!(
            html.contains("&#60;a&#62;") && html.contains("and 100 more"),
            "{html}"
        );
        assert!(Told::new(&report(&[(0, 0.0)]), None).render().is_ok());
    }
}
