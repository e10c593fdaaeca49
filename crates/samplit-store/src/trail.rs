//! `algorithm_audit_trail`: append and read, never change.

use bytes::{BufMut as _, BytesMut};
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};
use samplit_domain::{EntryId, ExperimentId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::statement::{Session, statements};

statements! {
    /// Appends entries of any number of trails.
    APPEND_ENTRIES = "INSERT INTO algorithm_audit_trail (id, experiment_id, sequence_number, \
        decision_type, decision_data, previous_hash, current_hash, created_at) \
        SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::varchar[], $5::jsonb[], \
        $6::varchar[], $7::varchar[], $8::timestamptz[])";
    /// A page of one trail, in order.
    READ_ENTRIES = "SELECT id, sequence_number, decision_type, decision_data::text, previous_hash, \
        current_hash, created_at FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND sequence_number > $2 AND sequence_number <= $3 \
        ORDER BY sequence_number LIMIT $4";
    /// One entry.
    READ_ENTRY = "SELECT id, sequence_number, decision_type, decision_data::text, previous_hash, \
        current_hash, created_at FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND sequence_number = $2";
    /// The entries that set weights, in order.
    READ_SNAPSHOTS = "SELECT id, sequence_number, decision_type, decision_data::text, previous_hash, \
        current_hash, created_at FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND decision_type NOT IN ('assignment', 'conversion') \
        AND decision_type IN ('genesis', 'reallocation') ORDER BY sequence_number";
    /// The hashes of a page of one trail, in order.
    READ_HASHES = "SELECT sequence_number, current_hash FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND sequence_number > $2 AND sequence_number <= $3 \
        ORDER BY sequence_number";
    /// The entries of a trail that its bundle and its end depend on: restores and the seal, in order.
    READ_MARKS = "SELECT sequence_number, decision_type FROM algorithm_audit_trail \
        WHERE experiment_id = $1 AND decision_type NOT IN ('assignment', 'conversion') \
        AND decision_type IN ('seal', 'restore') ORDER BY sequence_number";
    /// How many payloads of a trail were redacted.
    COUNT_REDACTIONS = "SELECT count(*) FROM algorithm_audit_trail WHERE experiment_id = $1 \
        AND decision_type NOT IN ('assignment', 'conversion') AND decision_type = 'redaction'";
    /// The smallest size from $3 on that no redaction reaches across, of those that redact an entry
    /// behind $2: redacted entries in order, each with how far one has to read for those before it.
    /// What somebody wrote by hand may name anything.
    READ_SETTLED = "WITH redactions AS ( \
            SELECT sequence_number AS said, CASE jsonb_typeof(decision_data -> 'sequence') \
            WHEN 'number' THEN (decision_data ->> 'sequence')::numeric END AS redacted \
            FROM algorithm_audit_trail WHERE experiment_id = $1 AND sequence_number > $3::bigint \
            AND decision_type NOT IN ('assignment', 'conversion') AND decision_type = 'redaction'), \
        reached AS (SELECT redacted, said, coalesce(max(said) OVER (ORDER BY redacted \
            ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), $3::bigint) AS size \
            FROM redactions WHERE redacted > $2::bigint AND redacted < said) \
        SELECT coalesce(min(size) FILTER (WHERE redacted > size), max(said), $3::bigint) FROM reached";
    /// Replaces a payload by its hash and appends the entry that says so.
    REDACT_ENTRY = "SELECT samplit_redact($1, $2, $3, $4, $5, $6)";
}

/// An entry to append. The hashes are 64 hex digits, the payload is canonical JSON text.
#[derive(Clone, Debug)]
pub struct NewEntry {
    /// Its id.
    pub id: Uuid,
    /// Whose trail.
    pub experiment_id: Uuid,
    /// Its place, from 1.
    pub sequence_number: i64,
    /// What it records.
    pub decision_type: &'static str,
    /// The canonical payload.
    pub decision_data: RawJson,
    /// Hash of the entry before.
    pub previous_hash: String,
    /// Its own hash.
    pub current_hash: String,
    /// When, in whole microseconds.
    pub created_at: OffsetDateTime,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Its id.
    pub id: EntryId,
    /// Its place, from 1.
    pub sequence_number: i64,
    /// What it records.
    pub decision_type: String,
    /// The payload as PostgreSQL prints it: the value, not the text that was written.
    pub decision_data: String,
    /// Hash of the entry before.
    pub previous_hash: String,
    /// Its own hash.
    pub current_hash: String,
    /// When.
    pub created_at: OffsetDateTime,
}

impl EntryRow {
    pub(crate) fn from_row(row: &tokio_postgres::Row) -> Result<Self, Error> {
        let of = Columns::new(row, "algorithm_audit_trail");
        let sequence_number: i64 = of.get(1, "sequence_number")?;
        let entry = Self::decode(of, sequence_number);
        entry.map_err(|error| error.within(format_args!("entry {sequence_number}")))
    }

    fn decode(of: Columns<'_>, sequence_number: i64) -> Result<Self, Error> {
        Ok(Self {
            id: EntryId(of.get(0, "id")?),
            sequence_number,
            decision_type: of.get(2, "decision_type")?,
            decision_data: of.get(3, "decision_data")?,
            previous_hash: of.get(4, "previous_hash")?,
            current_hash: of.get(5, "current_hash")?,
            created_at: of.get(6, "created_at")?,
        })
    }
}

/// JSON text that goes to a JSONB parameter as it is, without a tree in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawJson(pub String);

impl ToSql for RawJson {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.put_u8(1); // version of the binary form of jsonb
        out.put_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::JSONB
    }

    to_sql_checked!();
}

/// Appends `entries`.
///
/// # Errors
/// When a sequence number is taken, or PostgreSQL fails.
pub async fn append(session: &Session<'_>, entries: &[NewEntry]) -> Result<(), Error> {
    let ids: Vec<Uuid> = entries.iter().map(|e| e.id).collect();
    let experiments: Vec<Uuid> = entries.iter().map(|e| e.experiment_id).collect();
    let sequence: Vec<i64> = entries.iter().map(|e| e.sequence_number).collect();
    let types: Vec<&str> = entries.iter().map(|e| e.decision_type).collect();
    let data: Vec<&RawJson> = entries.iter().map(|e| &e.decision_data).collect();
    let previous: Vec<&str> = entries.iter().map(|e| e.previous_hash.as_str()).collect();
    let current: Vec<&str> = entries.iter().map(|e| e.current_hash.as_str()).collect();
    let created: Vec<OffsetDateTime> = entries.iter().map(|e| e.created_at).collect();
    let inserted = session
        .execute(
            APPEND_ENTRIES,
            &[
                &ids,
                &experiments,
                &sequence,
                &types,
                &data,
                &previous,
                &current,
                &created,
            ],
        )
        .await?;
    Error::expect_rows(APPEND_ENTRIES.name, entries.len() as u64, inserted)
}

/// The entries with `after < sequence_number <= upto`, in order, at most `limit`.
///
/// # Errors
/// When PostgreSQL fails, or an entry cannot be decoded; says which one.
pub async fn page(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    upto: i64,
    limit: i64,
) -> Result<Vec<EntryRow>, Error> {
    let rows = session
        .query(READ_ENTRIES, &[&experiment.0, &after, &upto, &limit])
        .await?;
    rows.iter().map(EntryRow::from_row).collect()
}

/// One entry.
///
/// # Errors
/// When PostgreSQL fails, or an entry cannot be decoded; says which one.
pub async fn entry(
    session: &Session<'_>,
    experiment: ExperimentId,
    sequence: i64,
) -> Result<Option<EntryRow>, Error> {
    let row = session
        .query_opt(READ_ENTRY, &[&experiment.0, &sequence])
        .await?;
    row.as_ref().map(EntryRow::from_row).transpose()
}

/// The genesis and every reallocation, in order.
///
/// # Errors
/// When PostgreSQL fails, or an entry cannot be decoded; says which one.
pub async fn snapshots(
    session: &Session<'_>,
    experiment: ExperimentId,
) -> Result<Vec<EntryRow>, Error> {
    let rows = session.query(READ_SNAPSHOTS, &[&experiment.0]).await?;
    rows.iter().map(EntryRow::from_row).collect()
}

/// The `current_hash` of the entries with `after < sequence_number <= upto`, in order, each with its
/// sequence number.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn hashes(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    upto: i64,
) -> Result<Vec<(i64, String)>, Error> {
    let rows = session
        .query(READ_HASHES, &[&experiment.0, &after, &upto])
        .await?;
    let hashes = rows.iter().map(|row| {
        let of = Columns::new(row, "algorithm_audit_trail");
        Ok((of.get(0, "sequence_number")?, of.get(1, "current_hash")?))
    });
    hashes.collect()
}

/// Where in a trail something begins or ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// An incarnation begins with this entry.
    Restore(i64),
    /// This entry seals the trail.
    Seal(i64),
}

/// Restores and the seal, in order.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn marks(session: &Session<'_>, experiment: ExperimentId) -> Result<Vec<Mark>, Error> {
    let rows = session.query(READ_MARKS, &[&experiment.0]).await?;
    let marks = rows.iter().map(|row| {
        let of = Columns::new(row, "algorithm_audit_trail");
        let sequence = of.get(0, "sequence_number")?;
        Ok(match of.get(1, "decision_type")? {
            "seal" => Mark::Seal(sequence),
            _ => Mark::Restore(sequence),
        })
    });
    marks.collect()
}

/// How many payloads were redacted.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn redactions(session: &Session<'_>, experiment: ExperimentId) -> Result<i64, Error> {
    let row = session
        .query_one(COUNT_REDACTIONS, &[&experiment.0])
        .await?;
    Columns::new(&row, "algorithm_audit_trail").get(0, "sequence_number")
}

/// The smallest number of entries, `size` or more, of which those behind entry `after` hold the
/// redaction of each among them that was redacted.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn settled(
    session: &Session<'_>,
    experiment: ExperimentId,
    after: i64,
    size: i64,
) -> Result<i64, Error> {
    let row = session
        .query_one(READ_SETTLED, &[&experiment.0, &after, &size])
        .await?;
    Columns::new(&row, "algorithm_audit_trail").get(0, "sequence_number")
}

/// A payload to replace by its hash.
#[derive(Clone, Debug)]
pub struct NewRedaction {
    /// Of which experiment.
    pub experiment_id: ExperimentId,
    /// The entry.
    pub sequence_number: i64,
    /// The hash of its canonical payload, 64 hex digits.
    pub payload_sha256: String,
    /// Why, 1 to 500 characters.
    pub reason: String,
    /// The id of the entry that says so.
    pub entry_id: Uuid,
    /// Now, microseconds since the epoch.
    pub now_us: i64,
}

/// Redacts a payload, and gives the sequence number of the entry that says so. Locks the head.
///
/// # Errors
/// When the entry is no assignment or conversion with a payload of that hash, the trail is on hold,
/// or PostgreSQL fails.
pub async fn redact(session: &Session<'_>, redaction: &NewRedaction) -> Result<i64, Error> {
    let row = session
        .query_one(
            REDACT_ENTRY,
            &[
                &redaction.experiment_id.0,
                &redaction.sequence_number,
                &redaction.payload_sha256,
                &redaction.reason,
                &redaction.entry_id,
                &redaction.now_us,
            ],
        )
        .await?;
    Columns::new(&row, "algorithm_audit_trail").get(0, "sequence_number")
}
