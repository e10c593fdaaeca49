//! A trail under its locked head: entries are appended here, then stored in one go.

use samplit_audit::{DecisionType, Hash, Head, Payload, TypedPayload};
use samplit_domain::{ExperimentId, from_micros};
use samplit_store::Session;
use samplit_store::heads::{self, HeadRow};
use samplit_store::trail::{self, NewEntry, RawJson};
use uuid::Uuid;

use crate::{Error, ErrorKind};

/// A head that this transaction holds, and what it is about to append.
#[derive(Debug)]
pub(crate) struct Trail {
    locked: HeadRow,
    head: Head,
    pub(crate) snapshot_seq: u64,
    pub(crate) snapshot_us: i64,
    pub(crate) config_version: i64,
    entries: Vec<NewEntry>,
}

/// An entry that was appended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    pub(crate) sequence: u64,
    pub(crate) at_us: i64,
}

impl Trail {
    /// Takes up a trail at its locked head.
    pub(crate) fn open(row: HeadRow) -> Result<Self, Error> {
        let hash: Hash = row.head_hash.parse().map_err(Error::internal)?;
        let size = unsigned(row.size)?;
        let head = Head::from_parts(row.experiment_id.0, size, hash, row.last_us, &row.frontier)
            .map_err(Error::internal)?;
        Ok(Self {
            head,
            snapshot_seq: unsigned(row.snapshot_seq)?,
            snapshot_us: row.snapshot_us,
            config_version: row.config_version,
            entries: Vec::new(),
            locked: row,
        })
    }

    /// Begins a trail that has no entry yet.
    pub(crate) fn begin(experiment: ExperimentId) -> Self {
        let head = Head::new(experiment.0);
        let locked = HeadRow {
            experiment_id: experiment,
            incarnation: 1,
            size: 0,
            head_hash: head.hash().to_string(),
            frontier: Vec::new(),
            last_us: 0,
            snapshot_seq: 0,
            snapshot_us: 0,
            config_version: 0,
            sealed_us: None,
            hold: None,
        };
        Self {
            locked,
            head,
            snapshot_seq: 0,
            snapshot_us: 0,
            config_version: 0,
            entries: Vec::new(),
        }
    }

    /// Entries so far, those not yet stored included.
    pub(crate) fn size(&self) -> u64 {
        self.head.size()
    }

    /// When the last entry was made, in microseconds since the epoch.
    pub(crate) fn last_us(&self) -> i64 {
        self.head.last_us()
    }

    /// Whether anything of the head has moved since it was locked.
    pub(crate) fn is_changed(&self) -> bool {
        !self.entries.is_empty() || self.config_version != self.locked.config_version
    }

    /// Whether the seal has been stored.
    pub(crate) fn is_sealed(&self) -> bool {
        self.locked.sealed_us.is_some()
    }

    /// Which incarnation the entries belong to.
    pub(crate) fn incarnation(&self) -> i32 {
        self.locked.incarnation
    }

    /// Lets entries be appended to a trail on hold: what held it is about to be settled.
    pub(crate) fn release(&mut self) -> Option<String> {
        self.locked.hold.take()
    }

    /// Appends an entry of any kind.
    ///
    /// # Errors
    /// The trail is on hold, or sealed and the entry a decision.
    pub(crate) fn append<P: TypedPayload + PartialEq>(
        &mut self,
        id: Uuid,
        now_us: i64,
        payload: &P,
    ) -> Result<Appended, Error> {
        if let Some(reason) = &self.locked.hold {
            let reason = reason.clone();
            return Err(ErrorKind::OnHold { reason }.into());
        }
        if self.is_sealed() && P::DECISION_TYPE != DecisionType::Restore {
            return Err(Error::conflict("sealed", "the trail is sealed"));
        }
        let payload = payload.to_payload().map_err(Error::internal)?;
        Ok(self.append_payload(id, P::DECISION_TYPE, now_us, payload))
    }

    /// Appends an entry and makes its weights the ones in force.
    pub(crate) fn append_snapshot<P: TypedPayload + PartialEq>(
        &mut self,
        id: Uuid,
        now_us: i64,
        payload: &P,
    ) -> Result<Appended, Error> {
        let appended = self.append(id, now_us, payload)?;
        self.snapshot_seq = appended.sequence;
        self.snapshot_us = appended.at_us;
        Ok(appended)
    }

    fn append_payload(
        &mut self,
        id: Uuid,
        decision_type: DecisionType,
        now_us: i64,
        payload: Payload,
    ) -> Appended {
        let entry = self.head.append(id, decision_type, now_us, payload);
        let appended = Appended {
            sequence: entry.sequence_number,
            at_us: entry.created_at_us,
        };
        self.entries.push(NewEntry {
            id,
            experiment_id: entry.experiment_id,
            sequence_number: signed(entry.sequence_number),
            decision_type: decision_type.as_str(),
            decision_data: RawJson(entry.payload.into_string()),
            previous_hash: entry.previous_hash.to_string(),
            current_hash: entry.current_hash.to_string(),
            created_at: from_micros(entry.created_at_us),
        });
        appended
    }

    fn to_row(&self) -> HeadRow {
        HeadRow {
            size: signed(self.head.size()),
            head_hash: self.head.hash().to_string(),
            frontier: self.head.frontier_bytes(),
            last_us: self.head.last_us(),
            snapshot_seq: signed(self.snapshot_seq),
            snapshot_us: self.snapshot_us,
            config_version: self.config_version,
            ..self.locked.clone()
        }
    }
}

/// Stores what was appended to trails whose heads are locked, and moves the heads.
pub(crate) async fn store(session: &Session<'_>, trails: Vec<Trail>) -> Result<(), Error> {
    let mut old_sizes = Vec::new();
    let mut rows = Vec::new();
    let mut entries = Vec::new();
    for trail in trails.into_iter().filter(Trail::is_changed) {
        old_sizes.push(trail.locked.size);
        rows.push(trail.to_row());
        entries.extend(trail.entries);
    }
    if rows.is_empty() {
        return Ok(());
    }
    tokio::try_join!(
        biased;
        trail::append(session, &entries),
        heads::advance(session, &old_sizes, &rows),
    )?;
    Ok(())
}

/// Stores a trail that has just begun.
pub(crate) async fn store_new(session: &Session<'_>, trail: Trail) -> Result<(), Error> {
    let row = trail.to_row();
    tokio::try_join!(
        biased;
        heads::insert(session, &row),
        trail::append(session, &trail.entries),
    )?;
    Ok(())
}

/// A count of the database as a count of the trail.
pub(crate) fn unsigned(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(Error::internal)
}

/// A count of the trail as a count of the database.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("a trail has fewer than 2^63 entries")
}
