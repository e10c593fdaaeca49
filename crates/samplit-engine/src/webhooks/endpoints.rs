//! Endpoints: made, listed, changed, given another secret, taken away.

use std::fmt;

use samplit_domain::{Action, Violations, Webhook, WebhookEvent, WebhookId, WebhookOff};
use samplit_store::webhooks::SealedSecrets;
use samplit_store::{Session, activity, webhook_outbox, webhooks};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::signature::new_secret;
use super::{PREVIOUS_SECRET, SECRET, entry, open, seal, visible};
use crate::idempotency::{Made, Once};
use crate::installations::account;
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The most endpoints of one account: everything that happens is written down for each.
const MAX_WEBHOOKS: i64 = 20;

/// For how long the secret before a rotation signs as well.
const PREVIOUS_FOR: Duration = Duration::DAY;

/// An endpoint to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewWebhook {
    /// Where messages are posted.
    pub url: String,
    /// What people call it.
    pub description: String,
    /// What it is to hear of; empty: everything.
    pub events: Vec<WebhookEvent>,
    /// Whether anything is sent to it.
    pub is_enabled: bool,
}

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookChange {
    /// Where messages are posted.
    pub url: Option<String>,
    /// What people call it.
    pub description: Option<String>,
    /// What it is to hear of; empty: everything.
    pub events: Option<Vec<WebhookEvent>>,
    /// Whether anything is sent to it. What waits when it is switched off is given up.
    pub is_enabled: Option<bool>,
}

impl WebhookChange {
    /// The names of the fields that are given.
    fn fields(&self) -> Vec<&'static str> {
        let given = [
            ("url", self.url.is_some()),
            ("description", self.description.is_some()),
            ("events", self.events.is_some()),
            ("is_enabled", self.is_enabled.is_some()),
        ];
        let given = given.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(name, _)| name).collect()
    }
}

/// An endpoint with a secret that was made just now and is not shown again.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookWithSecret {
    /// The endpoint.
    pub webhook: Webhook,
    /// What messages to it are signed with: `whsec_` and Base64.
    pub secret: String,
}

impl fmt::Debug for WebhookWithSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookWithSecret")
            .field("id", &self.webhook.id)
            .finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes an endpoint of the account of `who`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an address or events that cannot be,
    /// [`ErrorKind::Conflict`] where the server has no secret, `who` is of
    /// no account, or the account has 20 endpoints.
    pub async fn create_webhook(
        &self,
        who: &Principal,
        new: NewWebhook,
    ) -> Result<WebhookWithSecret, Error> {
        let made = self.create_webhook_once(who, new, None).await?;
        made.only_new()
    }

    /// Makes an endpoint, once.
    ///
    /// # Errors
    /// As [`Self::create_webhook`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_webhook_once(
        &self,
        who: &Principal,
        new: NewWebhook,
        once: Option<&Once<'_, WebhookWithSecret>>,
    ) -> Result<Made<WebhookWithSecret>, Error> {
        who.require(Scope::Manage)?;
        let now = self.core.config.clock.now();
        let webhook = Webhook {
            id: WebhookId(self.core.ids.next()),
            user_id: account(who)?,
            url: new.url,
            description: new.description,
            events: new.events,
            off: (!new.is_enabled).then_some((WebhookOff::ByHand, now)),
            failing_since: None,
            last_success_at: None,
            previous_secret_ends_at: None,
            version: 1,
            created_at: now,
            updated_at: now,
        };
        webhook.check(self.allows_plain())?;
        let secret = new_secret(&*self.core.config.entropy);
        let sealed = seal(self.secret()?, webhook.id, SECRET, &secret)?;
        self.make_once(who, "create_webhook", once, &|session| {
            let made = WebhookWithSecret {
                webhook: webhook.clone(),
                secret: secret.clone(),
            };
            let sealed = sealed.clone();
            Box::pin(async move {
                let webhook = &made.webhook;
                if !webhooks::insert(session, webhook, &sealed, MAX_WEBHOOKS).await? {
                    let detail = format!("an account may have {MAX_WEBHOOKS} webhooks");
                    return Err(Error::conflict("too_many_webhooks", detail));
                }
                let mut entry = entry(&self.core, who, Action::WebhookCreated, webhook);
                entry.detail["events"] = json!(webhook.events);
                activity::insert(session, &entry).await?;
                Ok(made)
            })
        })
        .await
    }

    /// Reads an endpoint.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn webhook(&self, who: &Principal, id: WebhookId) -> Result<Webhook, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(webhooks::read(session, id)));
        visible(who, read.await?)
    }

    /// Lists the endpoints that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is
    /// none of ours.
    pub async fn webhooks(&self, who: &Principal, page: &Page) -> Result<PageOf<Webhook>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { webhooks::list(session, owner, before, limit).await })
        });
        Ok(page.of(list.await?, |webhook| (webhook.created_at, webhook.id.0)))
    }

    /// Changes an endpoint. `if_version` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::VersionMismatch`] when it was changed
    /// meanwhile, [`ErrorKind::Invalid`] for a broken rule.
    pub async fn update_webhook(
        &self,
        who: &Principal,
        id: WebhookId,
        change: WebhookChange,
        if_version: Option<i64>,
    ) -> Result<Webhook, Error> {
        who.require(Scope::Manage)?;
        let allows_plain = self.allows_plain();
        let core = &*self.core;
        let fields = change.fields();
        let fields = &fields;
        let edit = core.database.run_tx("update_webhook", |session| {
            let change = change.clone();
            Box::pin(async move {
                let current = lock(session, who, id, if_version).await?;
                let now = core.config.clock.now();
                let next = apply(&current, change, now);
                next.check(allows_plain)?;
                webhooks::update(session, &next).await?;
                if next.off.is_some() && current.off.is_none() {
                    webhook_outbox::stop(session, id, "the webhook was switched off").await?;
                }
                let mut entry = entry(core, who, Action::WebhookChanged, &next);
                entry.detail["fields"] = json!(fields);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(next)
            })
        });
        edit.await
    }

    /// Takes an endpoint away, and its deliveries with it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see,
    /// [`ErrorKind::VersionMismatch`].
    pub async fn delete_webhook(
        &self,
        who: &Principal,
        id: WebhookId,
        if_version: Option<i64>,
    ) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let delete = self.core.database.run_tx("delete_webhook", |session| {
            Box::pin(async move {
                let webhook = lock(session, who, id, if_version).await?;
                webhooks::delete(session, id).await?;
                let entry = entry(&self.core, who, Action::WebhookDeleted, &webhook);
                Ok::<_, Error>(activity::insert(session, &entry).await?)
            })
        });
        delete.await
    }

    /// Gives an endpoint another secret. For another day the one that it had signs as well.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see,
    /// [`ErrorKind::VersionMismatch`],
    /// [`ErrorKind::Conflict`] where the server has no secret.
    pub async fn rotate_webhook(
        &self,
        who: &Principal,
        id: WebhookId,
        if_version: Option<i64>,
    ) -> Result<WebhookWithSecret, Error> {
        who.require(Scope::Manage)?;
        let core = &*self.core;
        let key = self.secret()?;
        let secret = new_secret(&*core.config.entropy);
        let rotate = core.database.run_tx("rotate_webhook", |session| {
            let secret = &secret;
            Box::pin(async move {
                let current = lock(session, who, id, if_version).await?;
                let before = webhooks::secrets(session, id).await?.current;
                let before = open(key, id, SECRET, &before)?;
                let now = core.config.clock.now();
                let ends_at = now + PREVIOUS_FOR;
                let secrets = SealedSecrets {
                    current: seal(key, id, SECRET, secret)?,
                    previous: Some((seal(key, id, PREVIOUS_SECRET, &before)?, ends_at)),
                };
                webhooks::rotate(session, id, &secrets).await?;
                let next = Webhook {
                    previous_secret_ends_at: Some(ends_at),
                    version: current.version + 1,
                    updated_at: now,
                    ..current
                };
                webhooks::update(session, &next).await?;
                let entry = entry(core, who, Action::WebhookRotated, &next);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(next)
            })
        });
        let webhook = rotate.await?;
        Ok(WebhookWithSecret { webhook, secret })
    }

    fn allows_plain(&self) -> bool {
        let sender = self.core.config.webhook_sender.as_ref();
        sender.is_some_and(|sender| sender.allows_plain())
    }
}

/// The endpoint, locked, at the version that the caller has seen. Nobody locks what is not theirs.
async fn lock(
    session: &Session<'_>,
    who: &Principal,
    id: WebhookId,
    if_version: Option<i64>,
) -> Result<Webhook, Error> {
    visible(who, webhooks::read(session, id).await?)?;
    let current = visible(who, webhooks::lock(session, id).await?)?;
    match if_version {
        Some(expected) if expected != current.version => Err(ErrorKind::VersionMismatch {
            current: current.version,
        }
        .into()),
        _ => Ok(current),
    }
}

fn apply(current: &Webhook, change: WebhookChange, now: OffsetDateTime) -> Webhook {
    let mut next = current.clone();
    if let Some(url) = change.url {
        // How one address did says nothing of another.
        next.failing_since = next.failing_since.filter(|_| url == current.url);
        next.url = url;
    }
    if let Some(description) = change.description {
        next.description = description;
    }
    if let Some(events) = change.events {
        next.events = events;
    }
    match change.is_enabled {
        Some(true) => {
            next.off = None;
            // What was before it was switched off says nothing of what comes.
            next.failing_since = next.failing_since.filter(|_| current.off.is_none());
        }
        Some(false) if current.off.is_none() => next.off = Some((WebhookOff::ByHand, now)),
        Some(false) | None => {}
    }
    next.version = current.version + 1;
    next.updated_at = now;
    next
}
