//! The guard against a database that was set back: what was exported has to be in the trail.
//!
//! A restored copy lacks the entries behind it, and whoever appends to it shows two histories under
//! one name. So before an engine answers anything, and before every signature, the newest exported
//! checkpoint of a trail must be of entries that the trail has. Where it is not, the trail is put on
//! hold in the database itself, so that engines without the directory refuse as well, until somebody
//! acknowledges the restore.
//!
//! Files of an older incarnation were settled when the next one began, and so were those that are
//! stored among its abandoned checkpoints.

use samplit_audit::Hash;
use samplit_domain::{Experiment, ExperimentId};
use samplit_store::checkpoints;
use samplit_store::heads::{self, HeadRow};

use super::directory::Exported;
use crate::experiments::Edit;
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal};

impl Engine {
    /// Holds every trail that is not what was exported of it.
    pub(crate) async fn guard(&self) -> Result<(), Error> {
        let Some(directory) = &self.core.directory else {
            return Ok(());
        };
        for id in directory.experiments().await? {
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
        let places = directory.list(id).await?;
        if places.is_empty() {
            return Ok(None);
        }
        let Some(head) = self.head(id).await? else {
            tracing::warn!(experiment = %id, "there are exported checkpoints of a trail that is not there");
            return Ok(None);
        };
        if head.hold.is_some() {
            return Ok(None);
        }
        for place in places {
            if place.0 < head.incarnation {
                break;
            }
            let Some(exported) = directory.read(id, place).await? else {
                continue;
            };
            if self.is_abandoned(&head, &exported).await? {
                continue;
            }
            let is_ours = self.is_prefix(&head, &exported).await?;
            let size = exported.checkpoint.size;
            return Ok((!is_ours).then(|| {
                format!(
                    "the trail has {} entries, and they are not those of the exported checkpoint \
                     {}-{size}; was the database restored?",
                    head.size, exported.incarnation
                )
            }));
        }
        Ok(None)
    }

    /// The exported checkpoints that are not of this trail, by size.
    pub(crate) async fn disagreeing(&self, head: &HeadRow) -> Result<Vec<Exported>, Error> {
        let id = head.experiment_id;
        let Some(directory) = &self.core.directory else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for place in directory.list(id).await? {
            if place.0 < head.incarnation {
                break;
            }
            let Some(exported) = directory.read(id, place).await? else {
                continue;
            };
            if !self.is_abandoned(head, &exported).await?
                && !self.is_prefix(head, &exported).await?
            {
                found.push(exported);
            }
        }
        found.sort_by_key(|exported| exported.checkpoint.size);
        Ok(found)
    }

    /// Whether an exported checkpoint was given up by an earlier restore.
    async fn is_abandoned(&self, head: &HeadRow, exported: &Exported) -> Result<bool, Error> {
        for incarnation in 1..head.incarnation {
            let root = self.stored_root(head.experiment_id, incarnation, exported.checkpoint.size);
            if root.await? == Some(exported.checkpoint.root) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether an exported checkpoint is of the first entries of the trail.
    async fn is_prefix(&self, head: &HeadRow, exported: &Exported) -> Result<bool, Error> {
        let (id, checkpoint) = (head.experiment_id, &exported.checkpoint);
        if checkpoint.size > unsigned(head.size)? {
            return Ok(false);
        }
        // What is stored here was signed of this very trail, so the entries need not be read.
        if let Some(root) = self
            .stored_root(id, head.incarnation, checkpoint.size)
            .await?
        {
            return Ok(root == checkpoint.root);
        }
        Ok(self.root(id, checkpoint.size).await? == Some(checkpoint.root))
    }

    async fn stored_root(
        &self,
        id: ExperimentId,
        incarnation: i32,
        size: u64,
    ) -> Result<Option<Hash>, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(checkpoints::read(session, id, incarnation, signed(size))));
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

    /// Puts a trail on hold. The experiment moves to another version in the same transaction, so
    /// that every batch that is on its way finds out under the lock.
    pub(crate) async fn hold(&self, id: ExperimentId, reason: &str) -> Result<(), Error> {
        let edit = Edit {
            id,
            if_version: None,
            name: "hold_trail",
        };
        let me = Principal::system();
        let unchanged = |current: &Experiment| Ok(current.clone());
        self.edit(&me, edit, unchanged, |_, session, _, _| {
            let reason = reason.to_owned();
            Box::pin(async move { Ok(heads::hold(session, id, &reason).await?) })
        })
        .await?;
        tracing::error!(experiment = %id, reason, "the trail is on hold: nothing is recorded");
        Ok(())
    }
}
