//! The guard against a database that was set back: what was exported has to be in the trail.
//!
//! A restored copy lacks the entries behind it, and whoever appends to it shows two histories under
//! one name. So before an engine answers anything, and before every signature, the newest exported
//! checkpoint of a trail must be of entries that the trail has. Where it is not, the trail is put on
//! hold in the database itself, so that engines without the directory refuse as well, until somebody
//! acknowledges the restore.
//!
//! Files of an older incarnation were settled when the next one began. One that agrees with the trail
//! needs no signature to do so; one that does not is held against it whoever signed it, because a
//! guard that lets pass what it cannot read can be blinded. Signatures count when something is given
//! up: see [`acknowledge_restore`](Engine::acknowledge_restore).

use std::io;

use samplit_audit::{Hash, VerifyingKey};
use samplit_domain::{Experiment, ExperimentId};
use samplit_store::checkpoints;
use samplit_store::experiments;
use samplit_store::heads::{self, HeadRow};

use super::directory::{Directory, Exported, Place};
use crate::live::read_genesis;
use crate::trail::unsigned;
use crate::{Engine, Error, ErrorKind};

/// An exported checkpoint that is not of the trail.
pub(crate) struct Suspect {
    place: Place,
    why: String,
    /// What could be given up; `None` for what is no checkpoint of this trail at all.
    exported: Option<Exported>,
}

impl Engine {
    /// Holds every trail that is not what was exported of it.
    pub(crate) async fn guard(&self) -> Result<(), Error> {
        let Some(directory) = &self.core.directory else {
            return Ok(());
        };
        let experiments = directory.experiments().await;
        for id in experiments.map_err(Error::directory)? {
            if let Some(reason) = self.disagreement(id).await? {
                self.hold(id, &reason).await?;
            }
        }
        Ok(())
    }

    /// Why the newest exported checkpoint is not of this trail; `None` when it is, or the trail is
    /// on hold already.
    pub(crate) async fn disagreement(&self, id: ExperimentId) -> Result<Option<String>, Error> {
        let Some(directory) = &self.core.directory else {
            return Ok(None);
        };
        // Listed before the head is read: what is exported was committed before.
        let places = directory.list(id).await.map_err(Error::directory)?;
        let Some(newest) = places.first() else {
            return Ok(None);
        };
        let Some(head) = self.head(id).await? else {
            tracing::warn!(experiment = %id, "there are exported checkpoints of a trail that is not there");
            return Ok(None);
        };
        if head.hold.is_some() || newest.incarnation < head.incarnation {
            return Ok(None);
        }
        let suspect = self.suspect(directory, &head, *newest).await?;
        Ok(suspect.map(|suspect| {
            let known = suspect.is_signed_by(&self.verifying_keys());
            let signed = if known {
                "; was the database restored?"
            } else {
                ", nor signed by a key of this server"
            };
            format!("{}{signed}", suspect.why)
        }))
    }

    /// The exported checkpoints that are not of this trail, in the order of time.
    pub(crate) async fn suspects(&self, head: &HeadRow) -> Result<Vec<Suspect>, Error> {
        let Some(directory) = &self.core.directory else {
            return Ok(Vec::new());
        };
        let places = directory.list(head.experiment_id).await;
        let mut found = Vec::new();
        for place in places.map_err(Error::directory)?.into_iter().rev() {
            if place.incarnation >= head.incarnation {
                found.extend(self.suspect(directory, head, place).await?);
            }
        }
        Ok(found)
    }

    /// Compares a file with the trail.
    async fn suspect(
        &self,
        directory: &Directory,
        head: &HeadRow,
        place: Place,
    ) -> Result<Option<Suspect>, Error> {
        let suspect = |exported, what: &str| {
            let name = place.name();
            Some(Suspect {
                place,
                why: format!("the exported checkpoint {name} {what}"),
                exported,
            })
        };
        let exported = match directory.read(head.experiment_id, place).await {
            Ok(exported) => exported,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return Ok(suspect(None, &format!("is damaged ({error})")));
            }
            Err(error) => return Err(Error::directory(error)),
        };
        let id = head.experiment_id;
        let read = self
            .core
            .database
            .run(|session| Box::pin(read_genesis(session, id)));
        let (genesis, _) = read.await?;
        if genesis.origin != exported.signed.checkpoint().origin {
            return Ok(suspect(None, "is of another trail"));
        }
        if self.is_prefix(head, &exported).await? {
            return Ok(None);
        }
        let what = format!(
            "is not of the {} entries that the trail has by now",
            head.size
        );
        Ok(suspect(Some(exported), &what))
    }

    /// Whether an exported checkpoint is of the first entries of the trail.
    async fn is_prefix(&self, head: &HeadRow, exported: &Exported) -> Result<bool, Error> {
        let (id, checkpoint) = (head.experiment_id, exported.signed.checkpoint());
        if checkpoint.size > unsigned(head.size)? {
            return Ok(false);
        }
        // What is stored here was signed of this very trail, so the entries need not be read.
        if let Some(root) = self
            .stored_root(id, head.incarnation, exported.place.size)
            .await?
        {
            return Ok(root == checkpoint.root);
        }
        // The tree in memory may be that of the history before the restore.
        self.core.forget_tree(id);
        Ok(self.root(id, checkpoint.size).await? == Some(checkpoint.root))
    }

    async fn stored_root(
        &self,
        id: ExperimentId,
        incarnation: i32,
        size: i64,
    ) -> Result<Option<Hash>, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(checkpoints::read(session, id, incarnation, size)));
        let row = read.await?;
        row.map(|row| row.root.parse().map_err(Error::internal))
            .transpose()
    }

    /// The head as it is committed.
    pub(crate) async fn head(&self, id: ExperimentId) -> Result<Option<HeadRow>, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(heads::read(session, id)));
        Ok(read.await?)
    }

    /// Puts a trail on hold, unless it is, whatever state its head is in. The experiment moves to another version in
    /// the same transaction, so that every batch that is on its way finds out under the lock.
    pub(crate) async fn hold(&self, id: ExperimentId, reason: &str) -> Result<(), Error> {
        let now = self.core.config.clock.now();
        let held = self.core.database.run_tx("hold_trail", |session| {
            Box::pin(async move {
                experiments::lock(session, id).await?;
                let head = heads::lock(session, &[id.0]).await?.pop();
                if head.is_some_and(|head| head.hold.is_some()) {
                    return Ok(());
                }
                let current = experiments::read(session, id).await?;
                let current = current.ok_or(ErrorKind::NotFound("experiment"))?;
                let next = Experiment {
                    version: current.version + 1,
                    updated_at: now,
                    ..current
                };
                experiments::update(session, &next).await?;
                heads::hold(session, id, reason, next.version).await?;
                experiments::announce(session, id).await?;
                Ok::<_, Error>(())
            })
        });
        held.await?;
        tracing::error!(experiment = %id, reason, "the trail is on hold: nothing is recorded");
        self.core.forget_tree(id);
        self.read_back(id).await;
        Ok(())
    }
}

impl Suspect {
    fn is_signed_by(&self, keys: &[VerifyingKey]) -> bool {
        let exported = self.exported.as_ref();
        exported.is_some_and(|exported| exported.signed.verify(keys).is_ok())
    }

    /// What can be given up: a checkpoint of this trail that one of `keys` signed, so that whoever
    /// verifies the trail afterwards accepts it.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `foreign_checkpoint`.
    pub(crate) fn into_given_up(self, keys: &[VerifyingKey]) -> Result<Exported, Error> {
        let is_signed = self.is_signed_by(keys);
        match self.exported {
            Some(exported) if is_signed => Ok(exported),
            Some(_) => Err(Error::conflict(
                "foreign_checkpoint",
                format!(
                    "{}, and no key that this server knows has signed it; accept the key that has, \
                     or take the file away",
                    self.why
                ),
            )),
            None => Err(Error::conflict(
                "foreign_checkpoint",
                format!("{}; take the file away", self.why),
            )),
        }
    }

    /// In which incarnation it was exported.
    pub(crate) const fn incarnation(&self) -> i32 {
        self.place.incarnation
    }
}
