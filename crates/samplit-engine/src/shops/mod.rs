//! Shops: what they entrust to us, and orders, which are conversions.
//!
//! An order counts in every experiment of the installation's account in which its visitor takes part
//! and whose goal an order can mean: one that only callers reach, or the event `purchase`. Goals of
//! clicks, forms and pages are none of its business.

mod grant;
mod hooks;
mod shopify;
mod signature;
mod uninstall;
mod wordpress;

use futures_util::future::try_join_all;
use ring::digest;
use samplit_audit::Place;
use samplit_domain::{Convert, ExperimentId, Goal, GoalTrigger, Installation, InstallationId};
use samplit_store::{Session, installations, shops};
use serde::{Deserialize, Serialize};
use time::Duration;

use crate::page::owner_of;
use crate::page_events::is_passing;
use crate::{Engine, Error, Secret};

pub use grant::{GrantBegun, GrantQuery};
pub use hooks::ShopifyHook;
pub use shopify::{ShopAnswer, ShopClient, ShopRequest, ShopifyApp};
pub use wordpress::WordPressOrders;

/// How long deliveries are remembered. Shopify repeats one for two days, we take ours for five
/// minutes.
const RECEIPTS_FOR: Duration = Duration::days(30);

/// The event by whose name a goal says that it is meant by orders.
const PURCHASE: &str = "purchase";

/// The place of the secret that stands in the address for hooks.
const HOOK_SECRET: &str = "oauth_data.hook_secret";

/// What is kept in `oauth_data`; what is called `sealed` is readable with the secret only.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Entrusted {
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_access_token: Option<String>,
    /// Unix second in which the access token ends; none: not by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    access_token_ends: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_refresh_token: Option<String>,
    /// Unix second of the grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    granted_at: Option<i64>,
    /// What the shop allows, as it spells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The id of the script in the shop.
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    /// Those of scripts from grants before, which are still to be taken out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    former_scripts: Vec<String>,
    /// The ids of what the shop was asked to tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    hooks: Vec<String>,
    /// What stands in the address at which the shop tells it. Its orders name no shop, so this says
    /// whose they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_hook_secret: Option<String>,
    /// What orders of WordPress are signed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_signing_secret: Option<String>,
}

/// An order as far as it concerns us.
#[derive(Clone, Debug, PartialEq)]
struct Order {
    /// What makes it count once, whoever tells of it how often.
    event_id: String,
    visitor: String,
    /// In the currency of the shop.
    value: f64,
}

/// The place of one secret of an installation, for sealing.
fn place<'a>(row: &'a str, column: &'a str) -> Place<'a> {
    Place {
        table: "platform_installations",
        row,
        column,
    }
}

fn seal(secret: &Secret, id: InstallationId, name: &str, plain: &str) -> Result<String, Error> {
    let sealed = secret.seal(place(&id.to_string(), name), plain);
    sealed.map_err(Error::internal)
}

fn open(secret: &Secret, id: InstallationId, name: &str, sealed: &str) -> Result<String, Error> {
    let opened = secret.open(place(&id.to_string(), name), sealed);
    opened.map_err(Error::internal)
}

async fn entrusted(session: &Session<'_>, id: InstallationId) -> Result<Entrusted, Error> {
    let data = shops::read_oauth_data(session, id).await?;
    let data = data.filter(|data| data.is_object());
    data.map_or_else(
        || Ok(Entrusted::default()),
        |data| serde_json::from_value(data).map_err(Error::internal),
    )
}

async fn entrust(
    session: &Session<'_>,
    id: InstallationId,
    entrusted: &Entrusted,
) -> Result<(), Error> {
    let data = serde_json::to_value(entrusted).map_err(Error::internal)?;
    Ok(shops::write_oauth_data(session, id, Some(&data)).await?)
}

/// Secrets are compared, and states stored, as hashes: how long a comparison takes says nothing, and
/// who reads the table of states cannot finish the grants in it.
fn hash_of(secret: &str) -> String {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    hash.as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

impl Engine {
    /// What was entrusted to us for an installation.
    async fn entrusted(&self, id: InstallationId) -> Result<Entrusted, Error> {
        let read = self
            .core
            .database
            .run_tx("read_entrusted", |session| Box::pin(entrusted(session, id)));
        read.await
    }

    /// Changes what is kept for an installation, under its lock; gives it as it is then.
    async fn amend(
        &self,
        id: InstallationId,
        change: impl Fn(&mut Entrusted) + Send + Sync,
    ) -> Result<Entrusted, Error> {
        let change = &change;
        let amend = self.core.database.run_tx("amend_entrusted", |session| {
            Box::pin(async move {
                installations::lock(session, id).await?;
                let mut data = entrusted(session, id).await?;
                change(&mut data);
                entrust(session, id, &data).await?;
                Ok::<_, Error>(data)
            })
        });
        amend.await
    }

    /// Whether a delivery was taken in before.
    async fn is_received(&self, provider: &str, delivery: &str) -> Result<bool, Error> {
        let read = self.core.database.run(|session| {
            Box::pin(async move { shops::is_received(session, provider, delivery).await })
        });
        Ok(read.await?)
    }

    /// Notes that a delivery was taken in. After its effect, which may be repeated: a crash between
    /// the two must not lose an order.
    async fn received(&self, provider: &str, delivery: &str) -> Result<(), Error> {
        let now = self.core.config.clock.now();
        let forget = now - RECEIPTS_FOR;
        let note = self.core.database.run_tx("receive_webhook", |session| {
            Box::pin(async move { shops::receive(session, provider, delivery, now, forget).await })
        });
        Ok(note.await?)
    }

    /// Counts an order wherever it is meant; says in how many experiments it counts.
    async fn count_order(
        &self,
        installation: &Installation,
        order: &Order,
    ) -> Result<usize, Error> {
        let Some(owner) = installation.user_id else {
            return Ok(0);
        };
        let visitor = &order.visitor;
        let found = self.core.database.run(|session| {
            Box::pin(async move { shops::participations(session, owner, visitor).await })
        });
        let counts = found.await?.into_iter();
        let counts = counts.map(|id| self.count_order_in(installation, order, id));
        let counts = try_join_all(counts).await?;
        Ok(counts.into_iter().filter(|counts| *counts).count())
    }

    async fn count_order_in(
        &self,
        installation: &Installation,
        order: &Order,
        id: ExperimentId,
    ) -> Result<bool, Error> {
        let live = self.core.live(id).await?;
        let goals = &live.experiment.goals;
        let goal = goals.iter().find(|goal| is_meant_by_orders(goal));
        if goal.is_none() && !goals.is_empty() {
            return Ok(false);
        }
        let request = Convert {
            visitor: order.visitor.clone(),
            goal: goal.map(|goal| goal.name.clone()),
            value: Some(order.value),
            event_id: Some(order.event_id.clone()),
        };
        match self.convert(&owner_of(installation), id, request).await {
            Ok(converted) => Ok(!converted.duplicate),
            Err(error) if is_passing(&error) => Err(error),
            Err(error) => {
                tracing::debug!(experiment = %id, error = %error, "an order does not count");
                Ok(false)
            }
        }
    }
}

fn is_meant_by_orders(goal: &Goal) -> bool {
    match &goal.trigger {
        None => true,
        Some(GoalTrigger::Event { name }) => name == PURCHASE,
        Some(_) => false,
    }
}

/// A sum of money as shops write it: `"199.00"`.
fn money(text: &str) -> Option<f64> {
    let value: f64 = text.trim().parse().ok()?;
    (value.is_finite() && value >= 0.0).then_some(value)
}
