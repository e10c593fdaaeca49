//! The plan of an account, on its page: for admins.

use askama::{Template, filters::HtmlSafe};
use samplit_domain::Subscription;
use samplit_engine::SignedIn;
use serde_json::json;

use super::{plan_of, state};
use crate::{
    api::plans::read_choice,
    call::Call,
    dashboard::{
        field::Choice,
        form::Form,
        notice::done,
        users::{self, admin},
    },
    problem::Problem,
    response::Reply,
};

/// The part of the page of an account that is about its plan.
#[derive(Debug, Template)]
#[template(path = "dashboard/plans/of_user.html")]
pub(in crate::dashboard) struct Choosing {
    /// The path of the account.
    path: String,
    subscription: Option<Subscription>,
    plans: Vec<Choice>,
    pub(in crate::dashboard) form: Form,
}

/// Its template escapes what comes from people.
impl HtmlSafe for Choosing {}

impl Choosing {
    /// Whether Stripe says which plan it is.
    fn is_managed(&self) -> bool {
        let subscription = self.subscription.as_ref();
        subscription.is_some_and(Subscription::is_managed)
    }
}

/// What there is to choose for the account of the path, with what was chosen.
pub(in crate::dashboard) async fn choosing(
    call: &Call,
    who: &SignedIn,
    form: Option<Form>,
) -> Result<Choosing, Problem> {
    let (engine, user) = (&call.app.engine, call.user_id());
    let subscription = engine.subscription(&who.principal, user).await?;
    let plans = engine.plans(&who.principal).await?;
    let choice = |plan: &samplit_domain::Plan| Choice::new(&*plan.name, &*plan.title, "");
    let chosen = json!({ "plan": plan_of(subscription.as_ref()) });
    Ok(Choosing {
        path: format!("/users/{user}/plan"),
        plans: plans.iter().map(choice).collect(),
        form: form.unwrap_or_else(|| Form::of(chosen)),
        subscription,
    })
}

/// `POST /users/{user_id}/plan`
pub(crate) async fn put(mut call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::read(&mut call).await?;
    let set = match form.json().and_then(read_choice) {
        Ok(plan) => {
            let (engine, user) = (&call.app.engine, call.user_id());
            let set = engine.set_subscription(&who.principal, user, &plan);
            set.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match set {
        Ok(set) => Ok(done(&format!("/users/{}", set.user_id), "plan_set")),
        Err(problem) => users::page_with_plan(&call, &who, form.refused(problem)?).await,
    }
}
