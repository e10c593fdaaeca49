//! The page of one experiment: what it says, how it got there, and what can be done with it.

mod effects;
pub(crate) mod facts;
mod live;
mod moves;
mod segments;
mod trail;
mod values;
mod verdict;
mod whisker;

use std::borrow::Borrow;

use askama::Template;
use hyper::StatusCode;
use samplit_domain::Transition;
use samplit_engine::{
    Combination, ErrorKind, Experiment, GoalKind, Installation, LiveResults, Page, SignedIn,
    Status, StoredCheckpoint,
};
use serde_json::{Map, Value as Json, json};

pub(crate) use effects::product;
use segments::Segments;
pub(crate) use trail::show as show_trail;

use super::{
    field::Choice,
    form::Form,
    format,
    layout::{Frame, Section, html},
    notice::done,
};
use crate::{
    api::experiments::read_winner, call::Call, problem::Problem, response::Reply, shared::Shape,
    sse,
};

#[derive(Template)]
#[template(path = "dashboard/experiment/page.html")]
struct ExperimentPage {
    frame: Frame,
    experiment: Experiment,
    /// The part that changes by itself; `None` before the start.
    live: Option<String>,
    /// Whether it changes by itself.
    is_live: bool,
    /// Whether it is on pages, and no page of any site was ever seen.
    is_unseen: bool,
    /// What a draft has and lacks.
    checklist: Vec<Check>,
    deviations: Vec<String>,
    registration: &'static str,
    proof: Option<Proof>,
    segments: Option<Segments>,
    combinations: Vec<Combination>,
    change: Form,
    /// Which form was refused.
    refused: Option<Transition>,
}

/// Something that a draft should have.
struct Check {
    is_good: bool,
    what: String,
    note: &'static str,
}

/// The last checkpoint.
struct Proof {
    checkpoint: Option<StoredCheckpoint>,
    entries: u64,
    is_sealed: bool,
    hold: Option<String>,
}

/// `GET /experiments/{id}?segment=`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    page(&call, &who, None).await
}

/// `GET /experiments/{id}/stream`
pub(crate) async fn stream(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let watch = engine.watch_results(&who.principal, id).await?;
    sse::events(call, &who.principal, watch, |app, results| {
        Box::pin(async move { app.shared.event(Shape::Html, results, live::event).await })
    })
    .await
}

/// `POST /experiments/{id}/{start|pause|resume|complete|archive}`
pub(crate) async fn change(mut call: Call, transition: Transition) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let place = format!("/experiments/{}", call.experiment_id());
    match apply(&call, &who, transition, &form).await {
        Ok(()) => Ok(done(&place, said(transition))),
        Err(problem) => {
            let form = form.refused(problem)?;
            page(&call, &who, Some((transition, form))).await
        }
    }
}

async fn apply(
    call: &Call,
    who: &SignedIn,
    transition: Transition,
    form: &Form,
) -> Result<(), Problem> {
    let (engine, id) = (&call.app.engine, call.experiment_id());
    if is_confirmed(transition) {
        let experiment = engine.experiment(&who.principal, id).await?;
        form.confirmed(&experiment.name)?;
    }
    let winner = read_winner(form.json()?, transition)?;
    // What somebody decided on is what they saw.
    let version = form
        .extra("version")
        .and_then(|version| version.parse().ok());
    let changed = engine.transition(&who.principal, id, transition, winner, version);
    changed.await?;
    Ok(())
}

/// Whether there is no way back.
const fn is_confirmed(transition: Transition) -> bool {
    matches!(transition, Transition::Complete | Transition::Archive)
}

const fn said(transition: Transition) -> &'static str {
    match transition {
        Transition::Start => "experiment_started",
        Transition::Pause => "experiment_paused",
        Transition::Resume => "experiment_resumed",
        Transition::Complete => "experiment_completed",
        Transition::Archive => "experiment_archived",
    }
}

async fn page(
    call: &Call,
    who: &SignedIn,
    refused: Option<(Transition, Form)>,
) -> Result<Reply, Problem> {
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let experiment = engine.experiment(&who.principal, id).await?;
    let frame = Frame::new(call, who, Section::Experiments, experiment.name.clone());
    let live = match engine.live_results(&who.principal, id).await {
        Ok(live) => Some(live),
        Err(error) if matches!(error.kind(), ErrorKind::NotRunning(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let status = refused
        .as_ref()
        .map_or(StatusCode::OK, |(_, form)| form.status());
    let (refused, change) = match refused {
        Some((transition, form)) => (Some(transition), form),
        None => (
            None,
            Form::of(json!({ "winner": leaders(&experiment, live.as_ref()) })),
        ),
    };
    let registration = live.as_ref().map(|live| &live.results.registration);
    let deviations = registration.map(|report| report.deviations.iter());
    let is_started = live.is_some();
    let part = live.as_ref().map(live::part);
    let asks_combinations =
        is_started && experiment.elements.len() > 1 && !experiment.is_factorial();
    let page = ExperimentPage {
        frame: frame.below("Experiments", "/experiments"),
        is_live: matches!(
            experiment.status,
            Status::Active | Status::Paused | Status::Completed
        ),
        is_unseen: match experiment.status {
            Status::Active | Status::Paused => is_unseen(call, who, &experiment).await?,
            _ => false,
        },
        checklist: if experiment.status == Status::Draft {
            checklist(call, who, &experiment).await?
        } else {
            Vec::new()
        },
        deviations: deviations
            .into_iter()
            .flatten()
            .map(|deviation| super::form::sentence(&deviation.detail))
            .collect(),
        registration: registration.map_or("none", |report| report.as_str()),
        proof: if is_started {
            Some(proof(call, who).await?)
        } else {
            None
        },
        segments: match &live {
            Some(live) => segments::asked(call, who, live).await?,
            None => None,
        },
        combinations: if asks_combinations && call.query().is_given("combinations") {
            engine.combinations(&who.principal, id).await?
        } else {
            Vec::new()
        },
        live: part,
        experiment,
        change,
        refused,
    };
    Ok(html(status, &page))
}

/// The variants that lead, by element: what a form offers as winners.
fn leaders(experiment: &Experiment, live: Option<&LiveResults>) -> Json {
    let mut leaders = Map::new();
    for draw in live.into_iter().flat_map(|live| &live.results.elements) {
        let leading = draw.arms.get(draw.stopping.leader);
        for variant in leading.into_iter().flat_map(|arm| &arm.variants) {
            let has_it = |element: &&samplit_engine::Element| {
                element.variants.iter().any(|known| known.id == *variant)
            };
            if let Some(element) = experiment.elements.iter().find(has_it) {
                leaders.insert(element.id.to_string(), variant.to_string().into());
            }
        }
    }
    Json::Object(leaders)
}

async fn proof(call: &Call, who: &SignedIn) -> Result<Proof, Problem> {
    let (engine, id) = (&call.app.engine, call.experiment_id());
    let state = engine.trail_state(&who.principal, id).await?;
    let checkpoint = match engine.checkpoint(&who.principal, id).await {
        Ok(checkpoint) => Some(checkpoint),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound("checkpoint")) => None,
        Err(error) => return Err(error.into()),
    };
    Ok(Proof {
        checkpoint,
        entries: state.as_ref().map_or(0, |state| state.size),
        is_sealed: state
            .as_ref()
            .is_some_and(|state| state.sealed_at.is_some()),
        hold: state.and_then(|state| state.hold),
    })
}

/// What a draft has and lacks, as far as that can be seen from here.
async fn checklist(
    call: &Call,
    who: &SignedIn,
    experiment: &Experiment,
) -> Result<Vec<Check>, Problem> {
    let check = |is_good, what: String, note| Check {
        is_good,
        what,
        note,
    };
    let elements = experiment.elements.len();
    let variants: usize = experiment
        .elements
        .iter()
        .map(|element| element.variants.len())
        .sum();
    let mut list = vec![check(
        true,
        format!(
            "{} with {}",
            format::plural(elements as u64, "element"),
            format::plural(variants as u64, "variant")
        ),
        "",
    )];
    let on_pages = experiment
        .elements
        .iter()
        .filter(|element| element.selector.is_some())
        .count();
    if on_pages > 0 {
        let sites = sites(call, who).await?;
        list.push(check(
            !sites.is_empty(),
            "A site with the snippet".to_owned(),
            "Add an installation and put its snippet on your pages; without it no page asks for variants.",
        ));
        list.push(check(
            experiment.target_url.is_some(),
            "The pages that it is on".to_owned(),
            "No address is given: it is on every page of your sites that has its elements.",
        ));
    } else {
        list.push(check(
            true,
            "Decided by your own servers: no element has a selector".to_owned(),
            "",
        ));
    }
    let reached = experiment.goals.iter().any(|goal| goal.trigger.is_some()) || on_pages == 0;
    list.push(check(
        reached,
        "What counts as success".to_owned(),
        "Nothing on a page reaches the goal: report conversions from your server or your shop.",
    ));
    list.push(check(
        experiment.hypothesis.is_some(),
        "A hypothesis, so that goal and stopping rule are registered in the first entry of the trail".to_owned(),
        "Without one nobody can tell later whether the rules were there from the start.",
    ));
    Ok(list)
}

/// The sites of the account; the newest hundred will do.
async fn sites(call: &Call, who: &SignedIn) -> Result<Vec<Installation>, Problem> {
    let page = Page {
        cursor: None,
        limit: 100,
    };
    let sites = call.app.engine.installations(&who.principal, &page).await?;
    Ok(sites.data)
}

/// Whether an experiment is on pages, and no page of any site was ever seen.
async fn is_unseen(call: &Call, who: &SignedIn, experiment: &Experiment) -> Result<bool, Problem> {
    let mut elements = experiment.elements.iter();
    if !elements.any(|element| element.selector.is_some()) {
        return Ok(false);
    }
    let sites = sites(call, who).await?;
    Ok(sites.iter().all(|site| site.last_seen_at.is_none()))
}

impl ExperimentPage {
    fn is(&self, status: &str) -> bool {
        self.experiment.status.as_str() == status
    }

    /// Whether the form of a step is open because it was refused.
    fn is_refused(&self, step: &str) -> bool {
        self.refused
            .is_some_and(|refused| said(refused).ends_with(step))
    }

    /// The variants of an element, to choose the winner of.
    fn winners(&self, element: &samplit_engine::Element) -> Vec<Choice> {
        let control = element.control().map(|control| control.id);
        let choice = |variant: &samplit_engine::Variant| {
            let note = if Some(variant.id) == control {
                "The control"
            } else {
                ""
            };
            Choice::new(variant.id.to_string(), variant.name.clone(), note)
        };
        element.variants.iter().map(choice).collect()
    }

    /// How the elements are drawn, where there are several.
    fn draws(&self) -> Option<String> {
        let elements = &self.experiment.elements;
        let sizes: Vec<usize> = elements
            .iter()
            .map(|element| element.variants.len())
            .collect();
        if elements.len() < 2 {
            return None;
        }
        Some(if self.experiment.is_factorial() {
            format!("Every combination is a variant: {}", product(&sizes))
        } else {
            "Each element is drawn for itself and judged for itself".to_owned()
        })
    }

    /// What counts as success, in words.
    fn goal(&self) -> Option<String> {
        let goal = self.experiment.goals.first()?;
        let measured = match goal.kind {
            GoalKind::Value => {
                "conversions decide, and the value per visitor is measured beside them"
            }
            GoalKind::Conversion => "each visitor counts once",
        };
        Some(format!("“{}”: {measured}", goal.name))
    }

    /// What the stopping rule is, in words.
    fn rule(&self) -> String {
        let stopping = &self.experiment.stopping;
        let threshold = stopping.threshold();
        match stopping.rule {
            samplit_engine::StoppingRule::ExpectedLoss => format!(
                "Choosing the leader loses fewer than {} conversions per 1000 visitors",
                format::value(1_000.0 * threshold)
            ),
            samplit_engine::StoppingRule::PBest => {
                format!(
                    "The leader is at least {} likely to be the best",
                    format::share(threshold)
                )
            }
            samplit_engine::StoppingRule::ConfidenceSequence => {
                "The difference from control is proven at every look".to_owned()
            }
            samplit_engine::StoppingRule::Visitors => {
                format!("{} visitors have been assigned", format::value(threshold))
            }
        }
    }

    fn days(&self) -> String {
        format::value(self.experiment.stopping.min_days)
    }

    fn count(&self, number: impl Borrow<u64>) -> String {
        format::count(*number.borrow())
    }

    fn percent(&self, share: &f64) -> String {
        format::percent(*share)
    }

    fn traffic(&self) -> String {
        format::share(self.experiment.traffic_allocation)
    }
}
