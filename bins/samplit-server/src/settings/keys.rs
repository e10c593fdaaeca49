//! The keys that seal draw keys, pseudonym keys and posteriors at rest.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use samplit_engine::KeyRing;
use serde::Serialize;

use super::secret::{Secret, read};

/// The keys that seal what must not be readable in the database.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Keys")]
pub(crate) struct KeySettings {
    /// Keys of 32 bytes, base64 or hexadecimal, set apart by commas: the first seals, every one opens.
    /// `samplit-server admin generate-key` makes one. The environment or a file is the better place.
    #[arg(
        long,
        env = "SAMPLIT_KEYS",
        hide_env_values = true,
        conflicts_with = "keys_file"
    )]
    keys: Option<Secret>,

    /// A file with the same, set apart by commas or lines.
    #[arg(long, env = "SAMPLIT_KEYS_FILE")]
    keys_file: Option<PathBuf>,
}

impl KeySettings {
    /// The ring.
    pub(crate) fn ring(&self) -> anyhow::Result<KeyRing> {
        let text = match (&self.keys, &self.keys_file) {
            (Some(keys), _) => keys.clone(),
            (None, Some(file)) => read(file)?,
            (None, None) => anyhow::bail!(
                "there is no key to seal secrets with; make one by `samplit-server admin \
                 generate-key` and give it by SAMPLIT_KEYS or --keys-file"
            ),
        };
        KeyRing::parse(text.expose()).context("the keys cannot be used")
    }
}
