//! `/funnels/{funnel_id}/edit`: the canvas, and a form for what is not drawn.

use askama::Template;
use samplit_domain::{Experiment, Funnel, FunnelStatus};
use samplit_engine::SignedIn;
use serde_json::{Value as Json, json};

use super::{
    experiments, names,
    words::{self, StepRow},
};
use crate::{
    api::funnels::{FunnelJson, read_change},
    call::Call,
    dashboard::{
        form::Form,
        layout::{Frame, Section, html},
        notice::done,
    },
    problem::Problem,
    response::{Reply, etag},
};

#[derive(Template)]
#[template(path = "dashboard/funnels/edit.html")]
struct EditPage<'f> {
    frame: Frame,
    form: &'f Form,
    status: (&'static str, &'static str),
    is_draft: bool,
    /// The funnel as its canvas begins with it.
    json: String,
    /// The entity tag that it is saved under.
    tag: String,
    /// Those that a step may carry.
    experiments: String,
    faults: Vec<(String, String)>,
    steps: Vec<StepRow>,
    funnel: Funnel,
}

/// `GET /funnels/{funnel_id}/edit`
pub(crate) async fn edit(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    page(&call, &signed_in, None).await
}

/// `POST /funnels/{funnel_id}/edit`: name, description, window.
pub(crate) async fn save(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let (engine, id) = (&call.app.engine, call.funnel_id());
    // The page was made from this version, so it may replace nothing newer.
    let seen = form
        .extra("version")
        .and_then(|version| version.parse().ok());
    let read = |body| read_change(body, &|| engine.new_id());
    let saved = match form.json().and_then(read) {
        Ok(change) => {
            let saved = engine.update_funnel(&signed_in.principal, id, change, seen);
            saved.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(_) => Ok(done(&format!("/funnels/{id}/edit"), "funnel_saved")),
        Err(problem) => page(&call, &signed_in, Some(form.refused(problem)?)).await,
    }
}

async fn page(call: &Call, signed_in: &SignedIn, form: Option<Form>) -> Result<Reply, Problem> {
    let (engine, who) = (&call.app.engine, &signed_in.principal);
    let funnel = engine.funnel(who, call.funnel_id()).await?;
    let is_draft = funnel.status == FunnelStatus::Draft;
    let faults = if is_draft {
        engine.check_funnel(who, funnel.id).await?
    } else {
        Vec::new()
    };
    let experiments = experiments(call, signed_in).await?;
    let form = form.unwrap_or_else(|| Form::of(settings(&funnel)));
    let tag = etag(funnel.version, &[]);
    let frame = Frame::new(
        call,
        signed_in,
        Section::Funnels,
        format!("Draw {}", funnel.name),
    );
    let page = EditPage {
        frame: frame
            .below("Funnels", "/funnels")
            .below(funnel.name.clone(), format!("/funnels/{}", funnel.id)),
        form: &form,
        status: words::status(funnel.status),
        is_draft,
        json: json!(FunnelJson::from(&funnel)).to_string(),
        tag: tag.to_str().unwrap_or_default().to_owned(),
        experiments: Json::from_iter(experiments.iter().map(choice)).to_string(),
        faults: faults
            .iter()
            .map(|fault| words::fault(&funnel.canvas, fault))
            .collect(),
        steps: words::steps(&funnel.canvas, &names(&experiments)),
        funnel,
    };
    Ok(html(form.status(), &page))
}

/// What the form is filled in with.
fn settings(funnel: &Funnel) -> Json {
    json!({
        "name": funnel.name,
        "description": funnel.description,
        "window_hours": funnel.window_hours,
    })
}

/// An experiment with its variants, to choose from.
fn choice(experiment: &Experiment) -> Json {
    let variants = experiment.elements.iter().flat_map(|e| &e.variants);
    let variants = variants.map(|variant| json!({ "id": variant.id, "name": variant.name }));
    json!({
        "id": experiment.id,
        "name": experiment.name,
        "status": experiment.status.as_str(),
        "variants": variants.collect::<Vec<_>>(),
    })
}
