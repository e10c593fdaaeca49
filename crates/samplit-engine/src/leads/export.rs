//! Leads as a table, newest first, a page in memory at a time.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use samplit_domain::{Lead, Utm};
use samplit_store::leads;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LeadFilter, check};
use crate::exports::{Cell, Row};
use crate::{Engine, Error, Principal, Scope};

/// Leads of a page. One may have some 100 KB with its note.
const PAGE: i64 = 50;

/// The names of the columns. New ones come behind those that are there.
pub const LEAD_COLUMNS: &[&str] = &[
    "lead_id",
    "created_at",
    "status",
    "source",
    "name",
    "email",
    "phone",
    "company",
    "message",
    Utm::NAMES[0],
    Utm::NAMES[1],
    Utm::NAMES[2],
    Utm::NAMES[3],
    Utm::NAMES[4],
    "page_url",
    "experiment_id",
    "variant_id",
    "visitor_id",
    "installation_id",
    "fields",
    "note",
    "updated_at",
];

impl Engine {
    /// The leads that `who` may see and `filter` leaves, newest first, page by page. What is captured
    /// meanwhile is left out.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a text too long.
    pub fn export_leads(
        &self,
        who: &Principal,
        filter: LeadFilter,
    ) -> Result<BoxStream<'static, Result<Vec<Row>, Error>>, Error> {
        who.require(Scope::Read)?;
        check(&filter).into_result(())?;
        let (core, owner) = (std::sync::Arc::clone(&self.core), who.sees_only());
        let begin: Option<Option<(OffsetDateTime, Uuid)>> = Some(None);
        let pages = stream::try_unfold(begin, move |place| {
            let (core, filter) = (std::sync::Arc::clone(&core), filter.clone());
            async move {
                let Some(before) = place else {
                    return Ok(None);
                };
                let read = core.database.run(|session| {
                    let filter = &filter;
                    Box::pin(async move { leads::list(session, owner, filter, before, PAGE).await })
                });
                let page = read.await?;
                let is_full = i64::try_from(page.len()) == Ok(PAGE);
                let last = page.last().filter(|_| is_full);
                let next = last.map(|lead| Some((lead.created_at, lead.id.0)));
                Ok(Some((page.into_iter().map(row).collect(), next)))
            }
        });
        Ok(pages.boxed())
    }
}

fn row(lead: Lead) -> Row {
    let text = |text: Option<String>| text.map_or(Cell::Null, Cell::Text);
    let id = |id: Option<Uuid>| text(id.map(|id| id.to_string()));
    let fields = lead.metadata.get("fields");
    let fields = fields.map_or(Cell::Null, |fields| Cell::Json(fields.to_string()));
    let mut row = vec![
        Cell::Text(lead.id.to_string()),
        Cell::Time(lead.created_at),
        Cell::Text(lead.status.to_string()),
        text(lead.source),
        text(lead.name),
        text(lead.email),
        text(lead.phone),
        text(lead.company),
        text(lead.message),
    ];
    row.extend(lead.utm.fields().map(|field| text(field.clone())));
    row.extend([
        text(lead.page_url),
        id(lead.experiment_id.map(|id| id.0)),
        id(lead.variant_id.map(|id| id.0)),
        text(lead.visitor),
        id(lead.installation_id.map(|id| id.0)),
        fields,
        text(lead.note),
        Cell::Time(lead.updated_at),
    ]);
    row
}
