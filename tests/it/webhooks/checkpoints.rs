//! Of each minute the newest checkpoint is told, and the last one of a trail always is.

use std::sync::Arc;

use samplit_devpg::TestDatabase;
use samplit_engine::{
    Engine, EngineConfig, Experiment, ManualClock, Principal, StoredCheckpoint, Transition,
    WebhookEvent, WebhookId, WebhookRequest,
};
use samplit_tests::{Client, connect, database, engine_with, eventually};
use serde_json::json;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{Receiver, Reply, body, clock, deliveries, delivering, listen, made, owner, step};
use crate::checkpoints::{signer, visit};

/// A trail, and somebody who hears of its checkpoints.
struct Scene {
    engine: Engine,
    clock: Arc<ManualClock>,
    arrived: UnboundedReceiver<WebhookRequest>,
    ana: Principal,
    webhook: WebhookId,
    experiment: Experiment,
    database: TestDatabase,
}

impl Scene {
    async fn set() -> Self {
        let (database, clock) = (database().await, clock());
        let (receiver, arrived) = Receiver::new(Reply::Status(200));
        let config = EngineConfig {
            signers: [signer(1)].into(),
            checkpoint_every: std::time::Duration::from_secs(3_600),
            ..delivering(1, &clock, &receiver)
        };
        let engine = engine_with(database.url(), config).await;
        let ana = owner(&engine, "ana").await;
        let hears = [WebhookEvent::CheckpointSigned];
        let webhook = listen(&engine, &ana, &hears).await.webhook.id;
        let experiment = made(&engine, &ana).await;
        step(&engine, &ana, &experiment, Transition::Start).await;
        Self {
            engine,
            clock,
            arrived,
            ana,
            webhook,
            experiment,
            database,
        }
    }

    /// One more visitor, and a checkpoint of it.
    async fn signed(&self, visitor: usize) -> StoredCheckpoint {
        visit(&self.engine, self.experiment.id, visitor..visitor + 1).await;
        let signed = self.engine.sign_checkpoint(&self.ana, self.experiment.id);
        signed.await.unwrap()
    }

    /// The next message is of this checkpoint.
    async fn hears_of(&mut self, signed: &StoredCheckpoint) {
        let said = body(&self.arrived.recv().await.unwrap());
        assert_eq!(said["data"]["size"], json!(signed.size), "{said}");
        assert_eq!(said["data"]["note"], json!(signed.note));
    }
}

/// Waits until somebody waits for a lock.
async fn is_blocked(client: &Client) {
    let sql = "SELECT count(*) FROM pg_stat_activity \
               WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually(async || {
        let waiting: i64 = client.query_one(sql, &[]).await.unwrap().get(0);
        waiting > 0
    })
    .await;
}

#[tokio::test]
async fn one_that_is_written_down_after_its_minute_is_told_with_the_next() {
    let mut scene = Scene::set().await;
    let first = scene.signed(0).await;
    // Signed in the same minute, it has to wait before it is written down, and the minute ends.
    let (holder, watcher) = (
        connect(scene.database.url()).await,
        connect(scene.database.url()).await,
    );
    let hold = "BEGIN; LOCK TABLE webhook_messages IN SHARE MODE";
    holder.batch_execute(hold).await.unwrap();
    let meanwhile = async {
        is_blocked(&watcher).await;
        scene.clock.advance(time::Duration::MINUTE);
        eventually(async || {
            let all = deliveries(&scene.engine, &scene.ana, scene.webhook).await;
            all[0].attempted_at.is_some()
        })
        .await;
        holder.batch_execute("COMMIT").await.unwrap();
    };
    let (second, ()) = tokio::join!(scene.signed(1), meanwhile);
    scene.hears_of(&first).await;
    let all = deliveries(&scene.engine, &scene.ana, scene.webhook).await;
    assert_eq!((all.len(), all[0].attempts), (2, 0));
    // A third one of the minute that is now takes its place.
    let third = scene.signed(2).await;
    assert!(third.size > second.size);
    scene.clock.advance(time::Duration::MINUTE);
    scene.hears_of(&third).await;
    scene.engine.shutdown().await;
    assert!(scene.arrived.try_recv().is_err());
}

#[tokio::test]
async fn one_that_comes_while_an_older_one_is_taken_is_told_with_the_next() {
    let mut scene = Scene::set().await;
    let first = scene.signed(0).await;
    let (taker, watcher) = (
        connect(scene.database.url()).await,
        connect(scene.database.url()).await,
    );
    // Somebody takes the delivery, has read what to send, and has not committed yet.
    let take =
        "BEGIN; UPDATE webhook_deliveries SET attempts = 1, due_at = due_at + interval '1 minute'";
    taker.batch_execute(take).await.unwrap();
    let meanwhile = async {
        is_blocked(&watcher).await;
        taker.batch_execute("COMMIT").await.unwrap();
    };
    let (second, ()) = tokio::join!(scene.signed(1), meanwhile);
    let all = deliveries(&scene.engine, &scene.ana, scene.webhook).await;
    let told: Vec<_> = all
        .iter()
        .map(|delivery| {
            let said: serde_json::Value = serde_json::from_str(&delivery.payload).unwrap();
            said["data"]["size"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(told, [second.size, first.size]);
    scene.clock.advance(time::Duration::MINUTE * 2);
    let both = [
        body(&scene.arrived.recv().await.unwrap())["data"]["size"].clone(),
        body(&scene.arrived.recv().await.unwrap())["data"]["size"].clone(),
    ];
    assert!(both.contains(&json!(second.size)), "{both:?}");
    scene.engine.shutdown().await;
}
