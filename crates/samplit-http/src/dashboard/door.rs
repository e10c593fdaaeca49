//! The door: sign in, sign out, and the way in for those who forgot their password.

use askama::Template;
use samplit_domain::Violations;
use samplit_engine::{NewSession, SignedInToken};
use serde_json::Value as Json;

use super::{
    form::Form,
    layout::{Frame, html, local_path},
    notice::{done, see},
};
use crate::{
    api::session::read_sign_in, call::Call, fields::Fields, problem::Problem, response::Reply,
    session_cookie,
};

#[derive(Template)]
#[template(path = "dashboard/login.html")]
struct LoginPage {
    frame: Frame,
    form: Form,
    /// Where to go on.
    next: String,
    /// Whether there is anybody who could sign in.
    is_set_up: bool,
}

#[derive(Template)]
#[template(path = "dashboard/forgot.html")]
struct ForgotPage {
    frame: Frame,
    form: Form,
    can_mail: bool,
}

/// `GET /login`
pub(crate) async fn login(call: Call) -> Result<Reply, Problem> {
    let next = call.query().text("next");
    let next = next.as_deref().and_then(local_path).unwrap_or("/");
    if call.signed_in().await.is_ok() {
        return Ok(see(next));
    }
    login_page(&call, Form::empty(), next).await
}

/// `POST /login`
pub(crate) async fn sign_in(mut call: Call) -> Result<Reply, Problem> {
    call.refuse_other_sites()?;
    let form = Form::read(&mut call).await?;
    let next = form.extra("next").and_then(local_path).unwrap_or("/");
    let next = next.to_owned();
    match try_to_sign_in(&call, &form).await {
        Ok(signed_in) => Ok(let_in(&call, &signed_in, &next).await),
        Err(problem) => login_page(&call, form.refused(problem)?, &next).await,
    }
}

async fn try_to_sign_in(call: &Call, form: &Form) -> Result<SignedInToken, Problem> {
    let (email, password) = read_sign_in(form.json()?)?;
    let device = call.device();
    let new = NewSession {
        email,
        password,
        device,
    };
    Ok(call.app.engine.sign_in(new).await?)
}

/// Goes on as somebody who has just signed in.
pub(super) async fn let_in(call: &Call, signed_in: &SignedInToken, next: &str) -> Reply {
    call.end_former_session().await;
    let mut reply = see(next);
    reply.headers_mut().extend([session_cookie::set(signed_in)]);
    reply
}

async fn login_page(call: &Call, form: Form, next: &str) -> Result<Reply, Problem> {
    let page = LoginPage {
        frame: Frame::outside(call, "Sign in"),
        next: next.to_owned(),
        is_set_up: call.app.engine.is_set_up().await?,
        form,
    };
    Ok(html(page.form.status(), &page))
}

/// `POST /logout`
pub(crate) async fn sign_out(call: Call) -> Result<Reply, Problem> {
    if let Some(token) = call.session_token() {
        call.require_own_page()?;
        call.app.engine.sign_out(token).await?;
    }
    let mut reply = done("/login", "signed_out");
    reply.headers_mut().extend([session_cookie::end()]);
    Ok(reply)
}

/// `GET /forgot`
pub(crate) async fn forgot(call: Call) -> Result<Reply, Problem> {
    Ok(forgot_page(&call, Form::empty()))
}

/// `POST /forgot`: the answer is the same, whether there is such an account or not.
pub(crate) async fn send_link(mut call: Call) -> Result<Reply, Problem> {
    call.refuse_other_sites()?;
    let form = Form::read(&mut call).await?;
    let sent = form.json().and_then(read_email).and_then(|email| {
        let device = call.device();
        Ok(call.app.engine.forgot(&email, &device)?)
    });
    match sent {
        Ok(()) => Ok(done("/login", "link_sent")),
        Err(problem) => Ok(forgot_page(&call, form.refused(problem)?)),
    }
}

fn read_email(body: Json) -> Result<String, Problem> {
    let mut violations = Violations::default();
    let email = Fields::read(body, String::new(), &mut violations, |fields| {
        fields.required("email")
    });
    violations.into_result(email).map_err(Problem::invalid)
}

fn forgot_page(call: &Call, form: Form) -> Reply {
    let page = ForgotPage {
        frame: Frame::outside(call, "Forgotten password"),
        can_mail: call.app.engine.can_mail(),
        form,
    };
    html(page.form.status(), &page)
}
