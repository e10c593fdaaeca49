//! What messages are signed with: sealed, shown once, exchanged without a gap.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use samplit_engine::{EngineConfig, ErrorKind, NewWebhook, Transition, WebhookRequest};
use samplit_tests::{connect, database, engine_with};

use super::{Receiver, Reply, clock, delivering, listen, made, owner, step};

/// Whether a receiver who knows `secret` believes a message, as it finds out by itself.
fn believes(secret: &str, request: &WebhookRequest) -> bool {
    let key = STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let signed = format!("{}.{}.{}", request.id, request.timestamp, request.body);
    request.signature.split(' ').any(|signature| {
        let mac = STANDARD
            .decode(signature.strip_prefix("v1,").unwrap())
            .unwrap();
        hmac::verify(&key, signed.as_bytes(), &mac).is_ok()
    })
}

#[tokio::test]
async fn after_a_rotation_both_secrets_sign_for_a_day() {
    let (database, clock) = (database().await, clock());
    let (receiver, mut arrived) = Receiver::new(Reply::Status(200));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let first = listen(&engine, &ana, &[]).await;
    let id = first.webhook.id;
    let mut said = async || {
        let experiment = made(&engine, &ana).await;
        step(&engine, &ana, &experiment, Transition::Start).await;
        arrived.recv().await.unwrap()
    };
    let request = said().await;
    assert!(believes(&first.secret, &request));

    let second = engine.rotate_webhook(&ana, id, Some(1)).await.unwrap();
    assert_ne!(second.secret, first.secret);
    assert_eq!(second.webhook.version, 2);
    let request = said().await;
    assert_eq!(request.signature.split(' ').count(), 2);
    assert!(believes(&first.secret, &request) && believes(&second.secret, &request));
    // A third one: the first is forgotten, the second has its day.
    let third = engine.rotate_webhook(&ana, id, None).await.unwrap();
    let request = said().await;
    assert!(believes(&second.secret, &request) && believes(&third.secret, &request));
    assert!(!believes(&first.secret, &request));
    clock.advance(time::Duration::DAY);
    let request = said().await;
    assert!(!believes(&second.secret, &request) && believes(&third.secret, &request));
    assert_eq!(request.signature.split(' ').count(), 1);
    engine.shutdown().await;
}

#[tokio::test]
async fn no_secret_stands_in_the_database_or_in_what_is_printed() {
    let (database, clock) = (database().await, clock());
    let (receiver, _arrived) = Receiver::new(Reply::Status(200));
    let engine = engine_with(database.url(), delivering(1, &clock, &receiver)).await;
    let ana = owner(&engine, "ana").await;
    let first = listen(&engine, &ana, &[]).await;
    let second = engine
        .rotate_webhook(&ana, first.webhook.id, None)
        .await
        .unwrap();
    let superuser = connect(database.url()).await;
    let rows = "SELECT w::text FROM webhook_endpoints w";
    let row: String = superuser.query_one(rows, &[]).await.unwrap().get(0);
    let printed = format!("{row} {first:?} {second:?}");
    for secret in [&first.secret, &second.secret] {
        let bare = secret.strip_prefix("whsec_").unwrap();
        assert!(!printed.contains(bare), "{printed}");
    }
    engine.shutdown().await;

    // Without a secret of the server there is none of an endpoint.
    let config = EngineConfig {
        secret: None,
        ..delivering(2, &clock, &receiver)
    };
    let engine = engine_with(database.url(), config).await;
    let new = NewWebhook {
        url: "https://example.org".to_owned(),
        description: String::new(),
        events: Vec::new(),
        is_enabled: true,
    };
    let refused = engine.create_webhook(&ana, new).await.unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_secret",
            ..
        }
    ));
    let refused = engine
        .rotate_webhook(&ana, first.webhook.id, None)
        .await
        .unwrap_err();
    assert!(matches!(
        refused.kind(),
        ErrorKind::Conflict {
            code: "no_secret",
            ..
        }
    ));
    engine.shutdown().await;
}
