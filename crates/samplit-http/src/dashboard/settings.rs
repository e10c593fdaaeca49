//! One's own account: name, password, and the browsers that are signed in.

use askama::Template;
use samplit_domain::{AccountSession, Role, SessionId, User};
use samplit_engine::SignedIn;
use serde_json::json;

use super::{
    device,
    form::Form,
    layout::{Frame, Section, html},
    notice::done,
};
use crate::{
    api::account::{read_change, read_passwords},
    call::Call,
    problem::Problem,
    response::Reply,
    session_cookie,
};

#[derive(Template)]
#[template(path = "dashboard/settings.html")]
struct SettingsPage {
    frame: Frame,
    user: User,
    account: Form,
    password: Form,
    sessions: Vec<AccountSession>,
    current: SessionId,
    /// Whether the first steps were put away before all of them were done.
    can_reopen: bool,
}

/// `GET /settings`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    page(&call, &who, None, Form::empty()).await
}

/// `POST /settings/account`
pub(crate) async fn save_account(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let saved = match form.json().and_then(read_change) {
        Ok(change) => {
            let saved = call.app.engine.update_account(&who.principal, change, None);
            saved.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(_) => Ok(done("/settings", "account_saved")),
        Err(problem) => page(&call, &who, Some(form.refused(problem)?), Form::empty()).await,
    }
}

/// `POST /settings/password`: every session of the account ends.
pub(crate) async fn change_password(mut call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let form = Form::read(&mut call).await?;
    let changed = match form.json().and_then(read_passwords) {
        Ok((current, new)) => {
            let (engine, device) = (&call.app.engine, call.device());
            let changed = engine.change_password(&who.principal, &current, &new, &device);
            changed.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match changed {
        Ok(()) => {
            let mut reply = done("/login", "password_changed");
            reply.headers_mut().extend([session_cookie::end()]);
            Ok(reply)
        }
        Err(problem) => page(&call, &who, None, form.refused(problem)?).await,
    }
}

/// `POST /settings/sessions/{session_id}/end`
pub(crate) async fn end_session(call: Call) -> Result<Reply, Problem> {
    let who = call.signed_in().await?;
    let id = call.session_id();
    call.app.engine.end_session(&who.principal, id).await?;
    if id == who.session {
        let mut reply = done("/login", "signed_out");
        reply.headers_mut().extend([session_cookie::end()]);
        return Ok(reply);
    }
    Ok(done("/settings", "session_ended"))
}

/// The page with what was typed into one of its forms.
async fn page(
    call: &Call,
    who: &SignedIn,
    account: Option<Form>,
    password: Form,
) -> Result<Reply, Problem> {
    let engine = &call.app.engine;
    let user = engine.account(&who.principal).await?;
    let saved = || Form::of(json!({ "name": user.name, "company": user.company }));
    let onboarding = engine.onboarding(&who.principal).await?;
    let page = SettingsPage {
        can_reopen: onboarding.dismissed_at.is_some() && onboarding.completed_at.is_none(),
        frame: Frame::new(call, who, Section::Settings, "Settings"),
        account: account.unwrap_or_else(saved),
        sessions: engine.sessions(&who.principal).await?,
        current: who.session,
        password,
        user,
    };
    let status = page.account.status().max(page.password.status());
    Ok(html(status, &page))
}
