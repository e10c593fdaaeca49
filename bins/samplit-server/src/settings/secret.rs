//! Text that must not be shown.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use anyhow::Context as _;
use serde::{Serialize, Serializer};

/// What stands in place of a secret.
const HIDDEN: &str = "***";

/// A secret: neither printed, nor logged, nor serialized.
#[derive(Clone)]
pub(crate) struct Secret(String);

impl Secret {
    /// The text, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// What a file holds, as a secret.
pub(crate) fn read(file: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(file);
    Ok(Secret(text.with_context(|| {
        format!("cannot read {}", file.display())
    })?))
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl FromStr for Secret {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}
