//! `/plans`, for admins: what there is to subscribe to, and who is on which plan.

use askama::Template;
use samplit_domain::{Plan, SELF_HOSTED, Subscription, Violations};
use samplit_engine::{Page, SignedIn};
use serde_json::json;

use super::state;
use crate::{
    api::plans::{PlanJson, read_plan},
    call::Call,
    dashboard::{
        form::Form,
        format,
        layout::{Frame, Section, html},
        list::Paging,
        notice::done,
        users::admin,
    },
    problem::Problem,
    response::Reply,
};

/// Rows of a page.
const LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "dashboard/plans/manage.html")]
struct PlansPage {
    frame: Frame,
    plans: Vec<Plan>,
    form: Form,
    /// The plan that is being changed; `None`: the form is for a new one.
    changed: Option<String>,
    subscriptions: Vec<(Subscription, String)>,
    paging: Paging,
}

/// `GET /plans`, perhaps `?plan=<name>` to change one.
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let changed = call.query().text("plan");
    let plans = call.app.engine.plans(&who.principal).await?;
    let plan = plans
        .iter()
        .find(|plan| Some(&plan.name) == changed.as_ref());
    let form = match plan {
        Some(plan) => Form::of(json!(PlanJson::from(plan))),
        None => Form::empty(),
    };
    let changed = plan.map(|plan| plan.name.clone());
    page(&call, &who, form, changed).await
}

/// `POST /plans`: makes a plan, or changes the one that the button `save` names.
pub(crate) async fn save(mut call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::read(&mut call).await?;
    let changed = form.extra("save").map(str::to_owned);
    match perform(&call, &who, &form, changed.as_deref()).await {
        Ok(()) => Ok(done("/plans", "plan_saved")),
        Err(mut problem) => {
            // The API finds the name in the path.
            for error in &mut problem.errors {
                if error.pointer == "{name}" {
                    "name".clone_into(&mut error.pointer);
                }
            }
            page(&call, &who, form.refused(problem)?, changed).await
        }
    }
}

async fn perform(
    call: &Call,
    who: &SignedIn,
    form: &Form,
    changed: Option<&str>,
) -> Result<(), Problem> {
    let engine = &call.app.engine;
    let typed = form.extra("name").unwrap_or_default().trim();
    let name = changed.unwrap_or(typed);
    let draft = form.json().and_then(read_plan).map_err(|mut problem| {
        // What is wrong with the name is said along with the rest.
        let mut violations = Violations::default();
        violations.key("name", name);
        problem.errors.splice(0..0, violations.0);
        problem
    })?;
    if changed.is_none() {
        // Who makes a plan does not mean to change another one.
        let mut plans = engine.plans(&who.principal).await?.into_iter();
        if plans.any(|plan| plan.name == name) {
            let mut violations = Violations::default();
            violations.add("name", "taken", "is the name of a plan that there is");
            return Err(Problem::invalid(violations));
        }
    }
    engine.save_plan(&who.principal, name, draft).await?;
    Ok(())
}

async fn page(
    call: &Call,
    who: &SignedIn,
    form: Form,
    changed: Option<String>,
) -> Result<Reply, Problem> {
    let engine = &call.app.engine;
    let cursor = call.query().text("cursor");
    let list = Page {
        cursor: cursor.clone(),
        limit: LENGTH,
    };
    let found = engine.subscriptions(&who.principal, &list).await?;
    let page = PlansPage {
        frame: Frame::new(call, who, Section::Plans, "Plans"),
        plans: engine.plans(&who.principal).await?,
        changed,
        subscriptions: found.data,
        paging: Paging::new("/plans", &[], cursor.is_some(), found.next_cursor),
        form,
    };
    Ok(html(page.form.status(), &page))
}

/// A limit in a table.
fn limit(limit: &Option<u64>) -> String {
    limit.map_or_else(|| "any".to_owned(), format::count)
}
