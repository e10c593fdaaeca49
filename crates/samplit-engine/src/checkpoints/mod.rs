//! Checkpoints: signed statements of how far a trail reaches and what it holds, kept outside the
//! database as well, so that whoever writes the database cannot take back what was shown.
//!
//! A checkpoint is signed of a head that was read after its commit, and only once its trail was seen
//! to extend the checkpoint before it. There is one per trail and size, whichever engine came first;
//! it goes into the database and from there into a directory and to sinks. What the directory holds
//! is also the guard against a database that was set back: see [`guard`].

mod cover;
mod directory;
mod export;
mod guard;
mod sign;
mod sinks;
mod watch;

use futures_util::future::BoxFuture;
use samplit_audit::{Hash, VerifyingKey};
use samplit_domain::ExperimentId;
use samplit_store::checkpoints::{self, CheckpointRow};
use samplit_store::heads;
use time::OffsetDateTime;

pub(crate) use cover::{Turns, turns};
pub(crate) use directory::Directory;
pub(crate) use export::Unfiled;
pub(crate) use sign::HASHES;
pub(crate) use sinks::Sinks;
pub(crate) use watch::{Rounds, watch};

use crate::trail::unsigned;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// Where checkpoints go besides database and directory. Nothing waits for a sink but what follows
/// for it: a few checkpoints are on the way to it at once, one of each trail.
pub trait CheckpointSink: std::fmt::Debug + Send + Sync {
    /// Hands a checkpoint over. One that fails is handed over again after a pause, unless a newer
    /// one of its trail has taken its place; one that succeeds may come again after a restart. What
    /// takes longer than a minute has failed.
    ///
    /// # Errors
    /// It did not arrive.
    fn publish<'a>(
        &'a self,
        checkpoint: &'a StoredCheckpoint,
    ) -> BoxFuture<'a, Result<(), Box<dyn std::error::Error + Send + Sync>>>;
}

/// A checkpoint as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredCheckpoint {
    /// Of which trail.
    pub experiment_id: ExperimentId,
    /// 1, and one more for every restore of the trail.
    pub incarnation: u32,
    /// Entries that it covers.
    pub size: u64,
    /// The Merkle root over them.
    pub root: Hash,
    /// The signed note.
    pub note: String,
    /// When it was signed.
    pub signed_at: OffsetDateTime,
}

impl StoredCheckpoint {
    fn from_row(row: CheckpointRow) -> Result<Self, Error> {
        Ok(Self {
            experiment_id: row.experiment_id,
            incarnation: u32::try_from(row.incarnation).map_err(Error::internal)?,
            size: unsigned(row.size)?,
            root: row.root.parse().map_err(Error::internal)?,
            note: row.note,
            signed_at: row.signed_at,
        })
    }
}

impl Engine {
    /// The largest checkpoint of a trail.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such experiment, or no checkpoint of it yet.
    pub async fn checkpoint(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<StoredCheckpoint, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?;
        let latest = self.latest_checkpoint(id).await?;
        latest.ok_or_else(|| ErrorKind::NotFound("checkpoint").into())
    }

    /// Signs a checkpoint of a trail as it is now, and exports it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::NotRunning`] before the start,
    /// [`ErrorKind::Conflict`] (`no_signing_key`) without a key, [`ErrorKind::OnHold`] when the trail
    /// does not lead to what was signed before, [`ErrorKind::DirectoryUnavailable`].
    pub async fn sign_checkpoint(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<StoredCheckpoint, Error> {
        who.require(Scope::Manage)?;
        self.visible_live(who, id).await?.started()?;
        self.sign(id).await
    }

    /// The public halves of the keys that sign checkpoints.
    #[must_use]
    pub fn verifying_keys(&self) -> Vec<VerifyingKey> {
        let signers = self.core.config.signers.iter();
        signers
            .map(|signer| signer.verifying_key().clone())
            .collect()
    }

    /// The largest checkpoint of the present incarnation.
    pub(crate) async fn latest_checkpoint(
        &self,
        id: ExperimentId,
    ) -> Result<Option<StoredCheckpoint>, Error> {
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                match heads::read(session, id).await? {
                    Some(head) => checkpoints::latest(session, id, head.incarnation).await,
                    None => Ok(None),
                }
            })
        });
        read.await?.map(StoredCheckpoint::from_row).transpose()
    }
}
