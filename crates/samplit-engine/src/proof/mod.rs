//! Proving a trail: verifying it in place, the bundle with which others verify it elsewhere, and
//! proofs about single entries.

mod bundle;
mod inclusion;
mod lines;
mod receipt;
mod tree;
mod verify;

pub use bundle::{Bundle, BundleRange};
pub use inclusion::{ConsistencyProof, InclusionProof};
pub(crate) use tree::Trees;
pub use verify::Verdict;

use samplit_audit::{Entry, Failure, FailureKind, Payload};
use samplit_domain::{ExperimentId, to_micros};
use samplit_store::heads::HeadRow;
use samplit_store::trail::{self, EntryRow};

use crate::{Engine, Error, Principal, Scope};

impl Engine {
    /// The head of a trail that there is something to prove of.
    async fn provable_head(&self, who: &Principal, id: ExperimentId) -> Result<HeadRow, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?.started()?;
        let missing = || {
            samplit_store::Error::inconsistent("audit_heads", "experiment_id", format!("no {id}"))
        };
        Ok(self.head(id).await?.ok_or_else(missing)?)
    }

    /// The smallest number of entries, `size` or more, of which those behind entry `after` hold the
    /// redaction of each among them that was redacted.
    async fn settled(&self, id: ExperimentId, after: i64, size: i64) -> Result<i64, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(trail::settled(session, id, after, size)));
        Ok(read.await?)
    }
}

fn redacted_meanwhile() -> Error {
    let detail = "an entry was redacted while the trail was read; read it again";
    Error::conflict("redacted_meanwhile", detail)
}

/// A stored row as an entry; what cannot be one breaks the trail.
pub(crate) fn to_entry(id: ExperimentId, row: &EntryRow) -> Result<Entry, Failure> {
    let sequence_number = u64::try_from(row.sequence_number).unwrap_or(0);
    let broken = |what: String| Failure {
        kind: FailureKind::Integrity,
        sequence: Some(sequence_number),
        what,
    };
    Ok(Entry {
        experiment_id: id.0,
        sequence_number,
        previous_hash: row
            .previous_hash
            .parse()
            .map_err(|_| broken("previous_hash".to_owned()))?,
        id: row.id.0,
        decision_type: row
            .decision_type
            .parse()
            .map_err(|_| broken("decision_type".to_owned()))?,
        created_at_us: to_micros(row.created_at),
        payload: Payload::from_text(row.decision_data.as_bytes())
            .map_err(|error| broken(format!("decision_data: {error}")))?,
        current_hash: row
            .current_hash
            .parse()
            .map_err(|_| broken("current_hash".to_owned()))?,
    })
}
