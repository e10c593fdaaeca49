//! What Shopify tells us: orders, the end, and what privacy laws ask for.
//!
//! A delivery may come any number of times, and in any order. Its effects may be repeated: an order
//! counts once by its id, and the end of a shop counts only if it has not come back since. That a delivery was taken in is
//! noted afterwards, so that a repeat is answered without doing anything.
//!
//! Shopify signs the body alone, with the secret of the app, which is the same for every shop. The headers
//! that say of which shop it is, and what about, are not signed. So a delivery is believed where its
//! body names the shop, or where it comes at the address that was given to that shop alone.

use samplit_domain::{Installation, InstallationStatus, Platform};
use samplit_store::{installations, shops};
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use super::shopify::is_shop;
use super::{HOOK_SECRET, Order, hash_of, money, open, signature};
use crate::{Engine, Error, ErrorKind, Principal, Role, Scope};

/// Under which name the visitor stands in the attributes of a cart, and in the landing address.
const VISITOR: &str = "samplit_visitor";

/// How long after the end Shopify asks for what is left of a shop to be forgotten.
const REDACTED_AFTER: Duration = Duration::hours(48);

const PROVIDER: &str = "shopify";

/// A delivery.
#[derive(Clone, Copy, Debug)]
pub struct ShopifyHook<'a> {
    /// What stood in the address, if anything did.
    pub secret: Option<&'a str>,
    /// `X-Shopify-Hmac-Sha256`.
    pub hmac: &'a str,
    /// `X-Shopify-Shop-Domain`.
    pub shop: &'a str,
    /// `X-Shopify-Topic`.
    pub topic: &'a str,
    /// `X-Shopify-Webhook-Id`.
    pub delivery: &'a str,
    /// `X-Shopify-Triggered-At`: when it happened, RFC 3339.
    pub triggered_at: &'a str,
    /// The body, byte by byte as it came.
    pub body: &'a [u8],
}

/// Of `orders/create`, what concerns us.
#[derive(Deserialize)]
struct OrderJson {
    id: u64,
    #[serde(default)]
    test: bool,
    total_price: String,
    #[serde(default)]
    note_attributes: Vec<Attribute>,
    landing_site: Option<String>,
}

#[derive(Deserialize)]
struct Attribute {
    name: String,
    value: Json,
}

/// Of `customers/redact`.
#[derive(Deserialize)]
struct RedactJson {
    #[serde(default)]
    orders_to_redact: Vec<u64>,
}

/// Whether the body names its shop. An error where it names another one, or is no JSON object: the query
/// that ends a grant is signed with the same secret.
fn names_its_shop(hook: &ShopifyHook<'_>) -> Result<bool, Error> {
    let body: Option<Map<String, Json>> = serde_json::from_slice(hook.body).ok();
    let body = body.ok_or(ErrorKind::BadSignature)?;
    let named = ["myshopify_domain", "shop_domain"].map(|name| body.get(name)?.as_str());
    let mut named = named.into_iter().flatten().peekable();
    let is_named = named.peek().is_some();
    if named.all(|shop| shop == hook.shop) {
        Ok(is_named)
    } else {
        Err(ErrorKind::BadSignature.into())
    }
}

impl Engine {
    /// Takes in what a shop tells.
    ///
    /// # Errors
    /// [`ErrorKind::BadSignature`] for what Shopify did not sign, or not for this shop; what may be gone when it comes again,
    /// such as [`ErrorKind::Unavailable`].
    pub async fn shopify_hook(&self, hook: ShopifyHook<'_>) -> Result<(), Error> {
        let secret = &self.shopify()?.client_secret;
        let is_genuine = signature::is_of_body(secret, hook.body, hook.hmac);
        if !is_genuine || !is_shop(hook.shop) || hook.delivery.is_empty() {
            return Err(ErrorKind::BadSignature.into());
        }
        let is_named = names_its_shop(&hook)?;
        let delivery: String = hook.delivery.chars().take(255).collect();
        if self.is_received(PROVIDER, &delivery).await? {
            return Ok(());
        }
        let Some(shop) = self.shop(hook.shop).await? else {
            let (shop, topic) = (hook.shop, hook.topic);
            tracing::info!(shop, topic, "of a shop that we do not know");
            return Ok(());
        };
        if !is_named {
            if shop.status == InstallationStatus::Uninstalled {
                // It has ended, and the secret with it.
                return Ok(());
            }
            if !self.was_told(&shop, hook.secret).await? {
                return Err(ErrorKind::BadSignature.into());
            }
        }
        self.take_in(hook, &shop).await?;
        self.received(PROVIDER, &delivery).await
    }

    /// Whether this is the secret of the address that the shop was told.
    async fn was_told(&self, shop: &Installation, secret: Option<&str>) -> Result<bool, Error> {
        let Some(sealed) = self.entrusted(shop.id).await?.sealed_hook_secret else {
            tracing::warn!(installation = %shop.id, "the shop tells of orders at an old address; connect it again");
            return Ok(false);
        };
        let told = open(self.secret()?, shop.id, HOOK_SECRET, &sealed)?;
        Ok(secret.is_some_and(|secret| hash_of(secret) == hash_of(&told)))
    }

    async fn take_in(&self, hook: ShopifyHook<'_>, shop: &Installation) -> Result<(), Error> {
        match hook.topic {
            "orders/create" => {
                let read: Option<OrderJson> = serde_json::from_slice(hook.body).ok();
                let is_on = shop.status == InstallationStatus::Active;
                match read.as_ref().and_then(order).filter(|_| is_on) {
                    Some(order) => self.count_order(shop, &order).await.map(drop),
                    // A test, of nobody we know, or one that makes no sense: never any better.
                    None => Ok(()),
                }
            }
            "app/uninstalled" => self.is_gone(hook, shop, Duration::ZERO).await,
            "shop/redact" => self.is_gone(hook, shop, REDACTED_AFTER).await,
            "customers/redact" => self.redact_orders(hook.body, shop).await,
            "customers/data_request" => {
                // We hold no customer: what there is of one, is a visitor's id beside an order's.
                tracing::info!(installation = %shop.id, "a customer of the shop asks for their data");
                Ok(())
            }
            other => {
                tracing::info!(topic = other, "a topic that we did not ask for");
                Ok(())
            }
        }
    }

    /// Forgets a shop that went `before` it was told, unless it has come back since.
    async fn is_gone(
        &self,
        hook: ShopifyHook<'_>,
        shop: &Installation,
        before: Duration,
    ) -> Result<(), Error> {
        let told_at = OffsetDateTime::parse(hook.triggered_at, &Rfc3339);
        // Without its time it could be of an end before the last grant.
        let told_at = told_at.map_err(|_malformed| ErrorKind::BadSignature)?;
        let shopify = Principal::system();
        self.forget_shop(&shopify, shop.id, Some(told_at - before))
            .await
            .map(drop)
    }

    /// The installation of a shop, also one that was taken out: its customers may still be redacted.
    async fn shop(&self, domain: &str) -> Result<Option<Installation>, Error> {
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                let platform = Platform::Shopify.as_str();
                let rows = shops::find_shop(session, platform, domain).await?;
                match rows.first() {
                    Some(row) => installations::read(session, row.id).await,
                    None => Ok(None),
                }
            })
        });
        Ok(read.await?)
    }

    /// Erases the visitors of orders.
    async fn redact_orders(&self, body: &[u8], shop: &Installation) -> Result<(), Error> {
        let (Ok(redact), Some(owner)) = (serde_json::from_slice::<RedactJson>(body), shop.user_id)
        else {
            return Ok(());
        };
        let events: Vec<_> = redact.orders_to_redact.into_iter().map(event_id).collect();
        let events = &events;
        let found = self
            .core
            .database
            .run(|session| Box::pin(async move { shops::buyers(session, owner, events).await }));
        let who = Principal {
            user_id: Some(owner),
            role: Role::Client,
            scopes: vec![Scope::Manage],
            key: None,
        };
        for visitor in found.await? {
            self.erase_visitor(&who, &visitor).await?;
        }
        Ok(())
    }
}

fn event_id(order: u64) -> String {
    format!("shopify-{order}")
}

/// The order, if it is none of a test and somebody's whom we know.
fn order(order: &OrderJson) -> Option<Order> {
    let value = money(&order.total_price)?;
    let attribute = order.note_attributes.iter().find(|a| a.name == VISITOR);
    let of_cart = attribute.and_then(|attribute| attribute.value.as_str().map(str::to_owned));
    let of_landing = || {
        let landing = order.landing_site.as_deref()?;
        let (_, query) = landing.split_once('?')?;
        let query = query.split('#').next().unwrap_or_default();
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        let (_, visitor) = pairs.find(|(name, _)| name == VISITOR)?;
        Some(visitor.into_owned())
    };
    let visitor = of_cart.or_else(of_landing);
    let visitor = visitor.filter(|visitor| !visitor.is_empty() && !order.test)?;
    Some(Order {
        event_id: event_id(order.id),
        visitor,
        value,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::order;

    fn found(order_json: Json) -> Option<(String, String, f64)> {
        let order = order(&serde_json::from_value(order_json).ok()?)?;
        Some((order.event_id, order.visitor, order.value))
    }

    #[test]
    fn the_visitor_is_of_the_cart_else_of_the_landing_address() {
        let of = |visitor: &str| Some(("shopify-7".to_owned(), visitor.to_owned(), 9.5));
        let cart =
            json!([{"name": "gift", "value": "yes"}, {"name": "samplit_visitor", "value": "v"}]);
        let landing = "/products/a?x=1&samplit_visitor=l%20v#top";
        let base = json!({"id": 7, "total_price": "9.50"});
        let with = |note: Json, landing: Json, test: bool| {
            let mut order = base.clone();
            order["note_attributes"] = note;
            order["landing_site"] = landing;
            order["test"] = test.into();
            order
        };
        assert_eq!(found(with(cart.clone(), json!(landing), false)), of("v"));
        assert_eq!(found(with(json!([]), json!(landing), false)), of("l v"));
        assert_eq!(found(with(json!([]), json!(null), false)), None);
        assert_eq!(found(with(cart, json!(null), true)), None);
        assert_eq!(found(base), None);
    }
}
