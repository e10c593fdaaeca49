//! Accounts of others, for admins.

use samplit_domain::{Role, User, UserId};
use serde::Serialize;
use time::OffsetDateTime;

/// An account as every route shows it.
#[derive(Serialize)]
pub(super) struct UserJson<'a> {
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
        }
    }
}
