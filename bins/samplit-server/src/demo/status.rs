//! The line that shows how the weights move.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::ProgressBar;
use samplit_engine::{Engine, ExperimentId, Principal, Results};

use crate::output;

/// Shows the weights every second for ever; ends only with an error.
pub(super) async fn run(engine: &Engine, experiment: ExperimentId) -> anyhow::Result<()> {
    let who = Principal::system();
    let bar = std::io::stderr()
        .is_terminal()
        .then(ProgressBar::new_spinner);
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let line = line(&engine.results(&who, experiment).await?);
        match &bar {
            Some(bar) => {
                bar.set_message(line);
                bar.tick();
            }
            None => output::tell(&line),
        }
    }
}

fn line(results: &Results) -> String {
    let arms = results.elements.iter().flat_map(|element| &element.arms);
    let arms = arms.map(|arm| format!("{} {:.1} %", arm.name, 100.0 * arm.weight));
    format!(
        "{} visitors, {} conversions | weights: {}",
        results.visitors,
        results.conversions,
        arms.collect::<Vec<_>>().join(", ")
    )
}
