//! One attempt to deliver: signed, sent, and what comes of it.
//!
//! Between sending and noting the process may die. Then the delivery is taken over by somebody else
//! and the message comes twice, under the same id. What may not happen is that it never comes.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use metrics::{counter, histogram};
use samplit_domain::{
    Action, Webhook, WebhookAttempt, WebhookDeliveryStatus, WebhookEvent, WebhookId, WebhookOff,
};
use samplit_store::webhook_outbox::{self, ClaimedDelivery};
use samplit_store::webhooks::SealedSecrets;
use samplit_store::{Session, activity, webhooks};
use serde_json::json;
use time::{Duration as Span, OffsetDateTime};
use tokio::time::{Instant, sleep, timeout};

use super::schedule::{TOGETHER, asked_pause, is_hopeless, pause_after};
use super::sender::{WebhookAnswer, WebhookRequest};
use super::{PREVIOUS_SECRET, SECRET, entry, open, signature};
use crate::core::Core;
use crate::page_events::is_passing;
use crate::{Error, Principal, Secret};

/// How long a sender may take, whatever it promised.
const PATIENCE: Duration = Duration::from_secs(15);

/// For how long a delivery is that of whoever took it: longer than an attempt can take.
pub(super) const LEASE: time::Duration = time::Duration::minutes(1);

/// The pauses before it is tried again to note an outcome. What was sent is sent, and comes twice if that
/// is not noted; together with the attempt they are shorter than the delivery is ours.
const PAUSES: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
];

/// How much of an answer is kept, in bytes.
const MAX_ANSWER: usize = 1_024;

/// The status of a receiver that wants to hear nothing more.
const GONE: u16 = 410;

/// Makes an attempt that was claimed, and notes how it went.
pub(super) async fn attempt(core: &Core, claimed: &ClaimedDelivery) -> Result<(), Error> {
    let began = Instant::now();
    let sent = send(core, claimed).await;
    histogram!("samplit_webhook_attempt_seconds").record(began.elapsed().as_secs_f64());
    let outcome = match &sent {
        Ok(answer) if is_taken(answer.status) => "delivered",
        Ok(_) => "refused",
        Err(_) => "failed",
    };
    counter!("samplit_webhook_attempts_total", "outcome" => outcome).increment(1);
    let (answer, error) = match sent {
        Ok(answer) => {
            let error = refusal(answer.status);
            (Some(answer), error)
        }
        Err(error) => (None, Some(error)),
    };
    let at = core.config.clock.now();
    let pause = pause(core, claimed, answer.as_ref(), at);
    let attempt = WebhookAttempt {
        at,
        status: answer.as_ref().map(|answer| answer.status),
        body: answer.map(|answer| beginning(&answer.body)),
        error: error.map(|error| beginning(&error)),
    };
    if let Some(error) = &attempt.error {
        let (webhook, delivery) = (claimed.delivery.webhook_id, claimed.delivery.id);
        tracing::debug!(%webhook, %delivery, error, "a webhook was not delivered");
    }
    let mut pauses = PAUSES.into_iter();
    loop {
        let settled = settle(core, claimed, &attempt, pause).await;
        let pause = match &settled {
            Err(error) if is_passing(error) => pauses.next(),
            _ => None,
        };
        match pause {
            Some(pause) => sleep(pause).await,
            None => return settled,
        }
    }
}

/// Signs and sends. What goes wrong is told in words.
async fn send(core: &Core, claimed: &ClaimedDelivery) -> Result<WebhookAnswer, String> {
    let config = &core.config;
    let (Some(sender), Some(secret)) = (&config.webhook_sender, &config.secret) else {
        return Err("this server sends no webhooks".to_owned());
    };
    let delivery = &claimed.delivery;
    let now = config.clock.now();
    let secrets = in_force(secret, delivery.webhook_id, &claimed.secrets, now);
    let secrets = secrets.map_err(|_error| "the secret of the webhook cannot be opened")?;
    let (id, timestamp) = (delivery.message_id.to_string(), now.unix_timestamp());
    let signature = signature::sign(&secrets, &id, timestamp, &delivery.payload);
    let request = WebhookRequest {
        url: claimed.url.clone(),
        signature: signature.ok_or("the secret of the webhook is none")?,
        id,
        timestamp,
        body: delivery.payload.clone(),
    };
    let sending = async { sender.send(&request).await };
    let sending = AssertUnwindSafe(sending).catch_unwind();
    match timeout(PATIENCE, sending).await {
        Ok(Ok(answer)) => answer.map_err(|failure| failure.to_string()),
        Ok(Err(_panic)) => Err("the sender panicked".to_owned()),
        Err(_elapsed) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

/// The secrets that sign at `now`.
fn in_force(
    secret: &Secret,
    id: WebhookId,
    sealed: &SealedSecrets,
    now: OffsetDateTime,
) -> Result<Vec<String>, Error> {
    let mut secrets = vec![open(secret, id, SECRET, &sealed.current)?];
    if let Some((previous, ends_at)) = &sealed.previous
        && *ends_at > now
    {
        secrets.push(open(secret, id, PREVIOUS_SECRET, previous)?);
    }
    Ok(secrets)
}

const fn is_taken(status: u16) -> bool {
    matches!(status, 200..300)
}

/// Why an answer with this status is none that we want.
fn refusal(status: u16) -> Option<String> {
    match status {
        200..300 => None,
        300..400 => Some(format!(
            "the receiver answered {status}, and redirects are not followed"
        )),
        GONE => Some("the receiver answered 410: it is gone".to_owned()),
        _ => Some(format!("the receiver answered {status}")),
    }
}

/// What is kept of a text, as PostgreSQL can store it.
fn beginning(text: &str) -> String {
    let end = text.floor_char_boundary(MAX_ANSWER);
    text[..end].replace('\0', "\u{fffd}")
}

/// After how long it is tried again, should it have failed; `None`: not any more.
fn pause(
    core: &Core,
    claimed: &ClaimedDelivery,
    answer: Option<&WebhookAnswer>,
    at: OffsetDateTime,
) -> Option<Span> {
    let delivery = &claimed.delivery;
    let is_gone = answer.is_some_and(|answer| answer.status == GONE);
    if is_gone || delivery.event == WebhookEvent::Test {
        return None;
    }
    let asked = answer.map_or(Span::ZERO, |answer| asked_pause(answer, at));
    pause_after(delivery.attempts, asked, chance(core))
}

/// What comes of an attempt, for the delivery and for its endpoint. Where it failed, it is tried again
/// after `pause`.
async fn settle(
    core: &Core,
    claimed: &ClaimedDelivery,
    attempt: &WebhookAttempt,
    pause: Option<Span>,
) -> Result<(), Error> {
    let settle = core.database.run_tx("settle_webhook", |session| {
        Box::pin(async move {
            // The endpoint first, as everybody does who changes both.
            let Some(webhook) = webhooks::lock(session, claimed.delivery.webhook_id).await? else {
                return Ok(Settled::default());
            };
            if webhook.url != claimed.url {
                elsewhere(session, claimed, attempt).await?;
                Ok(Settled::default())
            } else if attempt.error.is_none() {
                taken(session, claimed, attempt).await?;
                Ok(Settled::default())
            } else {
                refused(core, session, &webhook, (claimed, attempt, pause)).await
            }
        })
    });
    let settled = settle.await?;
    if settled.is_dead {
        counter!("samplit_webhook_dead_letters_total").increment(1);
    }
    if let Some(off) = settled.off {
        let webhook = claimed.delivery.webhook_id;
        counter!("samplit_webhooks_switched_off_total", "reason" => off.as_str()).increment(1);
        tracing::warn!(%webhook, reason = off.as_str(), "a webhook was switched off");
    }
    Ok(())
}

/// What a failure leads to.
#[derive(Clone, Copy, Debug, Default)]
struct Settled {
    /// The delivery was given up.
    is_dead: bool,
    /// The endpoint was switched off.
    off: Option<WebhookOff>,
}

async fn taken(
    session: &Session<'_>,
    claimed: &ClaimedDelivery,
    attempt: &WebhookAttempt,
) -> Result<(), Error> {
    let delivery = &claimed.delivery;
    let outcome = (WebhookDeliveryStatus::Delivered, None);
    webhook_outbox::note(session, delivery.id, delivery.due_at, outcome, attempt).await?;
    webhooks::succeeded(session, delivery.webhook_id, attempt.at).await?;
    Ok(())
}

/// The endpoint has moved meanwhile: its former address says nothing about the new one. What it did not take
/// is due there now.
async fn elsewhere(
    session: &Session<'_>,
    claimed: &ClaimedDelivery,
    attempt: &WebhookAttempt,
) -> Result<(), Error> {
    let delivery = &claimed.delivery;
    let outcome = if attempt.error.is_none() {
        (WebhookDeliveryStatus::Delivered, None)
    } else {
        (WebhookDeliveryStatus::Pending, Some(attempt.at))
    };
    webhook_outbox::note(session, delivery.id, delivery.due_at, outcome, attempt).await?;
    Ok(())
}

/// Puts a failed delivery off or gives it up, and its endpoint with it where that is hopeless.
async fn refused(
    core: &Core,
    session: &Session<'_>,
    webhook: &Webhook,
    (claimed, attempt, pause): (&ClaimedDelivery, &WebhookAttempt, Option<Span>),
) -> Result<Settled, Error> {
    let delivery = &claimed.delivery;
    let outcome = match pause {
        Some(pause) => (WebhookDeliveryStatus::Pending, Some(attempt.at + pause)),
        None => (WebhookDeliveryStatus::Dead, None),
    };
    let is_ours =
        webhook_outbox::note(session, delivery.id, delivery.due_at, outcome, attempt).await?;
    // Somebody took it over, or it was given up meanwhile. And whoever tries an address wants to know
    // whether it works, not to be punished for it.
    if !is_ours || delivery.event == WebhookEvent::Test {
        return Ok(Settled::default());
    }
    let settled = Settled {
        is_dead: pause.is_none(),
        off: None,
    };
    let since = failing_since(session, webhook, (claimed, attempt)).await?;
    webhooks::failed(session, webhook.id, since).await?;
    let off = if attempt.status == Some(GONE) {
        WebhookOff::Gone
    } else if is_hopeless(since, attempt.at) {
        WebhookOff::Failing
    } else {
        return Ok(settled);
    };
    if webhook.off.is_some() {
        return Ok(settled);
    }
    let next = Webhook {
        off: Some((off, attempt.at)),
        failing_since: Some(since),
        version: webhook.version + 1,
        updated_at: attempt.at,
        ..webhook.clone()
    };
    webhooks::update(session, &next).await?;
    webhook_outbox::stop(session, webhook.id, "the webhook was switched off").await?;
    let mut entry = entry(
        core,
        &Principal::system(),
        Action::WebhookSwitchedOff,
        &next,
    );
    entry.detail["reason"] = json!(off);
    activity::insert(session, &entry).await?;
    let off = Some(off);
    Ok(Settled { off, ..settled })
}

/// Since when it is nothing but failures: since the first one after a success, or after a time in which
/// nothing was tried.
async fn failing_since(
    session: &Session<'_>,
    webhook: &Webhook,
    (claimed, attempt): (&ClaimedDelivery, &WebhookAttempt),
) -> Result<OffsetDateTime, Error> {
    let Some(since) = webhook.failing_since else {
        return Ok(attempt.at);
    };
    let (delivery, earliest) = (&claimed.delivery, attempt.at - TOGETHER);
    let goes_on = delivery.attempted_at.is_some_and(|at| at >= earliest)
        || webhook_outbox::was_tried(session, webhook.id, delivery.id, earliest).await?;
    Ok(if goes_on { since } else { attempt.at })
}

/// A number in `[0, 1)`.
fn chance(core: &Core) -> f64 {
    let mut bytes = [0; 4];
    core.config.entropy.fill(&mut bytes);
    f64::from(u32::from_be_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
}

#[cfg(test)]
mod tests {
    use super::{MAX_ANSWER, beginning, refusal};

    #[test]
    fn of_an_answer_the_beginning_is_kept_as_postgresql_can_store_it() {
        assert_eq!(beginning("ok"), "ok");
        assert_eq!(beginning("a\0b"), "a\u{fffd}b");
        let long = "é".repeat(MAX_ANSWER);
        assert_eq!(beginning(&long).len(), MAX_ANSWER);
        assert_eq!(beginning(&format!("x{long}")).len(), MAX_ANSWER - 1);
    }

    #[test]
    fn only_2xx_is_what_we_want() {
        assert_eq!(refusal(200), None);
        assert_eq!(refusal(299), None);
        for status in [100, 199, 301, 302, 304, 400, 404, 410, 429, 500, 503] {
            let why = refusal(status).unwrap();
            assert!(why.contains(&status.to_string()), "{why}");
        }
    }
}
