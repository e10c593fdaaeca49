//! `doctor`: does everything that is stored in more than one place agree?

use std::process::ExitCode;

use clap::Args;
use samplit_engine::{Check, Engine, Finding, Repair, Repairs};
use serde::Serialize;

use crate::audit::Source;
use crate::output::{self, Output};

/// The most findings of one check that are listed for people.
const MAX_FINDINGS: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// Correct counters, statistics, rates and frontiers first, which follow from rows and entries; each
    /// correction is printed. Nothing else is touched, and nothing at all of an experiment of which
    /// anything else is amiss: it is named, and the exit code is 1.
    #[arg(long)]
    repair: bool,

    /// How to print what was found.
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,

    #[command(flatten)]
    source: Source,
}

#[derive(Serialize)]
struct Diagnosis {
    healthy: bool,
    repairs: Vec<Repair>,
    /// What was not repaired, and why.
    refused: Vec<Finding>,
    checks: Vec<Check>,
}

pub(crate) async fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    let engine = args.source.open().await?;
    let examined = examine(&engine, args.repair).await;
    engine.shutdown().await;
    let diagnosis = examined?;
    let healthy = diagnosis.healthy;
    output::print(args.output, &diagnosis, text)?;
    Ok(if healthy {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// What is wrong, after what could be corrected was.
async fn examine(engine: &Engine, repair: bool) -> anyhow::Result<Diagnosis> {
    let repairs = if repair {
        engine.repair().await?
    } else {
        Repairs::default()
    };
    let checks = engine.doctor().await?;
    Ok(Diagnosis {
        healthy: repairs.refused.is_empty() && checks.iter().all(Check::is_passed),
        repairs: repairs.made,
        refused: repairs.refused,
        checks,
    })
}

fn text(diagnosis: &Diagnosis) -> String {
    let mut text = String::new();
    for repair in &diagnosis.repairs {
        let (id, what, from, to) = (repair.experiment_id, &repair.what, &repair.from, &repair.to);
        text.push_str(&format!("repaired {id}: {what}, from {from} to {to}\n"));
    }
    for refused in &diagnosis.refused {
        let (place, what) = (refused.place(), &refused.what);
        text.push_str(&format!("NOT REPAIRED {place}: {what}\n"));
    }
    for check in &diagnosis.checks {
        let verdict = if check.is_passed() { "ok  " } else { "FAIL" };
        let (name, checked, wrong) = (check.name, check.checked, check.findings.len());
        text.push_str(&format!(
            "{verdict} {name}: {checked} checked, {wrong} wrong\n"
        ));
        for finding in check.findings.iter().take(MAX_FINDINGS) {
            text.push_str(&format!("       {}: {}\n", finding.place(), finding.what));
        }
        if wrong > MAX_FINDINGS {
            text.push_str(&format!("       and {} more\n", wrong - MAX_FINDINGS));
        }
    }
    text
}
