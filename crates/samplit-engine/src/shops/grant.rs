//! A shop grants us access: the authorization-code grant of OAuth, as Shopify has it.
//!
//! Whoever holds a key of an account gets a link, signed and good for a day, that can be passed on to
//! whoever runs the shop. The link begins a grant: a state that is used once, good for ten minutes,
//! and also left in a cookie, so that the browser which comes back is the one that went. What comes
//! back is signed by Shopify.

use form_urlencoded::byte_serialize;
use samplit_domain::{
    Action, Installation, InstallationDraft, InstallationId, InstallationStatus, Platform, UserId,
    Violations,
};
use samplit_store::{activity, installations, shops, users};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use time::{Duration, OffsetDateTime};

use super::shopify::{SCOPES, ShopifyApp, is_shop};
use super::uninstall::{self, remove};
use super::{Entrusted, HOOK_SECRET, entrust, entrusted, hash_of, open, seal, signature};
use crate::access::new_token;
use crate::accounts::acting;
use crate::{Engine, Error, ErrorKind, Principal, Purpose, Scope};

/// How long a link is good.
const LINK_FOR: Duration = Duration::DAY;

/// How long a grant may take.
const STATE_FOR: Duration = Duration::minutes(10);

const CREATE_SCRIPT: &str = "mutation samplitScript($input: ScriptTagInput!) { \
    scriptTagCreate(input: $input) { scriptTag { id } userErrors { field message } } }";
const SUBSCRIBE: &str = "mutation samplitSubscribe($topic: WebhookSubscriptionTopic!, \
    $input: WebhookSubscriptionInput!) { webhookSubscriptionCreate(topic: $topic, \
    webhookSubscription: $input) { webhookSubscription { id } userErrors { field message } } }";

/// What we want to hear of, and how much of it: all of an order would hold its customer.
const TOPICS: [(&str, &[&str]); 2] = [
    (
        "ORDERS_CREATE",
        &[
            "id",
            "test",
            "total_price",
            "note_attributes",
            "landing_site",
        ],
    ),
    ("APP_UNINSTALLED", &["id", "myshopify_domain"]),
];

/// What a link says.
#[derive(Serialize, Deserialize)]
struct Link {
    /// Whose installation it is to be.
    u: UserId,
    /// The shop.
    s: String,
}

/// A grant under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GrantBegun {
    /// What the browser has to bring back in a cookie.
    pub state: String,
    /// Where to send it.
    pub authorize_url: String,
}

/// What a browser comes back from a shop with.
#[derive(Clone, Copy, Debug)]
pub struct GrantQuery<'a> {
    /// The query, as it came.
    pub raw: &'a str,
    /// Of it, `shop`.
    pub shop: &'a str,
    /// Of it, `code`.
    pub code: &'a str,
    /// Of it, `state`.
    pub state: &'a str,
    /// What the cookie holds.
    pub cookie: &'a str,
}

impl Engine {
    /// A link that puts the snippet into `shop` for the account of `who`, and when it ends.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is no host of a shop, [`ErrorKind::Conflict`] where the server
    /// is no app, has no secret, or `who` no account.
    pub fn shopify_link(
        &self,
        who: &Principal,
        shop: &str,
    ) -> Result<(String, OffsetDateTime), Error> {
        who.require(Scope::Manage)?;
        self.shopify()?;
        let secret = self.secret()?;
        let mut violations = Violations::default();
        if !is_shop(shop) {
            let detail = "must be the host of a shop such as snow-devil.myshopify.com";
            violations.add("/shop", "malformed", detail);
        }
        violations.into_result(())?;
        let link = Link {
            u: crate::installations::account(who)?,
            s: shop.to_owned(),
        };
        let ends_at = self.core.config.clock.now() + LINK_FOR;
        Ok((secret.sign(Purpose::OauthState, &link, ends_at), ends_at))
    }

    /// Begins the grant of a link; `callback` is where the shop sends the browser afterwards.
    ///
    /// # Errors
    /// [`ErrorKind::BadSignature`] for a link that was not made here or has ended, and for one of an
    /// account that was disabled.
    pub async fn begin_grant(&self, link: &str, callback: &str) -> Result<GrantBegun, Error> {
        let app = self.shopify()?;
        let now = self.core.config.clock.now();
        let link: Link = self
            .secret()?
            .verify(Purpose::OauthState, link, now)
            .map_err(|_| ErrorKind::BadSignature)?;
        if !self.is_in_use(link.u).await? {
            return Err(ErrorKind::BadSignature.into());
        }
        let state = new_token(&self.core, "");
        let row = shops::OauthState {
            user_id: link.u,
            shop: link.s,
            expires_at: now + STATE_FOR,
        };
        let (hash, begun) = (hash_of(&state), &row);
        let insert = self.core.database.run_tx("begin_grant", |session| {
            let hash = hash.clone();
            Box::pin(async move { shops::begin_grant(session, &hash, begun, now).await })
        });
        insert.await?;
        let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let authorize_url = format!(
            "https://{}/admin/oauth/authorize?client_id={}&scope={}&redirect_uri={}&state={state}",
            row.shop,
            encode(&app.client_id),
            encode(SCOPES),
            encode(callback),
        );
        Ok(GrantBegun {
            state,
            authorize_url,
        })
    }

    /// Finishes a grant: keeps the token of the shop, sealed, puts the script of `server` into its
    /// pages, and asks to hear of orders.
    ///
    /// # Errors
    /// [`ErrorKind::BadSignature`] for what Shopify did not sign, [`ErrorKind::Conflict`] for a state
    /// that was not begun in this browser, was used or has ended, and for a shop of another account,
    /// [`ErrorKind::ShopFailed`].
    pub async fn finish_grant(
        &self,
        query: GrantQuery<'_>,
        server: &str,
    ) -> Result<Installation, Error> {
        let app = self.shopify()?;
        self.secret()?;
        let is_signed = signature::is_of_query(&app.client_secret, query.raw);
        if !is_signed || !is_shop(query.shop) {
            return Err(ErrorKind::BadSignature.into());
        }
        let owner = self.take_state(query).await?;
        let tokens = app.token(query.shop, ("code", query.code)).await?;
        let (installation, hook) = self.install(owner, query.shop, &tokens).await?;
        let id = installation.id;
        let access = tokens["access_token"].as_str().unwrap_or_default();
        let script = put_script(app, access, &installation, server).await?;
        // At once: whatever fails from here on, the next grant takes both out.
        let note = self.amend(id, |data| {
            let former = data.script.replace(script.clone());
            data.former_scripts.extend(former);
        });
        note.await?;
        let uri = format!("{server}/integrations/shopify/webhooks/{hook}");
        let mut hooks = Vec::new();
        let subscribed = subscribe(app, query.shop, access, &uri, &mut hooks).await;
        let note = self.amend(id, |data| {
            let new = hooks.iter().filter(|id| !data.hooks.contains(*id));
            let new: Vec<_> = new.cloned().collect();
            data.hooks.extend(new);
        });
        let former = note.await?.former_scripts;
        subscribed?;
        self.remove_former(app, &installation, access, former)
            .await?;
        Ok(installation)
    }

    /// Takes the scripts of grants before out of a shop. What cannot be taken out now, is tried again by
    /// the next grant, and at the end.
    async fn remove_former(
        &self,
        app: &ShopifyApp,
        shop: &Installation,
        token: &str,
        former: Vec<String>,
    ) -> Result<(), Error> {
        let mut removed = Vec::new();
        for id in former {
            match remove(app, &shop.domain, token, uninstall::SCRIPT, &id).await {
                Ok(()) => removed.push(id),
                Err(error) => {
                    tracing::warn!(installation = %shop.id, error = ?error, "an old script stays in its shop");
                }
            }
        }
        if removed.is_empty() {
            return Ok(());
        }
        let note = self.amend(shop.id, |data| {
            data.former_scripts.retain(|id| !removed.contains(id));
        });
        note.await.map(drop)
    }

    /// The account whose grant this is, if it is in use. The state is gone afterwards, good or not.
    async fn take_state(&self, query: GrantQuery<'_>) -> Result<UserId, Error> {
        let hash = hash_of(query.state);
        let take = self.core.database.run_tx("take_grant", |session| {
            let hash = hash.clone();
            Box::pin(async move { shops::take_grant(session, &hash).await })
        });
        let now = self.core.config.clock.now();
        // Of hashes, so that how long it takes says nothing.
        let is_same_browser = hash == hash_of(query.cookie);
        let state = take
            .await?
            .filter(|state| state.shop == query.shop && state.expires_at > now && is_same_browser);
        match state {
            Some(state) if self.is_in_use(state.user_id).await? => Ok(state.user_id),
            _ => Err(unknown_state()),
        }
    }

    /// The installation of the shop, the one that it has or a new one, and the secret of the address at
    /// which the shop is to tell of orders. That a shop has granted access, verifies it.
    async fn install(
        &self,
        owner: UserId,
        shop: &str,
        tokens: &Json,
    ) -> Result<(Installation, String), Error> {
        let now = self.core.config.clock.now();
        let fresh = InstallationDraft {
            platform: Platform::Shopify,
            ..InstallationDraft::new(shop, shop)
        };
        let id = InstallationId(self.core.ids.next());
        let fresh = fresh.check(id, new_token(&self.core, "pk_"), now)?;
        let fresh = &Installation {
            user_id: Some(owner),
            verified_at: Some(now),
            ..fresh
        };
        let hook = &new_token(&self.core, "hk_");
        let install = self.core.database.run_tx("install_shop", |session| {
            Box::pin(async move {
                // The shop was asked meanwhile, which takes as long as it takes.
                let account = users::lock(session, owner).await?;
                if account.is_none_or(|account| account.disabled_at.is_some()) {
                    return Err(unknown_state());
                }
                shops::lock_shop(session, shop).await?;
                let rows = shops::find_shop(session, Platform::Shopify.as_str(), shop).await?;
                let is_taken =
                    |row: &shops::ShopRow| row.is_installed && row.user_id != Some(owner);
                if rows.iter().any(is_taken) {
                    let detail =
                        "the shop is connected to another account; take it out there first";
                    return Err(Error::conflict("shop_taken", detail));
                }
                let known = rows.iter().find(|row| row.user_id == Some(owner));
                let known = match known {
                    Some(row) => installations::lock(session, row.id).await?,
                    None => None,
                };
                let installation = match known {
                    Some(known) => {
                        let known = Installation {
                            status: InstallationStatus::Active,
                            verified_at: known.verified_at.or(Some(now)),
                            updated_at: now,
                            version: known.version + 1,
                            ..known
                        };
                        installations::update(session, &known).await?;
                        known
                    }
                    None => {
                        installations::insert(session, fresh).await?;
                        fresh.clone()
                    }
                };
                let id = installation.id;
                let kept = entrusted(session, id).await?;
                let mut data = self.sealed(id, tokens, now, kept)?;
                let hook = self.keep_hook_secret(id, &mut data, hook)?;
                entrust(session, id, &data).await?;
                let (who, action) = (acting(owner), Action::ShopConnected);
                let mut entry = self.core.activity(&who, Some(owner), action, id);
                entry.detail = json!({ "shop": shop });
                activity::insert(session, &entry).await?;
                Ok((installation, hook))
            })
        });
        let (installation, hook): (Installation, String) = install.await?;
        self.core.forget_installation(&installation.token);
        Ok((installation, hook))
    }

    /// The secret of the address for hooks: the one that there is, as the shop may go on to use it, else
    /// `fresh`.
    fn keep_hook_secret(
        &self,
        id: InstallationId,
        data: &mut Entrusted,
        fresh: &str,
    ) -> Result<String, Error> {
        let secret = self.secret()?;
        let known = data.sealed_hook_secret.as_ref();
        // One that was sealed with a secret which is gone is of no use to anybody.
        let known = known.and_then(|sealed| open(secret, id, HOOK_SECRET, sealed).ok());
        let hook = known.unwrap_or_else(|| fresh.to_owned());
        // Anew, so that the secret before a rotation is needed no longer than for the tokens.
        data.sealed_hook_secret = Some(seal(secret, id, HOOK_SECRET, &hook)?);
        Ok(hook)
    }

    /// What is kept for an installation, with the tokens of a new grant, sealed for its row.
    fn sealed(
        &self,
        id: InstallationId,
        tokens: &Json,
        now: OffsetDateTime,
        kept: Entrusted,
    ) -> Result<Entrusted, Error> {
        let secret = self.secret()?;
        let access = tokens["access_token"].as_str();
        let access = access.ok_or_else(|| Error::shop_failed("it gave no token"))?;
        let refresh = tokens["refresh_token"].as_str();
        let refresh = refresh.map(|token| seal(secret, id, "oauth_data.refresh_token", token));
        let lasts = tokens["expires_in"].as_i64();
        Ok(Entrusted {
            sealed_access_token: Some(seal(secret, id, "oauth_data.access_token", access)?),
            access_token_ends: lasts.map(|seconds| now.unix_timestamp().saturating_add(seconds)),
            sealed_refresh_token: refresh.transpose()?,
            granted_at: Some(now.unix_timestamp()),
            scope: tokens["scope"].as_str().map(str::to_owned),
            ..kept
        })
    }
}

fn unknown_state() -> Error {
    Error::conflict(
        "unknown_state",
        "this grant was not begun here, was finished, or took too long; open the link again",
    )
}

/// Puts the snippet into the pages of a shop; gives the id that the shop has for it.
async fn put_script(
    app: &ShopifyApp,
    token: &str,
    installation: &Installation,
    server: &str,
) -> Result<String, Error> {
    let src = format!("{server}/s/{}.js", installation.token);
    let input = json!({"input": {"src": src, "displayScope": "ONLINE_STORE", "cache": false}});
    let (shop, name) = (&installation.domain, "scriptTagCreate");
    let made = app.mutate(shop, token, name, CREATE_SCRIPT, input).await?;
    let made = made.map_err(Error::shop_failed)?;
    let id = made["scriptTag"]["id"].as_str();
    let id = id.ok_or_else(|| Error::shop_failed("scriptTagCreate: no id"))?;
    Ok(id.to_owned())
}

/// Asks a shop to tell of orders, and of the end, at `uri`; adds the ids of what it was not asked before to
/// `ids`, also where it refuses half-way.
async fn subscribe(
    app: &ShopifyApp,
    shop: &str,
    token: &str,
    uri: &str,
    ids: &mut Vec<String>,
) -> Result<(), Error> {
    for (topic, fields) in TOPICS {
        let variables = json!({"topic": topic, "input": {"uri": uri, "format": "JSON", "includeFields": fields}});
        let name = "webhookSubscriptionCreate";
        match app.mutate(shop, token, name, SUBSCRIBE, variables).await? {
            Ok(made) => ids.extend(
                made["webhookSubscription"]["id"]
                    .as_str()
                    .map(str::to_owned),
            ),
            // A shop that connects again may have it still.
            Err(refusal) if refusal.contains("already been taken") => {}
            Err(refusal) => return Err(Error::shop_failed(format!("{topic}: {refusal}"))),
        }
    }
    Ok(())
}
