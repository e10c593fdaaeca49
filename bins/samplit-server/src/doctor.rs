//! `doctor`: does everything that is stored about visitors agree?

use std::process::ExitCode;

use clap::Args;
use samplit_engine::Check;
use serde::Serialize;

use crate::audit::Source;
use crate::output::{self, Output};

/// The most findings of one check that are listed for people.
const MAX_FINDINGS: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    source: Source,
}

#[derive(Serialize)]
struct Diagnosis {
    healthy: bool,
    checks: Vec<Check>,
}

pub(crate) async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let checks = engine.doctor().await;
    engine.shutdown().await;
    let checks = checks?;
    let healthy = checks.iter().all(Check::is_passed);
    output::print(args.output, &Diagnosis { healthy, checks }, text)?;
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for check in &diagnosis.checks {
        let verdict = if check.is_passed() { "ok  " } else { "FAIL" };
        let (name, checked, wrong) = (check.name, check.checked, check.findings.len());
        text.push_str(&format!(
            "{verdict} {name}: {checked} checked, {wrong} wrong\n"
        ));
        for finding in check.findings.iter().take(MAX_FINDINGS) {
            text.push_str(&format!(
                "       {}: {}\n",
                finding.experiment_id, finding.what
            ));
        }
        if wrong > MAX_FINDINGS {
            text.push_str(&format!("       and {} more\n", wrong - MAX_FINDINGS));
        }
    }
    text
}
