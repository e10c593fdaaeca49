//! The settings of the server: one struct per concern, each by flag and `SAMPLIT_*` environment.

mod database;
mod duration;
mod engine;
mod http;
mod integrations;
mod keys;
mod log;
mod mail;
#[cfg(feature = "otlp")]
mod otlp;
mod secret;
mod signing;

use clap::Args;
use serde::Serialize;

pub(crate) use database::DatabaseSettings;
pub(crate) use duration::Span;
pub(crate) use engine::EngineSettings;
pub(crate) use http::HttpSettings;
pub(crate) use integrations::IntegrationSettings;
pub(crate) use keys::KeySettings;
pub(crate) use log::{LogControl, LogSettings};
pub(crate) use mail::MailSettings;
pub(crate) use secret::Secret;
pub(crate) use signing::SigningSettings;

/// Everything that `serve` needs to know.
#[derive(Clone, Debug, Args, Serialize)]
pub(crate) struct ServerSettings {
    #[command(flatten)]
    pub(crate) database: DatabaseSettings,
    #[command(flatten)]
    pub(crate) engine: EngineSettings,
    #[command(flatten)]
    pub(crate) http: HttpSettings,
    #[command(flatten)]
    pub(crate) keys: KeySettings,
    #[command(flatten)]
    pub(crate) signing: SigningSettings,
    #[command(flatten)]
    pub(crate) integrations: IntegrationSettings,
    #[command(flatten)]
    pub(crate) mail: MailSettings,
}
