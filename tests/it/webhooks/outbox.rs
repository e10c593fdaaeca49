//! What is said, and that it is said if and only if it happened.

use samplit_engine::{
    EngineConfig, ErrorKind, NewWebhook, Page, Principal, Transition, WebhookChange,
    WebhookDeliveryStatus, WebhookEvent, WebhookId,
};
use samplit_tests::{connect, database, engine_with, eventually};
use serde_json::json;
use uuid::Uuid;

use super::{Receiver, Reply, body, clock, deliveries, delivering, listen, made, owner, step};
use crate::checkpoints::{signer, visit};

#[tokio::test]
async fn every_step_is_told_to_those_who_want_to_hear_of_it() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(204));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let (ana, bob) = (owner(&engine, "ana").await, owner(&engine, "bob").await);
    let all = listen(&engine, &ana, &[]).await.webhook;
    let few = listen(&engine, &ana, &[WebhookEvent::Paused]).await.webhook;
    let strange = listen(&engine, &bob, &[]).await.webhook;
    let experiment = made(&engine, &ana).await;

    let mut ids = Vec::new();
    for (transition, event, status) in [
        (Transition::Start, "experiment.started", "active"),
        (Transition::Pause, "experiment.paused", "paused"),
        (Transition::Resume, "experiment.resumed", "active"),
        (Transition::Complete, "experiment.completed", "completed"),
        (Transition::Archive, "experiment.archived", "archived"),
    ] {
        clock.advance(time::Duration::MINUTE);
        let winner = if transition == Transition::Complete {
            let element = &experiment.elements[0];
            [(element.id, element.variants[1].id)].into()
        } else {
            Default::default()
        };
        let done = engine.transition(&ana, experiment.id, transition, winner, None);
        let done = done.await.unwrap();
        let request = arrived.recv().await.unwrap();
        let said = body(&request);
        assert_eq!(said["type"], event);
        let at = done.updated_at.unix_timestamp();
        assert_eq!(request.timestamp, at);
        assert!(
            said["timestamp"].as_str().unwrap().ends_with("05Z"),
            "{said}"
        );
        let data = &said["data"];
        assert_eq!(data["experiment_id"], json!(experiment.id));
        assert_eq!(
            (&data["name"], &data["status"]),
            (&json!("test"), &json!(status))
        );
        assert_eq!(data["version"], done.version);
        if transition == Transition::Complete {
            assert_eq!(data["declared_winner"][0]["variant"], "B", "{said}");
        }
        ids.push(request.id.clone());
        if transition == Transition::Pause {
            // To two endpoints it is one message.
            let other = arrived.recv().await.unwrap();
            assert_eq!((&other.id, &other.body), (&request.id, &request.body));
            assert_eq!(other.url, "https://hooks.example.org/t0ken");
        }
    }
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 5);
    eventually(async || {
        let mut all = deliveries(&engine, &ana, all.id).await.into_iter();
        all.all(|delivery| delivery.status == WebhookDeliveryStatus::Delivered)
    })
    .await;
    let first = &deliveries(&engine, &ana, few.id).await[0];
    assert_eq!((first.attempts, first.answer_status), (1, Some(204)));
    assert_eq!(first.answer_body.as_deref(), Some("answer 204\u{fffd}"));
    assert_eq!(first.error, None);
    assert_eq!(deliveries(&engine, &ana, all.id).await.len(), 5);
    assert_eq!(deliveries(&engine, &ana, few.id).await.len(), 1);
    assert!(deliveries(&engine, &bob, strange.id).await.is_empty());
    let now = engine.webhook(&ana, all.id).await.unwrap();
    assert!(now.last_success_at.is_some() && now.failing_since.is_none());
    engine.shutdown().await;
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn what_was_rolled_back_is_not_told() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let webhook = listen(&engine, &ana, &[]).await.webhook;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    arrived.recv().await.unwrap();

    // The head moves after the message was written down.
    let superuser = connect(database.url()).await;
    let forbid =
        "ALTER TABLE audit_heads ADD CONSTRAINT forbidden CHECK (config_version < 3) NOT VALID";
    superuser.batch_execute(forbid).await.unwrap();
    let pause = || {
        let nobody = Default::default();
        engine.transition(&ana, experiment.id, Transition::Pause, nobody, None)
    };
    assert_eq!(pause().await.unwrap_err().kind(), &ErrorKind::Internal);
    assert_eq!(deliveries(&engine, &ana, webhook.id).await.len(), 1);
    let messages = "SELECT count(*) FROM webhook_messages";
    let messages = superuser.query_one(messages, &[]).await.unwrap();
    assert_eq!(messages.get::<_, i64>(0), 1);

    let allow = "ALTER TABLE audit_heads DROP CONSTRAINT forbidden";
    superuser.batch_execute(allow).await.unwrap();
    pause().await.unwrap();
    let said = body(&arrived.recv().await.unwrap());
    assert_eq!(said["type"], "experiment.paused");
    engine.shutdown().await;
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn of_the_checkpoints_of_a_minute_the_newest_is_told_when_it_is_over() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let config = EngineConfig {
        signers: [signer(1)].into(),
        checkpoint_every: std::time::Duration::from_secs(3_600),
        ..delivering(1, &clock, &receiver)
    };
    let engine = engine_with(database.url(), config).await;
    let ana = owner(&engine, "ana").await;
    let webhook = listen(&engine, &ana, &[WebhookEvent::CheckpointSigned])
        .await
        .webhook;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    let mut last = None;
    for round in 0..3 {
        visit(&engine, experiment.id, round..round + 1).await;
        last = Some(engine.sign_checkpoint(&ana, experiment.id).await.unwrap());
    }
    // Asked for again it is none that is new.
    engine.sign_checkpoint(&ana, experiment.id).await.unwrap();
    let waiting = deliveries(&engine, &ana, webhook.id).await;
    assert_eq!((waiting.len(), waiting[0].attempts), (1, 0));
    assert!(arrived.try_recv().is_err());

    clock.advance(time::Duration::MINUTE);
    let last = last.unwrap();
    let said = body(&arrived.recv().await.unwrap());
    assert_eq!(said["type"], "checkpoint.signed");
    let expected = json!({
        "experiment_id": experiment.id, "incarnation": 1, "size": last.size,
        "root": last.root.to_string(), "note": last.note,
    });
    assert_eq!(said["data"], expected);
    visit(&engine, experiment.id, 3..4).await;
    engine.sign_checkpoint(&ana, experiment.id).await.unwrap();
    assert_eq!(deliveries(&engine, &ana, webhook.id).await.len(), 2);
    engine.shutdown().await;
    assert!(arrived.try_recv().is_err());
}

#[tokio::test]
async fn an_endpoint_is_checked_changed_and_taken_away_by_its_owner_alone() {
    let (database, clock) = (database().await, clock());
    let (receiver, _arrived) = Receiver::new(Reply::Status(200));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let (ana, bob) = (owner(&engine, "ana").await, owner(&engine, "bob").await);
    let webhook = listen(&engine, &ana, &[]).await.webhook;
    assert_eq!(engine.webhook(&ana, webhook.id).await.unwrap(), webhook);

    let missing = |outcome: Result<(), samplit_engine::Error>| {
        let error = outcome.unwrap_err();
        assert_eq!(error.kind(), &ErrorKind::NotFound("webhook"));
    };
    let page = Page {
        cursor: None,
        limit: 10,
    };
    let change = || WebhookChange {
        description: Some("mine now".to_owned()),
        ..WebhookChange::default()
    };
    let nobody = WebhookId(Uuid::nil());
    for (who, id) in [(&bob, webhook.id), (&ana, nobody)] {
        missing(engine.webhook(who, id).await.map(drop));
        missing(
            engine
                .update_webhook(who, id, change(), None)
                .await
                .map(drop),
        );
        missing(engine.rotate_webhook(who, id, None).await.map(drop));
        missing(engine.test_webhook(who, id).await.map(drop));
        missing(
            engine
                .webhook_deliveries(who, id, None, &page)
                .await
                .map(drop),
        );
        let delivery = samplit_engine::WebhookDeliveryId(Uuid::nil());
        missing(engine.replay_webhook(who, id, delivery).await.map(drop));
        missing(engine.delete_webhook(who, id, None).await);
    }
    assert!(engine.webhooks(&bob, &page).await.unwrap().data.is_empty());

    let changed = engine
        .update_webhook(&ana, webhook.id, change(), Some(1))
        .await;
    let changed = changed.unwrap();
    assert_eq!(
        (changed.description.as_str(), changed.version),
        ("mine now", 2)
    );
    let stale = engine
        .update_webhook(&ana, webhook.id, change(), Some(1))
        .await;
    let stale = stale.unwrap_err();
    assert_eq!(stale.kind(), &ErrorKind::VersionMismatch { current: 2 });
    engine
        .delete_webhook(&ana, webhook.id, Some(2))
        .await
        .unwrap();
    missing(engine.webhook(&ana, webhook.id).await.map(drop));

    let new = |url: &str| NewWebhook {
        url: url.to_owned(),
        description: String::new(),
        events: Vec::new(),
        is_enabled: true,
    };
    for bad in [
        "http://hooks.example.org/",
        "https://a:b@example.org/",
        "ftp://x",
        "",
    ] {
        let refused = engine.create_webhook(&ana, new(bad)).await.unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Invalid(v) if v.0[0].pointer == "/url"));
    }
    for _ in 0..20 {
        engine
            .create_webhook(&ana, new("https://example.org"))
            .await
            .unwrap();
    }
    let full = engine
        .create_webhook(&ana, new("https://example.org"))
        .await;
    let full = full.unwrap_err();
    assert!(matches!(
        full.kind(),
        ErrorKind::Conflict {
            code: "too_many_webhooks",
            ..
        }
    ));
    let nobody = engine
        .create_webhook(&Principal::system(), new("https://example.org"))
        .await;
    let nobody = nobody.unwrap_err();
    assert!(matches!(
        nobody.kind(),
        ErrorKind::Conflict {
            code: "no_account",
            ..
        }
    ));
    engine.shutdown().await;
}

#[tokio::test]
async fn a_disabled_account_hears_of_nothing_and_of_what_waited_once_it_is_enabled() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(204));
    receiver.next([Reply::Status(500)]);
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let (ana, bob) = (owner(&engine, "ana").await, owner(&engine, "bob").await);
    let hers = listen(&engine, &ana, &[]).await.webhook.id;
    listen(&engine, &bob, &[]).await;
    let experiment = made(&engine, &ana).await;
    step(&engine, &ana, &experiment, Transition::Start).await;
    let first = arrived.recv().await.unwrap();
    eventually(async || {
        deliveries(&engine, &ana, hers).await[0]
            .attempted_at
            .is_some()
    })
    .await;

    let client = connect(database.url()).await;
    let off = "UPDATE users SET disabled_at = now() WHERE email = 'ana@example.org'";
    client.batch_execute(off).await.unwrap();
    // What happens meanwhile is not for her, and what waits is not sent: bob's comes next.
    step(&engine, &ana, &experiment, Transition::Pause).await;
    assert_eq!(deliveries(&engine, &ana, hers).await.len(), 1);
    clock.advance(time::Duration::DAY);
    let other = made(&engine, &bob).await;
    step(&engine, &bob, &other, Transition::Start).await;
    let next = arrived.recv().await.unwrap();
    assert_eq!(body(&next)["data"]["experiment_id"], json!(other.id));
    assert_eq!(deliveries(&engine, &ana, hers).await[0].attempts, 1);

    let on = "UPDATE users SET disabled_at = NULL WHERE email = 'ana@example.org'";
    client.batch_execute(on).await.unwrap();
    let again = arrived.recv().await.unwrap();
    assert_eq!((&again.id, &again.body), (&first.id, &first.body));
}
