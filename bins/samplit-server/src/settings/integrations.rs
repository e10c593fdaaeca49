//! What links, tokens, shops, Stripe and webhooks need: the secret of the server, its app at Shopify, the
//! secret of Stripe, and where webhooks may go.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Args;
use hyper::Uri;
use samplit_engine::{EngineConfig, Secret as EngineSecret, ShopifyApp, StripeSecret};
use serde::Serialize;

use super::secret::{Secret, given};
use crate::fetch::web_address;
use crate::shops::Shops;
use crate::webhook_sender::PublicSender;

/// The secret of the server, and its app at Shopify.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Integrations")]
pub(crate) struct IntegrationSettings {
    /// Seals what shops entrust to the server and what webhooks are signed with, and signs its links: at
    /// least 32 bytes, base64 or hexadecimal. Several are set apart by commas: the first seals and signs, every one opens. The
    /// environment or a file is the better place.
    #[arg(
        long,
        env = "SAMPLIT_SECRET",
        hide_env_values = true,
        conflicts_with = "secret_file"
    )]
    secret: Option<Secret>,

    /// A file with the same.
    #[arg(long, env = "SAMPLIT_SECRET_FILE")]
    secret_file: Option<PathBuf>,

    /// Client id of the app at Shopify.
    #[arg(long, env = "SAMPLIT_SHOPIFY_CLIENT_ID")]
    shopify_client_id: Option<String>,

    /// Client secret of the app at Shopify. The environment or a file is the better place.
    #[arg(
        long,
        env = "SAMPLIT_SHOPIFY_CLIENT_SECRET",
        hide_env_values = true,
        conflicts_with = "shopify_client_secret_file"
    )]
    shopify_client_secret: Option<Secret>,

    /// A file with the same.
    #[arg(long, env = "SAMPLIT_SHOPIFY_CLIENT_SECRET_FILE")]
    shopify_client_secret_file: Option<PathBuf>,

    /// Talk to this address in place of every shop; for tests.
    #[arg(long, env = "SAMPLIT_SHOPIFY_ADDRESS", hide = true, value_parser = web_address)]
    #[serde(skip)]
    shopify_address: Option<Uri>,

    /// What Stripe signs its webhooks with, `whsec_...`; without it Stripe is not listened to. The
    /// environment or a file is the better place.
    #[arg(
        long,
        env = "SAMPLIT_STRIPE_WEBHOOK_SECRET",
        hide_env_values = true,
        conflicts_with = "stripe_webhook_secret_file"
    )]
    stripe_webhook_secret: Option<Secret>,

    /// A file with the same.
    #[arg(long, env = "SAMPLIT_STRIPE_WEBHOOK_SECRET_FILE")]
    stripe_webhook_secret_file: Option<PathBuf>,

    /// Let webhooks go to addresses that are not public, and over http: to receivers in a network of
    /// your own. Whoever has an account may then reach what this server reaches.
    #[arg(long, env = "SAMPLIT_WEBHOOK_ALLOW_PRIVATE")]
    webhook_allow_private: bool,
}

impl IntegrationSettings {
    /// `config`, with the secret and the app of these settings.
    ///
    /// # Errors
    /// A file cannot be read, a secret cannot be used, or half of the app is missing.
    pub(crate) fn apply(&self, config: EngineConfig) -> anyhow::Result<EngineConfig> {
        let secret = given(self.secret.as_ref(), self.secret_file.as_deref())?
            .map(|text| EngineSecret::parse(text.expose()).context("the secret cannot be used"))
            .transpose()?;
        let client_secret = given(
            self.shopify_client_secret.as_ref(),
            self.shopify_client_secret_file.as_deref(),
        )?;
        let shopify = match (&self.shopify_client_id, client_secret) {
            (Some(client_id), Some(client_secret)) => {
                ensure!(
                    secret.is_some(),
                    "--shopify-client-id: needs a secret, too; set SAMPLIT_SECRET or --secret-file"
                );
                let shops = Arc::new(Shops::new(self.shopify_address.clone())?);
                let client_secret = client_secret.expose().trim();
                Some(ShopifyApp::new(client_id, client_secret, shops))
            }
            (None, None) => None,
            _ => anyhow::bail!(
                "--shopify-client-id and --shopify-client-secret: one needs the other"
            ),
        };
        let stripe_secret = given(
            self.stripe_webhook_secret.as_ref(),
            self.stripe_webhook_secret_file.as_deref(),
        )?;
        let stripe_secret = stripe_secret
            .map(|text| stripe_secret_of(text.expose()))
            .transpose()?;
        let sender = PublicSender::new(self.webhook_allow_private)?;
        Ok(EngineConfig {
            secret,
            shopify,
            stripe_secret,
            webhook_sender: Some(Arc::new(sender)),
            ..config
        })
    }
}

/// What Stripe shows as the secret of an endpoint. Anything else is a mistake, which would refuse every message.
fn stripe_secret_of(text: &str) -> anyhow::Result<StripeSecret> {
    let text = text.trim();
    ensure!(
        text.starts_with("whsec_") && text.len() > "whsec_".len(),
        "--stripe-webhook-secret: is not what Stripe shows as the signing secret of an endpoint, whsec_..."
    );
    Ok(StripeSecret::new(text))
}
