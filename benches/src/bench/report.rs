//! The table of what was measured.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

const BEGIN: &str = "<!-- measured: written by ./run bench --write -->";
const END: &str = "<!-- end -->";

/// What a figure has to be.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    AtLeast(f64),
    AtMost(f64),
    /// For information.
    None,
}

/// One line of the table.
#[derive(Debug)]
struct Row {
    what: String,
    measured: String,
    beside: String,
    figure: f64,
    goal: Goal,
}

/// All lines, printed as they come.
#[derive(Debug, Default)]
pub(crate) struct Report(Vec<Row>);

impl Report {
    /// Notes what came out: `figure` is what the goal is about, a ratio mostly.
    #[expect(clippy::print_stdout, reason = "a benchmark prints its table")]
    pub(crate) fn add(
        &mut self,
        what: &str,
        measured: String,
        beside: String,
        figure: f64,
        goal: Goal,
    ) {
        let row = Row {
            what: what.to_owned(),
            measured,
            beside,
            figure,
            goal,
        };
        println!("{}", row.line());
        self.0.push(row);
    }

    /// Says something that is not a result.
    #[expect(clippy::print_stderr, reason = "a benchmark says what it is doing")]
    pub(crate) fn note(&self, what: &str) {
        eprintln!("  {what}");
    }

    /// Prints the table, and writes it into a document between its marks.
    pub(crate) async fn finish(self, document: Option<&Path>) -> anyhow::Result<()> {
        let mut table =
            String::from("| what | measured | beside | figure | goal |\n|---|---|---|---|---|\n");
        for row in &self.0 {
            writeln!(table, "{}", row.line())?;
        }
        if let Some(path) = document {
            let text = std::fs::read_to_string(path)?;
            let (before, rest) = text.split_once(BEGIN).context("the document has no mark")?;
            let (_, after) = rest
                .split_once(END)
                .context("the document has no end mark")?;
            let stamp = stamp().await?;
            let text = format!("{before}{BEGIN}\n{stamp}\n\n{table}{END}{after}");
            std::fs::write(path, text)?;
        }
        let missed: Vec<_> = self
            .0
            .iter()
            .filter(|row| !row.is_met())
            .map(|row| row.what.as_str())
            .collect();
        anyhow::ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
        Ok(())
    }
}

impl Row {
    fn is_met(&self) -> bool {
        match self.goal {
            Goal::AtLeast(goal) => self.figure >= goal,
            Goal::AtMost(goal) => self.figure <= goal,
            Goal::None => true,
        }
    }

    fn line(&self) -> String {
        let mark = if self.is_met() { "" } else { " (missed)" };
        let goal = match self.goal {
            Goal::AtLeast(goal) => format!("at least {}{mark}", number(goal)),
            Goal::AtMost(goal) => format!("at most {}{mark}", number(goal)),
            Goal::None => String::new(),
        };
        format!(
            "| {} | {} | {} | **{}** | {goal} |",
            self.what,
            self.measured,
            self.beside,
            number(self.figure)
        )
    }
}

/// A number with as many digits as matter, in groups of three.
pub(crate) fn number(value: f64) -> String {
    if value < 100.0 {
        let text = format!("{value:.2}");
        return text.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many a second.
pub(crate) fn rate(value: f64) -> String {
    format!("{} /s", number(value))
}

/// Machine, versions and date of a run.
async fn stamp() -> anyhow::Result<String> {
    let pg = samplit_devpg::DevPg::builder().fsync(false).start().await?;
    let of = |program: &Path, arguments: &[&str]| -> anyhow::Result<String> {
        let output = std::process::Command::new(program)
            .args(arguments)
            .output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let cpus = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .and_then(|line| line.split_once(": "))
        .map_or("unknown processor", |(_, model)| model);
    let postgres = of(&pg.bin("postgres"), &["--version"])?;
    Ok(format!(
        "{} processors ({model}), Linux {}, {postgres}, {}, {}.",
        std::thread::available_parallelism()?,
        of(Path::new("uname"), &["-r"])?,
        of(Path::new("rustc"), &["--version"])?,
        of(Path::new("date"), &["-u", "+%Y-%m-%d"])?,
    ))
}
