//! What nobody does and is told once: that a rule is met, and that visitors are not split as they should.

use samplit_engine::{
    Experiment, ExperimentDraft, Principal, Status, Stopping, StoppingRule, Strategy, Transition,
    WebhookEvent,
};
use samplit_tests::{connect, database, draft, engine_with, eventually};
use serde_json::json;
use tokio_postgres::Client;

use super::{Receiver, Reply, body, clock, delivering, listen, owner, step};
use crate::checkpoints::visit;
use crate::results::traffic;

/// A draft whose rule is met after few visitors.
fn quick(auto_complete: bool) -> ExperimentDraft {
    let mut draft = draft(&[2]);
    draft.allocation.warm_up = 20;
    draft.stopping = Stopping {
        rule: StoppingRule::PBest,
        threshold: Some(0.95),
        min_visitors_per_arm: 20,
        min_days: 0.0,
        auto_complete,
        ..Stopping::default()
    };
    draft
}

async fn count(client: &Client, event: WebhookEvent) -> i64 {
    let sql = "SELECT count(*) FROM webhook_messages WHERE event = $1";
    let row = client.query_one(sql, &[&event.as_str()]).await.unwrap();
    row.get(0)
}

#[tokio::test]
async fn a_winner_is_told_once_whoever_looks_and_before_the_experiment_completes() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let engines = [
        engine_with(database.url(), delivering(1, &clock, &receiver)).await,
        engine_with(database.url(), delivering(2, &clock, &receiver)).await,
    ];
    let ana = owner(&engines[0], "ana").await;
    let hears = [WebhookEvent::WinnerFound, WebhookEvent::Completed];
    listen(&engines[0], &ana, &hears).await;
    let begin = async |auto_complete| -> Experiment {
        let made = engines[0]
            .create_experiment(&ana, quick(auto_complete))
            .await;
        let made = made.unwrap();
        step(&engines[0], &ana, &made, Transition::Start).await;
        traffic(&engines[0], &made, 200, &[0.05, 0.6]).await;
        made
    };
    let unasked = begin(false).await;
    let said = body(&arrived.recv().await.unwrap());
    assert_eq!(said["type"], "experiment.winner_found");
    let data = &said["data"];
    assert_eq!(data["experiment_id"], json!(unasked.id));
    assert_eq!(data["rule"], json!({"name": "p_best", "threshold": 0.95}));
    let leader = &data["draws"][0]["leader"];
    assert_eq!(
        (&leader["name"], &leader["is_control"]),
        (&json!("B"), &json!(false))
    );
    assert!(leader["p_best"].as_f64().unwrap() >= 0.95, "{said}");
    assert_eq!(data["status"], "active");

    let asked = begin(true).await;
    eventually(async || {
        let now = engines[1].experiment(&ana, asked.id).await.unwrap();
        now.status == Status::Completed
    })
    .await;
    let both = [arrived.recv().await.unwrap(), arrived.recv().await.unwrap()];
    let mut types = both.each_ref().map(|request| body(request)["type"].clone());
    types.sort_by_key(ToString::to_string);
    assert_eq!(
        types,
        [
            json!("experiment.completed"),
            json!("experiment.winner_found")
        ]
    );
    // However often they look again.
    visit(&engines[0], unasked.id, 0..10).await;
    for engine in &engines {
        engine.shutdown().await;
    }
    let client = connect(database.url()).await;
    assert_eq!(count(&client, WebhookEvent::WinnerFound).await, 2);
    assert_eq!(count(&client, WebhookEvent::Completed).await, 1);
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn a_wrong_split_is_told_once() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    listen(&engine, &ana, &[WebhookEvent::SampleRatioMismatch]).await;
    let even = ExperimentDraft {
        strategy: Strategy::Fixed,
        ..draft(&[2])
    };
    let made = engine.create_experiment(&ana, even).await.unwrap();
    step(&engine, &ana, &made, Transition::Start).await;
    visit(&engine, made.id, 0..40).await;
    // Visitors of one arm get lost on the way to us.
    let client = connect(database.url()).await;
    let lose = "UPDATE variant_statistics SET assignments = 2000, conversions = 100 WHERE arm = 0";
    client.batch_execute(lose).await.unwrap();
    visit(&engine, made.id, 40..41).await;
    let said = body(&arrived.recv().await.unwrap());
    assert_eq!(said["type"], "experiment.sample_ratio_mismatch");
    let draw = &said["data"]["draws"][0];
    assert_eq!(draw["arms"], json!(["A", "B"]));
    assert_eq!(draw["sample_ratio"]["verdict"], "mismatch");
    assert!(
        draw["sample_ratio"]["observed"][0].as_u64().unwrap() >= 2_000,
        "{said}"
    );
    visit(&engine, made.id, 41..50).await;
    engine.shutdown().await;
    assert_eq!(count(&client, WebhookEvent::SampleRatioMismatch).await, 1);
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_is_said_once_is_remembered_as_long_as_its_experiment() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let first = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&first, "ana").await;
    listen(&first, &ana, &[]).await;
    let made = first.create_experiment(&ana, quick(false)).await.unwrap();
    step(&first, &ana, &made, Transition::Start).await;
    traffic(&first, &made, 200, &[0.05, 0.6]).await;
    let client = connect(database.url()).await;
    eventually(async || count(&client, WebhookEvent::WinnerFound).await == 1).await;
    first.shutdown().await;
    clock.advance(time::Duration::days(100));
    while arrived.try_recv().is_ok() {}
    // Nothing was delivered that is tried again: all of it is old.
    let client_of = "UPDATE webhook_deliveries SET status = 'delivered', due_at = NULL";
    client.batch_execute(client_of).await.unwrap();
    let second = engine_with(database.url(), delivering(2, &clock, &receiver)).await;
    eventually(async || count(&client, WebhookEvent::Started).await == 0).await;
    visit(&second, made.id, 0..5).await;
    let looked = Principal::system();
    let results = second.results(&looked, made.id).await.unwrap();
    assert!(results.elements[0].stopping.may_stop);
    second.shutdown().await;
    assert_eq!(count(&client, WebhookEvent::WinnerFound).await, 1);
    assert!(arrived.try_recv().is_err());
}
