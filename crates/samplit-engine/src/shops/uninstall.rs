//! A shop takes us out, or its owner here does.

use samplit_domain::{Action, Installation, InstallationId, InstallationStatus, Platform};
use samplit_store::{activity, installations, shops};
use serde_json::json;
use time::OffsetDateTime;

use super::shopify::ShopifyApp;
use super::{Entrusted, entrusted, open};
use crate::{Engine, Error, Principal, Scope};

/// A mutation that takes something out by its id: its name, and how it reads.
pub(super) type Removal = (&'static str, &'static str);

/// Takes a script out.
pub(super) const SCRIPT: Removal = (
    "scriptTagDelete",
    "mutation samplitRemove($id: ID!) { scriptTagDelete(id: $id) { \
        deletedScriptTagId userErrors { field message } } }",
);

/// Ends what a shop tells.
const HOOK: Removal = (
    "webhookSubscriptionDelete",
    "mutation samplitEnd($id: ID!) { webhookSubscriptionDelete(id: $id) { \
        deletedWebhookSubscriptionId userErrors { field message } } }",
);

/// Takes something of ours out of a shop. What the shop refuses to take out, it does not have.
pub(super) async fn remove(
    app: &ShopifyApp,
    shop: &str,
    token: &str,
    (name, query): Removal,
    id: &str,
) -> Result<(), Error> {
    let removed = app.mutate(shop, token, name, query, json!({"id": id}));
    if let Err(refusal) = removed.await? {
        tracing::info!(shop, id, refusal, "there is nothing to take out");
    }
    Ok(())
}

impl Engine {
    /// Takes the script out of a shop, asks it to tell no more, and forgets its token. The status is
    /// `uninstalled` afterwards, also where the shop cannot be reached: without a token nothing is ours
    /// there.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) where there is no such installation of a
    /// shop that `who` may see.
    pub async fn uninstall_shopify(
        &self,
        who: &Principal,
        id: InstallationId,
    ) -> Result<Installation, Error> {
        who.require(Scope::Manage)?;
        let found = self.installation(who, id).await?;
        if found.platform != Platform::Shopify {
            let detail = "the installation is of no shop of Shopify; delete it";
            return Err(Error::conflict("no_shop", detail));
        }
        let data = self.entrusted(id).await?;
        if let Err(error) = self.take_out(&found, &data).await {
            tracing::warn!(installation = %id, error = ?error, "something of ours stays in a shop");
        }
        self.forget_shop(who, id, None).await
    }

    async fn take_out(&self, shop: &Installation, data: &Entrusted) -> Result<(), Error> {
        let scripts = data.script.iter().chain(&data.former_scripts);
        let scripts = scripts.map(|id| (SCRIPT, id));
        let ours: Vec<_> = scripts
            .chain(data.hooks.iter().map(|id| (HOOK, id)))
            .collect();
        let Some(sealed) = data
            .sealed_access_token
            .as_ref()
            .filter(|_| !ours.is_empty())
        else {
            return Ok(());
        };
        let app = self.shopify()?;
        let token = self.fresh_token(app, shop, data, sealed).await?;
        for (removal, id) in ours {
            remove(app, &shop.domain, &token, removal, id).await?;
        }
        Ok(())
    }

    /// The access token, or where that has ended one that the shop gives for the refresh token.
    async fn fresh_token(
        &self,
        app: &ShopifyApp,
        shop: &Installation,
        data: &Entrusted,
        sealed: &str,
    ) -> Result<String, Error> {
        let secret = self.secret()?;
        let now = self.core.config.clock.now().unix_timestamp();
        let has_ended = data.access_token_ends.is_some_and(|ends| ends <= now);
        match &data.sealed_refresh_token {
            Some(sealed) if has_ended => {
                let refresh = open(secret, shop.id, "oauth_data.refresh_token", sealed)?;
                let tokens = app.token(&shop.domain, ("refresh_token", &refresh)).await?;
                let token = tokens["access_token"].as_str().map(str::to_owned);
                token.ok_or_else(|| Error::shop_failed("it gave no token"))
            }
            _ => open(secret, shop.id, "oauth_data.access_token", sealed),
        }
    }

    /// Forgets what a shop entrusted to us, unless it did so after `gone_at`. Its pages are answered no
    /// more.
    pub(super) async fn forget_shop(
        &self,
        who: &Principal,
        id: InstallationId,
        gone_at: Option<OffsetDateTime>,
    ) -> Result<Installation, Error> {
        let now = self.core.config.clock.now();
        let forget = self.core.database.run_tx("forget_shop", |session| {
            Box::pin(async move {
                let current = installations::lock(session, id).await?;
                let current = current.ok_or(crate::ErrorKind::NotFound("installation"))?;
                let granted_at = entrusted(session, id).await?.granted_at;
                let gone_at = gone_at.map(OffsetDateTime::unix_timestamp);
                if gone_at
                    .zip(granted_at)
                    .is_some_and(|(gone, granted)| granted > gone)
                {
                    return Ok(current);
                }
                let next = Installation {
                    status: InstallationStatus::Uninstalled,
                    updated_at: now,
                    version: current.version + 1,
                    ..current
                };
                installations::update(session, &next).await?;
                shops::write_oauth_data(session, id, None).await?;
                let mut entry = self
                    .core
                    .activity(who, next.user_id, Action::ShopRemoved, id);
                entry.detail = json!({ "shop": next.domain });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(next)
            })
        });
        let gone = forget.await?;
        let previous = gone.previous_token.as_ref().map(|(token, _)| token);
        for token in [&gone.token].into_iter().chain(previous) {
            self.core.forget_installation(token);
        }
        Ok(gone)
    }
}
