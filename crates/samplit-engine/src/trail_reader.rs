//! Reading a trail: entry by entry.

use samplit_audit::DecisionType;
use samplit_domain::{EntryId, ExperimentId, Violations, from_micros};
use samplit_store::heads;
use samplit_store::trail::{self, EntryRow};
use serde_json::Value as Json;
use time::OffsetDateTime;

use crate::trail::{signed, unsigned};
use crate::{Engine, Error, Principal, Scope};

/// The longest page of a trail.
const MAX_LIMIT: usize = 1_000;

/// An entry of a trail.
#[derive(Clone, Debug, PartialEq)]
pub struct TrailEntry {
    /// Its id.
    pub id: EntryId,
    /// Its place, from 1.
    pub sequence_number: u64,
    /// What it records.
    pub decision_type: DecisionType,
    /// The payload.
    pub decision_data: Json,
    /// Hash of the entry before, 64 hex digits.
    pub previous_hash: String,
    /// Its own hash, 64 hex digits.
    pub current_hash: String,
    /// When.
    pub created_at: OffsetDateTime,
}

/// Where a trail ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrailState {
    /// Entries so far.
    pub size: u64,
    /// Hash of the last one, 64 hex digits.
    pub head_hash: String,
    /// 1, and one more for every restore.
    pub incarnation: u32,
    /// When it was sealed; `None` while entries may follow.
    pub sealed_at: Option<OffsetDateTime>,
    /// Why nothing may be appended; `None` when all is well.
    pub hold: Option<String>,
}

impl Engine {
    /// Where a trail ends; `None` before the start.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound).
    pub async fn trail_state(
        &self,
        who: &Principal,
        id: ExperimentId,
    ) -> Result<Option<TrailState>, Error> {
        who.require(Scope::Read)?;
        self.visible_live(who, id).await?;
        let head = self
            .core
            .database
            .run(|session| Box::pin(async move { heads::read(session, id).await }));
        let Some(head) = head.await? else {
            return Ok(None);
        };
        Ok(Some(TrailState {
            size: unsigned(head.size)?,
            head_hash: head.head_hash,
            incarnation: u32::try_from(head.incarnation).map_err(Error::internal)?,
            sealed_at: head.sealed_us.map(from_micros),
            hold: head.hold,
        }))
    }

    /// The entries after sequence number `after`, in order, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound),
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit out of range.
    pub async fn trail(
        &self,
        who: &Principal,
        id: ExperimentId,
        after: u64,
        limit: usize,
    ) -> Result<Vec<TrailEntry>, Error> {
        who.require(Scope::Read)?;
        let mut violations = Violations::default();
        if !(1..=MAX_LIMIT).contains(&limit) {
            violations.add("/limit", "out_of_range", "must be between 1 and 1,000");
        }
        let Ok(after) = i64::try_from(after) else {
            violations.add("/after", "out_of_range", "must be a sequence number");
            return Err(violations.into());
        };
        violations.into_result(())?;
        self.visible_live(who, id).await?;
        let limit = signed(limit as u64);
        let rows = self
            .core
            .database
            .run(|session| Box::pin(trail::page(session, id, after, i64::MAX, limit)));
        rows.await?.into_iter().map(TrailEntry::try_from).collect()
    }
}

impl TryFrom<EntryRow> for TrailEntry {
    type Error = Error;

    fn try_from(row: EntryRow) -> Result<Self, Error> {
        Ok(Self {
            id: row.id,
            sequence_number: unsigned(row.sequence_number)?,
            decision_type: row.decision_type.parse().map_err(Error::internal)?,
            decision_data: serde_json::from_str(&row.decision_data).map_err(Error::internal)?,
            previous_hash: row.previous_hash,
            current_hash: row.current_hash,
            created_at: row.created_at,
        })
    }
}
