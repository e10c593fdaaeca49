//! Exports: everything of an experiment as tables, row by row, in an order that never changes.
//!
//! Each row carries the cursor behind which the next one stands. Rows are read by pages in short
//! transactions, and only when somebody asks for more: an export holds one page in memory, however long
//! it is, and keeps nobody from writing. What comes into the trail after the call is left out; whoever asks
//! again behind the last cursor gets it, and nothing twice.
//!
//! Visitors of an adopted database who are older than the trail come first, by id.

mod cells;
mod place;

use std::sync::Arc;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use samplit_domain::{ExperimentId, Violations};
use samplit_store::exports::{self, Exported};
use samplit_store::statistics::ArmStatistics;

pub use self::cells::{Cell, Row};
use self::cells::{arm_cells, counted, ids, sequence, shown, text, time};
use self::place::{Place, behind, snapshot_before};
use crate::live::{Live, Snapshot};
use crate::results::draw_name;
use crate::trail::signed;
use crate::{Engine, Error, Principal, Results, Scope};

/// How many entries of a trail, or older rows, one page covers.
const PAGE: i64 = 1_000;

/// How many snapshots one page covers; each has a row per arm.
const SNAPSHOTS: i64 = 50;

/// Which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Export {
    /// One row per visitor, as they came into the trail.
    Assignments,
    /// One row per visitor who converted, as that came into the trail.
    Conversions,
    /// One row per arm: what it has shown so far.
    Results,
    /// One row per arm of each snapshot: weights and counts over time.
    Timeline,
}

impl Export {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Assignments => "assignments",
            Self::Conversions => "conversions",
            Self::Results => "results",
            Self::Timeline => "timeline",
        }
    }

    /// The names of the columns. New ones come behind those that are there.
    #[must_use]
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Self::Assignments => &[
                "cursor",
                "assignment_id",
                "sequence_number",
                "assigned_at",
                "visitor_id",
                "session_id",
                "variant",
                "variant_ids",
                "snapshot_seq",
                "context",
                "converted_at",
                "value",
            ],
            Self::Conversions => &[
                "cursor",
                "assignment_id",
                "sequence_number",
                "converted_at",
                "value",
                "event_id",
                "visitor_id",
                "variant",
                "variant_ids",
                "snapshot_seq",
                "context",
                "assigned_at",
            ],
            Self::Results => &[
                "cursor",
                "element",
                "element_name",
                "arm",
                "variant",
                "variant_ids",
                "is_control",
                "is_active",
                "visitors",
                "exposures",
                "conversions",
                "rate",
                "value_sum",
                "posterior_mean",
                "posterior_sd",
                "credible_low",
                "credible_high",
                "p_best",
                "expected_loss",
                "p_beats_control",
                "lift",
                "lift_low",
                "lift_high",
                "always_valid",
                "always_valid_low",
                "always_valid_high",
                "weight",
                "snapshot_seq",
                "as_of",
            ],
            Self::Timeline => &[
                "cursor",
                "snapshot_seq",
                "at",
                "method",
                "element",
                "element_name",
                "arm",
                "variant",
                "variant_ids",
                "weight",
                "visitors",
                "conversions",
                "value_sum",
                "visitors_so_far",
                "conversions_so_far",
            ],
        }
    }
}

/// An export under way.
struct Reader {
    engine: Engine,
    live: Arc<Live>,
    /// Entries of the trail when the export began.
    size: i64,
    /// `None` at the end.
    place: Option<Place>,
    /// Of the timeline: visitors and conversions up to `place`, by element and arm.
    so_far: Vec<ArmStatistics>,
}

impl Engine {
    /// The rows of a table, page by page, those behind the cursor `after` or all. Pages may be empty.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a cursor that is none of this table;
    /// of the results, [`ErrorKind::NotRunning`](crate::ErrorKind::NotRunning) before the start.
    pub async fn export(
        &self,
        who: &Principal,
        id: ExperimentId,
        export: Export,
        after: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Vec<Row>, Error>>, Error> {
        who.require(Scope::Read)?;
        let live = self.visible_live(who, id).await?;
        let place = match after {
            None => Place::start(export),
            Some(cursor) => Place::parse(export, cursor).ok_or_else(not_a_cursor)?,
        };
        if export == Export::Results {
            let rows = result_rows(&self.results(who, id).await?, place);
            return Ok(stream::iter([Ok(rows)]).boxed());
        }
        let mut reader = Reader {
            engine: self.clone(),
            live,
            size: self.head(id).await?.map_or(0, |head| head.size),
            place: Some(place),
            so_far: Vec::new(),
        };
        if let Place::Arm(sequence, element, _) = place {
            let before = snapshot_before(sequence, element);
            let totals = self
                .core
                .database
                .run(|session| Box::pin(exports::totals_upto(session, id, before)));
            reader.so_far = totals.await?;
        }
        let pages = stream::try_unfold(reader, |mut reader| async move {
            let page = reader.next().await?;
            Ok(page.map(|rows| (rows, reader)))
        });
        Ok(pages.boxed())
    }
}

fn not_a_cursor() -> Error {
    let mut violations = Violations::default();
    violations.add("/after", "malformed", "is not a cursor of this export");
    violations.into()
}

impl Reader {
    /// The next page; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<Row>>, Error> {
        let (id, size) = (self.live.experiment.id, self.size);
        let Some(place) = self.place else {
            return Ok(None);
        };
        let database = &self.engine.core.database;
        match place {
            Place::Older(from) => {
                let page = database.run_tx("export", |session| {
                    Box::pin(exports::older(session, id, from, PAGE))
                });
                let page = page.await?;
                self.place = Some(match page.last().filter(|_| is_full(&page, PAGE)) {
                    Some(last) => behind(last.id.0),
                    None => Place::Trail(0),
                });
                let cursor = |row: &Exported| format!("old-{}", row.id);
                Ok(Some(self.assignments(&page, cursor)))
            }
            Place::Trail(after) if after >= size => Ok(None),
            Place::Trail(after) => {
                let upto = after.saturating_add(PAGE).min(size);
                let page = database.run_tx("export", |session| {
                    Box::pin(exports::assignments(session, id, after, upto))
                });
                let page = page.await?;
                self.place = Some(Place::Trail(upto));
                let cursor = |row: &Exported| row.assignment_seq.unwrap_or(upto).to_string();
                Ok(Some(self.assignments(&page, cursor)))
            }
            Place::Conversion(sequence, row) => {
                let after = (sequence, row);
                let page = database.run_tx("export", |session| {
                    Box::pin(exports::conversions(session, id, after, size, PAGE))
                });
                let page = page.await?;
                let last = page.last().filter(|_| is_full(&page, PAGE));
                self.place =
                    last.map(|last| Place::Conversion(last.conversion_seq.unwrap_or(0), last.id.0));
                Ok(Some(self.conversions(&page)))
            }
            Place::Arm(sequence, element, arm) => self.snapshots((sequence, element, arm)).await,
        }
    }

    fn assignments(&self, page: &[Exported], cursor: impl Fn(&Exported) -> String) -> Vec<Row> {
        let row = |row: &Exported| {
            let (variant, variant_ids) = shown(&self.live.experiment, row);
            vec![
                Cell::Text(cursor(row)),
                Cell::Text(row.id.to_string()),
                sequence(row.assignment_seq),
                time(row.assigned_at),
                text(row.visitor.as_deref()),
                text(row.session.as_deref()),
                variant,
                variant_ids,
                sequence(row.snapshot_seq),
                row.context.clone().map_or(Cell::Null, Cell::Json),
                time(row.converted_at),
                // The column has a default, which says nothing before the conversion.
                row.converted_at
                    .and(row.value)
                    .map_or(Cell::Null, Cell::Number),
            ]
        };
        page.iter().map(row).collect()
    }

    fn conversions(&self, page: &[Exported]) -> Vec<Row> {
        let row = |row: &Exported| {
            let (variant, variant_ids) = shown(&self.live.experiment, row);
            let entry = row.conversion_seq.unwrap_or(0);
            vec![
                Cell::Text(format!("{entry}-{}", row.id)),
                Cell::Text(row.id.to_string()),
                sequence(row.conversion_seq),
                time(row.converted_at),
                row.value.map_or(Cell::Null, Cell::Number),
                text(row.event_id.as_deref()),
                text(row.visitor.as_deref()),
                variant,
                variant_ids,
                sequence(row.snapshot_seq),
                row.context.clone().map_or(Cell::Null, Cell::Json),
                time(row.assigned_at),
            ]
        };
        page.iter().map(row).collect()
    }

    /// The rows of some snapshots behind `last`: a snapshot, an element and an arm.
    async fn snapshots(&mut self, last: (i64, usize, usize)) -> Result<Option<Vec<Row>>, Error> {
        let (id, size) = (self.live.experiment.id, self.size);
        let after = snapshot_before(last.0, last.1);
        let page = self.engine.core.database.run_tx("export", |session| {
            Box::pin(async move {
                let page = exports::snapshots(session, id, after, size, SNAPSHOTS).await?;
                let upto = page.last().map_or(after, |entry| entry.sequence_number);
                let counts = exports::statistics(session, id, after, upto).await?;
                Ok::<_, Error>((page, counts))
            })
        });
        let (page, counts) = page.await?;
        let full = page.last().filter(|_| is_full(&page, SNAPSHOTS));
        self.place = full.map(|entry| Place::behind_snapshot(entry.sequence_number));
        let mut rows = Vec::new();
        for entry in &page {
            let snapshot = Snapshot::from_entry(entry)?;
            let of_snapshot = counts
                .iter()
                .filter(|row| row.snapshot_seq == entry.sequence_number);
            let of_snapshot: Vec<ArmStatistics> = of_snapshot.copied().collect();
            for row in &of_snapshot {
                self.add(row);
            }
            self.snapshot(&snapshot, &of_snapshot, last, &mut rows)?;
        }
        Ok(Some(rows))
    }

    fn add(&mut self, row: &ArmStatistics) {
        let same =
            |known: &&mut ArmStatistics| (known.element, known.arm) == (row.element, row.arm);
        match self.so_far.iter_mut().find(same) {
            Some(known) => {
                known.assignments += row.assignments;
                known.conversions += row.conversions;
            }
            None => self.so_far.push(*row),
        }
    }

    /// A row per arm of a snapshot, of those behind `last`.
    fn snapshot(
        &self,
        snapshot: &Snapshot,
        counts: &[ArmStatistics],
        last: (i64, usize, usize),
        rows: &mut Vec<Row>,
    ) -> Result<(), Error> {
        let at = samplit_domain::from_micros(snapshot.at_us);
        let count = |of: &[ArmStatistics], element, arm| {
            let found = of.iter().find(|row| {
                (usize::try_from(row.element), usize::try_from(row.arm)) == (Ok(element), Ok(arm))
            });
            found.copied()
        };
        for (element, set) in self.live.arm_sets.iter().enumerate() {
            let weights = snapshot.weights.get(element);
            for (index, arm) in set.arms.iter().enumerate() {
                if (signed(snapshot.seq), element, index) <= last {
                    continue;
                }
                let ppb = weights.and_then(|weights| weights.as_slice().get(index));
                let own = count(counts, element, index);
                let all = count(&self.so_far, element, index);
                let [visitors, conversions] = counted(own)?;
                let [visitors_so_far, conversions_so_far] = counted(all)?;
                rows.push(vec![
                    Cell::Text(format!("{}-{element}-{index}", snapshot.seq)),
                    Cell::Count(snapshot.seq),
                    Cell::Time(at),
                    Cell::Text(snapshot.method.to_owned()),
                    Cell::Count(element as u64),
                    Cell::Text(draw_name(&self.live.experiment, element)),
                    Cell::Count(index as u64),
                    Cell::Text(arm.name.clone()),
                    ids(&arm.variants),
                    ppb.map_or(Cell::Null, |ppb| Cell::Number(f64::from(*ppb) / 1e9)),
                    visitors,
                    conversions,
                    Cell::Number(own.map_or(0.0, |row| row.value_sum)),
                    visitors_so_far,
                    conversions_so_far,
                ]);
            }
        }
        Ok(())
    }
}

/// Whether there may be more behind a page that was cut at `limit`.
fn is_full<T>(page: &[T], limit: i64) -> bool {
    i64::try_from(page.len()) == Ok(limit)
}

fn result_rows(results: &Results, behind: Place) -> Vec<Row> {
    let mut rows = Vec::new();
    for (element, of) in results.elements.iter().enumerate() {
        for (index, arm) in of.arms.iter().enumerate() {
            // There is but one snapshot, the one in force, so that its number says nothing here.
            if matches!(behind, Place::Arm(1.., e, a) if (element, index) <= (e, a)) {
                continue;
            }
            let mut row = vec![
                Cell::Text(format!("{}-{element}-{index}", results.snapshot_seq)),
                Cell::Count(element as u64),
                Cell::Text(of.name.clone()),
                Cell::Count(index as u64),
            ];
            row.extend(arm_cells(arm));
            row.extend([Cell::Count(results.snapshot_seq), Cell::Time(results.as_of)]);
            rows.push(row);
        }
    }
    rows
}
