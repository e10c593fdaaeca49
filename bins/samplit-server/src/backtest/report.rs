//! What a backtest found.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;

use super::test::Test;

/// What became of one test.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    pub(super) test: String,
    pub(super) experiment_id: String,
    pub(super) arms: usize,
    pub(super) visitors: u64,
    /// Under Samplit.
    pub(super) conversions: u64,
    /// What as many visitors would have done under an even split: at the mean of the arms' recorded rates.
    pub(super) conversions_even_split: f64,
    /// What as many visitors would have done at the recorded rate of the best arm.
    pub(super) conversions_best_arm: f64,
    /// The share of the visitors who got the arm with the best record.
    pub(super) best_arm_share: f64,
    /// Entries of the trail.
    pub(super) entries: u64,
    /// `sound`, or what is wrong with the trail.
    pub(super) trail: String,
}

/// All tests together.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Totals {
    tests: usize,
    arms: usize,
    visitors: u64,
    conversions: u64,
    conversions_even_split: f64,
    conversions_best_arm: f64,
    /// More conversions than under the even split, in percent of those.
    uplift_percent: f64,
    /// The same for an oracle that always shows the arm with the best record.
    best_possible_uplift_percent: f64,
    /// Of all visitors.
    best_arm_share: f64,
    entries: u64,
    sound_trails: usize,
    seconds: Seconds,
    visitors_per_second: f64,
}

/// How long what took.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Seconds {
    pub(super) setup: f64,
    pub(super) traffic: f64,
    pub(super) verification: f64,
}

/// Everything.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    pub(super) totals: Totals,
    pub(super) tests: Vec<Row>,
}

/// What verifying a trail says of a sound one.
pub(super) const SOUND: &str = "sound";

impl Row {
    pub(super) fn new(test: &Test, entries: u64, trail: String) -> Self {
        let visitors: u64 = test.visitors.iter().sum();
        let (best_arm, best_rate) = test.record.best();
        Self {
            test: test.record.name.clone(),
            experiment_id: test.id.to_string(),
            arms: test.record.arms.len(),
            visitors,
            conversions: test.conversions,
            conversions_even_split: count(visitors) * test.record.even_rate(),
            conversions_best_arm: count(visitors) * best_rate,
            best_arm_share: ratio(test.visitors[best_arm], visitors),
            entries,
            trail,
        }
    }

    fn is_sound(&self) -> bool {
        self.trail == SOUND
    }
}

impl Report {
    pub(super) fn new(tests: Vec<Row>, seconds: Seconds) -> Self {
        let sum = |of: fn(&Row) -> f64| tests.iter().map(of).sum::<f64>();
        let visitors = tests.iter().map(|row| row.visitors).sum();
        let conversions = tests.iter().map(|row| row.conversions).sum();
        let even = sum(|row| row.conversions_even_split);
        let best = sum(|row| row.conversions_best_arm);
        let uplift = |conversions: f64| {
            if even > 0.0 {
                100.0 * (conversions / even - 1.0)
            } else {
                0.0
            }
        };
        let totals = Totals {
            tests: tests.len(),
            arms: tests.iter().map(|row| row.arms).sum(),
            visitors,
            conversions,
            conversions_even_split: even,
            conversions_best_arm: best,
            uplift_percent: uplift(count(conversions)),
            best_possible_uplift_percent: uplift(best),
            best_arm_share: sum(|row| row.best_arm_share * count(row.visitors))
                / count(visitors).max(1.0),
            entries: tests.iter().map(|row| row.entries).sum(),
            sound_trails: tests.iter().filter(|row| row.is_sound()).count(),
            seconds,
            visitors_per_second: count(visitors) / seconds.traffic.max(f64::MIN_POSITIVE),
        };
        Self { totals, tests }
    }

    /// Whether every trail verifies.
    pub(super) fn is_sound(&self) -> bool {
        self.tests.iter().all(Row::is_sound)
    }

    /// Writes the table of tests as CSV.
    pub(super) fn write_csv(&self, file: &Path) -> Result<(), csv::Error> {
        let mut writer = csv::Writer::from_path(file)?;
        for row in &self.tests {
            writer.serialize(row)?;
        }
        Ok(writer.flush()?)
    }

    /// The table and the totals, for people.
    pub(super) fn text(&self) -> String {
        let width = self.tests.iter().map(|row| row.test.chars().count()).max();
        let width = width.unwrap_or(0).clamp(4, 32);
        let mut text = format!(
            "{:width$} {:>4} {:>8} {:>8} {:>10} {:>9} {:>9}  {}\n",
            "test", "arms", "visitors", "samplit", "even split", "best arm", "best got", "trail"
        );
        for row in &self.tests {
            let name: String = row.test.chars().take(width).collect();
            text.push_str(&format!(
                "{name:width$} {:>4} {:>8} {:>8} {:>10.1} {:>9.1} {:>7.1} %  {}\n",
                row.arms,
                row.visitors,
                row.conversions,
                row.conversions_even_split,
                row.conversions_best_arm,
                100.0 * row.best_arm_share,
                row.trail,
            ));
        }
        text.push_str(&self.totals.text());
        text
    }
}

impl Totals {
    fn text(&self) -> String {
        let Seconds {
            setup,
            traffic,
            verification,
        } = self.seconds;
        format!(
            "\n{} tests with {} arms, {} visitors\n\
             conversions under Samplit:        {}\n\
             expected under the even split:    {:.1}\n\
             expected under the best arm:      {:.1} (known only afterwards)\n\
             uplift over the even split:       {:+.2} % of {:+.2} % possible\n\
             visitors who got the best arm:    {:.1} %\n\
             trails that verify, with replay:  {} of {} ({} entries)\n\
             time: {setup:.1} s set-up, {traffic:.1} s traffic ({:.0} visitors/s), \
             {verification:.1} s verification\n",
            self.tests,
            self.arms,
            self.visitors,
            self.conversions,
            self.conversions_even_split,
            self.conversions_best_arm,
            self.uplift_percent,
            self.best_possible_uplift_percent,
            100.0 * self.best_arm_share,
            self.sound_trails,
            self.tests,
            self.entries,
            self.visitors_per_second,
        )
    }
}

pub(super) fn seconds(of: Duration) -> f64 {
    of.as_secs_f64()
}

/// A count as a real; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub(super) const fn count(number: u64) -> f64 {
    number as f64
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        count(part) / count(whole)
    }
}
