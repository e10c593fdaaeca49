//! `/visitors`: erasing one. First what will happen is told, then it is done.

use askama::Template;
use samplit_engine::{Erasure, Principal};
use serde_json::Value as Json;

use super::{
    form::Form,
    format::plural,
    layout::{Frame, Section, html},
};
use crate::{call::Call, problem::Problem, response::Reply};

/// Experiments that are called by their names; of the others only the number is told.
const NAMED: usize = 10;

#[derive(Template)]
#[template(path = "dashboard/visitors.html")]
struct VisitorsPage<'f> {
    frame: Frame,
    form: &'f Form,
    stage: Stage,
    /// Whether the experiments of all accounts are meant.
    is_everybody: bool,
}

/// How far it is.
enum Stage {
    /// Which visitor?
    Asked,
    /// This will happen.
    Found(Found),
    /// This has happened.
    Erased(Erased),
}

struct Found {
    visitor: String,
    experiments: usize,
    /// `3 experiments`
    counted: String,
    /// Id and name of some of them.
    named: Vec<(String, String)>,
}

/// What came of it, in words.
struct Erased {
    is_nothing: bool,
    rows: String,
    experiments: String,
}

impl From<Erasure> for Erased {
    fn from(erasure: Erasure) -> Self {
        Self {
            is_nothing: erasure.rows == 0,
            rows: plural(erasure.rows as u64, "row"),
            experiments: plural(erasure.experiments as u64, "experiment"),
        }
    }
}

/// `GET /visitors`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let is_everybody = is_everybody(&signed_in.principal);
    let frame = Frame::new(&call, &signed_in, Section::Visitors, "Visitors");
    Ok(page(frame, &Form::empty(), Stage::Asked, is_everybody))
}

/// `POST /visitors`
pub(crate) async fn erase(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let who = &signed_in.principal;
    let frame = Frame::new(&call, &signed_in, Section::Visitors, "Visitors");
    let is_everybody = is_everybody(who);
    let visitor = text(&form, "/visitor_id");
    let found = match find(&call, who, &visitor).await {
        Ok(found) => found,
        Err(problem) => {
            let form = form.refused(problem)?;
            return Ok(page(frame, &form, Stage::Asked, is_everybody));
        }
    };
    if form.extra("do") != Some("erase") {
        return Ok(page(frame, &form, Stage::Found(found), is_everybody));
    }
    let erased = match form.confirmed(&visitor) {
        Ok(()) => call
            .app
            .engine
            .erase_visitor(who, &visitor)
            .await
            .map_err(Problem::from),
        Err(problem) => Err(problem),
    };
    Ok(match erased {
        Ok(erasure) => page(
            frame,
            &Form::empty(),
            Stage::Erased(erasure.into()),
            is_everybody,
        ),
        Err(problem) => {
            let form = form.refused(problem)?;
            page(frame, &form, Stage::Found(found), is_everybody)
        }
    })
}

async fn find(call: &Call, who: &Principal, visitor: &str) -> Result<Found, Problem> {
    let engine = &call.app.engine;
    let experiments = engine.experiments_of_visitor(who, visitor).await?;
    let mut named = Vec::new();
    for id in experiments.iter().take(NAMED) {
        named.push((id.to_string(), engine.experiment(who, *id).await?.name));
    }
    Ok(Found {
        visitor: visitor.to_owned(),
        experiments: experiments.len(),
        counted: plural(experiments.len() as u64, "experiment"),
        named,
    })
}

fn text(form: &Form, name: &str) -> String {
    let json = form.content().pointer(name).and_then(Json::as_str);
    json.unwrap_or_default().to_owned()
}

/// Who manages everything erases everywhere.
fn is_everybody(who: &Principal) -> bool {
    who.role == samplit_engine::Role::Admin
}

fn page(frame: Frame, form: &Form, stage: Stage, is_everybody: bool) -> Reply {
    let page = VisitorsPage {
        frame,
        form,
        stage,
        is_everybody,
    };
    html(form.status(), &page)
}
