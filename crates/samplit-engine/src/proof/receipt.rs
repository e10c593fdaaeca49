//! The receipt of one visitor: what the trail says about them, verified without the trail.

use samplit_audit::Entry;
use samplit_audit::receipt::{ProvedEntry, write};
use samplit_domain::{Assign, ExperimentId};
use samplit_store::assignments::{self, AssignmentRow};
use samplit_store::trail;

use super::to_entry;
use crate::live::Live;
use crate::trail::unsigned;
use crate::{Engine, Error, ErrorKind, Principal};

impl Engine {
    /// The entries of a visitor, each with a proof that it is in the tree of a signed checkpoint, as
    /// one line of JSON. Where they are not covered yet, a checkpoint is signed; of one trail at most
    /// one a second, for which all wait together.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for an unknown visitor, [`ErrorKind::NotRunning`] before the start,
    /// [`ErrorKind::Conflict`]: `not_in_trail` for one who is older than the trail and has not
    /// converted since, `not_yet_signed` where nothing covers the entries and there is no key.
    pub async fn receipt(
        &self,
        who: &Principal,
        id: ExperimentId,
        visitor: &str,
    ) -> Result<Vec<u8>, Error> {
        let request = Assign {
            visitor: visitor.to_owned(),
            ..Assign::default()
        };
        request.check()?;
        self.provable_head(who, id).await?;
        let live = self.visible_live(who, id).await?;
        let found = self.core.database.run(|session| {
            Box::pin(async move { assignments::find(session, &[id.0], &[visitor]).await })
        });
        let found = found.await?;
        let row = found.first().ok_or(ErrorKind::NotFound("visitor"))?;
        let places = places(&live, row);
        let last = places.last().copied().ok_or_else(|| {
            let detail = "the visitor is older than the trail, which has no entry about them";
            Error::conflict("not_in_trail", detail)
        })?;
        let checkpoint = self.covering(id, unsigned(last)?).await?;

        // Read behind the checkpoint, which it then covers.
        let head = self.provable_head(who, id).await?;
        let mut proved = Vec::new();
        for place in places {
            let entry = self.entry(id, place).await?;
            let proof = self
                .include(&head, entry.sequence_number, checkpoint.size)
                .await?;
            proved.push((entry, proof.proof));
        }
        let proved: Vec<ProvedEntry<'_>> = proved
            .iter()
            .map(|(entry, proof)| ProvedEntry {
                entry: entry.as_ref(),
                proof: proof.clone(),
            })
            .collect();
        Ok(write(id.0, &proved, &checkpoint.note))
    }

    async fn entry(&self, id: ExperimentId, sequence: i64) -> Result<Entry, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(trail::entry(session, id, sequence)));
        let row = read.await?.ok_or_else(|| {
            let what = format!("{id} has no entry {sequence}");
            samplit_store::Error::inconsistent("assignments", "conversion_seq", what)
        })?;
        to_entry(id, &row).map_err(Error::internal)
    }
}

/// Where in the trail the entries of a visitor are: an assignment per draw, one behind the other,
/// and the conversion.
fn places(live: &Live, row: &AssignmentRow) -> Vec<i64> {
    let draws = i64::try_from(live.arm_sets.len()).unwrap_or(1);
    let assigned = row.assignment_seq.map(|first| first..first + draws);
    let converted = row.conversion.as_ref().and_then(|found| found.sequence);
    assigned.into_iter().flatten().chain(converted).collect()
}
