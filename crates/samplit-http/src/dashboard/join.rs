//! What links lead to: the first admin makes an account, the invited choose a password, whoever forgot
//! it chooses another. A link is used up by a form and not by being opened, as mail programs open links.

use askama::Template;
use samplit_engine::{LinkInfo, LinkKind, Redeem, SignedInToken};
use serde_json::Value as Json;

use super::{
    door::let_in,
    form::Form,
    format::Moment,
    layout::{Frame, html},
};
use crate::{api::session::read_redeem, call::Call, problem::Problem, response::Reply};

#[derive(Template)]
#[template(path = "dashboard/join.html")]
struct JoinPage {
    frame: Frame,
    form: Form,
    link: LinkInfo,
    email: String,
    ends: Moment,
}

impl JoinPage {
    fn wants_name(&self) -> bool {
        matches!(self.link.kind, LinkKind::Setup | LinkKind::Invite)
    }
}

/// `GET /join/{token}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let link = call.app.engine.link(call.link_token()).await?;
    let name = link.name.clone().map_or(Json::Null, Json::from);
    let form = Form::of(serde_json::json!({ "name": name }));
    Ok(page(&call, link, form))
}

/// `POST /join/{token}`
pub(crate) async fn join(mut call: Call) -> Result<Reply, Problem> {
    call.refuse_other_sites()?;
    let form = Form::read(&mut call).await?;
    match redeem(&call, &form).await {
        Ok(signed_in) => Ok(let_in(&call, &signed_in, "/?done=welcome").await),
        Err(problem) => {
            let form = form.refused(problem)?;
            let link = call.app.engine.link(call.link_token()).await?;
            Ok(page(&call, link, form))
        }
    }
}

async fn redeem(call: &Call, form: &Form) -> Result<SignedInToken, Problem> {
    let mut body = form.json()?;
    if let Some(body) = body.as_object_mut() {
        body.insert("token".to_owned(), Json::from(call.link_token()));
    }
    let (token, redeem) = read_redeem(body)?;
    let redeem = Redeem {
        device: call.device(),
        ..redeem
    };
    Ok(call.app.engine.redeem(&token, redeem).await?)
}

fn page(call: &Call, link: LinkInfo, form: Form) -> Reply {
    let title = match link.kind {
        LinkKind::Setup => "Set up Samplit",
        LinkKind::Invite => "Welcome to Samplit",
        LinkKind::Reset => "Choose a new password",
        LinkKind::SignIn => "Sign in",
    };
    let frame = Frame::outside(call, title);
    let page = JoinPage {
        ends: frame.ago(&link.expires_at),
        email: link.email.clone().unwrap_or_default(),
        frame,
        form,
        link,
    };
    html(page.form.status(), &page)
}
