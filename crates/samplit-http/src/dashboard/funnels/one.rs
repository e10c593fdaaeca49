//! `/funnels/{funnel_id}`: what came of a funnel, or what a draft lacks, and its lifecycle.

use std::time::Duration;

use askama::Template;
use samplit_domain::{ExperimentId, Funnel, FunnelStatus, FunnelTransition};
use samplit_engine::{FunnelResults, SignedIn};
use tokio::time::timeout;

use super::{
    experiments, names,
    told::{Told, told},
    words::{self, StepRow},
};
use crate::{
    call::Call,
    dashboard::{
        form::Form,
        format::plural,
        layout::{Frame, Section, html},
        notice::done,
    },
    problem::Problem,
    response::Reply,
};

/// How long the page waits for the results.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Template)]
#[template(path = "dashboard/funnels/one.html")]
struct OnePage<'f> {
    frame: Frame,
    form: &'f Form,
    status: (&'static str, &'static str),
    is_draft: bool,
    /// The window, in words.
    window: String,
    /// What came of it; `None` before it was active, and where that cannot be had now.
    told: Option<Told>,
    /// It was active, and what came of it cannot be had now.
    is_untold: bool,
    faults: Vec<(String, String)>,
    steps: Vec<StepRow>,
    is_archive_refused: bool,
    funnel: Funnel,
}

/// `GET /funnels/{funnel_id}`, perhaps `?by=<experiment>`.
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, None).await
}

/// `POST /funnels/{funnel_id}/{activate|pause|resume|archive}`
pub(crate) async fn change(mut call: Call, transition: FunnelTransition) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let place = format!("/funnels/{}", call.funnel_id());
    match apply(&call, &signed_in, transition, &form).await {
        Ok(()) => Ok(done(&place, said(transition))),
        Err(problem) => {
            let form = form.refused(told_once(problem))?;
            page(&call, &signed_in, Some((transition, form))).await
        }
    }
}

/// `POST /funnels/{funnel_id}/duplicate`
pub(crate) async fn duplicate(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let engine = &call.app.engine;
    let copy = engine.duplicate_funnel(&signed_in.principal, call.funnel_id());
    let place = format!("/funnels/{}/edit", copy.await?.id);
    Ok(done(&place, "funnel_duplicated"))
}

async fn apply(
    call: &Call,
    signed_in: &SignedIn,
    transition: FunnelTransition,
    form: &Form,
) -> Result<(), Problem> {
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.funnel_id());
    if transition == FunnelTransition::Archive {
        let funnel = engine.funnel(who, id).await?;
        form.confirmed(&funnel.name)?;
    }
    // What somebody decided on is what they saw.
    let version = form
        .extra("version")
        .and_then(|version| version.parse().ok());
    engine.move_funnel(who, id, transition, version).await?;
    Ok(())
}

const fn said(transition: FunnelTransition) -> &'static str {
    match transition {
        FunnelTransition::Activate => "funnel_activated",
        FunnelTransition::Pause => "funnel_paused",
        FunnelTransition::Resume => "funnel_resumed",
        FunnelTransition::Archive => "funnel_archived",
    }
}

/// Faults of the drawing stand on the page already, each with the name of its step.
fn told_once(mut problem: Problem) -> Problem {
    let is_drawn = |pointer: &str| pointer.starts_with("/nodes") || pointer.starts_with("/edges");
    if problem.errors.iter().any(|error| is_drawn(&error.pointer)) {
        problem.errors.clear();
        "it cannot start yet: what there is to mend stands on this page"
            .clone_into(&mut problem.detail);
    }
    problem
}

async fn page(
    call: &Call,
    signed_in: &SignedIn,
    refused: Option<(FunnelTransition, Form)>,
) -> Result<Reply, Problem> {
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let mut query = call.query();
    let by: Option<ExperimentId> = query.word("by");
    query.text("done");
    query.finish()?;
    let funnel = engine.funnel(who, call.funnel_id()).await?;
    let is_draft = funnel.status == FunnelStatus::Draft;
    let experiments = experiments(call, signed_in).await?;
    let names = names(&experiments);
    let told = if funnel.activated_at.is_some() {
        // Without a word about which, the first one on the way is told apart.
        let nodes = funnel.canvas.nodes.iter();
        let first = || nodes.filter_map(|node| node.experiment_id).next();
        let by = by
            .or_else(first)
            .or_else(|| funnel.canvas.experiments().into_iter().next());
        let results = results(call, signed_in, &funnel, by).await?;
        results.map(|results| told(&funnel, &results, by, &names))
    } else {
        None
    };
    let faults = if is_draft {
        engine.check_funnel(who, funnel.id).await?
    } else {
        Vec::new()
    };
    let is_archive_refused = matches!(refused, Some((FunnelTransition::Archive, _)));
    let form = refused.map_or_else(Form::empty, |(_, form)| form);
    let frame = Frame::new(call, signed_in, Section::Funnels, funnel.name.clone());
    let page = OnePage {
        frame: frame.below("Funnels", "/funnels"),
        form: &form,
        status: words::status(funnel.status),
        is_draft,
        window: window(funnel.window_hours),
        is_untold: told.is_none() && funnel.activated_at.is_some(),
        told,
        faults: faults
            .iter()
            .map(|fault| words::fault(&funnel.canvas, fault))
            .collect(),
        steps: words::steps(&funnel.canvas, &names),
        is_archive_refused,
        funnel,
    };
    Ok(html(form.status(), &page))
}

/// What came of a funnel; `None` where that takes too long or fails. It can be paused all the same.
async fn results(
    call: &Call,
    signed_in: &SignedIn,
    funnel: &Funnel,
    by: Option<ExperimentId>,
) -> Result<Option<FunnelResults>, Problem> {
    let engine = &call.app.engine;
    let results = engine.funnel_results(&signed_in.principal, funnel.id, by);
    match timeout(PATIENCE, results).await {
        Ok(Ok(results)) => Ok(Some(results)),
        Ok(Err(error)) => {
            let problem = Problem::from(error);
            if problem.status.is_client_error() {
                return Err(problem);
            }
            tracing::warn!(funnel = %funnel.id, problem = ?problem, "a funnel is shown without its results");
            Ok(None)
        }
        Err(_) => {
            tracing::warn!(funnel = %funnel.id, "counting a funnel takes too long for its page");
            Ok(None)
        }
    }
}

/// Hours, or days where they are whole.
fn window(hours: i32) -> String {
    let hours = u32::try_from(hours).unwrap_or_default();
    if hours >= 48 && hours.is_multiple_of(24) {
        plural(hours / 24, "day")
    } else {
        plural(hours, "hour")
    }
}

impl OnePage<'_> {
    fn is(&self, status: &str) -> bool {
        self.status.0 == status
    }
}
