//! How long a server takes to be ready, and what it needs when nobody asks.

use crate::report::{Goal, Report};
use crate::server::Server;
use crate::setup;

/// Starts measured; the median counts.
const STARTS: usize = 5;

pub(crate) async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let (_pg, url) = setup::migrated(false).await?;
    let mut ready = Vec::new();
    let mut resident = 0.0;
    for _ in 0..STARTS {
        let server = Server::start(&url)?;
        ready.push(server.ready_in.as_secs_f64() * 1e3);
        resident = server.resident_mib()?.0;
    }
    ready.sort_by(f64::total_cmp);
    let ready = ready[STARTS / 2];
    report.add(
        "server ready, schema current",
        format!("{ready:.0} ms"),
        "from the start of the process".to_owned(),
        ready,
        Goal::AtMost(300.0),
    );
    report.add(
        "resident, idle",
        format!("{resident:.0} MiB"),
        String::new(),
        resident,
        Goal::AtMost(60.0),
    );
    Ok(())
}
