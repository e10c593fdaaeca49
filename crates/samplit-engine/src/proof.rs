//! Proving a trail: verifying it in place, and the bundle with which others verify it elsewhere.

use futures_util::stream::{self, Stream};
use samplit_audit::{
    DrawKey, Entry, EntryRef, Failure, FailureKind, Options, Payload, Report, Verifier, bundle,
};
use samplit_domain::{ExperimentId, to_micros};
use samplit_store::TxError as _;
use samplit_store::heads::{self, HeadRow};
use samplit_store::trail::{self, EntryRow};

use crate::trail::{signed, unsigned};
use crate::{BanditRule, Engine, Error, Principal, Scope};

/// Entries read at once.
const PAGE: usize = 5_000;

/// What a verification comes to: the trail in numbers, or the first thing that is wrong.
pub type Verdict = Result<Report, Failure>;

impl Engine {
    /// Verifies the whole trail in place: recomputes every hash, the tree, and every decision, and
    /// compares the head. Reads the trail page by page, so the memory it takes grows only with the
    /// number of visitors.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn verify(&self, who: &Principal, id: ExperimentId) -> Result<Verdict, Error> {
        who.require(Scope::Read)?;
        let live = match self.visible_live(who, id).await {
            Ok(live) => live,
            Err(error) => return damaged(error).map(Err),
        };
        let draw_key = DrawKey::from_bytes(*live.started()?.draw_key.expose());
        let options = Options {
            replay: true,
            draw_key: Some(draw_key),
            rule: Some(Box::new(BanditRule)),
            ..Options::default()
        };
        let head = match self.provable_head(who, id).await {
            Ok(head) => head,
            Err(error) => return damaged(error).map(Err),
        };
        let mut verifier = Verifier::new(id.0, options);
        let mut after = 0;
        while after < head.size {
            let rows = match self.page(id, after, head.size).await {
                Ok(rows) => rows,
                Err(error) => return damaged(error).map(Err),
            };
            let Some(last) = rows.last() else { break };
            after = last.sequence_number;
            // Hashing a page takes milliseconds, which other requests need not wait for.
            let pushed = tokio::task::spawn_blocking(move || push(verifier, id, &rows)).await;
            verifier = match pushed.map_err(Error::internal)? {
                Ok(verifier) => verifier,
                Err(failure) => return Ok(Err(failure)),
            };
        }
        Ok(verifier.finish().and_then(|report| compare(report, &head)))
    }

    /// The trail as NDJSON, for a verifier that needs neither us nor the database. Each item holds
    /// whole lines; entries appended after the call are left out.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn bundle(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<>, Error> {
        let head = self.provable_head(who, id).await?;
        let engine = self.clone();
        // The sequence number written last; `None` once the end is written.
        Ok(stream::try_unfold(Some(0), move |after| {
            let engine = engine.clone();
            let size = head.size;
            async move {
                let Some(after) = after else { return Ok(None) };
                let mut lines = Vec::new();
                if after == 0 {
                    bundle::header(&mut lines, id.0);
                }
                let rows = engine.page(id, after, size).await?;
                for row in &rows {
                    let entry = to_entry(id, row).map_err(Error::internal)?;
                    bundle::entry(&mut lines, &entry.as_ref());
                }
                let next = rows.last().map_or(size, |row| row.sequence_number);
                if next < size {
                    return Ok(Some((lines, Some(next))));
                }
                bundle::end(&mut lines, unsigned(size)?);
                Ok(Some((lines, None)))
            }
        }))
    }

    /// The head of a trail that there is something to prove of.
    async fn provable_head(&self, who: &Principal, id: ExperimentId) -> Result<HeadRow, Error> {
        who.require(Scope::Read)?;
        let live = self.visible_live(who, id).await?;
        live.started()?;
        let head = self
            .core
            .database
            .run(|session| Box::pin(heads::read(session, id)));
        let missing = || {
            samplit_store::Error::inconsistent("audit_heads", "experiment_id", format!("no {id}"))
        };
        Ok(head.await?.ok_or_else(missing)?)
    }

    async fn page(&self, id: ExperimentId, after: i64, upto: i64) -> Result<Vec<EntryRow>, Error> {
        let page = self
            .core
            .database
            .run(|session| Box::pin(trail::page(session, id, after, upto, signed(PAGE as u64))));
        Ok(page.await?)
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

fn push(mut verifier: Verifier, id: ExperimentId, rows: &[EntryRow]) -> Result<Verifier, Failure> {
    for row in rows {
        let entry = to_entry(id, row)?;
        verifier.push_entry(&EntryRef { ..entry.as_ref() })?;
    }
    Ok(verifier)
}

/// A stored row as an entry; what cannot be one breaks the trail.
fn to_entry(id: ExperimentId, row: &EntryRow) -> Result<Entry, Failure> {
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

/// The head has to be where the trail leads.
fn compare(report: Report, head: &HeadRow) -> Verdict {
    let differs = |what: String| {
        Err(Failure {
            kind: FailureKind::Integrity,
            sequence: None,
            what,
        })
    };
    if i64::try_from(report.entries) != Ok(head.size) {
        return differs(format!(
            "the head counts {} entries, there are {}",
            head.size, report.entries
        ));
    }
    if report.head.to_string() != head.head_hash {
        return differs(format!(
            "the head names {}, the last entry is {}",
            head.head_hash, report.head
        ));
    }
    let root = samplit_audit::merkle::Frontier::from_bytes(report.entries, &head.frontier);
    if root.map(|frontier| frontier.root()) != Some(report.root) {
        return differs("the frontier of the head does not lead to the root".to_owned());
    }
    Ok(report)
}
