//! The session of a browser: sign in, look, sign out; and the links that let somebody in.

use hyper::StatusCode;
use samplit_domain::{SessionId, Violations};
use samplit_engine::{NewSession, Password, Redeem, SignedInToken};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::users::UserJson;
use crate::{
    call::Call,
    fields::Fields,
    problem::Problem,
    response::{Reply, empty, json},
    session_cookie,
};

#[derive(Serialize, ToSchema)]
#[schema(as = Session)]
pub(crate) struct SessionJson<'a> {
    id: SessionId,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
    user: UserJson<'a>,
}

/// `POST /v1/session`: signs in with email and password, and sets the cookie.
pub(crate) async fn sign_in(mut call: Call) -> Result<Reply, Problem> {
    call.refuse_other_sites()?;
    let device = call.device();
    let (email, password) = read_sign_in(call.json().await?)?;
    let new = NewSession {
        email,
        password,
        device,
    };
    let signed_in = call.app.engine.sign_in(new).await?;
    call.end_former_session().await;
    Ok(began(&signed_in))
}

/// `GET /v1/session`: who is signed in.
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let signed_in = call.signed_in().await?;
    let reply = SessionJson {
        id: signed_in.session,
        expires_at: signed_in.expires_at,
        user: UserJson::from(&signed_in.user),
    };
    Ok(json(StatusCode::OK, &reply))
}

/// `DELETE /v1/session`: signs out. Signed out one stays, however often it is asked.
pub(crate) async fn sign_out(call: Call) -> Result<Reply, Problem> {
    if let Some(token) = call.session_token() {
        call.require_own_page()?;
        call.app.engine.sign_out(token).await?;
    }
    let mut reply = empty(StatusCode::NO_CONTENT);
    reply.headers_mut().extend([session_cookie::end()]);
    Ok(reply)
}

/// `POST /v1/links/redeem`: uses a link up, signs in, and sets the cookie.
pub(crate) async fn redeem(mut call: Call) -> Result<Reply, Problem> {
    call.refuse_other_sites()?;
    let device = call.device();
    let (token, redeem) = read_redeem(call.json().await?)?;
    let redeem = Redeem { device, ..redeem };
    let signed_in = call.app.engine.redeem(&token, redeem).await?;
    call.end_former_session().await;
    Ok(began(&signed_in))
}

/// A session that began, with its cookie.
fn began(signed_in: &SignedInToken) -> Reply {
    let reply = SessionJson {
        id: signed_in.session,
        expires_at: signed_in.expires_at,
        user: UserJson::from(&signed_in.user),
    };
    let mut reply = json(StatusCode::CREATED, &reply);
    reply.headers_mut().extend([session_cookie::set(signed_in)]);
    reply
}

pub(crate) fn read_sign_in(body: Json) -> Result<(String, Password), Problem> {
    let mut violations = Violations::default();
    let read = Fields::read(body, String::new(), &mut violations, |fields| {
        let email: String = fields.required("email");
        (email, Password::from(fields.required::<String>("password")))
    });
    violations.into_result(read).map_err(Problem::invalid)
}

pub(crate) fn read_redeem(body: Json) -> Result<(String, Redeem), Problem> {
    let mut violations = Violations::default();
    let read = Fields::read(body, String::new(), &mut violations, |fields| {
        let token: String = fields.required("token");
        let redeem = Redeem {
            email: fields.optional("email"),
            name: fields.optional("name"),
            password: fields.optional::<String>("password").map(Password::from),
            ..Redeem::default()
        };
        (token, redeem)
    });
    violations.into_result(read).map_err(Problem::invalid)
}
