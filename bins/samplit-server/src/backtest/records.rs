//! The file of old test results.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Args;

/// The names of the columns.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Columns")]
pub(super) struct Columns {
    /// Column that says which test a row belongs to.
    #[arg(long, default_value = "test_id")]
    test_column: String,

    /// Column with the name of the arm. Names may repeat within a test; arms are told apart by
    /// their position.
    #[arg(long, default_value = "headline")]
    arm_column: String,

    /// Column with the number of people who saw the arm.
    #[arg(long, default_value = "impressions")]
    impressions_column: String,

    /// Column with how many of them converted.
    #[arg(long, default_value = "clicks")]
    clicks_column: String,
}

/// One old test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) arms: Vec<ArmRecord>,
}

/// What one arm of it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ArmRecord {
    /// Position and text, distinct within the test.
    pub(super) name: String,
    pub(super) impressions: u64,
    pub(super) clicks: u64,
}

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 10;

/// An experiment has room for so many arms.
const MAX_ARMS: usize = 64;

/// The most characters of an arm's text that go into its name.
const MAX_TEXT: usize = 100;

/// What is wrong with a file, line by line.
#[derive(Debug, Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, line: u64, what: impl fmt::Display) {
        self.0.push(format!("line {line}: {what}"));
    }
}

/// Reads the tests of a file in order of appearance, or says everything that is wrong with it.
pub(super) fn read(file: &Path, columns: &Columns) -> anyhow::Result<Vec<Record>> {
    let reader = csv::Reader::from_path(file);
    let reader = reader.with_context(|| format!("cannot read {}", file.display()))?;
    parse(reader, columns).with_context(|| format!("{} cannot be used", file.display()))
}

fn parse<R: std::io::Read>(
    mut reader: csv::Reader<R>,
    columns: &Columns,
) -> anyhow::Result<Vec<Record>> {
    let header = reader.headers()?.clone();
    let find = |name: &str| {
        header
            .iter()
            .position(|column| column.trim() == name)
            .with_context(|| {
                let known = header.iter().collect::<Vec<_>>().join("`, `");
                format!("line 1: there is no column `{name}`, only `{known}`")
            })
    };
    let test = find(&columns.test_column)?;
    let arm = find(&columns.arm_column)?;
    let impressions = find(&columns.impressions_column)?;
    let clicks = find(&columns.clicks_column)?;

    let mut problems = Problems::default();
    let mut records = Vec::<(u64, Record)>::new();
    let mut known = HashMap::<String, usize>::new();
    for row in reader.records() {
        // A row that is not CSV may be the end of all sense, so it ends the reading.
        let row = match row {
            Ok(row) => row,
            Err(error) => {
                problems.0.push(error.to_string());
                break;
            }
        };
        let line = row.position().map_or(0, csv::Position::line);
        let name = row[test].trim();
        if name.is_empty() {
            problems.add(line, format!("column `{}` is empty", columns.test_column));
            continue;
        }
        let mut number = |index: usize, column: &str, least: u64| {
            let text = row[index].trim();
            let value = text.parse().ok().filter(|value| *value >= least);
            if value.is_none() {
                let wanted = format!("column `{column}` must be a whole number from {least} on");
                problems.add(line, format!("{wanted}, not `{text}`"));
            }
            value
        };
        let impressions = number(impressions, &columns.impressions_column, 1);
        let clicks = number(clicks, &columns.clicks_column, 0);
        let (Some(impressions), Some(clicks)) = (impressions, clicks) else {
            continue;
        };
        if clicks > impressions {
            let (c, i) = (&columns.clicks_column, &columns.impressions_column);
            let what = format!("column `{c}` says {clicks}, more than `{i}` with {impressions}");
            problems.add(line, what);
        }
        let index = *known.entry(name.to_owned()).or_insert_with(|| {
            let name = name.to_owned();
            records.push((
                line,
                Record {
                    name,
                    arms: Vec::new(),
                },
            ));
            records.len() - 1
        });
        let arms = &mut records[index].1.arms;
        let text: String = row[arm].trim().chars().take(MAX_TEXT).collect();
        arms.push(ArmRecord {
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
    if records.is_empty() && problems.0.is_empty() {
        problems.add(1, "there is no row below the header");
    }
    finish(problems)?;
    Ok(records.into_iter().map(|(_, record)| record).collect())
}

fn finish(Problems(mut all): Problems) -> anyhow::Result<()> {
    let more = all.len().saturating_sub(MAX_PROBLEMS);
    all.truncate(MAX_PROBLEMS);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    if all.is_empty() {
        Ok(())
    } else {
        bail!("{}", all.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::{ArmRecord, Columns, Record, parse};

    const HEADER: &str = "test_id,headline,impressions,clicks\n";

    fn columns() -> Columns {
        Columns {
            test_column: "test_id".to_owned(),
            arm_column: "headline".to_owned(),
            impressions_column: "impressions".to_owned(),
            clicks_column: "clicks".to_owned(),
        }
    }

    fn read(text: &str) -> anyhow::Result<Vec<Record>> {
        parse(csv::Reader::from_reader(text.as_bytes()), &columns())
    }

    #[track_caller]
    fn refused(rows: &str, expected: &str) {
        let error = read(&format!("{HEADER}{rows}")).unwrap_err().to_string();
        assert_eq!(error, expected);
    }

    #[test]
    fn rows_of_a_test_belong_together_wherever_they_stand() {
        let text = format!("{HEADER}a,One,10,1\nb,X,5,0\na,\"One, again\",20,20\nb,X,5,1\n");
        let arm = |name: &str, impressions, clicks| ArmRecord {
            name: name.to_owned(),
            impressions,
            clicks,
        };
        let expected = [
            Record {
                name: "a".to_owned(),
                arms: vec![arm("1. One", 10, 1), arm("2. One, again", 20, 20)],
            },
            Record {
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
