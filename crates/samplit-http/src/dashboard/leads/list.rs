//! `GET /leads`: who wrote, by status, form and experiment.

use std::collections::BTreeMap;

use askama::Template;
use form_urlencoded::Serializer;
use hyper::StatusCode;
use samplit_domain::{Lead, LeadStatus};
use samplit_engine::{ExperimentFilter, LeadFilter, Page};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{FormCode, badge};
use crate::{
    api::leads::read_filter,
    call::Call,
    dashboard::{
        field::Choice,
        layout::{Frame, Section, html},
        list::Paging,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 25;

#[derive(Template)]
#[template(path = "dashboard/leads/list.html")]
struct ListPage {
    frame: Frame,
    tabs: Vec<Tab>,
    filter: LeadFilter,
    /// What narrows the list, as the query of an address.
    narrowed: String,
    rows: Vec<Row>,
    paging: Paging,
    experiments: Vec<Choice>,
    code: Option<FormCode>,
}

/// One status to look at.
struct Tab {
    name: &'static str,
    path: String,
    is_current: bool,
}

struct Row {
    path: String,
    title: String,
    /// How to reach the person.
    contact: String,
    status: LeadStatus,
    badge: &'static str,
    source: String,
    campaign: String,
    /// The experiment, and the variant that was seen.
    seen: Option<(String, String)>,
    created_at: OffsetDateTime,
}

impl ListPage {
    fn is_filtered(&self) -> bool {
        self.filter != LeadFilter::default()
    }

    fn text(text: &Option<String>) -> &str {
        text.as_deref().unwrap_or_default()
    }

    fn is_chosen(&self, experiment: &str) -> bool {
        let chosen = self.filter.experiment_id.map(|id| id.to_string());
        chosen.as_deref() == Some(experiment)
    }
}

/// `GET /leads`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let frame = Frame::new(&call, &signed_in, Section::Leads, "Leads");
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let mut query = call.query();
    let filter = read_filter(&mut query);
    let page = Page {
        cursor: query.text("cursor"),
        limit: LENGTH,
    };
    query.text("done");
    query.finish()?;
    let found = engine.leads(who, &filter, &page).await;
    let found = found.map_err(|error| Problem::from(error).in_query())?;
    let ids = found.data.iter().flat_map(|lead| {
        let experiment = lead.experiment_id.map(|id| id.0);
        [experiment, lead.variant_id.map(|id| id.0)]
    });
    let ids: Vec<Uuid> = ids.flatten().collect();
    let names = engine.names(who, &ids).await?;
    let all = Page {
        cursor: None,
        limit: 100,
    };
    let experiments = engine
        .experiments(who, &ExperimentFilter::default(), &all)
        .await?;
    let experiments = experiments.data.into_iter();
    let narrowed = narrowing(&filter);
    let pairs: Vec<_> = narrowed.iter().map(|(k, v)| (*k, v.clone())).collect();
    let page = ListPage {
        frame,
        tabs: tabs(&filter),
        narrowed: encoded(&narrowed),
        rows: found.data.iter().map(|lead| row(lead, &names)).collect(),
        paging: Paging::new("/leads", &pairs, page.cursor.is_some(), found.next_cursor),
        experiments: experiments
            .map(|experiment| Choice::new(experiment.id.to_string(), experiment.name, ""))
            .collect(),
        code: FormCode::new(&call, who).await?,
        filter,
    };
    Ok(html(StatusCode::OK, &page))
}

fn row(lead: &Lead, names: &BTreeMap<Uuid, String>) -> Row {
    let name = |id: Option<Uuid>| id.and_then(|id| names.get(&id)).cloned();
    let experiment = name(lead.experiment_id.map(|id| id.0));
    let variant = name(lead.variant_id.map(|id| id.0)).unwrap_or_default();
    let title = lead.title().unwrap_or("Erased");
    let contact = [&lead.email, &lead.phone].into_iter().flatten();
    let contact: Vec<&str> = contact
        .map(String::as_str)
        .filter(|contact| *contact != title)
        .collect();
    let campaign = [&lead.utm.source, &lead.utm.campaign].into_iter().flatten();
    let campaign: Vec<&str> = campaign.map(String::as_str).collect();
    Row {
        path: format!("/leads/{}", lead.id),
        title: title.to_owned(),
        contact: contact.join(" · "),
        status: lead.status,
        badge: badge(lead.status),
        source: lead.source.clone().unwrap_or_default(),
        campaign: campaign.join(" · "),
        seen: experiment.map(|experiment| (experiment, variant)),
        created_at: lead.created_at,
    }
}

/// The parameters that narrow the list, those that are given.
fn narrowing(filter: &LeadFilter) -> Vec<(&'static str, Option<String>)> {
    // A moment in an address is one that was read from it.
    let moment = |at: Option<OffsetDateTime>| {
        let at = at?;
        let format = &time::format_description::well_known::Rfc3339;
        at.format(format).ok()
    };
    vec![
        ("status", filter.status.map(|status| status.to_string())),
        ("q", filter.query.clone()),
        ("source", filter.source.clone()),
        (
            "experiment_id",
            filter.experiment_id.map(|id| id.to_string()),
        ),
        ("created_after", moment(filter.created_after)),
        ("created_before", moment(filter.created_before)),
    ]
}

fn encoded(narrowed: &[(&'static str, Option<String>)]) -> String {
    let given = narrowed
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    Serializer::new(String::new()).extend_pairs(given).finish()
}

fn tabs(filter: &LeadFilter) -> Vec<Tab> {
    let all = [
        (None, "All"),
        (Some(LeadStatus::New), "New"),
        (Some(LeadStatus::Contacted), "Contacted"),
        (Some(LeadStatus::Qualified), "Qualified"),
        (Some(LeadStatus::Converted), "Converted"),
        (Some(LeadStatus::Lost), "Lost"),
    ];
    let tab = |(status, name)| {
        let narrowed = LeadFilter {
            status,
            ..filter.clone()
        };
        let query = encoded(&narrowing(&narrowed));
        Tab {
            name,
            path: if query.is_empty() {
                "/leads".to_owned()
            } else {
                format!("/leads?{query}")
            },
            is_current: status == filter.status,
        }
    };
    all.into_iter().map(tab).collect()
}

#[cfg(test)]
mod tests {
    use samplit_domain::LeadStatus;
    use samplit_engine::LeadFilter;

    use super::{encoded, narrowing, tabs};

    #[test]
    fn the_way_to_a_tab_keeps_what_was_looked_for() {
        let filter = LeadFilter {
            status: Some(LeadStatus::New),
            query: Some("a b&c".to_owned()),
            ..LeadFilter::default()
        };
        assert_eq!(encoded(&narrowing(&filter)), "status=new&q=a+b%26c");
        let tabs = tabs(&filter);
        assert_eq!(tabs[0].path, "/leads?q=a+b%26c");
        let current = tabs.iter().filter(|tab| tab.is_current);
        assert_eq!(current.map(|tab| tab.name).collect::<Vec<_>>(), ["New"]);
    }
}
