//! Who is served first: nobody waits long for the receivers of somebody else.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use samplit_engine::{
    Clock as _, Engine, EngineConfig, Principal, Transition, WebhookDeliveryStatus, WebhookEvent,
};
use samplit_store::Database;
use samplit_store::webhook_outbox::{self, Room};
use samplit_tests::{connect, database, engine_with, eventually, settings};

use super::{Receiver, Reply, clock, deliveries, delivering, listen, listen_at, made, owner, step};

/// What one account, and what all endpoints that fail, have under way at most.
const OF_ACCOUNT: usize = 8;
const FAILING: usize = 8;

/// Something happens, so often.
async fn happens(engine: &Engine, who: &Principal, times: usize) {
    for _ in 0..times {
        let experiment = made(engine, who).await;
        step(engine, who, &experiment, Transition::Start).await;
    }
}

#[tokio::test]
async fn an_account_whose_receivers_never_answer_keeps_no_other_waiting() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let config = EngineConfig {
        shutdown_timeout: Duration::from_millis(50),
        ..delivering(2, &clock, &receiver)
    };
    let silent = EngineConfig {
        webhook_sender: None,
        ..delivering(1, &clock, &receiver)
    };
    let quiet = engine_with(database.url(), silent).await;
    let (ana, bob) = (owner(&quiet, "ana").await, owner(&quiet, "bob").await);
    let hears = [WebhookEvent::Started];
    for number in 0..20 {
        let url = format!("https://silent.example.org/{number}");
        listen_at(&quiet, &ana, &url, &hears).await;
    }
    let id = listen(&quiet, &bob, &hears).await.webhook.id;
    // Hers are due before his.
    happens(&quiet, &ana, 3).await;
    clock.advance(time::Duration::SECOND);
    happens(&quiet, &bob, 2).await;
    quiet.shutdown().await;

    let engine = engine_with(database.url(), config).await;
    let is_told = async || {
        let all = deliveries(&engine, &bob, id).await;
        let mut all = all.iter();
        all.all(|delivery| delivery.status == WebhookDeliveryStatus::Delivered)
    };
    eventually(is_told).await;
    // It looked again after that, and took nothing more of hers.
    happens(&engine, &bob, 1).await;
    eventually(is_told).await;
    engine.shutdown().await;
    let mut of_ana = 0;
    while let Ok(request) = arrived.try_recv() {
        of_ana += usize::from(request.url.contains("silent"));
    }
    assert_eq!(of_ana, OF_ACCOUNT);
}

#[tokio::test]
async fn endpoints_that_fail_come_last_one_message_each_and_accounts_by_turns() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let config = EngineConfig {
        shutdown_timeout: Duration::from_millis(50),
        ..delivering(2, &clock, &receiver)
    };
    let silent = EngineConfig {
        webhook_sender: None,
        ..delivering(1, &clock, &receiver)
    };
    let quiet = engine_with(database.url(), silent).await;
    let hears = [WebhookEvent::Started];
    for name in ["ana", "cai", "dee"] {
        let who = owner(&quiet, name).await;
        for number in 0..6 {
            let url = format!("https://silent.example.org/{name}/{number}");
            listen_at(&quiet, &who, &url, &hears).await;
        }
        happens(&quiet, &who, 2).await;
        // The next account's are due later, and have their turn all the same.
        clock.advance(time::Duration::SECOND);
    }
    let client = connect(database.url()).await;
    let failing = "UPDATE webhook_endpoints SET failing_since = now()";
    client.batch_execute(failing).await.unwrap();
    let bob = owner(&quiet, "bob").await;
    let id = listen(&quiet, &bob, &hears).await.webhook.id;
    happens(&quiet, &bob, 2).await;
    quiet.shutdown().await;

    let engine = engine_with(database.url(), config).await;
    let is_told = async || {
        let all = deliveries(&engine, &bob, id).await;
        let mut all = all.iter();
        all.all(|delivery| delivery.status == WebhookDeliveryStatus::Delivered)
    };
    eventually(is_told).await;
    happens(&engine, &bob, 1).await;
    eventually(is_told).await;
    engine.shutdown().await;
    let (mut tried, mut accounts) = (HashSet::new(), HashMap::<String, usize>::new());
    while let Ok(request) = arrived.try_recv() {
        if let Some(path) = request.url.strip_prefix("https://silent.example.org/") {
            let account = path.split('/').next().unwrap().to_owned();
            *accounts.entry(account).or_default() += 1;
            assert!(tried.insert(request.url.clone()), "{} twice", request.url);
        }
    }
    assert_eq!(tried.len(), FAILING);
    let mut shares: Vec<usize> = accounts.into_values().collect();
    shares.sort_unstable();
    assert_eq!(shares, [2, 3, 3]);
}

/// The oldest deliveries are those of endpoints that never answer: one that failed once must get past them.
#[tokio::test]
async fn among_endpoints_that_fail_the_lot_decides_and_not_who_waits_longest() {
    for accounts in [1, 10] {
        let (database, clock) = (database().await, clock());
        let (receiver, _arrived) = Receiver::new(Reply::Status(200));
        let silent = EngineConfig {
            webhook_sender: None,
            ..delivering(1, &clock, &receiver)
        };
        let quiet = engine_with(database.url(), silent).await;
        let client = connect(database.url()).await;
        let mut newest = None;
        for number in 0..10 {
            let who = owner(&quiet, &format!("account-{}", number % accounts)).await;
            let hears = [WebhookEvent::Started];
            let id = listen(&quiet, &who, &hears).await.webhook.id;
            if accounts > 1 || number == 9 {
                happens(&quiet, &who, 1).await;
            }
            clock.advance(time::Duration::SECOND);
            newest = Some(id);
        }
        quiet.shutdown().await;
        // Each is due the later, the later its endpoint was made.
        let failing = "UPDATE webhook_endpoints SET failing_since = now(); \
            UPDATE webhook_deliveries d SET due_at = e.created_at FROM webhook_endpoints e \
            WHERE e.id = d.endpoint_id";
        let store = Database::connect(settings(database.url())).await.unwrap();
        let now = clock.now();
        let mut was_taken = false;
        for _ in 0..50 {
            client.batch_execute(failing).await.unwrap();
            let claimed = store.run(|session| {
                let room = Room {
                    limit: 32,
                    failing: 8,
                    of_account: 8,
                    busy: &[],
                    accounts: &[],
                };
                let until = now + time::Duration::MINUTE;
                Box::pin(webhook_outbox::claim(session, now, until, room))
            });
            let claimed = claimed.await.unwrap();
            assert_eq!(claimed.len(), FAILING);
            let mut endpoints = claimed.iter().map(|claimed| claimed.delivery.webhook_id);
            was_taken |= endpoints.any(|id| Some(id) == newest);
        }
        assert!(was_taken, "{accounts} accounts");
    }
}
