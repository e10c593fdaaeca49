//! `leads`: who left contact details on a site, and what became of it.

use postgres_types::ToSql;
use samplit_domain::{
    ExperimentId, InstallationId, Lead, LeadId, LeadStatus, UserId, Utm, VariantId,
};
use serde_json::Value as Json;
use time::OffsetDateTime;
use tokio_postgres::Row;
use uuid::Uuid;

use crate::Error;
use crate::columns::Columns;
use crate::like::containing;
use crate::statement::{Session, statements};

/// The experiments that are noted of one visitor, the newest.
const SEEN: i64 = 50;

/// What [`from_row`] reads.
macro_rules! columns {
    () => {
        "id, user_id, installation_id, email, name, company, phone, message, status, source, \
        utm_source, utm_medium, utm_campaign, utm_term, utm_content, page_url, experiment_id, \
        variant_id, user_identifier, metadata, note, created_at, updated_at, version"
    };
}

/// Which leads a list holds, newest first. Null parameters do not filter; those of `$more` are never null, so
/// that they bound an index, and so does the time of the cursor, which is compared with `infinity` where there
/// is none.
macro_rules! listed {
    ($more:literal) => {
        concat!(
            "SELECT ",
            columns!(),
            " FROM leads WHERE ",
            $more,
            "(created_at, id) < (coalesce($1::timestamptz, 'infinity'), $2::uuid) \
            AND ($3::varchar IS NULL OR source = $3) AND ($4::uuid IS NULL OR experiment_id = $4) \
            AND ($5::timestamptz IS NULL OR created_at >= $5) \
            AND ($6::timestamptz IS NULL OR created_at < $6) \
            AND ($7::varchar IS NULL OR email ILIKE $7 OR name ILIKE $7 OR company ILIKE $7 \
            OR phone ILIKE $7) ORDER BY created_at DESC, id DESC LIMIT $8"
        )
    };
}

statements! {
    /// Waits for whoever captures a lead of the same person by the same form.
    LOCK_LEAD_OF_PERSON = "SELECT pg_advisory_xact_lock($1)";
    /// The lead that a submission has become already: one of the same id, or one of the same words that the
    /// same person left by the same form a moment ago.
    FIND_LEAD_AGAIN = "SELECT id, user_identifier, source FROM leads \
        WHERE installation_id = $1 AND submission_key = $2 \
        UNION ALL SELECT id, user_identifier, source FROM leads \
        WHERE user_id = $3 AND created_at > $4 AND installation_id = $1 \
        AND source IS NOT DISTINCT FROM $5 AND lower(email) IS NOT DISTINCT FROM lower($6::varchar) \
        AND phone IS NOT DISTINCT FROM $7 AND name IS NOT DISTINCT FROM $8 \
        AND company IS NOT DISTINCT FROM $9 AND message IS NOT DISTINCT FROM $10 \
        AND metadata -> 'fields' IS NOT DISTINCT FROM $11::jsonb LIMIT 1";
    /// What a visitor was given in experiments of one account, the newest first.
    FIND_SEEN = "SELECT a.experiment_id, a.variant_id, a.metadata -> 'variants' FROM experiments e \
        JOIN assignments a ON a.experiment_id = e.id AND a.user_identifier = $2 \
        WHERE e.user_id = $1 ORDER BY a.assigned_at DESC NULLS LAST, a.id DESC LIMIT $3";
    /// A new lead, unless the submission has become one meanwhile.
    INSERT_LEAD = "INSERT INTO leads (id, user_id, installation_id, email, name, company, phone, \
        message, status, source, utm_source, utm_medium, utm_campaign, utm_term, utm_content, \
        page_url, experiment_id, variant_id, user_identifier, metadata, created_at, updated_at, \
        submission_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, \
        $16, $17, $18, $19, $20, $21, $21, $22) ON CONFLICT (installation_id, submission_key) DO NOTHING";
    /// One lead.
    READ_LEAD = concat!("SELECT ", columns!(), " FROM leads WHERE id = $1");
    /// One lead, locked against other changes of it.
    LOCK_LEAD = concat!("SELECT ", columns!(), " FROM leads WHERE id = $1 FOR NO KEY UPDATE");
    /// A page of all leads.
    LIST_LEADS = listed!("");
    /// A page of all leads of one status.
    LIST_LEADS_IN = listed!("status = $9::varchar AND ");
    /// A page of the leads of an account.
    LIST_LEADS_OF = listed!("user_id = $9 AND ");
    /// A page of the leads of an account of one status.
    LIST_LEADS_OF_IN = listed!("status = $9::varchar AND user_id = $10 AND ");
    /// How far a lead has come, and what is said of it.
    UPDATE_LEAD = "UPDATE leads SET status = $2, note = $3, version = $4, updated_at = $5 WHERE id = $1";
    /// Takes a lead away.
    DELETE_LEAD = "DELETE FROM leads WHERE id = $1";
}

/// By what a lead is known to be the same as another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Hash of the sender's own id, 64 hex digits.
    pub key: Option<String>,
    /// Leads of the same person and words since then are the same.
    pub since: OffsetDateTime,
    /// The number of the lock that stands for the person and the form.
    pub lock: i64,
}

/// A lead that was captured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedRow {
    /// Its id.
    pub id: LeadId,
    /// The visitor.
    pub visitor: Option<String>,
    /// The form.
    pub source: Option<String>,
}

/// What a visitor was given in an experiment.
#[derive(Clone, Debug, PartialEq)]
pub struct SeenRow {
    /// In which.
    pub experiment_id: ExperimentId,
    /// The variant of the first element; `None` only in rows older than the trail.
    pub variant_id: Option<VariantId>,
    /// `{element_id: variant_id}` where there are several elements.
    pub variants: Option<Json>,
}

/// Which leads a list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadFilter {
    /// How far they have come.
    pub status: Option<LeadStatus>,
    /// By which form they came.
    pub source: Option<String>,
    /// The experiment that the person was in.
    pub experiment_id: Option<ExperimentId>,
    /// Captured at that moment or later.
    pub created_after: Option<OffsetDateTime>,
    /// Captured before that moment.
    pub created_before: Option<OffsetDateTime>,
    /// What email, name, company or telephone number have in them.
    pub query: Option<String>,
}

/// Holds the person and the form of a submission until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn lock_person(session: &Session<'_>, submission: &Submission) -> Result<(), Error> {
    session
        .execute(LOCK_LEAD_OF_PERSON, &[&submission.lock])
        .await
        .map(drop)
}

/// The lead that `lead` is a repetition of, if there is one.
///
/// # Errors
/// When PostgreSQL fails or the row holds what it cannot.
pub async fn find_again(
    session: &Session<'_>,
    lead: &Lead,
    submission: &Submission,
) -> Result<Option<CapturedRow>, Error> {
    let row = session
        .query_opt(
            FIND_LEAD_AGAIN,
            &[
                &lead.installation_id.map(|id| id.0),
                &submission.key,
                &lead.user_id.map(|id| id.0),
                &submission.since,
                &lead.source,
                &lead.email,
                &lead.phone,
                &lead.name,
                &lead.company,
                &lead.message,
                &lead.metadata.get("fields"),
            ],
        )
        .await?;
    let captured = row.as_ref().map(|row| {
        let of = Columns::new(row, "leads");
        Ok(CapturedRow {
            id: LeadId(of.get(0, "id")?),
            visitor: of.get(1, "user_identifier")?,
            source: of.get(2, "source")?,
        })
    });
    captured.transpose()
}

/// What `visitor` was given in experiments of `owner`, the newest first, 50 at most.
///
/// # Errors
/// When PostgreSQL fails or a row holds what it cannot.
pub async fn seen(
    session: &Session<'_>,
    owner: UserId,
    visitor: &str,
) -> Result<Vec<SeenRow>, Error> {
    let rows = session
        .query(FIND_SEEN, &[&owner.0, &visitor, &SEEN])
        .await?;
    let seen = rows.iter().map(|row| {
        let of = Columns::new(row, "assignments");
        Ok(SeenRow {
            experiment_id: ExperimentId(of.get(0, "experiment_id")?),
            variant_id: of.get::<Option<Uuid>>(1, "variant_id")?.map(VariantId),
            variants: of.get(2, "metadata")?,
        })
    });
    seen.collect()
}

/// Stores a new lead; says whether it did, as its submission may have become one meanwhile.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn insert(
    session: &Session<'_>,
    lead: &Lead,
    submission: &Submission,
) -> Result<bool, Error> {
    let inserted = session
        .execute(
            INSERT_LEAD,
            &[
                &lead.id.0,
                &lead.user_id.map(|id| id.0),
                &lead.installation_id.map(|id| id.0),
                &lead.email,
                &lead.name,
                &lead.company,
                &lead.phone,
                &lead.message,
                &lead.status.as_str(),
                &lead.source,
                &lead.utm.source,
                &lead.utm.medium,
                &lead.utm.campaign,
                &lead.utm.term,
                &lead.utm.content,
                &lead.page_url,
                &lead.experiment_id.map(|id| id.0),
                &lead.variant_id.map(|id| id.0),
                &lead.visitor,
                &lead.metadata,
                &lead.created_at,
                &submission.key,
            ],
        )
        .await?;
    Ok(inserted == 1)
}

/// A lead.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn read(session: &Session<'_>, id: LeadId) -> Result<Option<Lead>, Error> {
    let row = session.query_opt(READ_LEAD, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// A lead, which nobody else changes until the transaction ends.
///
/// # Errors
/// When PostgreSQL fails or the row breaks a rule that code relies on.
pub async fn lock(session: &Session<'_>, id: LeadId) -> Result<Option<Lead>, Error> {
    let row = session.query_opt(LOCK_LEAD, &[&id.0]).await?;
    row.as_ref().map(from_row).transpose()
}

/// At most `limit` leads of `owner`, or of everybody, newest first, that were captured before `before`.
///
/// # Errors
/// When PostgreSQL fails or a row breaks a rule that code relies on.
pub async fn list(
    session: &Session<'_>,
    owner: Option<UserId>,
    filter: &LeadFilter,
    before: Option<(OffsetDateTime, Uuid)>,
    limit: i64,
) -> Result<Vec<Lead>, Error> {
    let (before_at, before_id) = before.unzip();
    let experiment = filter.experiment_id.map(|id| id.0);
    let pattern = filter.query.as_deref().map(containing);
    let status = filter.status.map(LeadStatus::as_str);
    let owner = owner.map(|id| id.0);
    let mut params: Vec<&(dyn ToSql + Sync)> = vec![
        &before_at,
        &before_id,
        &filter.source,
        &experiment,
        &filter.created_after,
        &filter.created_before,
        &pattern,
        &limit,
    ];
    let statement = match (&status, &owner) {
        (None, None) => LIST_LEADS,
        (Some(status), None) => {
            params.push(status);
            LIST_LEADS_IN
        }
        (None, Some(owner)) => {
            params.push(owner);
            LIST_LEADS_OF
        }
        (Some(status), Some(owner)) => {
            params.extend([status as &(dyn ToSql + Sync), owner]);
            LIST_LEADS_OF_IN
        }
    };
    let rows = session.query(statement, &params).await?;
    rows.iter().map(from_row).collect()
}

/// Writes the status, the note, the version and the time of the last change of a lead.
///
/// # Errors
/// When it is gone, or PostgreSQL fails.
pub async fn update(session: &Session<'_>, lead: &Lead) -> Result<(), Error> {
    let updated = session
        .execute(
            UPDATE_LEAD,
            &[
                &lead.id.0,
                &lead.status.as_str(),
                &lead.note,
                &lead.version,
                &lead.updated_at,
            ],
        )
        .await?;
    Error::expect_rows(UPDATE_LEAD.name, 1, updated)
}

/// Takes a lead away; says whether it was there.
///
/// # Errors
/// When PostgreSQL fails.
pub async fn delete(session: &Session<'_>, id: LeadId) -> Result<bool, Error> {
    let deleted = session.execute(DELETE_LEAD, &[&id.0]).await?;
    Ok(deleted == 1)
}

fn from_row(row: &Row) -> Result<Lead, Error> {
    let of = Columns::new(row, "leads");
    let id: Uuid = of.get(0, "id")?;
    decode(of, id).map_err(|error| error.within(format_args!("row {id}")))
}

fn decode(of: Columns<'_>, id: Uuid) -> Result<Lead, Error> {
    let created_at: Option<OffsetDateTime> = of.get(21, "created_at")?;
    let created_at = created_at.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    Ok(Lead {
        id: LeadId(id),
        user_id: of.get::<Option<Uuid>>(1, "user_id")?.map(UserId),
        installation_id: of
            .get::<Option<Uuid>>(2, "installation_id")?
            .map(InstallationId),
        email: of.get(3, "email")?,
        name: of.get(4, "name")?,
        company: of.get(5, "company")?,
        phone: of.get(6, "phone")?,
        message: of.get(7, "message")?,
        status: of.word(8, "status", LeadStatus::New)?,
        source: of.get(9, "source")?,
        utm: Utm {
            source: of.get(10, "utm_source")?,
            medium: of.get(11, "utm_medium")?,
            campaign: of.get(12, "utm_campaign")?,
            term: of.get(13, "utm_term")?,
            content: of.get(14, "utm_content")?,
        },
        page_url: of.get(15, "page_url")?,
        experiment_id: of
            .get::<Option<Uuid>>(16, "experiment_id")?
            .map(ExperimentId),
        variant_id: of.get::<Option<Uuid>>(17, "variant_id")?.map(VariantId),
        visitor: of.get(18, "user_identifier")?,
        metadata: of.get::<Option<Json>>(19, "metadata")?.unwrap_or_default(),
        note: of.get(20, "note")?,
        created_at,
        updated_at: of.get::<Option<_>>(22, "updated_at")?.unwrap_or(created_at),
        version: of.get(23, "version")?,
    })
}
