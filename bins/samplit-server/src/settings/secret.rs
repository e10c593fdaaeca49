//! Text that must not be shown.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
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
    /// What a file holds. Warns of one that everybody on the machine may read or write.
    pub(crate) fn read(file: &Path) -> anyhow::Result<Self> {
        let read = || {
            let mode = std::fs::metadata(file)?.permissions().mode() & 0o777;
            if mode & 0o007 != 0 {
                tracing::warn!(
                    file = %file.display(),
                    mode = %format!("{mode:o}"),
                    "everybody on this machine may use the file with the secret; chmod 600"
                );
            }
            std::fs::read_to_string(file)
        };
        let text = read().with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Self(text))
    }

    /// The text, for the one place that needs it.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// A secret that is given as it is or in a file; none where neither is.
///
/// # Errors
/// The file cannot be read.
pub(super) fn given(text: Option<&Secret>, file: Option<&Path>) -> anyhow::Result<Option<Secret>> {
    match (text, file) {
        (Some(text), _) => Ok(Some(text.clone())),
        (None, file) => file.map(Secret::read).transpose(),
    }
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
