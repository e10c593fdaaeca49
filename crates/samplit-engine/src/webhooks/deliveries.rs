//! Deliveries: looked at, begun anew, and a message to try an endpoint with.

use samplit_domain::{
    Action, Violations, WebhookDelivery, WebhookDeliveryId, WebhookDeliveryStatus, WebhookId,
};
use samplit_store::webhook_outbox::{self, ClaimedDelivery};
use samplit_store::{activity, webhooks};
use serde_json::json;

use super::attempt::{LEASE, attempt};
use super::outbox::{First, enqueue};
use super::{News, entry, visible};
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

impl Engine {
    /// Lists the deliveries to an endpoint, newest first; those of one `status`, or all.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no endpoint that `who` may see,
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none of ours.
    pub async fn webhook_deliveries(
        &self,
        who: &Principal,
        id: WebhookId,
        status: Option<WebhookDeliveryStatus>,
        page: &Page,
    ) -> Result<PageOf<WebhookDelivery>, Error> {
        let before = page.before(Violations::default())?;
        self.webhook(who, id).await?;
        let limit = page.limit_and_one();
        let list = self.core.database.run(|session| {
            Box::pin(async move { webhook_outbox::list(session, id, status, before, limit).await })
        });
        Ok(page.of(list.await?, |found| (found.created_at, found.id.0)))
    }

    /// Begins a delivery anew, whatever came of it: with all its attempts, the first of them now. The
    /// message keeps its id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such delivery to an endpoint that `who` may see,
    /// [`ErrorKind::Conflict`] (`webhook_off`) where nothing is sent to it.
    pub async fn replay_webhook(
        &self,
        who: &Principal,
        id: WebhookId,
        delivery: WebhookDeliveryId,
    ) -> Result<WebhookDelivery, Error> {
        who.require(Scope::Manage)?;
        let now = self.core.config.clock.now();
        let replay = self.core.database.run_tx("replay_webhook", |session| {
            Box::pin(async move {
                visible(who, webhooks::read(session, id).await?)?;
                let webhook = visible(who, webhooks::lock(session, id).await?)?;
                let read = || webhook_outbox::read(session, id, delivery);
                let missing = || Error::from(ErrorKind::NotFound("delivery"));
                read().await?.ok_or_else(missing)?;
                if webhook.off.is_some() {
                    let detail = "the webhook is switched off; switch it on before";
                    return Err(Error::conflict("webhook_off", detail));
                }
                webhook_outbox::replay(session, delivery, now).await?;
                let replayed = read().await?.ok_or_else(missing)?;
                let mut entry = entry(&self.core, who, Action::WebhookReplayed, &webhook);
                entry.detail["event"] = json!(replayed.event);
                activity::insert(session, &entry).await?;
                Ok(replayed)
            })
        });
        let replayed = replay.await?;
        self.core.postman.wake();
        Ok(replayed)
    }

    /// Sends a message to try an endpoint with, whether it is switched on or not, and says what came
    /// of it. It is tried once.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no endpoint that `who` may see,
    /// [`ErrorKind::Conflict`] where the server sends no webhooks.
    pub async fn test_webhook(
        &self,
        who: &Principal,
        id: WebhookId,
    ) -> Result<WebhookDelivery, Error> {
        who.require(Scope::Manage)?;
        let core = &*self.core;
        // Whoever has no such endpoint hears nothing of the server.
        self.webhook(who, id).await?;
        self.secret()?;
        if core.config.webhook_sender.is_none() {
            let detail = "this server sends no webhooks";
            return Err(Error::conflict("no_webhook_sender", detail));
        }
        let begin = core.database.run_tx("test_webhook", |session| {
            Box::pin(async move {
                visible(who, webhooks::read(session, id).await?)?;
                let webhook = visible(who, webhooks::lock(session, id).await?)?;
                let now = core.config.clock.now();
                let news = News::of_test(webhook.user_id, now);
                let (alone, owner) = ([id], webhook.user_id);
                let mine = First::Mine(now + LEASE);
                let made = enqueue(core, session, &news, (owner, &alone), mine).await?;
                let made = made.and_then(|made| made.first().copied());
                let made = made.ok_or_else(|| Error::internal("a test was not written down"))?;
                let delivery = webhook_outbox::read(session, id, made).await?;
                let entry = entry(core, who, Action::WebhookTested, &webhook);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(ClaimedDelivery {
                    delivery: delivery.ok_or(ErrorKind::NotFound("delivery"))?,
                    url: webhook.url,
                    secrets: webhooks::secrets(session, id).await?,
                    user_id: webhook.user_id,
                    is_failing: webhook.failing_since.is_some(),
                })
            })
        });
        let claimed = begin.await?;
        attempt(core, &claimed).await?;
        let made = claimed.delivery.id;
        let read = core
            .database
            .run(|session| Box::pin(webhook_outbox::read(session, id, made)));
        read.await?
            .ok_or_else(|| ErrorKind::NotFound("delivery").into())
    }
}
