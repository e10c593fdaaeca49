//! One's own account: look, change, another password, the browsers that are signed in.

use std::net::IpAddr;

use hyper::StatusCode;
use samplit_domain::{AccountSession, SessionId, Violations};
use samplit_engine::{AccountChange, Password};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::users::one;
use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    response::{Reply, empty, json},
    session_cookie,
};

/// `GET /v1/account`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let user = call.app.engine.account(&who).await?;
    Ok(call.unless_known(one(&user)))
}

/// `PATCH /v1/account`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = read_change(call.json().await?)?;
    let changed = call.app.engine.update_account(&who, change, if_version);
    Ok(one(&changed.await?))
}

/// `POST /v1/account/password`: another password. Whoever is signed in has to sign in again.
pub(crate) async fn change_password(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let device = call.device();
    let (current, new) = read_passwords(call.json().await?)?;
    let engine = &call.app.engine;
    engine
        .change_password(&who, &current, &new, &device)
        .await?;
    let mut reply = empty(StatusCode::NO_CONTENT);
    reply.headers_mut().extend([session_cookie::end()]);
    Ok(reply)
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenSession)]
pub(crate) struct SessionJson {
    id: SessionId,
    /// Whether it is the one that asks.
    is_current: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    last_seen_at: OffsetDateTime,
    user_agent: Option<String>,
    #[schema(value_type = Option<String>)]
    address: Option<IpAddr>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = OpenSessions)]
pub(crate) struct SessionsJson {
    data: Vec<SessionJson>,
}

/// `GET /v1/sessions`: the browsers that are signed in with the account.
pub(crate) async fn sessions(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let current = match who.key {
        Some(_) => None,
        None => Some(call.signed_in().await?.session),
    };
    let data = call.app.engine.sessions(&who).await?;
    let data = data.into_iter().map(|session: AccountSession| SessionJson {
        id: session.id,
        is_current: Some(session.id) == current,
        created_at: session.created_at,
        expires_at: session.expires_at,
        last_seen_at: session.last_seen_at,
        user_agent: session.user_agent,
        address: session.address,
    });
    let reply = SessionsJson {
        data: data.collect(),
    };
    Ok(json(StatusCode::OK, &reply))
}

/// `DELETE /v1/sessions/{session_id}`: signs a browser out.
pub(crate) async fn end_session(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.app.engine.end_session(&who, call.session_id()).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

pub(crate) fn read_change(body: Json) -> Result<AccountChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| {
        let text = |given: Option<Option<String>>| given.map(Option::unwrap_or_default);
        AccountChange {
            name: text(fields.patch("name")),
            company: text(fields.patch("company")),
        }
    });
    violations.into_result(change).map_err(Problem::invalid)
}

pub(crate) fn read_passwords(body: Json) -> Result<(Password, Password), Problem> {
    let mut violations = Violations::default();
    let read = Fields::read(body, String::new(), &mut violations, |fields| {
        let current: String = fields.required("current");
        let new: String = fields.required("new");
        (Password::from(current), Password::from(new))
    });
    violations.into_result(read).map_err(Problem::invalid)
}
