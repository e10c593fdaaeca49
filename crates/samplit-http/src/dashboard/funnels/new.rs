//! `/funnels/new`: a draft, empty or with the steps of a template.

use askama::Template;
use samplit_engine::SignedIn;

use super::template::{canvas, choices};
use crate::{
    api::funnels::read_new,
    call::Call,
    dashboard::{
        field::Choice,
        form::Form,
        layout::{Frame, Section, html},
        notice::done,
    },
    problem::Problem,
    response::Reply,
};

#[derive(Template)]
#[template(path = "dashboard/funnels/new.html")]
struct NewPage {
    frame: Frame,
    form: Form,
}

impl NewPage {
    fn templates() -> Vec<Choice> {
        choices()
    }
}

/// `GET /funnels/new`
pub(crate) async fn new(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::parse(b"template=blank")?;
    Ok(page(&call, &signed_in, form))
}

/// `POST /funnels/new`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let template = canvas(form.extra("template").unwrap_or_default());
    let engine = &call.app.engine;
    let read = |body| read_new(body, &|| engine.new_id());
    let made = match form.json().and_then(read) {
        Ok(mut draft) => {
            draft.canvas = template.with_new_ids(|| engine.new_id());
            let made = engine.create_funnel(&signed_in.principal, draft).await;
            made.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match made {
        Ok(funnel) => Ok(done(
            &format!("/funnels/{}/edit", funnel.id),
            "funnel_created",
        )),
        Err(problem) => Ok(page(&call, &signed_in, form.refused(problem)?)),
    }
}

fn page(call: &Call, signed_in: &SignedIn, form: Form) -> Reply {
    let frame = Frame::new(call, signed_in, Section::Funnels, "New funnel");
    let frame = frame.below("Funnels", "/funnels");
    let page = NewPage { frame, form };
    html(page.form.status(), &page)
}
