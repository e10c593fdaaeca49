//! `/leads/{lead_id}`: one lead: what the person wrote and saw, and what to do about it.

use askama::Template;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use samplit_domain::{Lead, LeadStatus, Utm, Violations};
use samplit_engine::{LeadChange, SignedIn};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::badge;
use crate::{
    api::leads::{LeadJson, read_change},
    call::Call,
    dashboard::{
        form::Form,
        layout::{Frame, Section, html},
        notice::done,
    },
    problem::Problem,
    response::Reply,
};

/// What stands for a lead that has no name any more.
const ERASED: &str = "Erased lead";

/// What of an address is escaped in a link.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'@')
    .remove(b'.')
    .remove(b'-')
    .remove(b'_');

#[derive(Template)]
#[template(path = "dashboard/leads/one.html")]
struct OnePage<'f> {
    frame: Frame,
    form: &'f Form,
    lead: Lead,
    badge: &'static str,
    /// The site that captured it.
    site: Option<String>,
    /// What the person was given: experiment, where it is, and variants.
    seen: Vec<Seen>,
}

struct Seen {
    experiment: String,
    path: String,
    variants: String,
    /// Whether the person came to it last.
    is_newest: bool,
}

/// `GET /leads/{lead_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, None).await
}

/// `POST /leads/{lead_id}`: what the button `do` says.
pub(crate) async fn change(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let path = format!("/leads/{}", call.lead_id());
    match perform(&call, &signed_in, &form).await {
        Ok("lead_erased") => Ok(done("/leads", "lead_erased")),
        Ok(code) => Ok(done(&path, code)),
        Err(problem) => page(&call, &signed_in, Some(form.refused(problem)?)).await,
    }
}

async fn perform(call: &Call, signed_in: &SignedIn, form: &Form) -> Result<&'static str, Problem> {
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.lead_id());
    match form.extra("do").unwrap_or_default() {
        "note" => {
            let seen = form
                .extra("version")
                .and_then(|version| version.parse().ok());
            let change = read_change(form.json()?)?;
            engine.update_lead(who, id, change, seen).await?;
            Ok("lead_noted")
        }
        "erase" => {
            let lead = engine.lead(who, id).await?;
            form.confirmed(lead.title().unwrap_or(ERASED))?;
            engine.delete_lead(who, id).await?;
            Ok("lead_erased")
        }
        wish => {
            let status = wish.strip_prefix("move ").unwrap_or_default();
            let status: LeadStatus = status.parse().map_err(|_| {
                let mut violations = Violations::default();
                violations.add("/do", "unknown_value", "is no change of a lead");
                Problem::invalid(violations)
            })?;
            let change = LeadChange {
                status: Some(status),
                ..LeadChange::default()
            };
            engine.update_lead(who, id, change, None).await?;
            Ok("lead_moved")
        }
    }
}

async fn page(call: &Call, signed_in: &SignedIn, sent: Option<Form>) -> Result<Reply, Problem> {
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.lead_id());
    let lead = engine.lead(who, id).await?;
    let given = given(&lead);
    let ids = given.iter().flat_map(|(experiment, variants)| {
        let experiment = std::iter::once(*experiment);
        experiment.chain(variants.iter().copied())
    });
    let ids: Vec<Uuid> = ids.chain(lead.installation_id.map(|id| id.0)).collect();
    let names = engine.names(who, &ids).await?;
    let newest = lead.experiment_id.map(|id| id.0);
    let seen = given.iter().filter_map(|(experiment, variants)| {
        let variants = variants.iter().filter_map(|id| names.get(id));
        let variants: Vec<&str> = variants.map(String::as_str).collect();
        Some(Seen {
            experiment: names.get(experiment)?.clone(),
            path: format!("/experiments/{experiment}"),
            variants: variants.join(" + "),
            is_newest: Some(*experiment) == newest,
        })
    });
    // Only the form of the note is filled in with what is there.
    let now = json!(LeadJson::from(&lead));
    let form = match sent {
        Some(form) if form.extra("do") == Some("note") => form,
        Some(form) => form.over(now),
        None => Form::of(now),
    };
    let title = lead.title().unwrap_or(ERASED);
    let frame = Frame::new(call, signed_in, Section::Leads, title);
    let site = lead.installation_id.and_then(|id| names.get(&id.0));
    let page = OnePage {
        frame: frame.below("Leads", "/leads"),
        form: &form,
        badge: badge(lead.status),
        site: site.cloned(),
        seen: seen.collect(),
        lead,
    };
    Ok(html(form.status(), &page))
}

/// What the person was given: the variants by experiment, that which came last first.
fn given(lead: &Lead) -> Vec<(Uuid, Vec<Uuid>)> {
    let all = lead.metadata.get("variants").and_then(Json::as_object);
    let all = all.into_iter().flatten().filter_map(|(id, variants)| {
        let variants = variants.as_array()?.iter();
        let variants = variants.filter_map(|variant| variant.as_str()?.parse().ok());
        Some((id.parse().ok()?, variants.collect()))
    });
    let mut all: Vec<(Uuid, Vec<Uuid>)> = all.collect();
    let newest = lead.experiment_id.map(|id| id.0);
    all.sort_by_key(|(experiment, _)| Some(*experiment) != newest);
    all
}

/// The link by which a mail program opens: whatever stands in the address, it is one address and no more.
fn mailto(email: &str) -> String {
    format!("mailto:{}", utf8_percent_encode(email, ESCAPED))
}

/// The link that calls.
fn tel(phone: &str) -> String {
    let dialled = |c: &char| c.is_ascii_digit() || *c == '+';
    format!("tel:{}", phone.chars().filter(dialled).collect::<String>())
}

impl OnePage<'_> {
    fn was(&self, wish: &str) -> bool {
        self.form.extra("do") == Some(wish)
    }

    fn title(&self) -> &str {
        self.lead.title().unwrap_or(ERASED)
    }

    /// What it may become: the status, and the words of the button.
    fn steps(&self) -> Vec<(LeadStatus, &'static str)> {
        let words = |status| match status {
            LeadStatus::New => "Mark as new",
            LeadStatus::Contacted if self.lead.status == LeadStatus::Lost => "Take it up again",
            LeadStatus::Contacted => "Mark as contacted",
            LeadStatus::Qualified => "Mark as qualified",
            LeadStatus::Converted => "Mark as converted",
            LeadStatus::Lost => "Mark as lost",
        };
        let next = self.lead.status.next().iter();
        next.map(|status| (*status, words(*status))).collect()
    }

    /// The campaign: names and values, those that are there.
    fn campaign(&self) -> Vec<(&'static str, &str)> {
        let fields = Utm::NAMES.into_iter().zip(self.lead.utm.fields());
        fields
            .filter_map(|(name, text)| Some((name, text.as_deref()?)))
            .collect()
    }

    /// What else the form asked.
    fn further(&self) -> Vec<(&str, &str)> {
        let fields = self.lead.metadata.get("fields").and_then(Json::as_object);
        let fields = fields.into_iter().flatten();
        fields
            .filter_map(|(name, text)| Some((name.as_str(), text.as_str()?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{mailto, tel};

    #[test]
    fn links_reach_the_person_and_nobody_else() {
        assert_eq!(mailto("ada@example.org"), "mailto:ada@example.org");
        assert_eq!(
            mailto("a+b@c.test?bcc=d@e.test"),
            "mailto:a%2Bb@c.test%3Fbcc%3Dd@e.test"
        );
        assert_eq!(tel("+49 (30) 90-18 ;x=1"), "tel:+493090181");
    }
}
