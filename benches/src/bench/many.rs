//! Many experiments at once, beside one.

use samplit_engine::ExperimentId;

use crate::report::{Goal, Report, rate};
use crate::{Args, setup, writer};

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let mut ids: Vec<ExperimentId> = Vec::new();
    let mut one = 0.0;
    for (count, goal) in [
        (1, Goal::None),
        (100, Goal::None),
        (1_000, Goal::AtLeast(0.5)),
    ] {
        while ids.len() < count {
            ids.push(writer::started(&engine).await?.id);
        }
        let mut best = 0.0_f64;
        for round in 0..args.rounds {
            let prefix = format!("many-{count}-{round}");
            let rate =
                writer::flood(&engine, &ids, args.in_flight, &prefix, args.duration()).await?;
            report.note(&format!("{count} experiments: {rate:.0} /s"));
            best = best.max(rate);
        }
        if count == 1 {
            one = best;
            continue;
        }
        report.add(
            &format!("the same, {count} experiments at once"),
            rate(best),
            format!("one experiment, {}", rate(one)),
            best / one,
            goal,
        );
    }
    engine.shutdown().await;
    Ok(())
}
