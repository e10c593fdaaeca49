//! Leads as the owners of sites see them: list, show, move on, erase, take away as a table.

use hyper::StatusCode;
use samplit_domain::{
    ExperimentId, InstallationId, Lead, LeadId, LeadStatus, Utm, VariantId, Violations,
};
use samplit_engine::{LEAD_COLUMNS, LeadChange, LeadFilter, Page};
use serde::Serialize;
use serde_json::{Map, Value as Json};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::{
    exclusions::PageJson,
    exports::{Format, Table},
};
use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    query::Query,
    response::{Reply, empty, etag, json, tagged},
};

#[derive(Serialize, ToSchema)]
#[schema(as = Lead)]
pub(crate) struct LeadJson<'a> {
    id: LeadId,
    status: LeadStatus,
    email: Option<&'a str>,
    name: Option<&'a str>,
    company: Option<&'a str>,
    phone: Option<&'a str>,
    message: Option<&'a str>,
    source: Option<&'a str>,
    page_url: Option<&'a str>,
    utm: &'a Utm,
    #[schema(value_type = Object)]
    fields: Json,
    experiment_id: Option<ExperimentId>,
    variant_id: Option<VariantId>,
    #[schema(value_type = Object)]
    variants: Json,
    visitor_id: Option<&'a str>,
    installation_id: Option<InstallationId>,
    note: Option<&'a str>,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
    version: i64,
}

impl<'a> From<&'a Lead> for LeadJson<'a> {
    fn from(lead: &'a Lead) -> Self {
        // An adopted row may hold anything.
        let part = |name: &str| {
            let part = lead.metadata.get(name).filter(|part| part.is_object());
            part.cloned().unwrap_or_else(|| Map::new().into())
        };
        Self {
            id: lead.id,
            status: lead.status,
            email: lead.email.as_deref(),
            name: lead.name.as_deref(),
            company: lead.company.as_deref(),
            phone: lead.phone.as_deref(),
            message: lead.message.as_deref(),
            source: lead.source.as_deref(),
            page_url: lead.page_url.as_deref(),
            utm: &lead.utm,
            fields: part("fields"),
            experiment_id: lead.experiment_id,
            variant_id: lead.variant_id,
            variants: part("variants"),
            visitor_id: lead.visitor.as_deref(),
            installation_id: lead.installation_id,
            note: lead.note.as_deref(),
            created_at: lead.created_at,
            updated_at: lead.updated_at,
            version: lead.version,
        }
    }
}

/// `GET /v1/leads`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let filter = read_filter(&mut query);
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    query.finish()?;
    let found = call.app.engine.leads(&who, &filter, &page).await;
    let found = found.map_err(|error| Problem::from(error).in_query())?;
    let page = PageJson {
        data: found.data.iter().map(LeadJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

/// `GET /v1/export/leads?format=csv`
pub(crate) async fn export(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let format = query.word("format").unwrap_or(Format::Csv);
    let filter = read_filter(&mut query);
    query.finish()?;
    let slot = call.app.export_slot(&who)?;
    let pages = call.app.engine.export_leads(&who, filter);
    let pages = pages.map_err(|error| Problem::from(error).in_query())?;
    let table = Table {
        name: "leads".to_owned(),
        columns: LEAD_COLUMNS,
        format,
        is_headed: true,
    };
    table.send(pages, slot).await
}

/// `GET /v1/leads/{lead_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let lead = call.app.engine.lead(&who, call.lead_id()).await?;
    Ok(call.unless_known(one(&lead)))
}

/// `PATCH /v1/leads/{lead_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = read_change(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.lead_id());
    let lead = engine.update_lead(&who, id, change, if_version).await?;
    Ok(one(&lead))
}

/// `DELETE /v1/leads/{lead_id}`
pub(crate) async fn delete(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.app.engine.delete_lead(&who, call.lead_id()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A lead with its entity tag.
fn one(lead: &Lead) -> Reply {
    let reply = json(StatusCode::OK, &LeadJson::from(lead));
    tagged(reply, etag(lead.version, &[]))
}

/// Which leads are asked for.
pub(crate) fn read_filter(query: &mut Query) -> LeadFilter {
    LeadFilter {
        status: query.word("status"),
        source: query.text("source"),
        experiment_id: query.word("experiment_id"),
        created_after: query.moment("created_after"),
        created_before: query.moment("created_before"),
        query: query.text("q"),
    }
}

pub(crate) fn read_change(body: Json) -> Result<LeadChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| LeadChange {
        status: fields.word("status"),
        note: fields.patch("note"),
    });
    violations.into_result(change).map_err(Problem::invalid)
}
