//! Bundles: how fast they leave and are verified; and what signing costs those who are served.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;
use samplit_audit::{Options, Signer, bundle};
use samplit_engine::{BanditRule, Engine, EngineConfig, ExperimentId};
use samplit_store::{Database, Settings};
use tokio::time::Instant;

use crate::report::{Goal, Report, rate};
use crate::server::{self, Server};
use crate::{Args, setup, writer};

/// Visitors in the trail.
const VISITORS: usize = 300_000;
/// How often each way of signing is measured, taking turns.
const TURNS: usize = 4;

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let id = writer::started(&engine).await?.id;
    let there = |number| number < VISITORS;
    writer::visitors(&engine, &[id], args.in_flight, "v", there).await?;
    let bytes = export(&url, id, report)?;
    verify(args, &bytes, report)?;
    engine.shutdown().await;
    signing(args, &url, report).await
}

/// The bundle as a client gets it from a server.
fn export(url: &str, id: ExperimentId, report: &mut Report) -> anyhow::Result<Vec<u8>> {
    let server = Server::start(url)?;
    let (before, _) = server.resident_mib()?;
    let started = Instant::now();
    let mut stream = TcpStream::connect(server.address)?;
    write!(
        stream,
        "GET /v1/experiments/{id}/audit/bundle HTTP/1.0\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n",
        server.token
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let took = started.elapsed().as_secs_f64();
    let (_, most) = server.resident_mib()?;
    let body = answer
        .windows(4)
        .position(|end| end == b"\r\n\r\n")
        .context("an answer without a body")?;
    let bundle = answer.split_off(body + 4);
    let lines = bundle.iter().filter(|byte| **byte == b'\n').count();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let entries = lines as f64;
    report.add(
        "bundle export over HTTP, entries",
        rate(entries / took),
        String::new(),
        entries / took,
        Goal::None,
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let size = bundle.len() as f64 / (1024.0 * 1024.0);
    report.add(
        "memory that the export took at the most",
        format!("{:.1} MiB", most - before),
        format!("a bundle of {size:.0} MiB"),
        most - before,
        Goal::AtMost(64.0),
    );
    Ok(bundle)
}

fn verify(args: &Args, bytes: &[u8], report: &mut Report) -> anyhow::Result<()> {
    for (what, replay, goal) in [
        (
            "bundle verification, one core, chain and root",
            false,
            Goal::AtLeast(500_000.0),
        ),
        ("the same with every decision replayed", true, Goal::None),
    ] {
        let mut best = 0.0_f64;
        for _ in 0..args.rounds {
            let options = Options {
                replay,
                rule: Some(Box::new(BanditRule)),
                ..Options::default()
            };
            let started = Instant::now();
            let verdict = bundle::verify(io::Cursor::new(bytes), options);
            let verified = verdict.context("the bundle does not verify")?;
            #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
            let entries = verified.entries as f64;
            best = best.max(entries / started.elapsed().as_secs_f64());
        }
        report.add(what, rate(best), String::new(), best, goal);
    }
    Ok(())
}

/// New visitors with and without the checkpointer, which signs and exports each second here.
async fn signing(args: &Args, url: &str, report: &mut Report) -> anyhow::Result<()> {
    let directory = std::env::temp_dir().join(format!("samplit-bench-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let mut done = [0.0; 2];
    for turn in 0..TURNS * 2 {
        let signs = turn % 2 == 1;
        let mut config = EngineConfig::new(server::ring()?);
        if signs {
            config.signers = [Signer::from_seed("bench.example", &[9; 32])?].into();
            config.checkpoint_every = Duration::from_secs(1);
            config.checkpoint_directory = Some(directory.clone());
        }
        let engine = Engine::start(Database::connect(Settings::new(url)).await?, config).await?;
        let id = writer::started(&engine).await?.id;
        let prefix = format!("signing-{turn}");
        let ids = [id];
        let flood = writer::flood(&engine, &ids, args.in_flight, &prefix, args.duration());
        let rate = flood.await?;
        report.note(&format!("signing: {signs}: {rate:.0} /s"));
        done[usize::from(signs)] += rate;
        engine.shutdown().await;
        engine.database().close();
    }
    std::fs::remove_dir_all(&directory)?;
    let [without, with] = done;
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let turns = TURNS as f64;
    report.add(
        "new visitors while every second is signed and exported",
        rate(with / turns),
        format!("unsigned, {}", rate(without / turns)),
        with / without,
        Goal::AtLeast(0.97),
    );
    Ok(())
}
