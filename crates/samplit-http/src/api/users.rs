//! Accounts of others, for admins.

use hyper::{StatusCode, header::LOCATION};
use samplit_domain::{LinkId, LinkKind, Role, User, UserId, Violations, to_micros};
use samplit_engine::{Link, NewUser, Once, Page, UserChange, UserFilter};
use serde::Serialize;
use serde_json::Value as Json;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::{
    call::Call,
    fields::Fields,
    idempotency,
    problem::Problem,
    response::{Reply, etag, json, tagged},
};

/// An account as every route shows it.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserJson<'a> {
    id: UserId,
    email: &'a str,
    name: Option<&'a str>,
    company: Option<&'a str>,
    role: Role,
    has_password: bool,
    #[serde(with = "time::serde::rfc3339")]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    last_login_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    disabled_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339")]
    updated_at: OffsetDateTime,
}

impl<'a> From<&'a User> for UserJson<'a> {
    fn from(user: &'a User) -> Self {
        Self {
            id: user.id,
            email: &user.email,
            name: user.name.as_deref(),
            company: user.company.as_deref(),
            role: user.role,
            has_password: user.has_password,
            created_at: user.created_at,
            last_login_at: user.last_login_at,
            disabled_at: user.disabled_at,
            updated_at: user.updated_at,
        }
    }
}

/// An account with its entity tag. Signing in shows, and is no change.
pub(crate) fn one(user: &User) -> Reply {
    let signed_in_at = user.last_login_at.map_or(0, to_micros);
    let reply = json(StatusCode::OK, &UserJson::from(user));
    tagged(reply, etag(user.version(), &[signed_in_at]))
}

/// A link that lets somebody in.
#[derive(Serialize, ToSchema)]
#[schema(as = AccountLink)]
pub(crate) struct LinkJson {
    id: LinkId,
    kind: LinkKind,
    /// For whoever made it to hand on; absent where it was mailed.
    url: Option<String>,
    mailed: bool,
    #[serde(with = "time::serde::rfc3339")]
    expires_at: OffsetDateTime,
}

impl LinkJson {
    /// A link to `server`.
    fn new(server: &str, link: &Link) -> Self {
        let path = link.path.as_deref();
        Self {
            id: link.id,
            kind: link.kind,
            url: path.map(|path| format!("{server}{path}")),
            mailed: link.mailed,
            expires_at: link.expires_at,
        }
    }
}

#[derive(Serialize, ToSchema)]
#[schema(as = UserPage)]
pub(crate) struct PageJson<'a> {
    data: Vec<UserJson<'a>>,
    next_cursor: Option<&'a str>,
}

/// `GET /v1/users`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let mut query = call.query();
    let page = Page {
        cursor: query.text("cursor"),
        limit: query.page_length(),
    };
    let filter = UserFilter {
        role: query.word("role"),
        text: query.text("q"),
    };
    query.finish()?;
    let found = call.app.engine.users(&who, &filter, &page).await?;
    let page = PageJson {
        data: found.data.iter().map(UserJson::from).collect(),
        next_cursor: found.next_cursor.as_deref(),
    };
    Ok(json(StatusCode::OK, &page))
}

#[derive(Serialize, ToSchema)]
#[schema(as = Invited)]
pub(crate) struct InvitedJson<'a> {
    user: UserJson<'a>,
    link: LinkJson,
}

/// `POST /v1/users`: makes an account and a link that invites its owner.
pub(crate) async fn invite(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let (body, key) = call.json_once().await?;
    let new = read_new(body)?;
    let server = call.url_of("")?;
    let answer = |(user, link): &(User, Link)| {
        let made = InvitedJson {
            user: UserJson::from(user),
            link: LinkJson::new(&server, link),
        };
        let path = format!("/v1/users/{}", user.id);
        idempotency::answer(vec![(LOCATION, path)], &made)
    };
    let once = key.as_ref().map(|key| Once {
        key,
        answer: &answer,
        is_secret: true,
    });
    let engine = &call.app.engine;
    let made = engine.invite_once(&who, new, once.as_ref());
    Ok(idempotency::reply(made.await?, answer))
}

/// `GET /v1/users/{user_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let user = call.app.engine.user(&who, call.user_id()).await?;
    Ok(call.unless_known(one(&user)))
}

/// `PATCH /v1/users/{user_id}`
pub(crate) async fn update(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    let if_version = call.if_match()?;
    let change = read_change(call.json().await?)?;
    let (engine, id) = (&call.app.engine, call.user_id());
    let user = engine.update_user(&who, id, change, if_version).await?;
    Ok(one(&user))
}

/// `POST /v1/users/{user_id}/link`: a link by which the owner chooses a password.
pub(crate) async fn link(mut call: Call) -> Result<Reply, Problem> {
    let who = call.principal().await?;
    call.no_fields().await?;
    let server = call.url_of("")?;
    let link = call.app.engine.reset_link(&who, call.user_id()).await?;
    Ok(json(StatusCode::CREATED, &LinkJson::new(&server, &link)))
}

pub(crate) fn read_new(body: Json) -> Result<NewUser, Problem> {
    let mut violations = Violations::default();
    let new = Fields::read(body, String::new(), &mut violations, |fields| NewUser {
        email: fields.required("email"),
        name: fields.optional("name"),
        role: fields.word("role").unwrap_or(Role::Client),
    });
    violations.into_result(new).map_err(Problem::invalid)
}

pub(crate) fn read_change(body: Json) -> Result<UserChange, Problem> {
    let mut violations = Violations::default();
    let change = Fields::read(body, String::new(), &mut violations, |fields| UserChange {
        role: fields.word("role"),
        disabled: fields.optional("disabled"),
    });
    violations.into_result(change).map_err(Problem::invalid)
}
