//! The tree over a trail, against the frontier of its head and the roots of its checkpoints.

use samplit_audit::checkpoint::{NoteError, SignedCheckpoint};
use samplit_audit::merkle::Frontier;
use samplit_audit::{Hash, VerifyingKey};
use samplit_store::doctor::{self, KeptCheckpoint};
use samplit_store::heads::HeadRow;
use samplit_store::{Session, trail};

use super::{CHECKPOINTS, FRONTIERS, Tally};
use crate::Error;
use crate::trail::unsigned;

/// Hashes read at once.
const PAGE: i64 = 10_000;

/// Computes the tree, compares what was stored of it, and says what the entries lead to.
pub(super) async fn compare(
    tally: &mut Tally,
    session: &Session<'_>,
    head: &HeadRow,
    keys: &[VerifyingKey],
) -> Result<Frontier, Error> {
    let id = head.experiment_id;
    let mut kept = doctor::kept_checkpoints(session, id)
        .await?
        .into_iter()
        .peekable();
    let mut frontier = Frontier::new();
    let mut after = 0;
    while after < head.size {
        let upto = head.size.min(after + PAGE);
        for (seq, hash) in trail::hashes(session, id, after, upto).await? {
            let hash: Hash = hash.parse().map_err(|error| {
                let what = format!("{id}, entry {seq}: {error}");
                samplit_store::Error::inconsistent("algorithm_audit_trail", "current_hash", what)
            })?;
            frontier.push(hash);
            while let Some(checkpoint) = kept.next_if(|c| c.size == seq) {
                tally.note(CHECKPOINTS, id, wrong(&checkpoint, frontier.root(), keys));
            }
        }
        after = upto;
    }
    for checkpoint in kept {
        let (size, there) = (checkpoint.size, frontier.size());
        let what = format!("one covers {size} entries, there are {there}");
        tally.note(CHECKPOINTS, id, Some(what));
    }
    let is_led_to = frontier.size() == unsigned(head.size)? && frontier.to_bytes() == head.frontier;
    let what = || {
        format!(
            "the frontier of the head is not that of its {} entries",
            head.size
        )
    };
    tally.note(FRONTIERS, id, (!is_led_to).then(what));
    Ok(frontier)
}

/// What is wrong with a checkpoint at whose size the tree has `root`. Signatures of our keys must
/// hold; those of other keys, from before a rotation, are passed over.
fn wrong(checkpoint: &KeptCheckpoint, root: Hash, keys: &[VerifyingKey]) -> Option<String> {
    let at = |what: &str| Some(format!("at {} entries: {what}", checkpoint.size));
    if checkpoint.root != root.to_string() {
        return at("the stored root is another");
    }
    let signed = match SignedCheckpoint::parse(&checkpoint.note) {
        Ok(signed) => signed,
        Err(error) => return at(&error.to_string()),
    };
    let said = signed.checkpoint();
    if said.root != root || unsigned(checkpoint.size).ok() != Some(said.size) {
        return at("the note says something else");
    }
    match signed.verify(keys) {
        Ok(_) | Err(NoteError::NotSigned) => None,
        Err(error) => at(&error.to_string()),
    }
}
