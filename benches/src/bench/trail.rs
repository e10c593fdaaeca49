//! Bundles: how fast they leave and are verified.

use std::io;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use samplit_audit::{Options, bundle};
use samplit_engine::{BanditRule, Principal};
use tokio::time::Instant;

use crate::report::{Goal, Report, rate};
use crate::{Args, setup, writer};

/// Visitors in the trail.
const VISITORS: usize = 300_000;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let id = writer::started(&engine).await?.id;
    writer::visitors(&engine, &[id], args.in_flight, "v", |number| {
        number < VISITORS
    })
    .await?;
    let me = Principal::system();
    let started = Instant::now();
    let lines = engine.bundle(&me, id).await?;
    let bytes: Vec<u8> = lines.try_concat().await?;
    let exported = started.elapsed().as_secs_f64();
    for (what, replay, goal) in [
        (
            "bundle verification, one core, chain and root",
            false,
            Goal::AtLeast(500_000.0),
        ),
        ("the same with every decision replayed", true, Goal::None),
    ] {
        let mut best = 0.0_f64;
        let mut entries = 0.0;
        for _ in 0..args.rounds {
            let options = Options {
                replay,
                rule: Some(Box::new(BanditRule)),
                ..Options::default()
            };
            let started = Instant::now();
            let verdict = bundle::verify(io::Cursor::new(&bytes), options);
            let verified = verdict.context("the bundle does not verify")?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let count = verified.entries as f64;
            entries = count;
            best = best.max(count / started.elapsed().as_secs_f64());
        }
        report.add(what, rate(best), String::new(), best, goal);
        if !replay {
            let export = entries / exported;
            report.add(
                "bundle export, in process",
                rate(export),
                String::new(),
                export,
                Goal::None,
            );
        }
    }
    engine.shutdown().await;
    Ok(())
}
