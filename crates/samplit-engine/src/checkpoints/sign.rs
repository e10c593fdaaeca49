//! Signing a checkpoint: only of what is committed, and only of what extends the one before.

use std::io;

use samplit_audit::checkpoint::{Checkpoint, SignedCheckpoint, sign};
use samplit_audit::{Hash, merkle::Frontier};
use samplit_domain::{ExperimentId, UserId};
use samplit_store::checkpoints::{self, CheckpointRow};
use samplit_store::heads::{self, HeadRow};
use samplit_store::trail;

use super::StoredCheckpoint;
use super::sinks::failed;
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, ErrorKind, webhooks};

/// Hashes read at once.
pub(crate) const HASHES: u64 = 16_384;

/// Why there is no checkpoint.
pub(super) enum Refusal {
    /// The trail is not what was signed: it is held for this reason.
    Broken(String),
    Failed(Error),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

impl From<samplit_store::Error> for Refusal {
    fn from(error: samplit_store::Error) -> Self {
        Self::Failed(error.into())
    }
}

fn broken<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Broken(what.into()))
}

impl Engine {
    /// Signs the trail as it is now, unless that was done, and exports the checkpoint. A trail that
    /// is not what was signed before is put on hold.
    ///
    /// In a task of its own: whoever asks may hang up, and what was begun is brought to its end.
    pub(crate) async fn sign(&self, id: ExperimentId) -> Result<StoredCheckpoint, Error> {
        let engine = self.clone();
        let signing = tokio::spawn(async move { engine.sign_or_hold(id).await });
        signing.await.map_err(Error::internal)?
    }

    async fn sign_or_hold(&self, id: ExperimentId) -> Result<StoredCheckpoint, Error> {
        let outcome = self.try_sign(id).await;
        let (word, outcome) = match outcome {
            Ok((checkpoint, true)) => ("signed", Ok(checkpoint)),
            Ok((checkpoint, false)) => ("known", Ok(checkpoint)),
            Err(Refusal::Broken(reason)) => {
                self.hold(id, &reason).await?;
                ("held", Err(ErrorKind::OnHold { reason }.into()))
            }
            Err(Refusal::Failed(error)) => ("failed", Err(error)),
        };
        metrics::counter!("samplit_checkpoints_total", "outcome" => word).increment(1);
        outcome
    }

    /// The checkpoint of the trail as it is now, and whether it is new.
    async fn try_sign(&self, id: ExperimentId) -> Result<(StoredCheckpoint, bool), Refusal> {
        if self.core.config.signers.is_empty() {
            let detail = "this server has no key to sign checkpoints with";
            return Err(Error::conflict("no_signing_key", detail).into());
        }
        if let Some(reason) = self.disagreement(id).await? {
            return broken(reason);
        }
        let (head, before) = self.head_and_latest(id).await?;
        if let Some(reason) = head.hold {
            return Err(Error::from(ErrorKind::OnHold { reason }).into());
        }
        let frontier = Frontier::from_bytes(unsigned(head.size)?, &head.frontier);
        let Some(frontier) = frontier else {
            return broken("the frontier of the head does not fit its size");
        };
        let root = frontier.root();
        if let Some(before) = before.as_ref().filter(|row| row.size == head.size) {
            if signed_root(before)? != root {
                return broken(another_root(head.size));
            }
            let known = StoredCheckpoint::from_row(before.clone())?;
            return Ok((known, false));
        }
        if let Some(before) = before.as_ref().filter(|row| row.size > head.size) {
            return broken(format!(
                "it has {} entries, and its own checkpoint has {}",
                head.size, before.size
            ));
        }
        self.extends(id, &head, before.as_ref(), root).await?;

        let live = self.core.live(id).await?;
        let checkpoint = Checkpoint {
            origin: live.started()?.genesis.origin.clone(),
            size: unsigned(head.size)?,
            root,
        };
        let note = sign(&checkpoint, &self.core.config.signers).map_err(Error::internal)?;
        let row = CheckpointRow {
            experiment_id: id,
            incarnation: head.incarnation,
            size: head.size,
            root: root.to_string(),
            note,
            signed_at: self.core.config.clock.now(),
            frontier: Some(head.frontier),
        };
        // Exported first: what nobody outside has seen can be signed again, and what somebody has
        // seen must be where the guard finds it.
        self.file(&StoredCheckpoint::from_row(row.clone())?).await?;
        let owner = live.experiment.user_id;
        let (row, is_new) = self.store(owner, row).await?;
        let stored = StoredCheckpoint::from_row(row)?;
        self.core.sinks.publish(&stored);
        Ok((stored, is_new))
    }

    /// Writes a checkpoint to the directory, unless it is there.
    pub(super) async fn file(&self, checkpoint: &StoredCheckpoint) -> Result<(), Refusal> {
        let Some(directory) = &self.core.directory else {
            return Ok(());
        };
        let writing = directory.write(checkpoint.clone(), self.core.ids.next());
        writing.await.map_err(|error| {
            failed("directory", checkpoint.experiment_id, &error);
            if error.kind() == io::ErrorKind::AlreadyExists {
                Refusal::Broken(error.to_string())
            } else {
                Refusal::Failed(Error::directory(error))
            }
        })
    }

    /// The head as it is committed, and the largest checkpoint of its incarnation.
    async fn head_and_latest(
        &self,
        id: ExperimentId,
    ) -> Result<(HeadRow, Option<CheckpointRow>), Error> {
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                let missing = || {
                    let what = format!("no {id}");
                    samplit_store::Error::inconsistent("audit_heads", "experiment_id", what)
                };
                let mut head = heads::read(session, id).await?.ok_or_else(missing)?;
                let latest = checkpoints::latest(session, id, head.incarnation).await?;
                if latest
                    .as_ref()
                    .is_some_and(|latest| latest.size > head.size)
                {
                    // Another engine may have signed more meanwhile; then the head is there, too.
                    head = heads::read(session, id).await?.ok_or_else(missing)?;
                }
                Ok::<_, Error>((head, latest))
            })
        });
        read.await
    }

    /// Checks that the entries behind a checkpoint, or all of them, lead from it to the head.
    async fn extends(
        &self,
        id: ExperimentId,
        head: &HeadRow,
        before: Option<&CheckpointRow>,
        root: Hash,
    ) -> Result<(), Refusal> {
        let signed_before = before.map(signed_root).transpose()?;
        let kept = before.zip(signed_before).and_then(|(row, root)| {
            let size = u64::try_from(row.size).ok()?;
            let frontier = Frontier::from_bytes(size, row.frontier.as_ref()?)?;
            (frontier.root() == root).then_some(frontier)
        });
        let mut frontier = kept.unwrap_or_default();
        let size = unsigned(head.size)?;
        let mark = before.map(|row| unsigned(row.size)).transpose()?;
        let mut last = None;
        while frontier.size() < size {
            // A page ends at the checkpoint, so that its root can be compared on the way.
            let goal = mark.filter(|mark| *mark > frontier.size()).unwrap_or(size);
            let upto = goal.min(frontier.size() + HASHES);
            let Some(leaves) = self.leaves(id, frontier.size(), upto).await? else {
                let what = format!("entries between {} and {upto} are missing", frontier.size());
                return broken(what);
            };
            last = leaves.last().copied();
            // Hashing a page takes milliseconds, which other requests need not wait for.
            let pushed = tokio::task::spawn_blocking(move || {
                leaves.into_iter().for_each(|leaf| frontier.push(leaf));
                frontier
            });
            frontier = pushed.await.map_err(Error::internal)?;
            if Some(frontier.size()) == mark && Some(frontier.root()) != signed_before {
                return broken(another_root(signed(frontier.size())));
            }
        }
        if frontier.root() != root
            || last.map(|hash| hash.to_string()).as_ref() != Some(&head.head_hash)
        {
            return broken("its entries do not lead to its head");
        }
        Ok(())
    }

    /// The hashes of the entries behind `after` up to `upto`; `None` if some are missing.
    pub(crate) async fn leaves(
        &self,
        id: ExperimentId,
        after: u64,
        upto: u64,
    ) -> Result<Option<Vec<Hash>>, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(trail::hashes(session, id, signed(after), signed(upto))));
        let leaves = (after + 1..)
            .zip(read.await?)
            .map(|(expected, (sequence, hash))| {
                let hash = hash.parse().ok()?;
                (u64::try_from(sequence) == Ok(expected)).then_some(hash)
            });
        let leaves: Option<Vec<Hash>> = leaves.collect();
        Ok(leaves.filter(|leaves| u64::try_from(leaves.len()) == Ok(upto - after)))
    }

    /// Stores a checkpoint, and says whether it is new. Where another engine was first, theirs stays.
    async fn store(
        &self,
        owner: Option<UserId>,
        row: CheckpointRow,
    ) -> Result<(CheckpointRow, bool), Refusal> {
        let core = &*self.core;
        let stored = core.database.run_tx("store_checkpoint", |session| {
            let row = row.clone();
            Box::pin(async move {
                if checkpoints::insert(session, &row).await? {
                    let signed = StoredCheckpoint::from_row(row)?;
                    webhooks::post_checkpoint(core, session, owner, &signed).await?;
                    return Ok(None);
                }
                let (id, incarnation, size) = (row.experiment_id, row.incarnation, row.size);
                let other = checkpoints::read(session, id, incarnation, size).await?;
                Ok::<_, Error>(other)
            })
        });
        match stored.await? {
            None => Ok((row, true)),
            Some(other) if other.root == row.root => Ok((other, false)),
            Some(_) => broken(another_root(row.size)),
        }
    }
}

fn another_root(size: i64) -> String {
    format!("a checkpoint of its first {size} entries shows other ones")
}

/// The root that a stored checkpoint signed.
fn signed_root(row: &CheckpointRow) -> Result<Hash, Refusal> {
    match SignedCheckpoint::parse(&row.note) {
        Ok(note) if note.checkpoint().size == u64::try_from(row.size).unwrap_or(0) => {
            Ok(note.checkpoint().root)
        }
        _ => broken(format!(
            "the stored checkpoint of {} entries is damaged",
            row.size
        )),
    }
}
