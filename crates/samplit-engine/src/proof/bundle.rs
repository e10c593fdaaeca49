//! The bundle: the trail as NDJSON, for a verifier that needs neither us nor the database.

use futures_util::stream::{self, Stream};
use samplit_audit::{DrawKey, bundle};
use samplit_domain::{ExperimentId, Violations};

use super::lines::{Line, Lines};
use super::to_entry;
use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal};

/// Which part of a bundle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BundleRange {
    /// What stands behind the line of this entry; 0: all, from the first line on.
    pub after: u64,
    /// Of the bundle of this many entries; `None`: of all there are now.
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
    /// appended after the call are left out.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start,
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a range outside the trail.
    pub async fn bundle(
        &self,
        who: &Principal,
        id: ExperimentId,
        range: BundleRange,
    ) -> Result<Bundle<impl Stream<Item = Result<Vec<u8>, Error>> + Send + use<>>, Error> {
        let head = self.provable_head(who, id).await?;
        let size = check_range(range, unsigned(head.size)?)?;
        let after = signed(range.after);
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
        let lines = stream::try_unfold(start, move |at| {
            let draw_key = draw_key.clone();
            async move {
                match at {
                    At::Start(lines) => Ok(Some((header(id, draw_key), At::Lines(lines)))),
                    At::Lines(mut lines) => {
                        let page = lines.next().await?;
                        if page.is_empty() {
                            let mut end = Vec::new();
                            bundle::end(&mut end, size);
                            return Ok(Some((end, At::Done)));
                        }
                        // Milliseconds of work, which other requests need not wait for.
                        let written = tokio::task::spawn_blocking(move || write(id, &page));
                        let written = written.await.map_err(Error::internal)??;
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

fn header(id: ExperimentId, draw_key: Option<DrawKey>) -> Vec<u8> {
    let mut out = Vec::new();
    bundle::header(&mut out, id.0);
    if let Some(draw_key) = draw_key {
        bundle::reveal(&mut out, &draw_key);
    }
    out
}

fn write(id: ExperimentId, lines: &[Line]) -> Result<Vec<u8>, Error> {
    let mut out = Vec::new();
    for line in lines {
        match line {
            Line::Entry(row) => {
                let entry = to_entry(id, row).map_err(Error::internal)?;
                bundle::entry(&mut out, &entry.as_ref());
            }
            Line::Checkpoint(note) => bundle::checkpoint(&mut out, note),
            Line::Abandoned(note) => bundle::abandoned(&mut out, note),
        }
    }
    Ok(out)
}
