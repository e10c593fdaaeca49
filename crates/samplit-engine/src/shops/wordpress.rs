//! Orders that the plugin of WordPress sends, signed with a secret that the two share.
//!
//! The signature is HMAC-SHA-256 over `timestamp "." body`, in hexadecimal; the timestamp is of the
//! sending, so a repeat is signed anew, and may be five minutes off.

use samplit_domain::{Action, Installation, InstallationId, Platform};
use samplit_store::{activity, installations};
use serde::Deserialize;

use super::{Order, entrust, entrusted, money, open, seal, signature};
use crate::access::new_token;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// How far the timestamp of an order may be from our clock, in seconds.
const TOLERANCE: u64 = 300;

const PROVIDER: &str = "wordpress";

/// What a site sends.
#[derive(Clone, Copy, Debug)]
pub struct WordPressOrders<'a> {
    /// `Samplit-Installation`: the token of the site.
    pub token: &'a str,
    /// `Samplit-Timestamp`: Unix seconds.
    pub timestamp: &'a str,
    /// `Samplit-Delivery`: the same for every repeat.
    pub delivery: &'a str,
    /// `Samplit-Signature`.
    pub signature: &'a str,
    /// The body, byte by byte as it came.
    pub body: &'a [u8],
}

#[derive(Deserialize)]
struct OrderJson {
    order_id: u64,
    visitor_id: String,
    total: String,
}

impl Engine {
    /// Makes the secret that orders of a site are signed with; an older one is good no more. It is
    /// kept sealed and cannot be shown again.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where the site is none of WordPress or the server has no secret.
    pub async fn new_signing_secret(
        &self,
        who: &Principal,
        id: InstallationId,
    ) -> Result<String, Error> {
        who.require(Scope::Manage)?;
        let found = self.installation(who, id).await?;
        if found.platform != Platform::WordPress {
            let detail = "only sites of the platform `wordpress` sign orders";
            return Err(Error::conflict("no_wordpress", detail));
        }
        let signing = new_token(&self.core, "ws_");
        let sealed = seal(self.secret()?, id, "oauth_data.signing_secret", &signing)?;
        let (found, sealed) = (&found, &sealed);
        let keep = self.core.database.run_tx("keep_signing_secret", |session| {
            Box::pin(async move {
                installations::lock(session, id).await?;
                let mut data = entrusted(session, id).await?;
                data.sealed_signing_secret = Some(sealed.clone());
                entrust(session, id, &data).await?;
                let (owner, action) = (found.user_id, Action::SigningSecretMade);
                let entry = self.core.activity(who, owner, action, id);
                Ok::<_, Error>(activity::insert(session, &entry).await?)
            })
        });
        keep.await?;
        Ok(signing)
    }

    /// Counts an order of a site of WordPress; says in how many experiments it counts, and nothing of
    /// a delivery that was taken in before.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownInstallation`], [`ErrorKind::BadSignature`], [`ErrorKind::Invalid`] for a
    /// body that is no order; what may be gone when it comes again, such as
    /// [`ErrorKind::Unavailable`].
    pub async fn wordpress_order(&self, sent: WordPressOrders<'_>) -> Result<Option<usize>, Error> {
        let site = self.open_installation(sent.token).await?;
        self.check_signature(&site, sent).await?;
        // Each site counts its deliveries for itself.
        let delivery: String = format!("{}:{}", site.id, sent.delivery);
        let delivery: String = delivery.chars().take(255).collect();
        if self.is_received(PROVIDER, &delivery).await? {
            return Ok(None);
        }
        let order = order(&site, sent.body)?;
        let counted = self.count_order(&site, &order).await?;
        self.received(PROVIDER, &delivery).await?;
        Ok(Some(counted))
    }

    async fn check_signature(
        &self,
        site: &Installation,
        sent: WordPressOrders<'_>,
    ) -> Result<(), Error> {
        let now = self.core.config.clock.now().unix_timestamp();
        let sent_at: Option<i64> = sent.timestamp.parse().ok();
        let is_fresh = sent_at.is_some_and(|at| at.abs_diff(now) <= TOLERANCE);
        if !is_fresh || sent.delivery.is_empty() {
            return Err(ErrorKind::BadSignature.into());
        }
        let id = site.id;
        let sealed = self.entrusted(id).await?.sealed_signing_secret;
        let sealed = sealed.ok_or(ErrorKind::BadSignature)?;
        let signing = open(self.secret()?, id, "oauth_data.signing_secret", &sealed)?;
        let parts: [&[u8]; 3] = [sent.timestamp.as_bytes(), b".", sent.body];
        if signature::is_of_parts(&signing, &parts, sent.signature) {
            Ok(())
        } else {
            Err(ErrorKind::BadSignature.into())
        }
    }
}

fn order(site: &Installation, body: &[u8]) -> Result<Order, Error> {
    let mut violations = samplit_domain::Violations::default();
    let read: Option<OrderJson> = serde_json::from_slice(body).ok();
    let value = read.as_ref().and_then(|order| money(&order.total));
    let (Some(read), Some(value)) = (read, value) else {
        let detail = "must hold `order_id`, `visitor_id` and `total`";
        violations.add("", "malformed", detail);
        return Err(violations.into());
    };
    violations.visitor("/visitor_id", &read.visitor_id);
    violations
        .into_result(Order {
            // Order numbers are a site's own.
            event_id: format!("wordpress-{}-{}", site.id, read.order_id),
            visitor: read.visitor_id,
            value,
        })
        .map_err(Error::from)
}
