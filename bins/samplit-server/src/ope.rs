//! `ope`: what another split of the traffic would have earned, from a log made elsewhere.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail, ensure};
use clap::{Args, ValueEnum};
use samplit_bandit::{Estimate, Logged, ValueSums, even_split, off_policy};
use samplit_engine::IntervalEstimate;
use serde::Serialize;

use crate::output::{self, Output};

/// The level of every interval.
const LEVEL: f64 = 0.95;

/// The most problems of a file that are listed.
const MAX_PROBLEMS: usize = 10;

/// With fewer effective visitors, normal intervals are not to be believed.
const FEW: f64 = 100.0;

#[derive(Debug, Args)]
pub(crate) struct OpeArgs {
    /// A log as CSV: one row per visitor, with the arm that was shown, the reward that came of it,
    /// and the probability with which that arm was chosen.
    file: PathBuf,

    /// Column with the arm.
    #[arg(long, default_value = "arm")]
    arm_column: String,

    /// Column with the reward: 0 or 1, or any number.
    #[arg(long, default_value = "reward")]
    reward_column: String,

    /// Column with the probability of the arm that was shown, above 0.
    #[arg(long, default_value = "propensity")]
    propensity_column: String,

    /// The split to judge.
    #[arg(long, value_enum, default_value_t = TargetKind::Even)]
    target: TargetKind,

    /// The split to judge, as CSV with the columns `arm` and `share`; arms that it leaves out get
    /// nothing.
    #[arg(long, conflicts_with = "target")]
    target_file: Option<PathBuf>,

    /// How to print the report.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TargetKind {
    /// Every arm of the log as often.
    Even,
}

pub(crate) fn run(args: &OpeArgs) -> anyhow::Result<ExitCode> {
    let columns = [
        args.arm_column.as_str(),
        &args.reward_column,
        &args.propensity_column,
    ];
    let log = from_file(&args.file, |file| Log::read(file, columns))?;
    let target = match (&args.target_file, args.target) {
        (Some(file), _) => from_file(file, |file| log.read_target(file))?,
        (None, TargetKind::Even) => even_split(log.arms.len()),
    };
    output::print(args.output, &log.judge(&target)?, text)?;
    Ok(ExitCode::SUCCESS)
}

fn from_file<T>(path: &Path, read: impl FnOnce(File) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    read(file).with_context(|| format!("{} cannot be used", path.display()))
}

/// A log, added up over visitors with the same arm and propensity.
#[derive(Debug, Default)]
struct Log {
    /// In order of appearance.
    arms: Vec<String>,
    groups: Vec<Logged>,
}

/// What is wrong with a file, line by line.
#[derive(Debug, Default)]
struct Problems {
    listed: Vec<String>,
    more: usize,
}

impl Problems {
    fn add(&mut self, line: u64, what: &str) {
        if self.listed.len() < MAX_PROBLEMS {
            self.listed.push(format!("line {line}: {what}"));
        } else {
            self.more += 1;
        }
    }

    /// The number in `text`, if `fits` likes it.
    fn number(
        &mut self,
        (line, column, text): (u64, &str, &str),
        wanted: &str,
        fits: impl FnOnce(f64) -> bool,
    ) -> Option<f64> {
        let number = text.parse().ok();
        let number = number.filter(|number: &f64| number.is_finite() && fits(*number));
        if number.is_none() {
            self.add(
                line,
                &format!("column `{column}` must be {wanted}, not `{text}`"),
            );
        }
        number
    }

    fn finish(mut self) -> anyhow::Result<()> {
        if self.more > 0 {
            self.listed.push(format!("and {} more", self.more));
        }
        ensure!(self.listed.is_empty(), "{}", self.listed.join("; "));
        Ok(())
    }
}

/// Reads the named columns of a CSV, row by row.
fn rows<const N: usize>(
    file: impl Read,
    columns: [&str; N],
    mut each: impl FnMut(u64, [&str; N], &mut Problems),
) -> anyhow::Result<()> {
    let mut reader = csv::Reader::from_reader(file);
    let header = reader.headers()?.clone();
    let mut indexes = [0; N];
    for (index, column) in indexes.iter_mut().zip(columns) {
        let found = header.iter().position(|name| name.trim() == column);
        *index = found.with_context(|| {
            let known = header.iter().collect::<Vec<_>>().join("`, `");
            format!("line 1: there is no column `{column}`, only `{known}`")
        })?;
    }
    let mut problems = Problems::default();
    let mut row = csv::StringRecord::new();
    loop {
        match reader.read_record(&mut row) {
            Ok(false) => break,
            Ok(true) => {
                let line = row.position().map_or(0, csv::Position::line);
                each(line, indexes.map(|index| row[index].trim()), &mut problems);
            }
            // A row that is not CSV may be the end of all sense, so it ends the reading.
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                problems.add(line, &error.to_string());
                break;
            }
        }
    }
    problems.finish()
}

impl Log {
    fn read(file: impl Read, columns: [&str; 3]) -> anyhow::Result<Self> {
        let mut arms = Vec::<String>::new();
        let mut positions = BTreeMap::<String, usize>::new();
        // By arm and the bits of the propensity, which are in order for positive numbers.
        let mut groups = BTreeMap::<(usize, u64), ValueSums>::new();
        rows(
            file,
            columns,
            |line, [arm, reward, propensity], problems| {
                if arm.is_empty() {
                    problems.add(line, &format!("column `{}` is empty", columns[0]));
                }
                let reward = (line, columns[1], reward);
                let reward = problems.number(reward, "a number", |_| true);
                let propensity = (line, columns[2], propensity);
                let propensity = problems.number(propensity, "a number above 0, at most 1", |p| {
                    (1e-12..=1.0).contains(&p)
                });
                let (Some(reward), Some(propensity)) = (reward, propensity) else {
                    return;
                };
                let position = positions.get(arm).copied().unwrap_or_else(|| {
                    arms.push(arm.to_owned());
                    positions.insert(arm.to_owned(), arms.len() - 1);
                    arms.len() - 1
                });
                let sums = groups
                    .entry((position, propensity.to_bits()))
                    .or_insert(ValueSums {
                        n: 0,
                        sum: 0.0,
                        sum_squares: 0.0,
                    });
                sums.n += 1;
                sums.sum += reward;
                sums.sum_squares += reward * reward;
            },
        )?;
        ensure!(arms.len() >= 2, "it needs rows of two arms at least");
        let group = |((arm, bits), rewards)| Logged {
            arm,
            propensity: f64::from_bits(bits),
            rewards,
        };
        Ok(Self {
            arms,
            groups: groups.into_iter().map(group).collect(),
        })
    }

    /// The shares that a file gives to the arms of the log.
    fn read_target(&self, file: impl Read) -> anyhow::Result<Vec<f64>> {
        let mut shares = vec![None; self.arms.len()];
        rows(file, ["arm", "share"], |line, [arm, share], problems| {
            let share = (line, "share", share);
            let share = problems.number(share, "a number from 0 to 1", |share| {
                (0.0..=1.0).contains(&share)
            });
            let position = self.arms.iter().position(|known| known == arm);
            match position.map(|position| &mut shares[position]) {
                None => problems.add(line, &format!("arm `{arm}` is not in the log")),
                Some(Some(_)) => problems.add(line, &format!("arm `{arm}` has a share already")),
                Some(known) => *known = share.or(Some(0.0)),
            }
        })?;
        let shares: Vec<f64> = shares.into_iter().map(Option::unwrap_or_default).collect();
        let sum: f64 = shares.iter().sum();
        if (sum - 1.0).abs() > 1e-9 {
            bail!("the shares sum to {sum}, not to 1");
        }
        Ok(shares)
    }

    fn judge(&self, target: &[f64]) -> anyhow::Result<Report> {
        let mut sums = vec![(0_u64, 0.0); self.arms.len()];
        for group in &self.groups {
            let (n, sum) = &mut sums[group.arm];
            *n += group.rewards.n;
            *sum += group.rewards.sum;
        }
        let visitors = sums.iter().map(|(n, _)| n).sum();
        let arms = self.arms.iter().zip(&sums).zip(target);
        let told = off_policy(&self.groups, target)?;
        Ok(Report {
            visitors,
            logged_rate: sums.iter().map(|(_, sum)| sum).sum::<f64>() / real(visitors),
            arms: arms
                .map(|((name, (n, sum)), target_share)| ArmReport {
                    name: name.clone(),
                    visitors: *n,
                    rate: sum / real(*n),
                    logged_share: real(*n) / real(visitors),
                    target_share: *target_share,
                })
                .collect(),
            ips: interval(told.ips)?,
            snips: interval(told.snips)?,
            doubly_robust: interval(told.doubly_robust)?,
            effective_sample_size: told.effective_sample_size,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "a count of rows is below 2^53")]
fn real(count: u64) -> f64 {
    count as f64
}

fn interval(estimate: Estimate) -> anyhow::Result<IntervalEstimate> {
    Ok(IntervalEstimate {
        estimate: estimate.value,
        interval: estimate.interval(LEVEL)?.into(),
    })
}

/// What the log says about the target; rates are rewards per visitor.
#[derive(Debug, Serialize)]
struct Report {
    visitors: u64,
    logged_rate: f64,
    arms: Vec<ArmReport>,
    ips: IntervalEstimate,
    snips: IntervalEstimate,
    doubly_robust: IntervalEstimate,
    effective_sample_size: f64,
}

#[derive(Debug, Serialize)]
struct ArmReport {
    name: String,
    visitors: u64,
    rate: f64,
    logged_share: f64,
    target_share: f64,
}

fn text(report: &Report) -> String {
    let names = report.arms.iter().map(|arm| arm.name.chars().count());
    let width = names.max().unwrap_or(0).max("arm".len());
    let mut lines = vec![
        format!(
            "{} visitors earned {:.5} per visitor, as logged.",
            report.visitors, report.logged_rate
        ),
        String::new(),
        format!("{:width$}  visitors  per visitor  logged  target", "arm"),
    ];
    lines.extend(report.arms.iter().map(|arm| {
        format!(
            "{:width$}  {:8}  {:11.5}  {:5.1}%  {:5.1}%",
            arm.name,
            arm.visitors,
            arm.rate,
            100.0 * arm.logged_share,
            100.0 * arm.target_share
        )
    }));
    lines.push(String::new());
    lines
        .push("The target would have earned per visitor (95 % interval, for one look):".to_owned());
    for (name, told) in [
        ("inverse propensity scoring", report.ips),
        ("self-normalised", report.snips),
        ("doubly robust", report.doubly_robust),
    ] {
        let [low, high] = told.interval;
        lines.push(format!(
            "  {name:26}  {:.5}  ({low:.5} to {high:.5})",
            told.estimate
        ));
    }
    lines.push(format!(
        "Its effective sample size is {:.0} visitors{}.",
        report.effective_sample_size,
        if report.effective_sample_size < FEW {
            ": too few to believe the intervals"
        } else {
            ""
        }
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::Log;

    const COLUMNS: [&str; 3] = ["arm", "reward", "propensity"];
    const GOOD: &str = "propensity,arm,x,reward\n0.5,a,,1\n0.25, b ,,0\n0.5,a,,0\n0.25,b,,2.5\n";

    fn refusal<T>(outcome: anyhow::Result<T>) -> String {
        outcome
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn a_log_is_added_up_by_arm_and_propensity() {
        let log = Log::read(GOOD.as_bytes(), COLUMNS).unwrap();
        assert_eq!(log.arms, ["a", "b"]);
        let groups = log.groups.iter().map(|group| {
            let sums = group.rewards;
            format!(
                "{} {} {} {} {}",
                group.arm, group.propensity, sums.n, sums.sum, sums.sum_squares
            )
        });
        assert_eq!(
            groups.collect::<Vec<_>>(),
            ["0 0.5 2 1 1", "1 0.25 2 2.5 6.25"]
        );
    }

    #[test]
    fn what_is_wrong_with_a_log_is_said_with_line_and_column() {
        let cases = [
            (
                "arm,reward,propensity\na,1,0.5\n,yes,0\nb,NaN,1.5\n",
                "line 3: column `arm` is empty; \
                 line 3: column `reward` must be a number, not `yes`; \
                 line 3: column `propensity` must be a number above 0, at most 1, not `0`; \
                 line 4: column `reward` must be a number, not `NaN`; \
                 line 4: column `propensity` must be a number above 0, at most 1, not `1.5`",
            ),
            (
                "arm,propensity,clicks\n",
                "line 1: there is no column `reward`, only `arm`, `propensity`, `clicks`",
            ),
            (
                "arm,reward,propensity\na,1,1\n",
                "it needs rows of two arms at least",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(Log::read(text.as_bytes(), COLUMNS)), expected);
        }
        let short = refusal(Log::read(
            "arm,reward,propensity\na,1\n".as_bytes(),
            COLUMNS,
        ));
        assert!(short.starts_with("line 2: "), "{short}");
        let flood = format!("arm,reward,propensity\n{}", "a,1,x\n".repeat(12));
        let flood = refusal(Log::read(flood.as_bytes(), COLUMNS));
        assert!(flood.ends_with("; and 2 more"), "{flood}");
    }

    #[test]
    fn a_target_shares_everything_among_arms_of_the_log() {
        let log = Log::read(GOOD.as_bytes(), COLUMNS).unwrap();
        let read = |text: &str| log.read_target(text.as_bytes());
        assert_eq!(read("arm,share\nb,1\n").unwrap(), [0.0, 1.0]);
        let cases = [
            (
                "arm,share\na,0.5\nb,0.4\n",
                "the shares sum to 0.9, not to 1",
            ),
            (
                "arm,share\na,2\na,0\nc,0.5\n",
                "line 2: column `share` must be a number from 0 to 1, not `2`; \
                 line 3: arm `a` has a share already; line 4: arm `c` is not in the log",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(refusal(read(text)), expected);
        }
    }
}
