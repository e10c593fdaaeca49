//! A shop takes us out, or its owner here does.

use samplit_domain::{Action, Installation, InstallationId, InstallationStatus, Platform};
use samplit_store::{activity, installations, shops};
use serde_json::json;
use time::OffsetDateTime;

use super::{Entrusted, entrusted, open};
use crate::{Engine, Error, Principal, Scope};

const DELETE_SCRIPT: &str = "mutation samplitRemove($id: ID!) { scriptTagDelete(id: $id) { \
    deletedScriptTagId userErrors { field message } } }";

impl Engine {
    /// Takes the script out of a shop and forgets its token. The status is `uninstalled` afterwards,
    /// also where the shop cannot be reached: without a token nothing is ours there.
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
        let data = self.core.database.run_tx("read_shop", |session| {
            Box::pin(async move { entrusted(session, id).await })
        });
        let data = data.await?;
        if let Err(error) = self.remove_script(&found, &data).await {
            tracing::warn!(installation = %id, error = ?error, "a script stays in its shop");
        }
        self.forget_shop(who, id, None).await
    }

    async fn remove_script(&self, shop: &Installation, data: &Entrusted) -> Result<(), Error> {
        let (Some(script), Some(sealed)) = (&data.script, &data.sealed_access_token) else {
            return Ok(());
        };
        let (app, secret) = (self.shopify()?, self.secret()?);
        let now = self.core.config.clock.now().unix_timestamp();
        let has_ended = data.access_token_ends.is_some_and(|ends| ends <= now);
        let token = match &data.sealed_refresh_token {
            Some(sealed) if has_ended => {
                let refresh = open(secret, shop.id, "oauth_data.refresh_token", sealed)?;
                let tokens = app.token(&shop.domain, ("refresh_token", &refresh)).await?;
                let token = tokens["access_token"].as_str().map(str::to_owned);
                token.ok_or_else(|| Error::shop_failed("it gave no token"))?
            }
            _ => open(secret, shop.id, "oauth_data.access_token", sealed)?,
        };
        let (name, id) = ("scriptTagDelete", json!({"id": script}));
        let removed = app.mutate(&shop.domain, &token, name, DELETE_SCRIPT, id);
        removed.await?.map(drop).map_err(Error::shop_failed)
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
            self.core.installations.invalidate(token);
        }
        Ok(gone)
    }
}
