//! Which operating-system account the server runs as.

use std::path::Path;

use nix::unistd::{User, geteuid};
use tokio::process::Command;

use crate::Error;

/// The account of the server: our own, or an unprivileged one when we are root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Account {
    /// User and group to switch to; `None` means "stay who we are".
    switch_to: Option<(u32, u32)>,
}

impl Account {
    /// Chooses `postgres`, else `nobody`, for root; everybody else keeps the own account.
    pub(crate) fn choose() -> Result<Self, Error> {
        if !geteuid().is_root() {
            return Ok(Self { switch_to: None });
        }
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self {
                switch_to: Some((user.uid.as_raw(), user.gid.as_raw())),
            })
            .ok_or(Error::NoAccount)
    }

    /// Hands a path over to the account.
    pub(crate) fn give(self, path: &Path) -> Result<(), Error> {
        match self.switch_to {
            Some((uid, gid)) => std::os::unix::fs::chown(path, Some(uid), Some(gid))
                .map_err(Error::io("hand the directory to the server's account")),
            None => Ok(()),
        }
    }

    /// Makes a command run as the account (supplementary groups are dropped with root).
    pub(crate) fn apply(self, command: &mut Command) {
        if let Some((uid, gid)) = self.switch_to {
            command.uid(uid).gid(gid);
        }
    }
}
