//! Verifying a trail in place: the same lines as the bundle, and the head beside them.

use samplit_audit::checkpoint::{NoteError, SignedCheckpoint};
use samplit_audit::{Failure, FailureKind, Options, Report, Verifier, VerifyingKey};
use samplit_domain::ExperimentId;
use samplit_store::heads::HeadRow;
use samplit_store::{TxError as _, trail};

use super::lines::{Line, Lines};
use super::{redacted_meanwhile, to_entry};
use crate::trail::signed;
use crate::{BanditRule, Engine, Error, Principal, Scope};

/// How often a trail is read anew because entries were redacted meanwhile.
const MAX_TRIES: usize = 10;

/// What a verification comes to: the trail in numbers, or the first thing that is wrong.
pub type Verdict = Result<Report, Failure>;

impl Engine {
    /// Verifies the whole trail in place: recomputes every hash, the tree, and every decision,
    /// compares every stored checkpoint with the root at its size and the head with the end. Reads
    /// the trail page by page, so the memory it takes grows only with the number of visitors.
    ///
    /// Signatures of the keys that this engine signs with must hold; those of other keys, from
    /// before a rotation, are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start,
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `redacted_meanwhile` where entries were
    /// redacted each time that it was read.
    pub async fn verify(&self, who: &Principal, id: ExperimentId) -> Result<Verdict, Error> {
        self.verify_against(who, id, compare).await
    }

    /// As [`verify`](Self::verify), but for the frontier of the head, which follows from the rest.
    pub(crate) async fn verify_entries(&self, id: ExperimentId) -> Result<Verdict, Error> {
        self.verify_against(&Principal::system(), id, compare_end)
            .await
    }

    /// A redaction that comes while the trail is read changes a payload that its entry, which is not
    /// read any more, would explain; so a failure counts if none came.
    async fn verify_against(
        &self,
        who: &Principal,
        id: ExperimentId,
        compare: Compare,
    ) -> Result<Verdict, Error> {
        who.require(Scope::Read)?;
        let mut known = self.redactions(id).await?;
        for _ in 0..MAX_TRIES {
            let verdict = match self.verify_rows(who, id, compare).await {
                Ok(verdict) => verdict,
                Err(error) => damaged(error).map(Err)?,
            };
            let now = self.redactions(id).await?;
            if verdict.is_ok() || now == known {
                return Ok(verdict);
            }
            known = now;
        }
        Err(redacted_meanwhile())
    }

    async fn redactions(&self, id: ExperimentId) -> Result<i64, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(trail::redactions(session, id)));
        Ok(read.await?)
    }

    async fn verify_rows(
        &self,
        who: &Principal,
        id: ExperimentId,
        compare: Compare,
    ) -> Result<Verdict, Error> {
        let live = self.visible_live(who, id).await?;
        let draw_key = live.started()?.draw_key.clone();
        // Read before the head: what it covers was committed before.
        let latest = self.latest_checkpoint(id).await?;
        let head = self.provable_head(who, id).await?;
        let mut pass = Pass {
            verifier: Verifier::new(
                id.0,
                Options {
                    replay: true,
                    draw_key: Some(draw_key),
                    rule: Some(Box::new(BanditRule)),
                    ..Options::default()
                },
            ),
            keys: self.verifying_keys(),
            signatures: 0,
            signed_size: 0,
        };
        let mut lines = Lines::new(self, id, 0, head.size).await?;
        loop {
            let page = lines.next().await?;
            if page.is_empty() {
                break;
            }
            // Hashing a page takes milliseconds, which other requests need not wait for.
            let pushed = tokio::task::spawn_blocking(move || pass.push(id, &page).map(|()| pass));
            pass = match pushed.await.map_err(Error::internal)? {
                Ok(pass) => pass,
                Err(failure) => return Ok(Err(failure)),
            };
        }
        if let Some(latest) = latest.filter(|latest| signed(latest.size) > head.size) {
            let what = format!(
                "entries are missing: a checkpoint of {} entries",
                latest.size
            );
            return Ok(integrity(what));
        }
        Ok(pass.finish().and_then(|report| compare(report, &head)))
    }
}

/// A pass over the lines of a trail.
struct Pass {
    verifier: Verifier,
    keys: Vec<VerifyingKey>,
    signatures: u64,
    signed_size: u64,
}

impl Pass {
    fn push(&mut self, id: ExperimentId, lines: &[Line]) -> Result<(), Failure> {
        for line in lines {
            match line {
                Line::Entry(row) => self.verifier.push_entry(&to_entry(id, row)?.as_ref())?,
                Line::Checkpoint(note) => {
                    self.verifier.push_checkpoint(note)?;
                    if self.check_signatures(note)? {
                        self.signed_size = self.verifier.size();
                    }
                }
                Line::Abandoned(note) => {
                    self.verifier.push_abandoned(note)?;
                    self.check_signatures(note)?;
                }
            }
        }
        Ok(())
    }

    /// Whether one of our keys has signed a note that the verifier has read.
    fn check_signatures(&mut self, note: &str) -> Result<bool, Failure> {
        let signed = SignedCheckpoint::parse(note).and_then(|note| note.verify(&self.keys));
        match signed {
            Ok(held) => {
                self.signatures += held as u64;
                Ok(true)
            }
            Err(NoteError::NotSigned) => Ok(false),
            Err(error) => Err(Failure {
                kind: FailureKind::Signature,
                sequence: Some(self.verifier.size()),
                what: error.to_string(),
            }),
        }
    }

    fn finish(self) -> Verdict {
        let report = self.verifier.finish()?;
        Ok(Report {
            signatures: self.signatures,
            signed_size: self.signed_size,
            ..report
        })
    }
}

/// A row that cannot be read breaks the trail; any other failure says nothing about it.
fn damaged(error: Error) -> Result<Failure, Error> {
    let found = error.store().and_then(samplit_store::Error::inconsistency);
    let what = found.map(|(table, column, detail)| format!("{table}.{column}: {detail}"));
    match what {
        Some(what) => Ok(Failure {
            kind: FailureKind::Integrity,
            sequence: None,
            what,
        }),
        None => Err(error),
    }
}

fn integrity(what: String) -> Verdict {
    Err(Failure {
        kind: FailureKind::Integrity,
        sequence: None,
        what,
    })
}

/// Holds a trail against its head.
type Compare = fn(Report, &HeadRow) -> Verdict;

/// The head has to be where the trail leads, and its frontier the one of the tree.
fn compare(report: Report, head: &HeadRow) -> Verdict {
    let report = compare_end(report, head)?;
    let root = samplit_audit::merkle::Frontier::from_bytes(report.entries, &head.frontier);
    if root.map(|frontier| frontier.root()) != Some(report.root) {
        return integrity("the frontier of the head does not lead to the root".to_owned());
    }
    Ok(report)
}

/// The head has to be where the trail leads.
fn compare_end(report: Report, head: &HeadRow) -> Verdict {
    if i64::try_from(report.entries) != Ok(head.size) {
        return integrity(format!(
            "the head counts {} entries, there are {}",
            head.size, report.entries
        ));
    }
    if report.head.to_string() != head.head_hash {
        return integrity(format!(
            "the head names {}, the last entry is {}",
            head.head_hash, report.head
        ));
    }
    if i64::from(report.incarnation) != i64::from(head.incarnation) {
        return integrity(format!(
            "the head is of incarnation {}, the trail of {}",
            head.incarnation, report.incarnation
        ));
    }
    if report.sealed != head.sealed_us.is_some() {
        return integrity("the head and the trail differ about the seal".to_owned());
    }
    Ok(report)
}
