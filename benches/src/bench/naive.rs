//! The yardstick: one transaction per visitor, the statements one would write first.

use std::time::Duration;

use samplit_audit::payload::Assignment;
use samplit_audit::{DrawKey, Hash, Head, PidKey, TypedPayload as _, choose, scale};
use samplit_engine::Experiment;
use tokio::time::Instant;
use tokio_postgres::{Client, NoTls, Statement};
use uuid::Uuid;

const LOCK: &str = "SELECT size, head_hash, last_us, frontier FROM audit_heads \
    WHERE experiment_id = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO assignments (id, experiment_id, variant_id, user_identifier, \
    context, snapshot_seq) VALUES ($1, $2, $3, $4, '{}', 1) \
    ON CONFLICT DO NOTHING";
const COUNT: &str = "UPDATE element_variants SET total_allocations = total_allocations + 1, \
    conversion_rate = total_conversions::float8 / (total_allocations + 1) WHERE id = $1";
const APPEND: &str = "INSERT INTO algorithm_audit_trail (id, experiment_id, sequence_number, \
    decision_type, decision_data, previous_hash, current_hash, created_at) \
    VALUES ($1, $2, $3, 'assignment', $4::text::jsonb, $5, $6, to_timestamp($7::bigint / 1e6))";
const MOVE: &str = "UPDATE audit_heads SET size = $2, head_hash = $3, last_us = $4, frontier = $5 \
    WHERE experiment_id = $1";

/// Assignments a second with `clients` connections.
pub(crate) async fn measure(
    url: &str,
    experiment: &Experiment,
    clients: usize,
    seconds: Duration,
) -> anyhow::Result<f64> {
    let mut ready = Vec::new();
    for client in 0..clients {
        ready.push(Naive::connect(url, experiment.clone(), client).await?);
    }
    let started = Instant::now();
    let until = started + seconds;
    let tasks: Vec<_> = ready
        .into_iter()
        .map(|mut naive| {
            tokio::spawn(async move {
                let mut done = 0_u32;
                while Instant::now() < until {
                    naive.assign(done).await?;
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

struct Naive {
    client: Client,
    statements: [Statement; 5],
    experiment: Experiment,
    pid_key: PidKey,
    draw_key: DrawKey,
    number: usize,
}

impl Naive {
    async fn connect(url: &str, experiment: Experiment, number: usize) -> anyhow::Result<Self> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        tokio::spawn(connection);
        let statements = [
            client.prepare(LOCK).await?,
            client.prepare(INSERT).await?,
            client.prepare(COUNT).await?,
            client.prepare(APPEND).await?,
            client.prepare(MOVE).await?,
        ];
        // Keys of its own: nobody replays this trail.
        let pid_key = PidKey::from_bytes([1; 32]);
        let draw_key = DrawKey::from_bytes([2; 32]);
        Ok(Self {
            client,
            statements,
            experiment,
            pid_key,
            draw_key,
            number,
        })
    }

    async fn assign(&mut self, visit: u32) -> anyhow::Result<()> {
        let [lock, insert, count, append, advance] = &self.statements;
        let id = self.experiment.id.0;
        let visitor = format!("naive-{}-{visit}", self.number);
        let pseudonym = self.pid_key.pseudonym(id, &visitor);
        let u64 = self.draw_key.draw(id, pseudonym, 0);
        let variants = &self.experiment.elements[0].variants;
        let third = 333_333_333;
        let r_ppb = scale(u64);
        let arm = choose(&[third + 1, third, third], r_ppb).unwrap_or(0);
        let payload = Assignment {
            visitor: pseudonym,
            element: None,
            u64,
            r_ppb,
            arm: u16::try_from(arm)?,
            snapshot_seq: 1,
        }
        .to_payload()?;
        let now_us = std::time::UNIX_EPOCH.elapsed()?.as_micros();

        let tx = self.client.transaction().await?;
        let head = tx.query_one(lock, &[&id]).await?;
        let size = u64::try_from(head.get::<_, i64>(0))?;
        let hash: Hash = head.get::<_, String>(1).parse()?;
        let mut head = Head::from_parts(id, size, hash, head.get(2), &head.get::<_, Vec<u8>>(3))?;
        let entry = head.append(
            Uuid::from_bytes(random()?),
            Assignment::DECISION_TYPE,
            i64::try_from(now_us)?,
            payload,
        );
        let sequence = i64::try_from(entry.sequence_number)?;
        let variant = variants[arm].id.0;
        tx.execute(insert, &[&entry.id, &id, &variant, &visitor])
            .await?;
        tx.execute(count, &[&variant]).await?;
        let (previous, current) = (
            entry.previous_hash.to_string(),
            entry.current_hash.to_string(),
        );
        let data = entry.payload.as_str();
        let at = entry.created_at_us;
        tx.execute(
            append,
            &[&entry.id, &id, &sequence, &data, &previous, &current, &at],
        )
        .await?;
        let frontier = head.frontier_bytes();
        tx.execute(advance, &[&id, &sequence, &current, &at, &frontier])
            .await?;
        tx.commit().await?;
        Ok(())
    }
}

/// Bytes of a random id.
fn random() -> anyhow::Result<[u8; 16]> {
    let random = ring::rand::generate(&ring::rand::SystemRandom::new());
    Ok(random
        .map_err(|_| anyhow::anyhow!("no random source"))?
        .expose())
}
