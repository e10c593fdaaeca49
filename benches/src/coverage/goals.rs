//! What the estimators have promised, held against what was simulated.

use crate::summary::{Measured, Summary, worst};

/// Room for chance, in Monte-Carlo standard errors.
const ROOM: f64 = 2.0;

/// Every promise that is not kept, in words; empty when all are.
pub(crate) fn unmet(rows: &[Summary], room: f64) -> Vec<String> {
    let mut unmet = Vec::new();
    for row in rows {
        let of = row.scenario.name();
        let mut hold = |what: &str, got: Measured, low: f64, high: f64| {
            // A share of exactly 1 has no error of its own; the promise's is never smaller.
            let promised = if got.value < low { low } else { high };
            let runs = crate::number::real(row.runs as u64);
            let error = got.error.max((promised * (1.0 - promised) / runs).sqrt());
            if got.value < low - room * error || got.value > high + room * error {
                unmet.push(format!("{of}: {what} {:.1} %", 100.0 * got.value));
            }
        };
        let always = "coverage of the confidence sequence at all looks";
        hold(always, row.weighted_always, 0.95, 1.0);
        let always = "coverage of one arm's confidence sequence at all looks";
        hold(always, worst(&row.mean_always), 0.95, 1.0);
        let end = "coverage of the adaptive-weight interval of the difference";
        hold(end, row.aipw_difference, 0.93, 0.97);
        for (arm, aipw) in row.aipw.iter().enumerate() {
            let end = format!("coverage of the adaptive-weight interval of arm {arm}");
            hold(&end, *aipw, 0.93, 0.97);
        }
        let alarms = "false alarms of the sample ratio at all looks";
        hold(alarms, row.split_alarm_always, 0.0, 0.001);
    }
    unmet
}

/// The verdict as lines of Markdown.
pub(crate) fn verdict(rows: &[Summary]) -> String {
    let unmet = unmet(rows, ROOM);
    if unmet.is_empty() {
        return format!("All goals are met, within {ROOM} Monte-Carlo standard errors.\n");
    }
    let lines: Vec<String> = unmet.iter().map(|line| format!("- {line}\n")).collect();
    format!(
        "Goals **not** met, by more than {ROOM} Monte-Carlo standard errors:\n\n{}",
        lines.concat()
    )
}
