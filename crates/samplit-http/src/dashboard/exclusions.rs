//! `/exclusions`: who is kept out of experiments, by which rules, and who was.

use askama::Template;
use samplit_domain::{ExclusionId, ExclusionKind, ExclusionRule, ExperimentId};
use samplit_engine::{ExcludedSession, ExperimentFilter, Page, Principal, SignedIn};

use super::{
    field::Choice,
    form::Form,
    layout::{Frame, Section, html},
    list::Paging,
    notice::done,
};
use crate::{api::exclusions::read_new, call::Call, problem::Problem, response::Reply};

/// Rows of a page.
const LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "dashboard/exclusions.html")]
struct ExclusionsPage<'f> {
    frame: Frame,
    form: &'f Form,
    rules: Vec<Rule>,
    paging: Paging,
    experiments: Vec<Choice>,
    /// Whose excluded visits are shown.
    chosen: Option<Chosen>,
}

struct Rule {
    rule: ExclusionRule,
    kind: &'static str,
    /// The experiment that it is for.
    experiment: Option<(String, String)>,
}

struct Chosen {
    id: String,
    visits: Vec<ExcludedSession>,
    paging: Paging,
}

/// `GET /exclusions`, perhaps `?experiment=<id>` for who was kept out of it.
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, &Form::empty()).await
}

/// `POST /exclusions`: what the button `do` says.
pub(crate) async fn change(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    match perform(&call, &signed_in.principal, &form).await {
        Ok(code) => Ok(done("/exclusions", code)),
        Err(problem) => page(&call, &signed_in, &form.refused(problem)?).await,
    }
}

async fn perform(call: &Call, who: &Principal, form: &Form) -> Result<&'static str, Problem> {
    let engine = &call.app.engine;
    let wish = form.extra("do").unwrap_or_default();
    let Some((wish, rule)) = wish.split_once(' ') else {
        engine
            .create_exclusion(who, read_new(form.json()?)?)
            .await?;
        return Ok("exclusion_added");
    };
    let rule: ExclusionId = rule
        .parse()
        .map_err(|_| Problem::not_found("exclusion rule"))?;
    Ok(match wish {
        "on" => {
            engine
                .update_exclusion(who, rule, None, Some(true), None)
                .await?;
            "exclusion_on"
        }
        "off" => {
            engine
                .update_exclusion(who, rule, None, Some(false), None)
                .await?;
            "exclusion_off"
        }
        "delete" => {
            engine.delete_exclusion(who, rule).await?;
            "exclusion_deleted"
        }
        _ => return Err(Problem::not_found("change of a rule")),
    })
}

async fn page(call: &Call, signed_in: &SignedIn, form: &Form) -> Result<Reply, Problem> {
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let mut query = call.query();
    let list = Page {
        cursor: query.text("cursor"),
        limit: LENGTH,
    };
    let chosen: Option<ExperimentId> = query.word("experiment");
    let visits = query.text("visits");
    query.text("done");
    query.finish()?;
    let found = engine.exclusions(who, &list).await?;
    let first = Page {
        cursor: None,
        limit: 100,
    };
    let experiments = engine
        .experiments(who, &ExperimentFilter::default(), &first)
        .await?;
    let name = |id: ExperimentId| {
        let known = experiments
            .data
            .iter()
            .find(|experiment| experiment.id == id);
        known.map_or_else(|| "one experiment".to_owned(), |known| known.name.clone())
    };
    let rule = |rule: ExclusionRule| Rule {
        kind: kind(rule.kind),
        experiment: rule.experiment_id.map(|id| (id.to_string(), name(id))),
        rule,
    };
    let chosen = match chosen {
        None => None,
        Some(id) => Some(kept_out(call, who, id, visits).await?),
    };
    let page = ExclusionsPage {
        frame: Frame::new(call, signed_in, Section::Exclusions, "Exclusions"),
        form,
        rules: found.data.into_iter().map(rule).collect(),
        paging: Paging::new("/exclusions", &[], list.cursor.is_some(), found.next_cursor),
        experiments: experiments
            .data
            .iter()
            .map(|experiment| Choice::new(experiment.id.to_string(), experiment.name.as_str(), ""))
            .collect(),
        chosen,
    };
    Ok(html(form.status(), &page))
}

async fn kept_out(
    call: &Call,
    who: &Principal,
    id: ExperimentId,
    cursor: Option<String>,
) -> Result<Chosen, Problem> {
    let page = Page {
        cursor,
        limit: LENGTH,
    };
    let found = call.app.engine.excluded_sessions(who, id, &page).await?;
    // The other list of the page has the parameter `cursor`.
    let first = format!("/exclusions?experiment={id}");
    let next = |cursor: String| format!("{first}&visits={cursor}");
    Ok(Chosen {
        id: id.to_string(),
        visits: found.data,
        paging: Paging {
            next: found.next_cursor.map(next),
            first: page.cursor.map(|_| first),
        },
    })
}

fn kind(kind: ExclusionKind) -> &'static str {
    match kind {
        ExclusionKind::Ip => "Address",
        ExclusionKind::Cidr => "Range of addresses",
        ExclusionKind::UserAgent => "User agent",
        ExclusionKind::Cookie => "Cookie",
        ExclusionKind::UrlParam => "URL parameter",
        ExclusionKind::Visitor => "Visitor",
    }
}

impl ExclusionsPage<'_> {
    fn kinds() -> Vec<Choice> {
        let note = |of: ExclusionKind| match of {
            ExclusionKind::Ip => "One IPv4 or IPv6 address, such as that of the office.",
            ExclusionKind::Cidr => "Such as 192.0.2.0/24.",
            ExclusionKind::UserAgent => "A part of what the browser says it is.",
            ExclusionKind::Cookie => "A name, or name=value.",
            ExclusionKind::UrlParam => "A name in the query of the page, or name=value.",
            ExclusionKind::Visitor => "One identifier.",
        };
        let kinds = ExclusionKind::ALL.iter();
        let choice = |&of: &ExclusionKind| Choice::new(of.as_str(), kind(of), note(of));
        kinds.map(choice).collect()
    }

    /// All experiments, or one of them.
    fn reaches(&self) -> Vec<Choice> {
        let all = Choice::new("", "All of the account", "");
        [all]
            .into_iter()
            .chain(self.experiments.iter().cloned())
            .collect()
    }

    /// The value of the rule that kept a visit out.
    fn value_of(&self, rule: &Option<ExclusionId>) -> Option<String> {
        let id = (*rule)?;
        let known = self.rules.iter().find(|known| known.rule.id == id);
        known.map(|known| format!("{}: {}", known.kind, known.rule.value))
    }
}
