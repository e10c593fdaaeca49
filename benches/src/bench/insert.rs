//! A yardstick below any design: one INSERT of one row a transaction, and nothing else.

use std::time::Duration;

use samplit_engine::Experiment;
use tokio::time::Instant;
use tokio_postgres::NoTls;

const INSERT: &str = "INSERT INTO assignments (experiment_id, variant_id, user_identifier) \
    VALUES ($1, $2, $3)";

/// Rows a second with `clients` connections; visitors are called after `prefix`.
pub(crate) async fn measure(
    url: &str,
    experiment: &Experiment,
    prefix: &str,
    clients: usize,
    seconds: Duration,
) -> anyhow::Result<f64> {
    let mut ready = Vec::new();
    for client in 0..clients {
        let (connected, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let insert = connected.prepare(INSERT).await?;
        ready.push((connected, insert, format!("{prefix}-{client}")));
    }
    let (id, variant) = (experiment.id.0, experiment.elements[0].variants[0].id.0);
    let started = Instant::now();
    let until = started + seconds;
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|(client, insert, prefix)| {
            tokio::spawn(async move {
                let mut done = 0_u32;
                while Instant::now() < until {
                    let visitor = format!("{prefix}-{done}");
                    client.execute(&insert, &[&id, &variant, &visitor]).await?;
                    done += 1;
                }
                Ok::<_, anyhow::Error>(done)
            })
        })
        .collect();
    let mut done = 0.0;
    for task in tasks {
        done += f64::from(task.await??);
    }
    Ok(done / started.elapsed().as_secs_f64())
}
