//! Webhooks out: telling others what happens to the experiments of their account.
//!
//! What there is to say is written down in the transaction of what happened, so that it is said if and
//! only if it happened. From there on it is delivered at least once: whoever takes a delivery has it
//! for a while, and if nothing is heard of them, somebody else takes over. A message keeps its id
//! whatever becomes of it, so that its receiver knows what came twice.

mod attempt;
mod deliveries;
mod endpoints;
mod findings;
mod news;
mod outbox;
mod postman;
mod schedule;
mod sender;
mod signature;

use samplit_audit::Place;
use samplit_domain::{Action, Webhook, WebhookId};
use samplit_store::activity::Entry;
use serde_json::json;

pub use endpoints::{NewWebhook, WebhookChange, WebhookWithSecret};
pub(crate) use findings::Seen;
pub(crate) use news::News;
pub(crate) use outbox::{post, post_checkpoint};
pub use postman::WebhookStatus;
pub(crate) use postman::{Postman, begin_at_zero};
pub use sender::{WebhookAnswer, WebhookFailure, WebhookRequest, WebhookSender};

use crate::core::Core;
use crate::{Error, ErrorKind, Principal, Secret};

/// Where the secret of an endpoint is kept.
const SECRET: &str = "secret_sealed";

/// Where the one before the last rotation is.
const PREVIOUS_SECRET: &str = "previous_secret_sealed";

fn place<'a>(row: &'a str, column: &'a str) -> Place<'a> {
    Place {
        table: "webhook_endpoints",
        row,
        column,
    }
}

fn seal(secret: &Secret, id: WebhookId, column: &str, plain: &str) -> Result<String, Error> {
    let sealed = secret.seal(place(&id.to_string(), column), plain);
    sealed.map_err(Error::internal)
}

fn open(secret: &Secret, id: WebhookId, column: &str, sealed: &str) -> Result<String, Error> {
    let opened = secret.open(place(&id.to_string(), column), sealed);
    opened.map_err(Error::internal)
}

/// The endpoint if there is one and `who` may see it. Somebody else's is as good as none.
fn visible(who: &Principal, found: Option<Webhook>) -> Result<Webhook, Error> {
    found
        .filter(|webhook| who.may_see(Some(webhook.user_id)))
        .ok_or_else(|| ErrorKind::NotFound("webhook").into())
}

/// What is done to an endpoint, as it is noted. Of its address no more than the host is told: the rest may
/// be a secret.
fn entry(core: &Core, who: &Principal, action: Action, webhook: &Webhook) -> Entry {
    let mut entry = core.activity(who, Some(webhook.user_id), action, webhook.id);
    entry.detail = json!({ "name": webhook.name() });
    entry
}
