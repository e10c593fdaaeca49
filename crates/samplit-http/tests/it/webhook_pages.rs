//! The pages of webhooks, without scripts.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the answer")]

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use samplit_engine::{
    EngineConfig, Secret, WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender,
};

use crate::desk::Desk;
use crate::support::draft;

/// Answers everything with a status.
#[derive(Debug)]
struct Receiver(Mutex<u16>);

impl WebhookSender for Receiver {
    fn send<'a>(
        &'a self,
        _: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>> {
        let status = *self.0.lock();
        let body = "<b>no</b>".to_owned();
        Box::pin(async move {
            Ok(WebhookAnswer {
                status,
                body,
                ..WebhookAnswer::default()
            })
        })
    }
}

/// The secret that a page shows.
fn secret(page: &str) -> &str {
    let from = page.split("id=\"secret\">").nth(1).unwrap();
    let secret = from.split('<').next().unwrap();
    assert!(secret.starts_with("whsec_"), "{secret}");
    secret
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_made_tried_changed_rotated_and_deleted() {
    let receiver = Arc::new(Receiver(Mutex::new(204)));
    let config = EngineConfig {
        secret: Some(Secret::new(&[[9; 32]]).unwrap()),
        webhook_sender: Some(Arc::<Receiver>::clone(&receiver)),
        webhook_every: Duration::from_millis(10),
        ..samplit_tests::config(1)
    };
    let mut desk = Desk::open_with(config).await;
    desk.get("/webhooks").await.has(&["No webhook yet"]);
    let wrong = [("/url", "http://hooks.example.org/"), ("/description", "")];
    desk.send("/webhooks/new", &wrong)
        .await
        .refuses(&[("f-url", "This must begin with https://")])
        .has(&["value=\"http://hooks.example.org/\""]);
    let right = [
        ("/url", "https://hooks.example.org/t0ken"),
        ("/events/-", "experiment.started"),
        ("/events/-", "experiment.paused"),
    ];
    let made = desk.send("/webhooks/new", &right).await;
    assert_eq!(made.status, 201);
    let first = secret(made.text()).to_owned();
    let list = desk.get("/webhooks").await;
    list.has(&["hooks.example.org", "Started, Paused", "nothing sent yet"]);
    assert!(!list.text().contains("t0ken"));
    let path = list.text().split("href=\"/webhooks/").find_map(|rest| {
        let id = rest.split('"').next()?;
        (id.len() == 36).then(|| format!("/webhooks/{id}"))
    });
    let path = path.unwrap();
    let page = desk.get(&path).await;
    page.has(&[
        "Nothing was sent so far",
        "value=\"experiment.paused\" checked",
    ]);
    assert!(!page.text().contains(&first));

    desk.send(&path, &[("do", "test")])
        .await
        .has(&["The test was delivered", "204"]);
    *receiver.0.lock() = 500;
    let failed = desk.send(&path, &[("do", "test")]).await;
    failed.has(&[
        "The test was not delivered",
        "The receiver answered 500.",
        "&#60;b&#62;no",
        "given up",
    ]);

    let experiment = desk.server.post("/v1/experiments", &draft()).await.json();
    let start = format!(
        "/v1/experiments/{}/start",
        experiment["id"].as_str().unwrap()
    );
    assert_eq!(
        desk.server
            .post(&start, &serde_json::json!({}))
            .await
            .summary(),
        "200"
    );
    let waits = format!("{path}?status=pending");
    samplit_tests::eventually(async || {
        // It is tried again also while it is tried: the first failure is noted when the endpoint fails.
        let page = desk.get(&waits).await;
        page.text().contains("is tried again") && page.text().contains("failing")
    })
    .await;
    let page = desk.get(&waits).await;
    page.has(&["Button colour"]);
    let button = page.text().split("value=\"replay ").nth(1).unwrap();
    let replay = format!("replay {}", button.split('"').next().unwrap());
    *receiver.0.lock() = 200;
    let again = desk.send(&path, &[("do", &replay)]).await;
    assert!(again.goes().ends_with("webhook_replayed"));
    let done = format!("{path}?status=delivered");
    samplit_tests::eventually(async || desk.get(&done).await.text().contains("Button colour"))
        .await;

    // No box ticked is everything; and nobody overwrites what somebody else has changed.
    let version = |page: &str| {
        let version = page.split("name=\"version\" value=\"").nth(1).unwrap();
        version.split('"').next().unwrap().to_owned()
    };
    let seen = version(desk.get(&path).await.text());
    let save = [
        ("/url", "https://hooks.example.org/t0ken"),
        ("/description", "The <team>"),
        ("version", seen.as_str()),
        ("do", "save"),
    ];
    assert!(
        desk.send(&path, &save)
            .await
            .goes()
            .ends_with("webhook_saved")
    );
    desk.get("/webhooks")
        .await
        .has(&["The &#60;team&#62;", "Everything"]);
    let late = desk.send(&path, &save).await;
    assert_eq!(late.status, 412, "{}", late.text());

    let rotated = desk.send(&path, &[("do", "rotate")]).await;
    assert_ne!(secret(rotated.text()), first);
    desk.get(&path).await.has(&["signs as well until"]);
    assert!(
        desk.send(&path, &[("do", "off")])
            .await
            .goes()
            .ends_with("webhook_off")
    );
    let refused = desk.send(&path, &[("do", &replay)]).await;
    assert_eq!(refused.status, 409);
    refused.has(&["The webhook is switched off"]);
    assert!(
        desk.send(&path, &[("do", "on")])
            .await
            .goes()
            .ends_with("webhook_on")
    );

    let unsure = desk
        .send(&path, &[("confirm", "the team"), ("do", "delete")])
        .await;
    unsure.refuses(&[("f-confirm", "This must be exactly")]);
    desk.get("/activity").await.has(&[
        "made a webhook",
        "sent a test to a webhook",
        "sent a message again to a webhook",
        "gave a webhook a new secret",
    ]);
    let sure = [("confirm", "The <team>"), ("do", "delete")];
    assert_eq!(
        desk.send(&path, &sure).await.goes(),
        "/webhooks?done=webhook_deleted"
    );
    assert_eq!(desk.get(&path).await.status, 404);
    desk.enter_as("other@example.org").await;
    desk.get("/webhooks").await.has(&["No webhook yet"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_secret_can_be_kept_the_page_says_what_is_missing() {
    let desk = Desk::open_with(samplit_tests::config(1)).await;
    let page = desk.get("/webhooks").await;
    page.has(&["This server has no secret", "SAMPLIT_SECRET"]);
    let refused = desk
        .send("/webhooks/new", &[("/url", "https://hooks.example.org/")])
        .await;
    assert_eq!(refused.status, 409);
    refused.has(&["role=\"alert\""]);
}
