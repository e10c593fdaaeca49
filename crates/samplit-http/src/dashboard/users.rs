//! Accounts of others, for admins: invite, role, a link for a password, disable and enable.

use askama::Template;
use hyper::StatusCode;
use samplit_domain::{Role, User};
use samplit_engine::{Error, ErrorKind, Link, Page, SignedIn, UserChange, UserFilter};
use serde_json::json;

use super::{
    field::Choice,
    form::Form,
    layout::{Frame, Section, html},
    list::Paging,
    notice::done,
    plans::{Choosing, choosing},
};
use crate::{
    api::users::{read_change, read_new},
    call::Call,
    problem::Problem,
    response::Reply,
};

#[derive(Template)]
#[template(path = "dashboard/users.html")]
struct UsersPage {
    frame: Frame,
    filter: Form,
    users: Vec<User>,
    paging: Paging,
}

#[derive(Template)]
#[template(path = "dashboard/user_new.html")]
struct NewUserPage {
    frame: Frame,
    form: Form,
    can_mail: bool,
}

#[derive(Template)]
#[template(path = "dashboard/user.html")]
struct UserPage {
    frame: Frame,
    user: User,
    /// Whether it is the account of whoever looks at it.
    is_self: bool,
    role: Form,
    disabling: Form,
    plan: Choosing,
}

#[derive(Template)]
#[template(path = "dashboard/user_link.html")]
struct LinkPage {
    frame: Frame,
    user: User,
    link: Link,
    /// The whole address, unless it was mailed.
    url: Option<String>,
}

/// The roles, for a form.
fn roles() -> Vec<Choice> {
    vec![
        Choice::new(
            Role::Client.as_str(),
            "Client",
            "Makes and sees its own experiments, sites and keys.",
        ),
        Choice::new(
            Role::Admin.as_str(),
            "Administrator",
            "Sees everybody's, and invites and disables accounts.",
        ),
    ]
}

/// The roles, to narrow a list by.
fn roles_or_any() -> Vec<Choice> {
    let mut choices = vec![Choice::new("", "Any role", "")];
    choices.extend(roles());
    choices
}

/// The state of an account: for its badge, and in words.
fn state(user: &User) -> (&'static str, &'static str) {
    if user.disabled_at.is_some() {
        ("disabled", "disabled")
    } else if user.has_password {
        ("active", "active")
    } else if user.last_login_at.is_some() {
        ("info", "by link or key")
    } else {
        ("invited", "not yet here")
    }
}

/// Whoever is signed in, if it is an admin.
pub(super) async fn admin(call: &Call) -> Result<SignedIn, Problem> {
    let who = call.signed_in().await?;
    if who.user.role == Role::Admin {
        Ok(who)
    } else {
        Err(Error::from(ErrorKind::AdminOnly).into())
    }
}

/// `GET /users`
pub(crate) async fn list(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let mut query = call.query();
    let (role, text) = (query.text("role"), query.text("q"));
    let filter = UserFilter {
        // A role that there is not narrows nothing.
        role: role.as_deref().and_then(|role| role.parse().ok()),
        text: text.clone(),
    };
    let cursor = query.text("cursor");
    let page = Page {
        cursor: cursor.clone(),
        limit: 50,
    };
    let found = call
        .app
        .engine
        .users(&who.principal, &filter, &page)
        .await?;
    let narrowed = [("role", role.clone()), ("q", text.clone())];
    let page = UsersPage {
        frame: Frame::new(&call, &who, Section::Users, "Users"),
        filter: Form::of(json!({ "role": role, "q": text })),
        users: found.data,
        paging: Paging::new("/users", &narrowed, cursor.is_some(), found.next_cursor),
    };
    Ok(html(StatusCode::OK, &page))
}

/// `GET /users/new`
pub(crate) async fn new(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::of(json!({ "role": Role::Client }));
    Ok(new_page(&call, &who, form))
}

/// `POST /users/new`
pub(crate) async fn invite(mut call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::read(&mut call).await?;
    let invited = match form.json().and_then(read_new) {
        Ok(new) => {
            let invited = call.app.engine.invite(&who.principal, new);
            invited.await.map_err(Problem::from)
        }
        Err(problem) => Err(problem),
    };
    match invited {
        Ok((user, link)) => link_page(&call, &who, user, link),
        Err(problem) => Ok(new_page(&call, &who, form.refused(problem)?)),
    }
}

fn new_page(call: &Call, who: &SignedIn, form: Form) -> Reply {
    let frame = Frame::new(call, who, Section::Users, "Invite somebody");
    let page = NewUserPage {
        frame: frame.below("Users", "/users"),
        can_mail: call.app.engine.can_mail(),
        form,
    };
    html(page.form.status(), &page)
}

fn link_page(call: &Call, who: &SignedIn, user: User, link: Link) -> Result<Reply, Problem> {
    let url = link.path.as_deref().map(|path| call.url_of(path));
    let frame = Frame::new(call, who, Section::Users, "A link to hand over");
    let page = LinkPage {
        frame: frame
            .below("Users", "/users")
            .below(user.email.clone(), format!("/users/{}", user.id)),
        url: url.transpose()?,
        user,
        link,
    };
    Ok(html(StatusCode::CREATED, &page))
}

/// `GET /users/{user_id}`
pub(crate) async fn show(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    page(&call, &who, None, Form::empty(), None).await
}

/// `POST /users/{user_id}`: changes the role.
pub(crate) async fn save(mut call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::read(&mut call).await?;
    let saved = match form.json().and_then(read_change) {
        Ok(change) => change_user(&call, &who, change).await,
        Err(problem) => Err(problem),
    };
    match saved {
        Ok(user) => Ok(done(&format!("/users/{}", user.id), "user_saved")),
        Err(problem) => {
            let role = Some(form.refused(problem)?);
            page(&call, &who, role, Form::empty(), None).await
        }
    }
}

/// `POST /users/{user_id}/disable`: its email has to be typed.
pub(crate) async fn disable(mut call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let form = Form::read(&mut call).await?;
    let user = call.app.engine.user(&who.principal, call.user_id()).await?;
    let disabled = match form.confirmed(&user.email) {
        Ok(()) => change_user(&call, &who, disabled(true)).await,
        Err(problem) => Err(problem),
    };
    match disabled {
        Ok(user) => Ok(done(&format!("/users/{}", user.id), "user_disabled")),
        Err(problem) => page(&call, &who, None, form.refused(problem)?, None).await,
    }
}

/// `POST /users/{user_id}/enable`
pub(crate) async fn enable(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let user = change_user(&call, &who, disabled(false)).await?;
    Ok(done(&format!("/users/{}", user.id), "user_enabled"))
}

/// `POST /users/{user_id}/link`
pub(crate) async fn make_link(call: Call) -> Result<Reply, Problem> {
    let who = admin(&call).await?;
    let (engine, id) = (&call.app.engine, call.user_id());
    let user = engine.user(&who.principal, id).await?;
    let link = engine.reset_link(&who.principal, id).await?;
    link_page(&call, &who, user, link)
}

fn disabled(disabled: bool) -> UserChange {
    UserChange {
        disabled: Some(disabled),
        ..UserChange::default()
    }
}

async fn change_user(call: &Call, who: &SignedIn, change: UserChange) -> Result<User, Problem> {
    let (engine, id) = (&call.app.engine, call.user_id());
    Ok(engine.update_user(&who.principal, id, change, None).await?)
}

/// The page with what was chosen as the plan of the account.
pub(super) async fn page_with_plan(
    call: &Call,
    who: &SignedIn,
    plan: Form,
) -> Result<Reply, Problem> {
    page(call, who, None, Form::empty(), Some(plan)).await
}

/// The page with what was typed into one of its forms.
async fn page(
    call: &Call,
    who: &SignedIn,
    role: Option<Form>,
    disabling: Form,
    plan: Option<Form>,
) -> Result<Reply, Problem> {
    let user = call.app.engine.user(&who.principal, call.user_id()).await?;
    let name = user.name.as_deref().unwrap_or(&user.email);
    let frame = Frame::new(call, who, Section::Users, name);
    let page = UserPage {
        frame: frame.below("Users", "/users"),
        is_self: user.id == who.user.id,
        role: role.unwrap_or_else(|| Form::of(json!({ "role": user.role }))),
        disabling,
        plan: choosing(call, who, plan).await?,
        user,
    };
    let forms = [&page.role, &page.disabling, &page.plan.form];
    let status = forms.map(Form::status).into_iter().max();
    let status = status.unwrap_or(StatusCode::OK);
    Ok(html(status, &page))
}
