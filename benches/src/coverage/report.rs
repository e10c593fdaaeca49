//! The coverage report as text: three tables and the verdict.

use crate::goals;
use crate::regret::{self, Curve};
use crate::scenario::{LOOKS, VISITORS_PER_LOOK};
use crate::summary::{Summary, furthest, worst};
use crate::table::{Table, number, percent, rare};

/// Everything, as Markdown that is also fit for a terminal.
pub(crate) fn text(rows: &[Summary], regret: &[Curve]) -> String {
    let looks = format!(
        "Policy and floor: arms, rate of control to rate of the best arm. {} visitors, {LOOKS} \
         looks. Shares in per cent, with Monte-Carlo standard errors.",
        LOOKS * VISITORS_PER_LOOK
    );
    [
        looks,
        "#### At the end: coverage of 95 % intervals, and bias".to_owned(),
        "One arm: the arm that fares worst. Difference: the best arm less control. Bias: relative \
         to the rate, of the arm where it is largest."
            .to_owned(),
        at_the_end(rows).markdown(),
        "#### At every look: coverage of all differences from control, and of one arm".to_owned(),
        "Five arms: four comparisons with control, Bonferroni. Proved: the sequence of the best \
         arm less control excludes zero at some look; half by: visitors when half of the runs \
         were."
            .to_owned(),
        at_every_look(rows).markdown(),
        "#### Decisions, and false alarms of the sample ratio".to_owned(),
        "Right choice: the arm most likely to be the best is. Gained: conversions over an even \
         split."
            .to_owned(),
        decisions(rows).markdown(),
        "#### Regret: conversions lost against giving everybody the best arm".to_owned(),
        regret::explained().to_owned(),
        regret::table(regret).markdown(),
        "#### Goals".to_owned(),
        goals::verdict(rows),
    ]
    .join("\n\n")
    .replace("\n\n\n", "\n\n")
}

fn at_the_end(rows: &[Summary]) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "Wilson",
        "posterior",
        "AIPW",
        "Newcombe",
        "AIPW difference",
        "bias of mean",
        "bias of AIPW",
    ]);
    for row in rows {
        let mut cells = vec![row.scenario.name()];
        cells.extend([
            percent(worst(&row.wilson)),
            percent(worst(&row.credible)),
            percent(worst(&row.aipw)),
            percent(row.newcombe),
            percent(row.aipw_difference),
            percent(furthest(&row.mean_bias)),
            percent(furthest(&row.aipw_bias)),
        ]);
        table.push(cells);
    }
    table
}

fn at_every_look(rows: &[Summary]) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "Newcombe",
        "plain sequence",
        "weighted sequence",
        "weighted, one arm",
        "proved, plain",
        "proved, weighted",
        "half by",
    ]);
    for row in rows {
        let mut cells = vec![row.scenario.name()];
        cells.extend([
            percent(row.newcombe_always),
            percent(row.plain_always),
            percent(row.weighted_always),
            percent(worst(&row.mean_always)),
            percent(row.plain_proved),
            percent(row.weighted_proved),
            row.weighted_proved_by_half
                .map_or_else(|| "-".to_owned(), |visitors| visitors.to_string()),
        ]);
        table.push(cells);
    }
    table
}

fn decisions(rows: &[Summary]) -> Table {
    let mut table = Table::new(&[
        "experiment",
        "right choice",
        "gained",
        "mismatch, p < 0.05 at the end",
        "mismatch, alarm at any look",
    ]);
    for row in rows {
        let mut cells = vec![row.scenario.name()];
        let null = row.scenario.is_null();
        let unless_null = |text: String| if null { "-".to_owned() } else { text };
        cells.extend([
            unless_null(percent(row.right)),
            unless_null(number(row.gained)),
            percent(row.split_alarm),
            rare(row.split_alarm_always),
        ]);
        table.push(cells);
    }
    table
}
