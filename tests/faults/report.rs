//! The table: what each fault did, for people and for docs/RELIABILITY.md.

use std::path::Path;

use parking_lot::Mutex;

use crate::check::Balance;
use crate::history::{History, Outcome};
use crate::plan::{self, Plan};
use crate::vitals::Vitals;

static ROWS: Mutex<Vec<[String; 9]>> = Mutex::new(Vec::new());

/// The version of PostgreSQL.
static POSTGRESQL: Mutex<String> = Mutex::new(String::new());

const HEAD: [&str; 9] = [
    "fault",
    "acknowledged",
    "refused",
    "unknown",
    "of these there",
    "lost",
    "doubled",
    "recovery, s",
    "memory, MiB",
];

/// Where the table stands in the document.
const BEGIN: &str = "<!-- measured: begin -->\n";
const END: &str = "<!-- measured: end -->\n";

/// The same for hostile clients.
const HOSTILE_BEGIN: &str = "<!-- hostile: begin -->\n";
const HOSTILE_END: &str = "<!-- hostile: end -->\n";

/// Notes the version of PostgreSQL.
pub(crate) fn runs_on(version: String) {
    *POSTGRESQL.lock() = version;
}

/// Adds the line of one fault.
pub(crate) fn add(
    plan: Plan,
    history: &History,
    balance: &Balance,
    recoveries: &[f64],
    before: &[Vitals],
    after: &[Vitals],
) {
    let lost = balance.lost.len();
    let doubled = balance.doubled.len() + balance.uncalled.len();
    let memory = |vitals: &[Vitals]| vitals.iter().map(|v| v.rss_kib).sum::<u64>() / 1024;
    let refused = |outcome: &Outcome| matches!(outcome, Outcome::Refused(_) | Outcome::NotRecorded);
    let row = [
        plan.what.to_owned(),
        history.count(Outcome::is_acknowledged).to_string(),
        history.count(refused).to_string(),
        history
            .count(|outcome| matches!(outcome, Outcome::Unknown(_)))
            .to_string(),
        balance.unknown_there.to_string(),
        lost.to_string(),
        doubled.to_string(),
        seconds(recoveries),
        format!("{} → {}", memory(before), memory(after)),
    ];
    ROWS.lock().push(row);
}

/// Of one recovery its length, of many the median and the longest.
fn seconds(recoveries: &[f64]) -> String {
    let mut sorted = recoveries.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted[..] {
        [] => "–".to_owned(),
        [one] => format!("{one:.2}"),
        [.., longest] => format!("{:.2}, at most {longest:.2}", sorted[sorted.len() / 2]),
    }
}

fn table() -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let mut table = line(&HEAD.map(str::to_owned));
    table.push_str(&format!("|{}\n", "---|".repeat(HEAD.len())));
    for row in &*ROWS.lock() {
        table.push_str(&line(row));
    }
    table
}

/// Shows it.
#[expect(clippy::print_stdout, reason = "it is what the run is for")]
pub(crate) fn print() {
    if !ROWS.lock().is_empty() {
        println!("\nSAMPLIT_FAULT_SEED={}\n\n{}", plan::seed(), table());
    }
}

/// Writes it into the document.
pub(crate) fn write() {
    replace(
        BEGIN,
        END,
        &format!("{}{}", origin("./run faults"), table()),
    );
}

/// Shows what hostile clients did to honest ones; in the long form writes it into the document.
#[expect(clippy::print_stdout, reason = "it is what the run is for")]
pub(crate) fn hostile(lines: &[String], is_long: bool) {
    let table = format!(
        "| beside honest clients | admitted | refused | p99, ms | of quiet p99 |\n\
         |---|---|---|---|---|\n{}",
        lines.concat()
    );
    println!("\n{table}");
    if is_long {
        let measured = format!("{}{table}", origin("./run faults hostile_clients"));
        replace(HOSTILE_BEGIN, HOSTILE_END, &measured);
    }
}

/// What a measurement stands on.
fn origin(command: &str) -> String {
    format!(
        "`{command}`, seed {}, on {} ({}).\n\n",
        plan::seed(),
        output("date", &["-u", "+%Y-%m-%d"]),
        machine(),
    )
}

/// Puts what was measured between two marks of the document.
fn replace(begin: &str, end: &str, measured: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/RELIABILITY.md");
    let document = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(begin).unwrap();
    let (_, tail) = rest.split_once(end).unwrap();
    std::fs::write(&path, format!("{head}{begin}{measured}{end}{tail}")).unwrap();
}

/// Processors, memory and versions.
fn machine() -> String {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let value = |key: &str| {
        let line = cpu.lines().find(|line| line.starts_with(key));
        let value = line.and_then(|line| line.split(": ").nth(1));
        value.unwrap_or("unknown").to_owned()
    };
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse::<u64>().ok());
    format!(
        "{} × {}, {} GiB, Linux {}, {}, PostgreSQL {}, unoptimised build",
        std::thread::available_parallelism().map_or(1, usize::from),
        value("model name"),
        kib.unwrap_or(0) >> 20,
        output("uname", &["-r"]),
        output("rustc", &["--version"]),
        POSTGRESQL.lock(),
    )
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program).args(arguments).output();
    let output = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    output.unwrap_or_else(|_| "unknown".to_owned())
}
