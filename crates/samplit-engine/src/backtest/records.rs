//! The file of old test results.

use std::collections::HashMap;
use std::fmt;

use samplit_domain::MAX_ARMS;

use crate::reallocation::count;

/// The names of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldTestColumns {
    /// Which test a row belongs to.
    pub test: String,
    /// The name of the arm. Names may repeat within a test; arms are told apart by their position.
    pub arm: String,
    /// How many people saw the arm.
    pub impressions: String,
    /// How many of them converted.
    pub clicks: String,
}

impl Default for OldTestColumns {
    /// `test_id`, `headline`, `impressions`, `clicks`.
    fn default() -> Self {
        Self {
            test: "test_id".to_owned(),
            arm: "headline".to_owned(),
            impressions: "impressions".to_owned(),
            clicks: "clicks".to_owned(),
        }
    }
}

/// One old test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldTest {
    /// What it is called.
    pub name: String,
    /// 2 to 64, in order of appearance.
    pub arms: Vec<OldArm>,
}

/// What one arm of it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldArm {
    /// Position and text, distinct within the test.
    pub name: String,
    /// People who saw it, at least 1.
    pub impressions: u64,
    /// Of those, converted.
    pub clicks: u64,
}

impl OldArm {
    /// Conversions per visitor.
    #[must_use]
    pub fn rate(&self) -> f64 {
        count(self.clicks) / count(self.impressions)
    }
}

impl OldTest {
    /// Conversions per visitor under the even split: the mean of the arms' rates. That of all visitors
    /// together would be the rate of the split that was run, which favours the arms that were shown more.
    #[must_use]
    pub fn even_rate(&self) -> f64 {
        let rates: f64 = self.arms.iter().map(OldArm::rate).sum();
        rates / count(self.arms.len() as u64)
    }

    /// The arm with the best record, the first of them, and its rate.
    #[must_use]
    pub fn best(&self) -> (usize, f64) {
        let rates = self.arms.iter().map(OldArm::rate).enumerate();
        rates.fold(
            (0, 0.0),
            |best, arm| if arm.1 > best.1 { arm } else { best },
        )
    }

    /// People who saw any arm.
    #[must_use]
    pub fn impressions(&self) -> u64 {
        self.arms.iter().map(|arm| arm.impressions).sum()
    }
}

/// What is wrong with a file of old tests, in words, with line and column; the first ten.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct MalformedOldTests(pub Vec<String>);

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 10;

/// The most characters of an arm's text that go into its name.
const MAX_TEXT: usize = 100;

/// The most characters of a bad field that are repeated.
const MAX_QUOTE: usize = 40;

/// What is wrong with a file, line by line: the first of it, and how much more there is.
#[derive(Debug, Default)]
struct Problems {
    told: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, line: u64, what: impl fmt::Display) {
        if self.told.len() < MAX_PROBLEMS {
            self.told.push(format!("line {line}: {what}"));
        } else {
            self.more += 1;
        }
    }

    fn finish(mut self) -> Result<(), MalformedOldTests> {
        if self.more > 0 {
            self.told.push(format!("and {} more", self.more));
        }
        if self.told.is_empty() {
            Ok(())
        } else {
            Err(MalformedOldTests(self.told))
        }
    }
}

/// The largest number that is believed: a file of old tests counts people.
const MAX_PEOPLE: u64 = 1_000_000_000_000;

/// Reads old tests from CSV with a header, one row per arm, in order of appearance.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read_old_tests(
    csv: impl std::io::Read,
    columns: &OldTestColumns,
) -> Result<Vec<OldTest>, MalformedOldTests> {
    let only = |problem: String| MalformedOldTests(vec![problem]);
    let mut reader = csv::Reader::from_reader(csv);
    let header = reader.headers().map_err(|error| only(error.to_string()))?;
    let header = header.clone();
    let find = |name: &str| {
        let mut known = header.iter();
        known
            .position(|column| column.trim() == name)
            .ok_or_else(|| {
                let known = header.iter().collect::<Vec<_>>().join("`, `");
                only(format!(
                    "line 1: there is no column `{name}`, only `{known}`"
                ))
            })
    };
    let test = find(&columns.test)?;
    let arm = find(&columns.arm)?;
    let impressions = find(&columns.impressions)?;
    let clicks = find(&columns.clicks)?;

    let mut problems = Problems::default();
    let mut records = Vec::<(u64, OldTest)>::new();
    let mut known = HashMap::<String, usize>::new();
    for row in reader.records() {
        // A row that is not CSV may be the end of all sense, so it ends the reading.
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                problems.told.push(error.to_string());
                break;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let name = row[test].trim();
        if name.is_empty() {
            problems.add(line, format!("column `{}` is empty", columns.test));
            continue;
        }
        let mut number = |index: usize, column: &str, least: u64| {
            let text = row[index].trim();
            let value = text.parse().ok();
            let value = value.filter(|value| (least..=MAX_PEOPLE).contains(value));
            if value.is_none() {
                let wanted = format!("column `{column}` must be a whole number from {least} on");
                let text: String = text.chars().take(MAX_QUOTE).collect();
                problems.add(line, format!("{wanted}, not `{text}`"));
            }
            value
        };
        let impressions = number(impressions, &columns.impressions, 1);
        let clicks = number(clicks, &columns.clicks, 0);
        let (Some(impressions), Some(clicks)) = (impressions, clicks) else {
            continue;
        };
        if clicks > impressions {
            let (c, i) = (&columns.clicks, &columns.impressions);
            let what = format!("column `{c}` says {clicks}, more than `{i}` with {impressions}");
            problems.add(line, what);
        }
        let index = *known.entry(name.to_owned()).or_insert_with(|| {
            let name = name.to_owned();
            records.push((
                line,
                OldTest {
                    name,
                    arms: Vec::new(),
                },
            ));
            records.len() - 1
        });
        let arms = &mut records[index].1.arms;
        let text: String = row[arm].trim().chars().take(MAX_TEXT).collect();
        arms.push(OldArm {
            name: format!("{}. {text}", arms.len() + 1).trim_end().to_owned(),
            impressions,
            clicks,
        });
    }
    for (line, record) in &records {
        if !(2..=MAX_ARMS).contains(&record.arms.len()) {
            let (name, arms) = (&record.name, record.arms.len());
            let what = format!("test `{name}` has {arms} arms; 2 to {MAX_ARMS} are possible");
            problems.add(*line, what);
        }
    }
    if records.is_empty() && problems.told.is_empty() {
        problems.add(1, "there is no row below the header");
    }
    problems.finish()?;
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

#[cfg(test)]
mod tests {
    use super::{MalformedOldTests, OldArm, OldTest, OldTestColumns, read_old_tests};

    const HEADER: &str = "test_id,headline,impressions,clicks\n";

    fn read(text: &str) -> Result<Vec<OldTest>, MalformedOldTests> {
        read_old_tests(text.as_bytes(), &OldTestColumns::default())
    }

    #[track_caller]
    fn refused(rows: &str, expected: &str) {
        let error = read(&format!("{HEADER}{rows}")).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn rows_of_a_test_belong_together_wherever_they_stand() {
        let text = format!("{HEADER}a,One,10,1\nb,X,5,0\na,\"One, again\",20,20\nb,X,5,1\n");
        let arm = |name: &str, impressions, clicks| OldArm {
            name: name.to_owned(),
            impressions,
            clicks,
        };
        let expected = [
            OldTest {
                name: "a".to_owned(),
                arms: vec![arm("1. One", 10, 1), arm("2. One, again", 20, 20)],
            },
            OldTest {
                name: "b".to_owned(),
                arms: vec![arm("1. X", 5, 0), arm("2. X", 5, 1)],
            },
        ];
        assert_eq!(read(&text).unwrap(), expected);
    }

    #[test]
    fn what_is_wrong_is_said_with_line_and_column() {
        refused(
            "a,One,10,1\na,Two,ten,-1\n,Three,1,1\na,Four,3,4\n",
            "line 3: column `impressions` must be a whole number from 1 on, not `ten`; \
             line 3: column `clicks` must be a whole number from 0 on, not `-1`; \
             line 4: column `test_id` is empty; \
             line 5: column `clicks` says 4, more than `impressions` with 3",
        );
        refused(
            "a,One,10,1\n",
            "line 2: test `a` has 1 arms; 2 to 64 are possible",
        );
        refused("", "line 1: there is no row below the header");
        let error = read("test_id,arm,impressions,clicks\n").unwrap_err();
        assert_eq!(
            error.to_string(),
            "line 1: there is no column `headline`, only `test_id`, `arm`, `impressions`, `clicks`"
        );
    }

    #[test]
    fn a_row_of_another_length_is_refused() {
        let error = read(&format!("{HEADER}a,One,10\n"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("line: 2"), "{error}");
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_name() {
        let text = format!("\u{feff}{HEADER}a,One,10,1\r\na,Two,10,2\r\n");
        assert_eq!(read(&text).unwrap().len(), 1);
    }

    #[test]
    fn a_flood_of_problems_is_cut() {
        let rows = "a,One,x,1\n".repeat(12);
        let error = read(&format!("{HEADER}{rows}")).unwrap_err().to_string();
        assert!(error.ends_with("; and 2 more"), "{error}");
    }
}
