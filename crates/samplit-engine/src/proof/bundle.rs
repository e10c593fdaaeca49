//! The bundle: the trail as NDJSON, for a verifier that needs neither us nor the database.
//!
//! A redaction reaches back: it takes the payload of an entry that may be in a bundle whose size ends
//! before the redaction itself, and a stub that nothing explains is what tampering looks like. So
//! such a size is refused, and a bundle on its way ends before the page that has come to hold such a
//! stub. What has arrived by then is good, and goes on at a size that holds the redaction.

use futures_util::stream::{self, Stream};
use samplit_audit::{DrawKey, bundle};
use samplit_domain::{ExperimentId, Violations};

use super::lines::{Line, Lines};
use super::{redacted_meanwhile, to_entry};
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal};

/// Which part of a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleRange {
    /// What stands behind the line of this entry; 0: all, from the first line on.
    pub after: u64,
    /// Of the bundle of this many entries; `None`: of all there are now. Each redaction of the
    /// entries behind `after` has to be among them.
    pub size: Option<u64>,
}

/// A bundle on its way.
#[derive(Debug)]
pub struct Bundle<S> {
    /// How many entries the whole bundle has. Give it together with the last entry that arrived to
    /// go on where a bundle broke off: the parts make up the whole, byte by byte.
    pub size: u64,
    /// Its text; each item holds whole lines.
    pub lines: S,
}

/// What is to be written next.
enum At {
    Start(Lines),
    Lines(Lines),
    Done,
}

impl Engine {
    /// The trail as NDJSON, page by page: the memory it takes does not grow with the trail. Entries
    /// appended after the call are left out. Where one that is still to be read is redacted
    /// meanwhile, the lines end with [`ErrorKind::Conflict`](crate::ErrorKind::Conflict)
    /// `redacted_meanwhile`; asked for the rest at the same size, the engine names the size at which
    /// to go on.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a range outside the trail, and for a
    /// size that cuts off a redaction.
    pub async fn bundle(
        &self,
        who: &Principal,
        id: ExperimentId,
        range: BundleRange,
    ) -> Result<Bundle<impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<>>, Error> {
        let head = self.provable_head(who, id).await?;
        let asked = check_range(range, unsigned(head.size)?)?;
        let after = signed(range.after);
        // What was redacted since the head was read is there in full: both are of one transaction.
        let settled = self.settled(id, after, signed(asked)).await?;
        let size = unsigned(settled)?;
        if range.size.is_some() && size != asked {
            return Err(cut_off(size));
        }
        let lines = Lines::new(self, id, after, signed(size)).await?;
        let draw_key = if after == 0 && lines.is_sealed() {
            let live = self.visible_live(who, id).await?;
            Some(live.started()?.draw_key.clone())
        } else {
            None
        };
        let start = if after == 0 {
            At::Start(lines)
        } else {
            At::Lines(lines)
        };
        let engine = self.clone();
        let lines = stream::try_unfold(start, move |at| {
            let (engine, draw_key) = (engine.clone(), draw_key.clone());
            async move {
                match at {
                    At::Start(lines) => Ok(Some((header(id, draw_key), At::Lines(lines)))),
                    At::Lines(mut lines) => {
                        let before = lines.after();
                        let page = lines.next().await?;
                        if page.is_empty() {
                            let mut end = Vec::new();
                            bundle::end(&mut end, size);
                            return Ok(Some((end, At::Done)));
                        }
                        // Milliseconds of work, which other requests need not wait for.
                        let written = tokio::task::spawn_blocking(move || write(id, &page));
                        let (written, stubs) = written.await.map_err(Error::internal)??;
                        if stubs && engine.settled(id, before, settled).await? != settled {
                            return Err(redacted_meanwhile());
                        }
                        Ok(Some((written, At::Lines(lines))))
                    }
                    At::Done => Ok(None),
                }
            }
        });
        Ok(Bundle { size, lines })
    }
}

/// The size of the whole bundle.
fn check_range(range: BundleRange, entries: u64) -> Result<u64, Error> {
    let size = range.size.unwrap_or(entries);
    let mut violations = Violations::default();
    if !(1..=entries).contains(&size) {
        violations.add(
            "/size",
            "out_of_range",
            format!("must be between 1 and {entries}"),
        );
    }
    if range.after > size {
        violations.add("/after", "out_of_range", format!("must be at most {size}"));
    }
    violations.into_result(size).map_err(Error::from)
}

fn cut_off(size: u64) -> Error {
    let mut violations = Violations::default();
    let what = format!(
        "cuts off the redaction of an entry within it; the smallest size that works is {size}"
    );
    violations.add("/size", "cuts_off_redaction", what);
    violations.into()
}

fn header(id: ExperimentId, draw_key: Option<DrawKey>) -> Vec<u8> {
    let mut out = Vec::new();
    bundle::header(&mut out, id.0);
    if let Some(draw_key) = draw_key {
        bundle::reveal(&mut out, &draw_key);
    }
    out
}

/// The text of some lines, and whether there are redacted payloads among them.
fn write(id: ExperimentId, lines: &[Line]) -> Result<(Vec<u8>, bool), Error> {
    let (mut out, mut stubs) = (Vec::new(), false);
    for line in lines {
        match line {
            Line::Entry(row) => {
                let entry = to_entry(id, row).map_err(Error::internal)?;
                stubs |= entry.payload.is_redacted();
                bundle::entry(&mut out, &entry.as_ref());
            }
            Line::Checkpoint(note) => bundle::checkpoint(&mut out, note),
            Line::Abandoned(note) => bundle::abandoned(&mut out, note),
        }
    }
    Ok((out, stubs))
}
