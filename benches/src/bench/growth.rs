//! Tables that are full already: does anything get slower?

use std::time::Duration;

use futures_util::TryStreamExt as _;
use samplit_engine::{BundleRange, Engine, EngineConfig, ExperimentId, Principal};
use samplit_store::{Database, Settings};
use tokio::time::Instant;
use tokio_postgres::NoTls;

use crate::report::{Goal, Report, number, rate};
use crate::{Args, dashboard, server, setup, writer};

pub(crate) async fn measure(args: &Args, report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let id = writer::started(&engine).await?.id;
    let empty = best(args, &engine, id, "empty", report).await?;
    for &millions in &args.millions {
        let wanted = usize::try_from(millions * 1_000_000)?;
        let there = count(&url).await?;
        let fill = wanted.saturating_sub(there);
        report.note(&format!("{fill} visitors to come"));
        let prefix = format!("fill-{millions}");
        writer::visitors(&engine, &[id], args.in_flight, &prefix, move |number| {
            number < fill
        })
        .await?;
        let rate_now = best(args, &engine, id, &format!("full-{millions}"), report).await?;
        report.add(
            &format!("new visitors, {millions} million in place"),
            rate(rate_now),
            format!("empty tables, {}", rate(empty)),
            rate_now / empty,
            Goal::AtLeast(0.8),
        );
        let results = results_ms(&engine, id).await?;
        report.add(
            &format!("results, {millions} million assignments"),
            format!("{results:.1} ms"),
            String::new(),
            results,
            Goal::AtMost(50.0),
        );
        let page = dashboard::experiment_ms(&engine, id).await?;
        report.add(
            &format!("page of an experiment, {millions} million assignments"),
            format!("{page:.1} ms"),
            String::new(),
            page,
            Goal::AtMost(100.0),
        );
        sizes(&url, report).await?;
        audit(&url, id, millions, report).await?;
    }
    engine.shutdown().await;
    Ok(())
}

async fn best(
    args: &Args,
    engine: &Engine,
    id: ExperimentId,
    name: &str,
    report: &Report,
) -> anyhow::Result<f64> {
    let mut best = 0.0_f64;
    for round in 0..args.rounds {
        let prefix = format!("{name}-{round}");
        let rate = writer::flood(engine, &[id], args.in_flight, &prefix, args.duration()).await?;
        report.note(&format!("{name}: {rate:.0} /s"));
        best = best.max(rate);
    }
    Ok(best)
}

async fn results_ms(engine: &Engine, id: ExperimentId) -> anyhow::Result<f64> {
    let me = Principal::system();
    let mut took = Vec::new();
    for _ in 0..11 {
        let started = Instant::now();
        engine.results(&me, id).await?;
        took.push(started.elapsed().as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    Ok(took[took.len() / 2])
}

/// What an auditor and an operator ask for at that size: the whole bundle, and the doctor.
async fn audit(
    url: &str,
    id: ExperimentId,
    millions: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    // As patient as the command lines are.
    let settings = Settings {
        statement_timeout: Duration::ZERO,
        ..Settings::new(url)
    };
    let database = Database::connect(settings).await?;
    let engine = Engine::open(database, EngineConfig::new(server::ring()?)).await?;
    let me = Principal::system();
    let started = Instant::now();
    let bundle = engine.bundle(&me, id, BundleRange::default()).await?;
    let mut lines = Box::pin(bundle.lines);
    let mut bytes = 0;
    while let Some(line) = lines.try_next().await? {
        bytes += line.len();
    }
    let took = started.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let (entries, gib) = (bundle.size as f64, bytes as f64 / f64::from(1 << 30));
    report.add(
        &format!("bundle of {millions} million visitors, entries"),
        rate(entries / took),
        format!("{gib:.1} GiB in {took:.0} s"),
        entries / took,
        Goal::None,
    );
    let started = Instant::now();
    let checks = engine.doctor().await?;
    anyhow::ensure!(
        checks.iter().all(samplit_engine::Check::is_passed),
        "doctor: {checks:?}"
    );
    let took = started.elapsed().as_secs_f64();
    report.add(
        &format!("doctor at {millions} million visitors, rows and entries replayed"),
        format!("{took:.0} s"),
        String::new(),
        took,
        Goal::None,
    );
    engine.shutdown().await;
    Ok(())
}

async fn count(url: &str) -> anyhow::Result<usize> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let row = client
        .query_one("SELECT count(*) FROM assignments", &[])
        .await?;
    Ok(usize::try_from(row.get::<_, i64>(0))?)
}

/// Bytes per visitor of the tables that grow with visitors, and of their indexes.
async fn sizes(url: &str, report: &mut Report) -> anyhow::Result<()> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    let rows = client
        .query(
            "SELECT c.relname, pg_table_size(c.oid)::float8, pg_indexes_size(c.oid)::float8,
                (SELECT count(*) FROM assignments)::float8
             FROM pg_class c WHERE c.relname IN ('assignments', 'algorithm_audit_trail') ORDER BY 1",
            &[],
        )
        .await?;
    for row in rows {
        let (name, table, indexes, visitors): (String, f64, f64, f64) =
            (row.get(0), row.get(1), row.get(2), row.get(3));
        let mb = |bytes: f64| bytes / visitors;
        report.add(
            &format!("`{name}`, MB per million visitors"),
            format!("{} table", number(mb(table))),
            format!("{} indexes", number(mb(indexes))),
            mb(table + indexes),
            Goal::None,
        );
    }
    Ok(())
}
