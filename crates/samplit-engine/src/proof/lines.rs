//! A trail in the order of its bundle: entries, the checkpoints behind them, and before a restore
//! the checkpoints that it gives up. Read page by page, so that any trail takes little memory.

use samplit_domain::ExperimentId;
use samplit_store::checkpoints::{self, CheckpointRow};
use samplit_store::trail::{self, EntryRow, Mark};

use crate::{Engine, Error};

/// About how many bytes of entries are read at once; one entry has 16 KiB at most.
const PAGE_BYTES: usize = 1 << 20;
/// The most entries read at once.
const MAX_ROWS: usize = 2_048;
/// The fewest.
const MIN_ROWS: usize = 64;
/// What an entry takes beside its payload.
const ROW_BYTES: usize = 256;

/// A line of a bundle that is read from the database.
#[derive(Debug)]
pub(super) enum Line {
    Entry(EntryRow),
    Checkpoint(String),
    Abandoned(String),
}

/// Where the reading of a trail is.
#[derive(Debug)]
pub(super) struct Lines {
    engine: Engine,
    id: ExperimentId,
    /// The entry read last.
    after: i64,
    size: i64,
    /// Whether the checkpoints of exactly `after` entries are still to come.
    owes_checkpoint: bool,
    /// The restore entry with which each incarnation but the first began.
    restores: Vec<i64>,
    /// The entry that sealed the trail.
    seal: Option<i64>,
    rows: usize,
}

impl Lines {
    /// Prepares to read what stands behind entry `after` in the bundle of the first `size` entries.
    pub(super) async fn new(
        engine: &Engine,
        id: ExperimentId,
        after: i64,
        size: i64,
    ) -> Result<Self, Error> {
        let marks = engine
            .core
            .database
            .run(|session| Box::pin(trail::marks(session, id)));
        let marks = marks.await?;
        Ok(Self {
            engine: engine.clone(),
            id,
            after,
            size,
            owes_checkpoint: after > 0,
            restores: marks
                .iter()
                .filter_map(|mark| match mark {
                    Mark::Restore(sequence) => Some(*sequence),
                    Mark::Seal(_) => None,
                })
                .collect(),
            seal: marks.iter().find_map(|mark| match mark {
                Mark::Seal(sequence) => Some(*sequence),
                Mark::Restore(_) => None,
            }),
            rows: MIN_ROWS,
        })
    }

    /// Whether the trail is sealed within the size.
    pub(super) fn is_sealed(&self) -> bool {
        self.seal.is_some_and(|seal| seal <= self.size)
    }

    /// The entry read last.
    pub(super) const fn after(&self) -> i64 {
        self.after
    }

    /// The next lines; empty when there are no more.
    pub(super) async fn next(&mut self) -> Result<Vec<Line>, Error> {
        let (id, after, size) = (self.id, self.after, self.size);
        if after >= size && !self.owes_checkpoint {
            return Ok(Vec::new());
        }
        let limit = i64::try_from(self.rows).unwrap_or(i64::MAX);
        let database = &self.engine.core.database;
        let read = database.run(|session| Box::pin(trail::page(session, id, after, size, limit)));
        let rows = read.await?;
        self.adapt(&rows);
        let last = rows.last().map_or(size, |row| row.sequence_number);
        let from = if self.owes_checkpoint {
            after
        } else {
            after + 1
        };
        let mut notes = self.checkpoints(from, last).await?.into_iter().peekable();
        (self.after, self.owes_checkpoint) = (last, false);

        let mut lines = Vec::with_capacity(rows.len() + notes.len());
        let mut due = |lines: &mut Vec<Line>, upto: i64| {
            while let Some(row) = notes.next_if(|row| row.size <= upto) {
                lines.push(Line::Checkpoint(row.note));
            }
        };
        due(&mut lines, after);
        for row in rows {
            let sequence = row.sequence_number;
            if let Some(position) = self
                .restores
                .iter()
                .position(|restore| *restore == sequence)
            {
                lines.extend(self.abandoned(position, sequence).await?);
            }
            lines.push(Line::Entry(row));
            due(&mut lines, sequence);
        }
        due(&mut lines, last);
        Ok(lines)
    }

    /// Asks for as many entries next time as fit the page at the size of these.
    fn adapt(&mut self, rows: &[EntryRow]) {
        let bytes: usize = rows
            .iter()
            .map(|row| row.decision_data.len() + ROW_BYTES)
            .sum();
        let each = bytes / rows.len().max(1);
        self.rows = (PAGE_BYTES / each.max(1)).clamp(MIN_ROWS, MAX_ROWS);
    }

    /// The checkpoints of sizes `from` to `upto`, each of the incarnation that the size belongs to.
    async fn checkpoints(&self, from: i64, upto: i64) -> Result<Vec<CheckpointRow>, Error> {
        let id = self.id;
        let mut found = Vec::new();
        let first = std::iter::once(1).chain(self.restores.iter().copied());
        let end = self.restores.iter().copied().chain([i64::MAX]);
        for (incarnation, (first, end)) in (1..).zip(first.zip(end)) {
            let (low, high) = (from.max(first) - 1, upto.min(end - 1));
            if low >= high {
                continue;
            }
            let page = self.engine.core.database.run(|session| {
                let limit = i64::MAX;
                Box::pin(checkpoints::page(
                    session,
                    id,
                    incarnation,
                    low,
                    high,
                    limit,
                ))
            });
            // What was taken over from outside is of another history.
            found.extend(page.await?.into_iter().filter(|row| row.frontier.is_some()));
        }
        Ok(found)
    }

    /// The checkpoints that a restore gave up.
    async fn abandoned(&self, position: usize, restore: i64) -> Result<Vec<Line>, Error> {
        let id = self.id;
        let incarnation = i32::try_from(position + 1).map_err(Error::internal)?;
        let read = self
            .engine
            .core
            .database
            .run(|session| Box::pin(checkpoints::abandoned(session, id, incarnation, restore)));
        Ok(read
            .await?
            .into_iter()
            .map(|row| Line::Abandoned(row.note))
            .collect())
    }
}
