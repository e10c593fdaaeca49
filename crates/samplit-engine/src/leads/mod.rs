//! Leads: captured by forms on sites, looked after by the owners of the sites, and a goal of experiments.

mod capture;
mod export;
mod goals;

use std::sync::Arc;

use samplit_domain::{Action, Lead, LeadId, LeadStatus, MAX_FORM_NAME, MAX_LEAD_TEXT, Violations};
use samplit_store::{activity, leads};
use serde_json::json;

pub use samplit_store::leads::LeadFilter;

pub(crate) use self::capture::begin_at_zero;
pub use self::capture::{CapturedLead, LeadSubmission, SiftedLead, SoundLead};
pub use self::export::LEAD_COLUMNS;
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The longest text that leads are searched for, in characters.
const MAX_QUERY: usize = 255;

/// What of a lead is to be otherwise; `None` leaves it as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeadChange {
    /// How far it has come.
    pub status: Option<LeadStatus>,
    /// What is said of it; `Some(None)` takes that away.
    pub note: Option<Option<String>>,
}

impl Engine {
    /// Lists the leads that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a limit out of range, a cursor that is none of ours, or a text too long.
    pub async fn leads(
        &self,
        who: &Principal,
        filter: &LeadFilter,
        page: &Page,
    ) -> Result<PageOf<Lead>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(check(filter))?;
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { leads::list(session, owner, filter, before, limit).await })
        });
        Ok(page.of(list.await?, |lead| (lead.created_at, lead.id.0)))
    }

    /// Reads a lead.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn lead(&self, who: &Principal, id: LeadId) -> Result<Lead, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(leads::read(session, id)));
        visible(who, read.await?)
    }

    /// Moves a lead on, or says something else of it. `if_version` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a note too long, [`ErrorKind::NotFound`] where there is no lead that `who`
    /// may see, [`ErrorKind::VersionMismatch`] when it was changed meanwhile, [`ErrorKind::Conflict`]
    /// `illegal_transition` for a status that does not follow.
    pub async fn update_lead(
        &self,
        who: &Principal,
        id: LeadId,
        change: LeadChange,
        if_version: Option<i64>,
    ) -> Result<Lead, Error> {
        who.require(Scope::Manage)?;
        if let Some(Some(note)) = &change.note {
            let mut violations = Violations::default();
            violations.length("/note", note, MAX_LEAD_TEXT);
            violations.into_result(())?;
        }
        let change = &change;
        let update = self.core.database.run_tx("update_lead", |session| {
            Box::pin(async move {
                let before = visible(who, leads::lock(session, id).await?)?;
                if if_version.is_some_and(|seen| seen != before.version) {
                    let current = before.version;
                    return Err(ErrorKind::VersionMismatch { current }.into());
                }
                let mut lead = apply(&before, change)?;
                if (lead.status, &lead.note) == (before.status, &before.note) {
                    return Ok(before);
                }
                lead.version += 1;
                lead.updated_at = self.core.config.clock.now();
                leads::update(session, &lead).await?;
                let mut entry = self
                    .core
                    .activity(who, lead.user_id, Action::LeadChanged, id);
                // What the note says may be about the person.
                let mut detail = json!({ "fields": changed(&before, &lead) });
                if lead.status != before.status {
                    detail["status_before"] = json!(before.status);
                    detail["status"] = json!(lead.status);
                }
                entry.detail = detail;
                activity::insert(session, &entry).await?;
                Ok(lead)
            })
        });
        update.await
    }

    /// Erases a lead: it is gone. A conversion that it was stays counted, as the trail says it.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn delete_lead(&self, who: &Principal, id: LeadId) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let delete = self.core.database.run_tx("delete_lead", |session| {
            let core = Arc::clone(&self.core);
            Box::pin(async move {
                let lead = visible(who, leads::lock(session, id).await?)?;
                leads::delete(session, id).await?;
                let entry = core.activity(who, lead.user_id, Action::LeadErased, id);
                Ok::<_, Error>(activity::insert(session, &entry).await?)
            })
        });
        delete.await
    }
}

fn visible(who: &Principal, found: Option<Lead>) -> Result<Lead, Error> {
    let found = found.filter(|lead| who.may_see(lead.user_id));
    found.ok_or_else(|| ErrorKind::NotFound("lead").into())
}

/// The rules of a filter.
fn check(filter: &LeadFilter) -> Violations {
    let mut violations = Violations::default();
    for (pointer, text, max) in [
        ("/q", &filter.query, MAX_QUERY),
        ("/source", &filter.source, MAX_FORM_NAME),
    ] {
        violations.length(pointer, text.as_deref().unwrap_or_default(), max);
    }
    violations
}

/// The lead as it is to be.
fn apply(lead: &Lead, change: &LeadChange) -> Result<Lead, Error> {
    let mut lead = lead.clone();
    if let Some(status) = change.status.filter(|status| *status != lead.status) {
        if !lead.status.next().contains(&status) {
            let from = lead.status;
            let detail = format!("a lead that is {from} cannot become {status}");
            return Err(Error::conflict("illegal_transition", detail));
        }
        lead.status = status;
    }
    if let Some(note) = &change.note {
        lead.note = note.clone().filter(|note| !note.trim().is_empty());
    }
    Ok(lead)
}

/// The names of what is otherwise.
fn changed(before: &Lead, after: &Lead) -> Vec<&'static str> {
    let status = (before.status != after.status).then_some("status");
    let note = (before.note != after.note).then_some("note");
    [status, note].into_iter().flatten().collect()
}
