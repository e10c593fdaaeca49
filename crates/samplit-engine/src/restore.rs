//! Going on after a hold: what was shown before is given up in the open, or nothing has to be.

use std::collections::BTreeMap;
use std::sync::Arc;

use samplit_audit::VerifyingKey;
use samplit_audit::checkpoint::SignedCheckpoint;
use samplit_audit::payload::Restore;
use samplit_domain::{Action, ExperimentId, Violations, to_micros};
use samplit_store::Session;
use samplit_store::checkpoints::{self, CheckpointRow};
use samplit_store::heads::{self, HeadRow};
use serde_json::json;
use time::OffsetDateTime;

use crate::core::Core;
use crate::experiments::Edit;
use crate::trail::Trail;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The longest reason.
const MAX_REASON: usize = 500;

/// How a hold was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The incarnation that the trail is in now; the one before where nothing had to be given up.
    pub incarnation: u32,
    /// Exported checkpoints that were given up.
    pub given_up: usize,
}

impl Engine {
    /// Ends the hold of a trail whose database was restored from a copy. The checkpoints that the
    /// copy does not lead to are stored as abandoned, an entry gives them up and says why, and a new
    /// incarnation begins: one later than any that was exported. Where exported checkpoints are of
    /// several incarnations, there is an entry for each.
    ///
    /// Where every exported checkpoint agrees with the trail and the whole trail verifies, the hold
    /// was for something that has been mended: it ends, and no entry is made.
    ///
    /// What is given up must be signed by a key of this server or one of `accepted`, for instance one
    /// that was taken out of service since.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Invalid`] for an empty or long reason,
    /// [`ErrorKind::Conflict`]: `not_on_hold`, `foreign_checkpoint` for a file that is no checkpoint of
    /// this trail, `no_directory` where nothing is to be given up as far as this server can see, which
    /// has no directory, `trail_is_broken` where nothing is to be given up and the trail does not
    /// verify: the database was not set back but altered.
    pub async fn acknowledge_restore(
        &self,
        who: &Principal,
        id: ExperimentId,
        reason: &str,
        accepted: &[VerifyingKey],
    ) -> Result<Acknowledged, Error> {
        who.require(Scope::Manage)?;
        let mut violations = Violations::default();
        violations.text("/reason", reason, MAX_REASON);
        violations.into_result(())?;
        self.visible_live(who, id).await?.started()?;
        let head = self
            .head(id)
            .await?
            .ok_or(ErrorKind::NotFound("experiment"))?;
        if head.hold.is_none() {
            return Err(not_on_hold());
        }
        let given_up = self.given_up(&head, accepted).await?;
        let acknowledged = if given_up.is_empty() {
            self.lift(who, &head).await?
        } else {
            self.begin_anew(who, &head, reason, given_up).await?
        };
        self.core.forget_tree(id);
        tracing::warn!(experiment = %id, reason, ?acknowledged, "a hold was ended");
        if !self.core.config.signers.is_empty()
            && let Err(error) = self.sign(id).await
        {
            tracing::warn!(experiment = %id, error = ?error, "a restored trail could not be signed yet");
        }
        Ok(acknowledged)
    }

    /// The checkpoints that the trail does not lead to: of the directory, and of the database where it
    /// lost entries and kept their checkpoints.
    async fn given_up(
        &self,
        head: &HeadRow,
        accepted: &[VerifyingKey],
    ) -> Result<Vec<CheckpointRow>, Error> {
        let keys = [&self.verifying_keys(), accepted].concat();
        let now = self.core.config.clock.now();
        let mut rows = Vec::new();
        for suspect in self.suspects(head).await? {
            let incarnation = suspect.incarnation();
            let exported = suspect.into_given_up(&keys)?;
            let checkpoint = exported.signed.checkpoint();
            rows.push(CheckpointRow {
                experiment_id: head.experiment_id,
                incarnation,
                size: exported.place.size,
                root: checkpoint.root.to_string(),
                note: exported.note,
                signed_at: now,
                frontier: None,
            });
        }
        let (id, incarnation, next) = (head.experiment_id, head.incarnation, head.size + 1);
        let stored = self
            .core
            .database
            .run(|session| Box::pin(checkpoints::abandoned(session, id, incarnation, next)));
        for row in stored.await? {
            // Two of one size: the one that is stored stays.
            rows.retain(|other| (other.incarnation, other.size) != (row.incarnation, row.size));
            rows.push(row);
        }
        Ok(rows)
    }

    /// Ends a hold for which there is no reason any more.
    async fn lift(&self, who: &Principal, head: &HeadRow) -> Result<Acknowledged, Error> {
        if self.core.directory.is_none() {
            return Err(Error::conflict(
                "no_directory",
                "this server has no directory of exported checkpoints, so it cannot know whether all \
                 of them agree; acknowledge where the directory is, or, if there never was one, with an \
                 empty one",
            ));
        }
        if let Err(failure) = self.verify(who, head.experiment_id).await? {
            return Err(Error::conflict(
                "trail_is_broken",
                format!(
                    "no checkpoint is there that the trail does not lead to, but it does not verify: \
                     {failure}. The database was not set back but altered"
                ),
            ));
        }
        self.settle(who, head, None).await?;
        Ok(Acknowledged {
            incarnation: u32::try_from(head.incarnation).map_err(Error::internal)?,
            given_up: 0,
        })
    }

    /// Gives up `rows`, and goes on in an incarnation behind all of theirs.
    async fn begin_anew(
        &self,
        who: &Principal,
        head: &HeadRow,
        reason: &str,
        rows: Vec<CheckpointRow>,
    ) -> Result<Acknowledged, Error> {
        let largest = rows.iter().max_by_key(|row| (row.incarnation, row.size));
        let largest = largest.ok_or_else(not_on_hold)?;
        let last = largest.incarnation.max(head.incarnation);
        let mut notes: BTreeMap<i32, String> = (head.incarnation..=last)
            .map(|incarnation| (incarnation, largest.note.clone()))
            .collect();
        let mut by_size: Vec<&CheckpointRow> = rows.iter().collect();
        by_size.sort_by_key(|row| row.size);
        for row in by_size {
            notes.insert(row.incarnation, row.note.clone());
        }
        let given_up = rows.len();
        let losses = Losses {
            rows,
            notes,
            reason: reason.to_owned(),
            now: self.core.config.clock.now(),
        };
        self.settle(who, head, Some(Arc::new(losses))).await?;
        Ok(Acknowledged {
            incarnation: u32::try_from(last + 1).map_err(Error::internal)?,
            given_up,
        })
    }

    /// Ends the hold of a trail that is in the incarnation that was looked at.
    async fn settle(
        &self,
        who: &Principal,
        head: &HeadRow,
        losses: Option<Arc<Losses>>,
    ) -> Result<(), Error> {
        let (id, incarnation) = (head.experiment_id, head.incarnation);
        let edit = Edit {
            id,
            if_version: None,
            name: "acknowledge_restore",
            action: Action::RestoreAcknowledged,
            detail: json!({ "given_up": losses.as_ref().map_or(0, |losses| losses.rows.len()) }),
        };
        self.edit(
            who,
            edit,
            |current| Ok(current.clone()),
            |core, session, _, trail| {
                let losses = losses.clone();
                Box::pin(async move {
                    let trail = trail.ok_or(ErrorKind::NotFound("experiment"))?;
                    if trail.release().is_none() || trail.incarnation() != incarnation {
                        return Err(not_on_hold());
                    }
                    match losses {
                        Some(losses) => losses.store(core, session, id, trail).await,
                        None => Ok(heads::release(session, id).await?),
                    }
                })
            },
        )
        .await?;
        Ok(())
    }
}

/// What a trail gives up.
struct Losses {
    rows: Vec<CheckpointRow>,
    /// The largest of each incarnation; of one whose files were deleted, that of the last one.
    notes: BTreeMap<i32, String>,
    reason: String,
    now: OffsetDateTime,
}

impl Losses {
    /// Stores the checkpoints, and appends the entries that give them up.
    async fn store(
        &self,
        core: &Core,
        session: &Session<'_>,
        id: ExperimentId,
        trail: &mut Trail,
    ) -> Result<(), Error> {
        for row in &self.rows {
            // Those of the database are there.
            if row.frontier.is_none() && !checkpoints::insert(session, row).await? {
                tracing::error!(experiment = %id, size = row.size,
                    "two checkpoints of one size were signed; the one that was not stored is in its file");
            }
        }
        for (incarnation, note) in &self.notes {
            let begun = incarnation + 1;
            let given_up = SignedCheckpoint::parse(note).map_err(Error::internal)?;
            let restore = Restore {
                incarnation: u32::try_from(begun).map_err(Error::internal)?,
                reason: self.reason.clone(),
                size: given_up.checkpoint().size,
                root: given_up.checkpoint().root,
            };
            trail.append(core.ids.next(), to_micros(self.now), &restore)?;
            heads::begin_incarnation(session, id, begun).await?;
        }
        Ok(())
    }
}

fn not_on_hold() -> Error {
    Error::conflict("not_on_hold", "the trail is not on hold")
}
