//! New and returning visitors over HTTP, from a process of their own.

use anyhow::Context as _;

use crate::report::{Goal, Report, number, rate};
use crate::server::{self, Load, Server};
use crate::{Args, naive, setup, writer};

/// Connections that ask for new visitors: each waits for a COMMIT, so that many have to wait at once.
const NEW: usize = 1_024;
/// Connections that ask for known ones.
const KNOWN: usize = 64;

/// `naive`: the rate of the naive transaction, if it was measured in this run.
pub(crate) async fn measure(
    args: &Args,
    naive: Option<f64>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(true).await?;
    let engine = writer::engine(&url).await?;
    let naive = match naive {
        Some(naive) => naive,
        None => {
            let experiment = writer::started(&engine).await?;
            naive::measure(&url, &experiment, 8, args.duration()).await?
        }
    };
    let server = Server::start(&url)?;
    let path = |id: &samplit_engine::ExperimentId| vec![format!("/v1/experiments/{id}/assign")];
    let mut load = Load {
        paths: &[],
        connections: NEW,
        seconds: args.seconds,
        rate: None,
        prefix: "v",
        known: None,
        page: None,
    };

    let mut peak = 0.0_f64;
    for round in 0..args.rounds {
        let paths = path(&writer::started(&engine).await?.id);
        let prefix = format!("new-{round}-");
        let loaded = server.load(&Load {
            paths: &paths,
            prefix: &prefix,
            ..load
        })?;
        report.note(&format!("new visitors: {loaded:?}"));
        peak = peak.max(loaded.rate);
    }
    report.add(
        "the same over HTTP",
        rate(peak),
        format!("naive transaction in process, {}", rate(naive)),
        peak / naive,
        Goal::AtLeast(10.0),
    );

    let paths = path(&writer::started(&engine).await?.id);
    let mut p99 = f64::INFINITY;
    for round in 0..args.rounds {
        let prefix = format!("half-{round}-");
        let half = Load {
            paths: &paths,
            rate: Some(peak / 2.0),
            connections: NEW,
            prefix: &prefix,
            ..load
        };
        let loaded = server.load(&half)?;
        report.note(&format!(
            "half of peak: p50 {} ms, p99 {} ms, at most {} ms",
            loaded.p50_ms, loaded.p99_ms, loaded.max_ms
        ));
        p99 = p99.min(loaded.p99_ms);
    }
    report.add(
        "p99 of assign at half of that peak, from when it was due",
        format!("{} ms", number(p99)),
        format!("{} asked for", rate(peak / 2.0)),
        p99,
        Goal::AtMost(15.0),
    );

    load.connections = KNOWN;
    load.known = Some(10_000);
    load.paths = &paths;
    server.load(&Load {
        seconds: 2.0,
        ..load
    })?;
    let answer = first_answer(&server, &paths[0]).context("no answer")?;
    let (_bare, address) = server::bare(&answer)?;
    let (mut best, mut best_bare) = (0.0_f64, 0.0_f64);
    for _ in 0..args.rounds {
        best = best.max(server.load(&load)?.rate);
        best_bare = best_bare.max(load.run(address, &server.token)?.rate);
    }
    report.add(
        "returning visitors over HTTP",
        rate(best),
        format!("bare hyper, same request and answer, {}", rate(best_bare)),
        best / best_bare,
        Goal::AtLeast(0.5),
    );
    wrk(&server, &paths[0], address, report);
    let (_, most) = server.resident_mib()?;
    report.add(
        "resident at the most, after all that",
        format!("{most:.0} MiB"),
        String::new(),
        most,
        Goal::None,
    );
    drop(server);
    engine.shutdown().await;
    Ok(())
}

/// The body of one answer.
fn first_answer(server: &Server, path: &str) -> anyhow::Result<String> {
    use std::io::{Read as _, Write as _};
    let body = "{\"visitor_id\":\"v0\"}";
    let mut stream = std::net::TcpStream::connect(server.address)?;
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        server.token,
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("a body")?;
    Ok(body.to_owned())
}

/// The same comparison by wrk, where it is installed.
fn wrk(server: &Server, path: &str, bare: std::net::SocketAddr, report: &mut Report) {
    let script = std::env::temp_dir().join(format!("samplit-bench-{}.lua", std::process::id()));
    let text = format!(
        "wrk.method = \"POST\"\nwrk.body = '{{\"visitor_id\":\"v0\"}}'\n\
         wrk.headers[\"Content-Type\"] = \"application/json\"\n\
         wrk.headers[\"Authorization\"] = \"Bearer {}\"\n",
        server.token
    );
    if std::fs::write(&script, text).is_err() {
        return;
    }
    let run = |address: std::net::SocketAddr| -> Option<f64> {
        let output = std::process::Command::new("wrk")
            .args(["-t1", "-c64", "-d5s", "-s"])
            .arg(&script)
            .arg(format!("http://{address}{path}"))
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Requests/sec:"))?;
        line.trim().parse().ok()
    };
    if let (Some(ours), Some(bare)) = (run(server.address), run(bare)) {
        report.add(
            "the same, by wrk",
            rate(ours),
            format!("bare hyper, {}", rate(bare)),
            ours / bare,
            Goal::AtLeast(0.5),
        );
    } else {
        report.note("wrk is not installed");
    }
    // A file that stays is of no harm.
    let _ = std::fs::remove_file(script);
}
