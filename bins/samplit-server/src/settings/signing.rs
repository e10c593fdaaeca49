//! The keys that sign checkpoints, and where checkpoints go.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use clap::Args;
use hyper::Uri;
use samplit_audit::Signer;
use samplit_engine::EngineConfig;
use serde::{Serialize, Serializer};

use super::duration::Span;
use super::secret::{Secret, read};
use crate::fetch::web_address;
use crate::webhook::Webhook;

/// The keys that sign checkpoints, and where checkpoints go.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Checkpoints")]
pub(crate) struct SigningSettings {
    /// Keys that sign checkpoints, one per line; every key signs every checkpoint. Without one there
    /// are none. `samplit-server admin keygen` makes one. The environment or a file is the better
    /// place.
    #[arg(
        long,
        env = "SAMPLIT_SIGNING_KEYS",
        hide_env_values = true,
        conflicts_with = "signing_keys_file"
    )]
    signing_keys: Option<Secret>,

    /// A file with the same.
    #[arg(long, env = "SAMPLIT_SIGNING_KEYS_FILE")]
    signing_keys_file: Option<PathBuf>,

    /// How often trails that grew are signed.
    #[arg(long, env = "SAMPLIT_CHECKPOINT_EVERY", default_value = "30s")]
    checkpoint_every: Span,

    /// A directory that every checkpoint is written to; better not on the machine of the database. A
    /// trail that is behind what lies there takes no more entries.
    #[arg(long, env = "SAMPLIT_CHECKPOINT_DIR")]
    checkpoint_dir: Option<PathBuf>,

    /// An address that every checkpoint is posted to.
    #[arg(
        long,
        env = "SAMPLIT_CHECKPOINT_WEBHOOK",
        hide_env_values = true,
        value_parser = web_address
    )]
    #[serde(serialize_with = "host_only")]
    checkpoint_webhook: Option<Uri>,
}

impl SigningSettings {
    /// The keys.
    pub(crate) fn signers(&self) -> anyhow::Result<Vec<Signer>> {
        let text = match (&self.signing_keys, &self.signing_keys_file) {
            (Some(keys), _) => keys.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => return Ok(Vec::new()),
        };
        let mut signers: Vec<Signer> = Vec::new();
        for (index, line) in text.expose().split_whitespace().enumerate() {
            let position = index + 1;
            let signer: Signer = line
                .parse()
                .with_context(|| format!("signing key {position} cannot be used"))?;
            let key = signer.verifying_key();
            ensure!(
                signers.iter().all(|other| other.verifying_key() != key),
                "signing key {position} is there twice"
            );
            signers.push(signer);
        }
        ensure!(
            !signers.is_empty(),
            "there is no signing key in what was given"
        );
        Ok(signers)
    }

    /// `config`, with checkpoints as these settings want them.
    pub(crate) fn apply(&self, config: EngineConfig) -> anyhow::Result<EngineConfig> {
        let signers = self.signers()?;
        ensure!(
            !self.checkpoint_every.0.is_zero(),
            "--checkpoint-every: must be longer than nothing"
        );
        if let Some(directory) = &self.checkpoint_dir {
            ensure!(
                directory.is_dir(),
                "--checkpoint-dir: there is no directory {}",
                directory.display()
            );
        }
        let mut sinks = config.checkpoint_sinks.clone();
        if let Some(address) = &self.checkpoint_webhook {
            ensure!(
                !signers.is_empty(),
                "--checkpoint-webhook: without a signing key there is nothing to post"
            );
            sinks.push(Arc::new(Webhook::new(address.clone())?));
        }
        Ok(EngineConfig {
            signers: signers.into(),
            checkpoint_every: self.checkpoint_every.0,
            checkpoint_directory: self.checkpoint_dir.clone(),
            checkpoint_sinks: sinks,
            ..config
        })
    }
}

/// Of an address only where it leads: the rest may hold a secret.
fn host_only<S: Serializer>(address: &Option<Uri>, serializer: S) -> Result<S::Ok, S::Error> {
    let shown = address.as_ref().map(|address| {
        let (scheme, host) = (address.scheme_str(), address.host());
        format!(
            "{}://{}/***",
            scheme.unwrap_or_default(),
            host.unwrap_or_default()
        )
    });
    shown.serialize(serializer)
}
