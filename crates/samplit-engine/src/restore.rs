//! Going on after a restore: what was shown before is given up in the open.

use std::sync::Arc;

use samplit_audit::checkpoint::SignedCheckpoint;
use samplit_audit::payload::Restore;
use samplit_domain::{ExperimentId, Violations, to_micros};
use samplit_store::checkpoints::{self, CheckpointRow};
use samplit_store::heads;

use crate::experiments::Edit;
use crate::trail::signed;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The longest reason.
const MAX_REASON: usize = 500;

impl Engine {
    /// Ends the hold of a trail whose database was restored from a copy. The checkpoints that the
    /// copy does not lead to are stored as abandoned, an entry gives them up and says why, and a new
    /// incarnation begins.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Invalid`] for an empty or long reason,
    /// [`ErrorKind::Conflict`]: `not_on_hold`, or `nothing_to_give_up` where there is no such
    /// checkpoint. Then the database was not set back but altered, or this server does not have the
    /// directory.
    pub async fn acknowledge_restore(
        &self,
        who: &Principal,
        id: ExperimentId,
        reason: &str,
    ) -> Result<(), Error> {
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
        let incarnation = head.incarnation;
        let given_up = self.disagreeing(&head).await?;
        let now = self.core.config.clock.now();
        let given_up: Arc<[CheckpointRow]> = given_up
            .into_iter()
            .map(|exported| CheckpointRow {
                experiment_id: id,
                incarnation,
                size: signed(exported.checkpoint.size),
                root: exported.checkpoint.root.to_string(),
                note: exported.note,
                signed_at: now,
                frontier: None,
            })
            .collect();

        let edit = Edit {
            id,
            if_version: None,
            name: "acknowledge_restore",
        };
        self.edit(
            who,
            edit,
            |current| Ok(current.clone()),
            |core, session, _, trail| {
                let (given_up, reason) = (Arc::clone(&given_up), reason.to_owned());
                Box::pin(async move {
                    let Some(trail) = trail else {
                        return Err(ErrorKind::NotFound("experiment").into());
                    };
                    if trail.release().is_none() || trail.incarnation() != incarnation {
                        return Err(not_on_hold());
                    }
                    for row in given_up.iter() {
                        if !checkpoints::insert(session, row).await? {
                            // One of that size is there; the file stays where it is.
                            tracing::error!(experiment = %id, size = row.size,
                                "two checkpoints of one size were signed");
                        }
                    }
                    let next = signed(trail.size() + 1);
                    let begun = incarnation + 1;
                    let stored = checkpoints::abandoned(session, id, incarnation, next).await?;
                    let last = stored.last().or(given_up.last()).ok_or_else(|| {
                        Error::conflict(
                            "nothing_to_give_up",
                            "no checkpoint is there that the trail does not lead to: acknowledge \
                             on a server that has the export directory; if it is this one, the \
                             database was not set back but altered",
                        )
                    })?;
                    let last = SignedCheckpoint::parse(&last.note).map_err(Error::internal)?;
                    let restore = Restore {
                        incarnation: u32::try_from(begun).map_err(Error::internal)?,
                        reason,
                        size: last.checkpoint().size,
                        root: last.checkpoint().root,
                    };
                    trail.append(core.ids.next(), to_micros(now), &restore)?;
                    Ok(heads::begin_incarnation(session, id, begun).await?)
                })
            },
        )
        .await?;
        self.core.forget_tree(id);
        tracing::warn!(experiment = %id, reason, "a restore was acknowledged");
        if !self.core.config.signers.is_empty()
            && let Err(error) = self.sign(id).await
        {
            tracing::warn!(experiment = %id, error = ?error, "a restored trail could not be signed yet");
        }
        Ok(())
    }
}

fn not_on_hold() -> Error {
    Error::conflict("not_on_hold", "the trail is not on hold")
}
