//! Webhooks: addresses that hear of what happens to the experiments of an account.

use time::OffsetDateTime;

use crate::origin::authority_of;
use crate::{
    ExperimentId, UserId, Violations, WebhookDeliveryId, WebhookId, WebhookMessageId, words,
};

/// The longest address, in characters (`VARCHAR(2048)`).
const MAX_URL: usize = 2_048;

/// The longest description, in characters (`VARCHAR(255)`).
const MAX_DESCRIPTION: usize = 255;

words! {
    /// What happened. The column `webhook_messages.event`, and `type` of what is sent.
    WebhookEvent {
        /// An experiment takes visitors from now on.
        Started => "experiment.started",
        /// It takes no new ones for now.
        Paused => "experiment.paused",
        /// It does again.
        Resumed => "experiment.resumed",
        /// It is over.
        Completed => "experiment.completed",
        /// It was put away.
        Archived => "experiment.archived",
        /// Its registered stopping rule says for the first time that it may stop.
        WinnerFound => "experiment.winner_found",
        /// Visitors are not split as the weights say, seen for the first time.
        SampleRatioMismatch => "experiment.sample_ratio_mismatch",
        /// A checkpoint of its trail was signed.
        CheckpointSigned => "checkpoint.signed",
        /// Nothing: somebody tries an address.
        Test => "webhook.test",
    }
}

words! {
    /// Why nothing is sent to an address. The column `webhook_endpoints.disabled_reason`.
    WebhookOff {
        /// Its owner said so.
        ByHand => "by_hand",
        /// It answered 410.
        Gone => "gone",
        /// For days nothing but failures.
        Failing => "failing",
    }
}

words! {
    /// How far a message has come. The column `webhook_deliveries.status`.
    WebhookDeliveryStatus {
        /// It is to be tried, or tried again.
        Pending => "pending",
        /// It was taken.
        Delivered => "delivered",
        /// It is not tried any more by itself.
        Dead => "dead",
    }
}

/// An address that hears of the experiments of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose it is.
    pub user_id: UserId,
    /// Where messages are posted. It may hold a secret of the receiver and stands in no log.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// What it hears of; empty: everything.
    pub events: Vec<WebhookEvent>,
    /// Why nothing is sent to it, and since when; `None`: it is.
    pub off: Option<(WebhookOff, OffsetDateTime)>,
    /// The first failure since the last success.
    pub failing_since: Option<OffsetDateTime>,
    /// When a message was last taken.
    pub last_success_at: Option<OffsetDateTime>,
    /// Until when the secret before the last rotation signs as well.
    pub previous_secret_ends_at: Option<OffsetDateTime>,
    /// Grows by one with every change; the `ETag`.
    pub version: i64,
    /// When it was made.
    pub created_at: OffsetDateTime,
    /// When it last changed.
    pub updated_at: OffsetDateTime,
}

impl Webhook {
    /// What people call it: its description, or the host of its address where there is none. The rest of
    /// the address may be a secret.
    #[must_use]
    pub fn name(&self) -> &str {
        if !self.description.trim().is_empty() {
            return self.description.trim();
        }
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        rest.split(['/', '?']).next().unwrap_or_default()
    }

    /// Checks what its owner may choose. `allow_plain`: the address may be of `http`.
    ///
    /// # Errors
    /// Every rule that is broken.
    pub fn check(&self, allow_plain: bool) -> Result<(), Violations> {
        let mut violations = Violations::default();
        violations.length("/url", &self.url, MAX_URL);
        if let Err(detail) = check_url(&self.url, allow_plain) {
            violations.add("/url", "malformed", detail);
        }
        violations.length("/description", &self.description, MAX_DESCRIPTION);
        for (index, event) in self.events.iter().enumerate() {
            let pointer = format!("/events/{index}");
            if *event == WebhookEvent::Test {
                violations.add(
                    pointer,
                    "unknown_value",
                    "is sent only where it is asked for",
                );
            } else if self.events[..index].contains(event) {
                violations.add(pointer, "duplicate", "stands in the list before");
            }
        }
        violations.into_result(())
    }
}

/// A message on its way to one address, or there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookDelivery {
    /// Its id.
    pub id: WebhookDeliveryId,
    /// To which address.
    pub webhook_id: WebhookId,
    /// Which message: the header `webhook-id`.
    pub message_id: WebhookMessageId,
    /// What happened.
    pub event: WebhookEvent,
    /// To which experiment.
    pub experiment_id: Option<ExperimentId>,
    /// The body, byte for byte as it is signed.
    pub payload: String,
    /// How far it has come.
    pub status: WebhookDeliveryStatus,
    /// How often it was tried since it was made or replayed.
    pub attempts: u32,
    /// When it is to be tried; while somebody is at it, when somebody else may take over.
    pub due_at: Option<OffsetDateTime>,
    /// When the outcome of the last attempt was known.
    pub attempted_at: Option<OffsetDateTime>,
    /// The HTTP status of the last answer.
    pub answer_status: Option<u16>,
    /// The beginning of the last answer.
    pub answer_body: Option<String>,
    /// Why it is not delivered, in words.
    pub error: Option<String>,
    /// When it was put into the outbox.
    pub created_at: OffsetDateTime,
}

/// How an attempt to deliver went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookAttempt {
    /// When that was known.
    pub at: OffsetDateTime,
    /// The HTTP status of the answer; `None`: there was none.
    pub status: Option<u16>,
    /// The beginning of the answer.
    pub body: Option<String>,
    /// Why it failed, in words; `None`: it did not.
    pub error: Option<String>,
}

/// Whether a text is an address that messages can be posted to: no more than scheme, host, path and
/// query, in ASCII.
fn check_url(url: &str, allow_plain: bool) -> Result<(), &'static str> {
    let plain = url.strip_prefix("http://").filter(|_| allow_plain);
    let rest = url.strip_prefix("https://").or(plain);
    let rest = rest.ok_or("must begin with https://")?;
    if !url.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be ASCII without spaces; encode the rest by percent");
    }
    if url.contains('#') {
        return Err("must have no fragment");
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let authority = rest[..end].to_ascii_lowercase();
    if authority.contains('@') {
        return Err("must have no user and password; put a secret into the path or the query");
    }
    if authority_of(&authority, &[]).is_none() {
        return Err("must have a host, perhaps with a port");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::{Webhook, check_url};
    use crate::{UserId, WebhookId};

    #[test]
    fn without_a_description_the_host_is_the_name_and_no_more_of_the_address() {
        let named = |url: &str, description: &str| {
            let webhook = Webhook {
                id: WebhookId(Uuid::nil()),
                user_id: UserId(Uuid::nil()),
                url: url.to_owned(),
                description: description.to_owned(),
                events: Vec::new(),
                off: None,
                failing_since: None,
                last_success_at: None,
                previous_secret_ends_at: None,
                version: 1,
                created_at: OffsetDateTime::UNIX_EPOCH,
                updated_at: OffsetDateTime::UNIX_EPOCH,
            };
            webhook.name().to_owned()
        };
        assert_eq!(
            named("https://example.org/s3cret", " The team "),
            "The team"
        );
        for url in [
            "https://example.org:8443/s3cret",
            "http://example.org:8443?s3cret",
        ] {
            assert_eq!(named(url, " "), "example.org:8443");
        }
    }

    #[test]
    fn an_address_is_of_https_and_holds_no_more_than_it_needs() {
        for good in [
            "https://example.org",
            "https://Hooks.example.org:8443/a/b?key=1&x=%20",
            "https://[2606:4700::1111]/",
            "https://example.org?a",
        ] {
            assert_eq!(check_url(good, false), Ok(()), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "ftp://example.org",
            "http://example.org/",
            "https://",
            "https:///path",
            "https://me:pw@example.org/",
            "https://example.org/a b",
            "https://example.org/é",
            "https://example.org/#a",
            "https://example.org:port/",
            "https://exa mple.org/\r\nx: y",
        ] {
            assert!(check_url(bad, false).is_err(), "{bad}");
        }
        assert_eq!(check_url("http://127.0.0.1:9000/x", true), Ok(()));
    }
}
