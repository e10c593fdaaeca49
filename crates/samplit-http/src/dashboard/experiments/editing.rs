//! Making an experiment and changing it.

use samplit_domain::{Experiment, ExperimentId, Status, Violations};
use samplit_engine::{Principal, SignedIn};
use serde_json::Value as Json;

use super::{
    fields,
    page::{FormPage, Purpose, StartedPage},
    steps::{Wish, step_of},
};
use crate::{
    api::draft::{read_change, read_new},
    call::Call,
    dashboard::{
        form::Form,
        layout::{Frame, Section, html},
        notice::done,
        outlook::Outlook,
    },
    problem::Problem,
    response::Reply,
};

/// `GET /experiments/new`, perhaps `?like=<id>`, perhaps with the plan of a forecast.
pub(crate) async fn new(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let like = like(&call, &signed_in.principal).await?;
    let mut form = like.as_ref().map_or_else(fields::blank, fields::of);
    let query = call.head.uri.query().unwrap_or_default();
    fields::plan(&mut form, Form::parse(query.as_bytes())?.content());
    if let (Some(like), Some(form)) = (&like, form.as_object_mut()) {
        form.insert("name".to_owned(), format!("{} (copy)", like.name).into());
        // A key is of one experiment.
        form.remove("key");
    }
    let purpose = Purpose::New {
        like: like.as_ref(),
    };
    Editing::new(&call, &signed_in, purpose).show(form, 1).await
}

/// `POST /experiments/new`
pub(crate) async fn create(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let like = like(&call, &signed_in.principal).await?;
    let purpose = Purpose::New {
        like: like.as_ref(),
    };
    let editing = Editing::new(&call, &signed_in, purpose);
    let form = match editing.answer(form, read_new).await? {
        Answer::Page(page) => return Ok(*page),
        Answer::Save(form, draft) => {
            let who = &signed_in.principal;
            match call.app.engine.create_experiment(who, *draft).await {
                Ok(made) => {
                    return Ok(done(
                        &format!("/experiments/{}", made.id),
                        "experiment_created",
                    ));
                }
                Err(error) => form.refused(error.into())?,
            }
        }
    };
    editing.refuse(&form).await
}

/// `GET /experiments/{id}/edit`
pub(crate) async fn edit(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let id = call.experiment_id();
    let experiment = call.app.engine.experiment(&signed_in.principal, id).await?;
    let form = fields::of(&experiment);
    let editing = Editing::new(&call, &signed_in, Purpose::Edit(&experiment));
    if experiment.status == Status::Draft {
        editing.show(form, 1).await
    } else {
        Ok(editing.started(&experiment, &Form::of(form)))
    }
}

/// `POST /experiments/{id}/edit`
pub(crate) async fn save(mut call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let (engine, who, id) = (&call.app.engine, &signed_in.principal, call.experiment_id());
    let experiment = engine.experiment(who, id).await?;
    let editing = Editing::new(&call, &signed_in, Purpose::Edit(&experiment));
    // The page was made from this version, so it may replace nothing newer.
    let seen = form
        .extra("version")
        .and_then(|version| version.parse().ok());
    let is_draft = experiment.status == Status::Draft;
    let answer = if is_draft {
        editing
            .answer(form, |body| read_change(body, &experiment))
            .await?
    } else {
        match form.json().and_then(|body| read_change(body, &experiment)) {
            Ok(mut change) => {
                let before = Json::from(experiment.traffic_allocation);
                if form.still_says("/traffic_allocation:percent", &before) {
                    change.traffic_allocation = None;
                }
                Answer::Save(form, Box::new(change))
            }
            Err(problem) => {
                let form = form.refused(problem)?;
                return Ok(editing.started(&experiment, &form));
            }
        }
    };
    let (form, change) = match answer {
        Answer::Page(page) => return Ok(*page),
        Answer::Save(form, change) => (form, change),
    };
    let form = match engine.update_experiment(who, id, *change, seen).await {
        Ok(_) => return Ok(done(&format!("/experiments/{id}"), "experiment_saved")),
        Err(error) => form.refused(error.into())?,
    };
    if is_draft {
        editing.refuse(&form).await
    } else {
        Ok(editing.started(&experiment, &form))
    }
}

/// The experiment that a new one is to be like.
async fn like(call: &Call, who: &Principal) -> Result<Option<Experiment>, Problem> {
    let id: Option<ExperimentId> = call.query().word("like");
    match id {
        Some(id) => Ok(Some(call.app.engine.experiment(who, id).await?)),
        None => Ok(None),
    }
}

/// What a form that was sent leads to.
enum Answer<T> {
    /// It is shown again.
    Page(Box<Reply>),
    /// It is to be kept.
    Save(Form, Box<T>),
}

/// One request for the form.
struct Editing<'e> {
    call: &'e Call,
    signed_in: &'e SignedIn,
    purpose: Purpose<'e>,
}

impl<'e> Editing<'e> {
    fn new(call: &'e Call, signed_in: &'e SignedIn, purpose: Purpose<'e>) -> Self {
        Self {
            call,
            signed_in,
            purpose,
        }
    }

    /// Does what the button wants: shows the form in another shape, or with what is wrong, or says
    /// that it is to be kept.
    async fn answer<T>(
        &self,
        form: Form,
        read: impl FnOnce(Json) -> Result<T, Problem>,
    ) -> Result<Answer<T>, Problem> {
        let wish = Wish::of(form.extra("do"));
        let typed = match form.json() {
            Ok(typed) => typed,
            Err(problem) => {
                let form = form.refused(problem)?;
                return Ok(Answer::Page(Box::new(self.refuse(&form).await?)));
            }
        };
        let mut shape = typed.clone();
        if wish.reshape(&mut shape) {
            let page = self.show(shape, wish.step().unwrap_or(1)).await?;
            return Ok(Answer::Page(Box::new(page)));
        }
        let read = fields::to_api(typed)
            .map_err(Problem::invalid)
            .and_then(read);
        let page = match (wish, read) {
            (Wish::Save, Ok(wanted)) => return Ok(Answer::Save(form, Box::new(wanted))),
            (Wish::Save, Err(problem)) => self.refuse(&form.refused(problem)?).await?,
            (Wish::Check(step), Err(problem)) => {
                let mut wrong = problem.errors;
                wrong.retain(|violation| step_of(violation) <= step);
                if wrong.is_empty() {
                    self.page(&form, step + 1).await?
                } else {
                    let problem = Problem::invalid(Violations(wrong));
                    self.refuse(&form.refused(problem)?).await?
                }
            }
            (Wish::Check(step), Ok(_)) => self.page(&form, step + 1).await?,
            (_, _) => self.page(&form, 3).await?,
        };
        Ok(Answer::Page(Box::new(page)))
    }

    /// The form, filled in with `form`.
    async fn show(&self, form: Json, step: usize) -> Result<Reply, Problem> {
        self.page(&Form::of(form), step).await
    }

    /// The form as it was sent, at the first step in which something is wrong.
    async fn refuse(&self, form: &Form) -> Result<Reply, Problem> {
        let first = form.errors().iter().map(step_of).min();
        self.page(form, first.unwrap_or(1)).await
    }

    async fn page(&self, form: &Form, step: usize) -> Result<Reply, Problem> {
        let engine = &self.call.app.engine;
        let outlook = Outlook::of_form(engine, &self.signed_in.principal, form.content()).await?;
        let page = FormPage {
            frame: self.frame(),
            form,
            purpose: self.purpose,
            step: step.clamp(1, 3),
            outlook,
        };
        Ok(html(form.status(), &page))
    }

    fn started(&self, experiment: &Experiment, form: &Form) -> Reply {
        let page = StartedPage {
            frame: self.frame(),
            form,
            experiment,
        };
        html(form.status(), &page)
    }

    fn frame(&self) -> Frame {
        let title = match self.purpose {
            Purpose::New { .. } => "New experiment".to_owned(),
            Purpose::Edit(experiment) => format!("Edit {}", experiment.name),
        };
        let frame = Frame::new(self.call, self.signed_in, Section::Experiments, title);
        let frame = frame.below("Experiments", "/experiments");
        match self.purpose {
            Purpose::New { .. } => frame,
            Purpose::Edit(experiment) => frame.below(
                experiment.name.clone(),
                format!("/experiments/{}", experiment.id),
            ),
        }
    }
}
