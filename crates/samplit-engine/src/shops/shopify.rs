//! The app at Shopify, and how to talk to a shop.

use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use serde_json::{Value as Json, json};

use crate::{Engine, Error};

/// The version of the Admin API that we speak.
const API: &str = "/admin/api/2026-10/graphql.json";

/// What the app asks a shop for: to put the script into its pages, and to hear of orders.
pub(super) const SCOPES: &str = "write_script_tags,read_orders";

/// A question to a shop.
#[derive(Clone, Copy, Debug)]
pub struct ShopRequest<'a> {
    /// Host of the shop, `*.myshopify.com`.
    pub shop: &'a str,
    /// Path on it.
    pub path: &'a str,
    /// The token that the shop gave us, for the header `X-Shopify-Access-Token`.
    pub token: Option<&'a str>,
    /// What to post as JSON.
    pub body: &'a Json,
}

/// Its answer.
#[derive(Clone, Debug, PartialEq)]
pub struct ShopAnswer {
    /// The status.
    pub status: u16,
    /// The JSON that it came with; null where there is none.
    pub body: Json,
}

/// Posts to shops: over HTTPS, with a deadline, following no redirect.
pub trait ShopClient: fmt::Debug + Send + Sync {
    /// Posts JSON and reads the answer, whatever its status.
    fn post<'a>(
        &'a self,
        request: ShopRequest<'a>,
    ) -> BoxFuture<'a, Result<ShopAnswer, Box<dyn std::error::Error + Send + Sync>>>;
}

/// An app at Shopify.
#[derive(Clone)]
pub struct ShopifyApp {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    client: Arc<dyn ShopClient>,
}

impl fmt::Debug for ShopifyApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopifyApp")
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}

/// A host of a shop: lower-case letters, digits and hyphens before `.myshopify.com`. Nothing else is
/// ever connected to or sent to.
pub(super) fn is_shop(host: &str) -> bool {
    let name = host.strip_suffix(".myshopify.com").unwrap_or_default();
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    host.len() <= 255
        && name.bytes().next().is_some_and(is_plain)
        && name.bytes().all(|b| is_plain(b) || b == b'-')
}

impl ShopifyApp {
    /// An app by its credentials, talking to shops by `client`.
    #[must_use]
    pub fn new(
        client_id: impl Into<String>,
        client_secret: impl Into<String>,
        client: Arc<dyn ShopClient>,
    ) -> Self {
        Self {
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            client,
        }
    }

    /// Asks for a token: by the code of a grant, or by a refresh token.
    pub(super) async fn token(&self, shop: &str, by: (&str, &str)) -> Result<Json, Error> {
        let mut body = json!({
            "client_id": self.client_id,
            "client_secret": self.client_secret,
            by.0: by.1,
        });
        if by.0 == "refresh_token" {
            body["grant_type"] = "refresh_token".into();
        } else {
            body["expiring"] = "1".into();
        }
        let answer = self.post(ShopRequest {
            shop,
            path: "/admin/oauth/access_token",
            token: None,
            body: &body,
        });
        answer.await
    }

    /// Runs a mutation and gives what stands under its name, without errors of its user.
    pub(super) async fn mutate(
        &self,
        shop: &str,
        token: &str,
        name: &str,
        query: &str,
        variables: Json,
    ) -> Result<Result<Json, String>, Error> {
        let body = json!({"query": query, "variables": variables});
        let answer = self.post(ShopRequest {
            shop,
            path: API,
            token: Some(token),
            body: &body,
        });
        let mut answer = answer.await?;
        if let Some(errors) = answer.get("errors") {
            return Err(Error::shop_failed(format!("{name}: {errors}")));
        }
        let done = answer["data"][name].take();
        let refused = done["userErrors"]
            .as_array()
            .and_then(|errors| errors.first());
        if let Some(refused) = refused {
            let message = refused["message"].as_str().unwrap_or("refused");
            return Ok(Err(message.to_owned()));
        }
        if done.is_null() {
            return Err(Error::shop_failed(format!("{name}: no answer")));
        }
        Ok(Ok(done))
    }

    async fn post(&self, request: ShopRequest<'_>) -> Result<Json, Error> {
        // Whatever a row says: our secret and the tokens of shops go to shops, and nowhere else.
        if !is_shop(request.shop) {
            return Err(Error::shop_failed("that host is no shop"));
        }
        let answer = self.client.post(request).await;
        let answer = answer.map_err(Error::shop_failed)?;
        if !(200..300).contains(&answer.status) {
            // Its words may repeat what was sent.
            let (status, path) = (answer.status, request.path);
            return Err(Error::shop_failed(format!("{path} answered {status}")));
        }
        Ok(answer.body)
    }
}

impl Engine {
    pub(super) fn shopify(&self) -> Result<&ShopifyApp, Error> {
        self.core.config.shopify.as_ref().ok_or_else(|| {
            Error::conflict(
                "no_shopify",
                "this server is no app at Shopify; set SAMPLIT_SHOPIFY_CLIENT_ID and \
                 SAMPLIT_SHOPIFY_CLIENT_SECRET",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_shop;

    #[test]
    fn only_hosts_of_shops_are_shops() {
        for good in [
            "a.myshopify.com",
            "snow-devil-2.myshopify.com",
            "0.myshopify.com",
        ] {
            assert!(is_shop(good), "{good}");
        }
        for bad in [
            "",
            ".myshopify.com",
            "-a.myshopify.com",
            "A.myshopify.com",
            "a.b.myshopify.com",
            "a.myshopify.com.evil.test",
            "evil.test/a.myshopify.com",
            "evil.test#.myshopify.com",
            "a@evil.myshopify.com",
            "a.myshopify.com\n",
            "amyshopify.com",
        ] {
            assert!(!is_shop(bad), "{bad:?}");
        }
    }
}
