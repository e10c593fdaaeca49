//! Accounts, sessions, API keys, activity.

use samplit_domain::Role;
use serde_json::json;
use utoipa::PartialSchema as _;

use super::{ACCOUNTS, Section};
use crate::{
    api::{
        account::{self, SessionsJson},
        activity,
        keys::{self, CreatedJson, KeysJson},
        session::{self, SessionJson},
        users::{self, InvitedJson, LinkJson, UserJson},
    },
    openapi::{
        bodies::{
            AccountChange, KeyRotation, NewKey, NewUser, PasswordChange, Redemption, SignIn,
            UserChange,
        },
        operation::Operation,
    },
};

pub(super) fn operations() -> Vec<Operation> {
    let mut all = own();
    all.extend(users());
    all.extend(keys());
    all
}

fn own() -> Vec<Operation> {
    let section = Section(ACCOUNTS);
    vec![
        section
            .post("/v1/session", "Signs in and sets the cookie of the session")
            .body::<SignIn>(|body| drop(session::read_sign_in(body)))
            .gives::<SessionJson<'_>>(201)
            .refuses(401, &["wrong_credentials"])
            .refuses(403, &["cross_site"])
            .refuses(429, &["sign_in_throttled"]),
        section
            .get("/v1/session", "Who is signed in")
            .session()
            .gives::<SessionJson<'_>>(200),
        section
            .delete("/v1/session", "Signs out")
            .gives_nothing(204)
            .refuses(403, &["cross_site"])
            .refuses(429, &["rate_limited"]),
        section
            .post("/v1/links/redeem", "Uses a link up and signs in")
            .body::<Redemption>(|body| drop(session::read_redeem(body)))
            .gives::<SessionJson<'_>>(201)
            .refuses(403, &["cross_site"])
            .refuses(409, &["already_set_up", "user_disabled", "email_taken"])
            .refuses(410, &["link_over"])
            .refuses(429, &["rate_limited"]),
        section
            .get("/v1/account", "One's own account")
            .account()
            .unless_known()
            .gives::<UserJson<'_>>(200),
        section
            .patch("/v1/account", "Changes the named fields")
            .account()
            .if_match()
            .body::<AccountChange>(|body| drop(account::read_change(body)))
            .gives::<UserJson<'_>>(200),
        section
            .post(
                "/v1/account/password",
                "Chooses another password; every session of the account ends",
            )
            .account()
            .body::<PasswordChange>(|body| drop(account::read_passwords(body)))
            .gives_nothing(204)
            .refuses(401, &["wrong_credentials"])
            .refuses(429, &["sign_in_throttled"]),
        section
            .get(
                "/v1/sessions",
                "The browsers that are signed in with the account",
            )
            .account()
            .gives::<SessionsJson>(200),
        section
            .delete("/v1/sessions/{session_id}", "Signs a browser out")
            .account()
            .gives_nothing(204),
        section
            .get("/v1/activity", "Who changed what, newest first")
            .account()
            .query(
                "subject",
                "only what was done to this",
                &json!({"type": "string", "format": "uuid"}),
            )
            .paged()
            .gives::<activity::PageJson<'_>>(200),
    ]
}

fn users() -> Vec<Operation> {
    let section = Section(ACCOUNTS);
    let role = serde_json::to_value(Role::schema()).unwrap_or_default();
    vec![
        section
            .get("/v1/users", "The accounts, newest first; for admins")
            .admin()
            .query("role", "only those with this role", &role)
            .query(
                "q",
                "only those with this in name or email",
                &json!({"type": "string"}),
            )
            .paged()
            .gives::<users::PageJson<'_>>(200),
        section
            .post(
                "/v1/users",
                "Makes an account and a link that invites its owner; for admins who are signed in",
            )
            .admin_in_person()
            .once()
            .body::<NewUser>(|body| drop(users::read_new(body)))
            .gives::<InvitedJson<'_>>(201)
            .refuses(400, &["unknown_host"])
            .refuses(409, &["email_taken", "no_secret", "plan_limit"]),
        section
            .get("/v1/users/{user_id}", "One account")
            .admin()
            .unless_known()
            .gives::<UserJson<'_>>(200),
        section
            .patch(
                "/v1/users/{user_id}",
                "Changes the named fields; for admins, and what gives access for those who are signed in",
            )
            .admin()
            .refuses(403, &["session_only"])
            .if_match()
            .body::<UserChange>(|body| drop(users::read_change(body)))
            .gives::<UserJson<'_>>(200)
            .refuses(409, &["last_admin", "plan_limit"]),
        section
            .post(
                "/v1/users/{user_id}/link",
                "A link by which its owner chooses a password; for admins who are signed in",
            )
            .admin_in_person()
            .no_fields()
            .gives::<LinkJson>(201)
            .refuses(400, &["unknown_host"])
            .refuses(409, &["user_disabled"]),
    ]
}

fn keys() -> Vec<Operation> {
    let section = Section(ACCOUNTS);
    vec![
        section
            .get("/v1/keys", "The API keys of the account")
            .account()
            .gives::<KeysJson>(200),
        section
            .post("/v1/keys", "Makes a key; the answer holds its token, once")
            .account()
            .once()
            .body::<NewKey>(|body| drop(keys::read_new(body)))
            .gives::<CreatedJson<'_>>(201)
            .refuses(409, &["too_many_keys", "no_secret"]),
        section
            .post(
                "/v1/keys/{key_id}/rotate",
                "Makes a successor; both are good meanwhile",
            )
            .account()
            .optional_body::<KeyRotation>(|body| drop(keys::read_overlap(body)))
            .gives::<CreatedJson<'_>>(201)
            .refuses(409, &["too_many_keys", "rotated_lately"]),
        section
            .delete("/v1/keys/{key_id}", "Revokes a key")
            .account()
            .gives_nothing(204),
    ]
}
