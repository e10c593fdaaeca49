//! What becomes of a message: taken, tried again, given up, replayed, and by whom.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use samplit_engine::{
    Clock as _, Engine, EngineConfig, ErrorKind, ManualClock, Principal, Transition, Webhook,
    WebhookChange, WebhookDelivery, WebhookDeliveryStatus, WebhookEvent, WebhookId, WebhookOff,
};
use samplit_tests::{database, engine_with, eventually};
use tokio::sync::Notify;

use super::{Receiver, Reply, body, clock, deliveries, delivering, listen, made, owner, step};

/// The newest delivery, once the outcome of the attempt is known that is made at the time it is now.
async fn settled(
    engine: &Engine,
    who: &Principal,
    id: WebhookId,
    clock: &ManualClock,
) -> WebhookDelivery {
    let newest = async || deliveries(engine, who, id).await.swap_remove(0);
    eventually(async || newest().await.attempted_at == Some(clock.now())).await;
    newest().await
}

#[tokio::test]
async fn a_failure_is_tried_again_later_and_later_then_given_up_and_replayed_by_hand() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(500));
    receiver.next([
        Reply::Away,
        Reply::Status(503),
        Reply::Status(302),
        Reply::Panic,
    ]);
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[]).await.webhook.id;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    let first = arrived.recv().await.unwrap();

    let errors = [
        "the receiver cannot be reached: nobody there",
        "the receiver answered 503",
        "the receiver answered 302, and redirects are not followed",
        "the sender panicked",
        "the receiver answered 500",
    ];
    let pauses = [
        5.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 43_200.0, 86_400.0,
    ];
    for (index, pause) in pauses.into_iter().enumerate() {
        let now = settled(&engine, &ana, id, &clock).await;
        assert_eq!(now.attempts as usize, index + 1);
        assert_eq!(now.error.as_deref(), Some(errors[index.min(4)]));
        let waits = now.due_at.unwrap() - clock.now();
        let seconds = waits.as_seconds_f64();
        assert!(
            (pause..=pause * 1.25).contains(&seconds),
            "{pause}: {seconds}"
        );
        clock.advance(waits);
        let again = arrived.recv().await.unwrap();
        assert_eq!((&again.id, &again.body), (&first.id, &first.body));
        assert_eq!(again.timestamp, clock.now().unix_timestamp());
        assert_ne!(again.signature, first.signature);
    }
    let dead = settled(&engine, &ana, id, &clock).await;
    assert_eq!(dead.status, WebhookDeliveryStatus::Dead);
    assert_eq!((dead.attempts, dead.due_at), (9, None));
    let failing = engine.webhook(&ana, id).await.unwrap();
    assert!(failing.failing_since.is_some() && failing.off.is_none());

    receiver.will(Reply::Status(200));
    clock.advance(time::Duration::HOUR);
    let replayed = engine.replay_webhook(&ana, id, dead.id).await.unwrap();
    assert_eq!(replayed.status, WebhookDeliveryStatus::Pending);
    assert_eq!(replayed.due_at, Some(clock.now()));
    let again = arrived.recv().await.unwrap();
    assert_eq!((&again.id, &again.body), (&first.id, &first.body));
    let taken = settled(&engine, &ana, id, &clock).await;
    assert_eq!(taken.status, WebhookDeliveryStatus::Delivered);
    assert_eq!((taken.attempts, taken.error), (1, None));
    assert!(
        engine
            .webhook(&ana, id)
            .await
            .unwrap()
            .failing_since
            .is_none()
    );
    engine.shutdown().await;
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn two_engines_deliver_each_message_once() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let engines = [
        engine_with(database.url(), delivering(1, &clock, &receiver)).await,
        engine_with(database.url(), delivering(2, &clock, &receiver)).await,
    ];
    let ana = owner(&engines[0], "ana").await;
    let id = listen(&engines[0], &ana, &[]).await.webhook.id;
    let mut ids = HashSet::new();
    for round in 0..16 {
        let experiment = made(&engines[round % 2], &ana).await;
        step(&engines[round % 2], &ana, &experiment, Transition::Start).await;
    }
    for _ in 0..16 {
        assert!(ids.insert(arrived.recv().await.unwrap().id));
    }
    eventually(async || {
        let all = deliveries(&engines[0], &ana, id).await;
        let mut all = all.iter();
        all.all(|delivery| delivery.status == WebhookDeliveryStatus::Delivered)
    })
    .await;
    for engine in engines {
        engine.shutdown().await;
    }
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_a_dead_engine_had_sent_and_not_noted_comes_again_under_the_same_id() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Silent);
    let config = EngineConfig {
        shutdown_timeout: Duration::from_millis(50),
        ..delivering(1, &clock, &receiver)
    };
    let first = engine_with(database.url(), config).await;
    let ana = owner(&first, "ana").await;
    let id = listen(&first, &ana, &[]).await.webhook.id;
    let experiment = made(&first, &ana).await;
    step(&first, &ana, &experiment, Transition::Start).await;
    let sent = arrived.recv().await.unwrap();
    // It is cut off between sending and noting.
    first.shutdown().await;

    receiver.will(Reply::Status(200));
    let second = engine_with(database.url(), delivering(2, &clock, &receiver)).await;
    // The first might be at it still; what comes after it is not held up by that.
    clock.advance(time::Duration::SECOND);
    let other = made(&second, &ana).await;
    step(&second, &ana, &other, Transition::Start).await;
    assert_ne!(arrived.recv().await.unwrap().id, sent.id);
    clock.advance(time::Duration::MINUTE);
    let again = arrived.recv().await.unwrap();
    assert_eq!((&again.id, &again.body), (&sent.id, &sent.body));
    eventually(async || {
        let all = deliveries(&second, &ana, id).await;
        let mut all = all.iter();
        all.all(|delivery| delivery.status == WebhookDeliveryStatus::Delivered)
    })
    .await;
    let oldest = deliveries(&second, &ana, id).await.pop().unwrap();
    assert_eq!(oldest.attempts, 2);
    second.shutdown().await;
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_switched_off_and_hears_nothing_until_it_is_on_again() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(500));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[]).await.webhook.id;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    arrived.recv().await.unwrap();
    let waiting = settled(&engine, &ana, id, &clock).await;
    receiver.will(Reply::Status(410));
    clock.advance(time::Duration::SECOND);
    step(&engine, &ana, &experiment, Transition::Pause).await;
    arrived.recv().await.unwrap();
    let gone = settled(&engine, &ana, id, &clock).await;
    assert_eq!(gone.status, WebhookDeliveryStatus::Dead);
    assert_eq!(
        gone.error.as_deref(),
        Some("the receiver answered 410: it is gone")
    );
    let off = engine.webhook(&ana, id).await.unwrap();
    assert_eq!(off.off, Some((WebhookOff::Gone, clock.now())));
    assert_eq!(off.version, 2);
    // What waited is given up, and nothing is put in any more.
    let waited = deliveries(&engine, &ana, id).await.pop().unwrap();
    assert_eq!(waited.id, waiting.id);
    assert_eq!(waited.status, WebhookDeliveryStatus::Dead);
    assert_eq!(
        waited.error.as_deref(),
        Some("the webhook was switched off")
    );
    step(&engine, &ana, &experiment, Transition::Resume).await;
    assert_eq!(deliveries(&engine, &ana, id).await.len(), 2);
    let refused = engine.replay_webhook(&ana, id, gone.id).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "webhook_off",
            ..
        }
    ));

    receiver.will(Reply::Status(200));
    let on = |is_enabled| WebhookChange {
        is_enabled: Some(is_enabled),
        ..WebhookChange::default()
    };
    let back = engine
        .update_webhook(&ana, id, on(true), None)
        .await
        .unwrap();
    assert_eq!((back.off, back.failing_since), (None, None));
    engine.replay_webhook(&ana, id, gone.id).await.unwrap();
    assert_eq!(
        body(&arrived.recv().await.unwrap())["type"],
        "experiment.paused"
    );

    // Its owner can switch it off, too, and try it while it is.
    let off = engine
        .update_webhook(&ana, id, on(false), None)
        .await
        .unwrap();
    assert_eq!(off.off, Some((WebhookOff::ByHand, clock.now())));
    receiver.will(Reply::Status(410));
    let tried = engine.test_webhook(&ana, id).await.unwrap();
    assert_eq!(tried.event, WebhookEvent::Test);
    assert_eq!(
        (tried.status, tried.attempts),
        (WebhookDeliveryStatus::Dead, 1)
    );
    assert_eq!(tried.answer_status, Some(410));
    receiver.will(Reply::Status(200));
    let tried = engine.test_webhook(&ana, id).await.unwrap();
    assert_eq!(tried.status, WebhookDeliveryStatus::Delivered);
    assert_eq!(engine.webhook(&ana, id).await.unwrap().off, off.off);
    engine.shutdown().await;
}

#[tokio::test]
async fn what_the_former_address_answers_is_not_held_against_the_new_one() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let go = Arc::new(Notify::new());
    receiver.next([Reply::Held(410, Arc::clone(&go))]);
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[]).await.webhook.id;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    let first = arrived.recv().await.unwrap();
    let change = WebhookChange {
        url: Some("https://hooks.example.org/moved".to_owned()),
        ..WebhookChange::default()
    };
    let moved = engine.update_webhook(&ana, id, change, None).await.unwrap();
    go.notify_one();
    let second = arrived.recv().await.unwrap();
    assert_eq!((&second.url, &second.id), (&moved.url, &first.id));
    let is_told = async || {
        let told = deliveries(&engine, &ana, id).await.pop().unwrap();
        told.status == WebhookDeliveryStatus::Delivered
    };
    eventually(is_told).await;
    let now = engine.webhook(&ana, id).await.unwrap();
    assert_eq!((now.off, now.failing_since), (None, None));
    assert_eq!(now.version, moved.version);
    engine.shutdown().await;
}

/// One more thing happens, some time later; the endpoint once everything that is due was tried.
async fn next_failure(
    engine: &Engine,
    who: &Principal,
    id: WebhookId,
    (clock, after): (&ManualClock, time::Duration),
) -> Webhook {
    clock.advance(after);
    let experiment = made(engine, who).await;
    step(engine, who, &experiment, Transition::Start).await;
    eventually(async || {
        let (now, all) = (clock.now(), deliveries(engine, who, id).await);
        let is_over = |due| due > now && due != now + time::Duration::MINUTE;
        let mut all = all.iter();
        all.all(|delivery| delivery.due_at.is_none_or(is_over))
    })
    .await;
    engine.webhook(who, id).await.unwrap()
}

#[tokio::test]
async fn five_days_of_nothing_but_failures_switch_an_endpoint_off() {
    let (database, clock) = (database().await, clock());
    let (receiver, _arrived) = Receiver::new(Reply::Away);
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[WebhookEvent::Started])
        .await
        .webhook
        .id;
    let failed = async |after| next_failure(&engine, &ana, id, (&clock, after)).await;
    assert_eq!(failed(time::Duration::ZERO).await.off, None);
    // One success begins the days anew.
    receiver.next([Reply::Status(200)]);
    let now = failed(time::Duration::SECOND).await;
    assert_eq!(now.failing_since, None);
    let since = failed(time::Duration::SECOND).await.failing_since;
    assert!(since.is_some());
    for _ in 0..4 {
        let now = failed(time::Duration::DAY).await;
        assert_eq!((now.off, now.failing_since), (None, since));
    }
    let now = failed(time::Duration::DAY - time::Duration::SECOND).await;
    assert_eq!((now.off, now.failing_since), (None, since));
    let now = failed(time::Duration::SECOND).await;
    assert_eq!(now.off.map(|(why, _)| why), Some(WebhookOff::Failing));
    engine.shutdown().await;
}

#[tokio::test]
async fn days_in_which_nothing_was_tried_are_no_days_of_failures() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(500));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[WebhookEvent::Started])
        .await
        .webhook
        .id;
    let failed = async |after| next_failure(&engine, &ana, id, (&clock, after)).await;
    // One message fails until it is given up, more than two days later.
    let first = failed(time::Duration::ZERO).await.failing_since;
    while let Some(due) = settled(&engine, &ana, id, &clock).await.due_at {
        clock.advance(due - clock.now());
    }
    assert_eq!(engine.webhook(&ana, id).await.unwrap().failing_since, first);
    // Then nothing happens for so long that the first failure is more than five days ago.
    let now = failed(time::Duration::days(4)).await;
    assert_eq!((now.off, now.failing_since), (None, Some(clock.now())));
    for _ in 0..4 {
        assert_eq!(failed(time::Duration::DAY).await.off, None);
    }
    let now = failed(time::Duration::DAY).await;
    assert_eq!(now.off.map(|(why, _)| why), Some(WebhookOff::Failing));
    while arrived.try_recv().is_ok() {}

    // Another address has not failed yet.
    let change = |url: Option<&str>| WebhookChange {
        is_enabled: Some(true),
        url: url.map(str::to_owned),
        ..WebhookChange::default()
    };
    engine
        .update_webhook(&ana, id, change(None), None)
        .await
        .unwrap();
    let now = failed(time::Duration::SECOND).await;
    assert_eq!(now.failing_since, Some(clock.now()));
    let url = Some("https://hooks.example.org/other");
    let moved = engine.update_webhook(&ana, id, change(url), None).await;
    assert_eq!(moved.unwrap().failing_since, None);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_receiver_that_asks_to_be_left_alone_is_left_alone() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    // Two minutes, then until a date, an hour from then.
    receiver.next([
        Reply::Later(429, "120"),
        Reply::Later(503, "Fri, 02 Jan 2026 04:04:05 GMT"),
        Reply::Later(503, "100000000"),
        Reply::Later(500, "100000000"),
    ]);
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let id = listen(&engine, &ana, &[]).await.webhook.id;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    arrived.recv().await.unwrap();
    let mut waits = async |seconds: f64| {
        let now = settled(&engine, &ana, id, &clock).await;
        let waits = (now.due_at.unwrap() - clock.now()).as_seconds_f64();
        assert!(
            (seconds..=seconds * 1.25).contains(&waits),
            "{seconds}: {waits}"
        );
        clock.advance(time::Duration::seconds_f64(waits) + time::Duration::MICROSECOND);
        arrived.recv().await.unwrap();
    };
    waits(120.0).await;
    let until = time::macros::datetime!(2026-01-02 04:04:05 UTC);
    waits((until - clock.now()).as_seconds_f64()).await;
    waits(86_400.0).await;
    // Only 429 and 503 may ask.
    waits(1_800.0).await;
    let taken = settled(&engine, &ana, id, &clock).await;
    assert_eq!(taken.status, WebhookDeliveryStatus::Delivered);
    engine.shutdown().await;
}

#[tokio::test]
async fn messages_are_kept_for_a_month() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let first = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&first, "ana").await;
    let id = listen(&first, &ana, &[]).await.webhook.id;
    let experiment = made(&first, &ana).await;
    step(&first, &ana, &experiment, Transition::Start).await;
    arrived.recv().await.unwrap();
    settled(&first, &ana, id, &clock).await;
    first.shutdown().await;
    clock.advance(time::Duration::days(29));
    let second = engine_with(database.url(), delivering(2, &clock, &receiver)).await;
    step(&second, &ana, &experiment, Transition::Pause).await;
    arrived.recv().await.unwrap();
    settled(&second, &ana, id, &clock).await;
    assert_eq!(deliveries(&second, &ana, id).await.len(), 2);
    second.shutdown().await;
    clock.advance(time::Duration::days(2));
    let third = engine_with(database.url(), delivering(3, &clock, &receiver)).await;
    eventually(async || deliveries(&third, &ana, id).await.len() == 1).await;
    let kept = deliveries(&third, &ana, id).await;
    assert_eq!(kept[0].event, WebhookEvent::Paused);
    third.shutdown().await;
}
