//! Accounts: one's own, and for admins those of others.

use std::sync::Arc;

use samplit_domain::{Action, LinkKind, MAX_PASSWORD, Role, Scope, User, UserId, Violations};
use samplit_store::{Session, access, account_links, activity, sessions, users};
use serde_json::json;
use time::OffsetDateTime;

use super::{Device, Link, Password};
use crate::idempotency::{Made, Once};
use crate::installations::account;
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, ErrorKind, Principal, plans};

/// What somebody changes of the own account; `None` leaves it alone, an empty text clears it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The name.
    pub name: Option<String>,
    /// Where the owner works.
    pub company: Option<String>,
}

/// Somebody to invite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewUser {
    /// The email, by which they will sign in.
    pub email: String,
    /// The name.
    pub name: Option<String>,
    /// What they may see.
    pub role: Role,
}

/// What an admin changes of an account; `None` leaves it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UserChange {
    /// What it may see.
    pub role: Option<Role>,
    /// Whether nobody comes in with it.
    pub disabled: Option<bool>,
}

/// Which accounts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// With this role.
    pub role: Option<Role>,
    /// With this text in email, name or company, whatever its case.
    pub text: Option<String>,
}

impl Principal {
    /// For admins only.
    pub(crate) fn require_admin(&self, scope: Scope) -> Result<(), Error> {
        self.require(scope)?;
        if self.role == Role::Admin {
            Ok(())
        } else {
            Err(ErrorKind::AdminOnly.into())
        }
    }
}

impl Engine {
    /// The account of `who`.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn account(&self, who: &Principal) -> Result<User, Error> {
        who.require(Scope::Read)?;
        self.read_user(account(who)?).await
    }

    /// Changes the account of `who`. With `if_version` only if [`User::version`] is still that.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a text that is too long; [`ErrorKind::VersionMismatch`].
    pub async fn update_account(
        &self,
        who: &Principal,
        change: AccountChange,
        if_version: Option<i64>,
    ) -> Result<User, Error> {
        who.require(Scope::Manage)?;
        let id = account(who)?;
        let mut violations = Violations::default();
        violations.length("/name", change.name.as_deref().unwrap_or_default(), 255);
        violations.length(
            "/company",
            change.company.as_deref().unwrap_or_default(),
            255,
        );
        violations.into_result(())?;
        let text = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let (name, company) = (change.name.map(text), change.company.map(text));
        let core = &self.core;
        let changed = core.database.run_tx("update_account", |session| {
            let (core, who) = (Arc::clone(core), who.clone());
            let (name, company) = (name.clone(), company.clone());
            Box::pin(async move {
                let now = core.config.clock.now();
                let who = who.read_again(session, now).await?;
                let before = users::lock(session, id).await?;
                let before = before.ok_or(ErrorKind::NotFound("user"))?;
                unchanged_since(&before, if_version)?;
                let after = User {
                    name: name.unwrap_or_else(|| before.name.clone()),
                    company: company.unwrap_or_else(|| before.company.clone()),
                    ..before.clone()
                };
                if after == before {
                    return Ok(before);
                }
                let after = users::update(session, &after, now).await?;
                let entry = core.activity(&who, Some(id), Action::UserChanged, id);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(after)
            })
        });
        let changed = changed.await;
        core.forget_account(id);
        changed
    }

    /// Changes the password of the account of `who`, who has to know the current one. Every session of the
    /// account ends, this one too, and every link to it; its API keys stay.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a wrong current password and a new one that will not do,
    /// [`ErrorKind::Throttled`] after too many tries.
    pub async fn change_password(
        &self,
        who: &Principal,
        current: &Password,
        new: &Password,
        device: &Device,
    ) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let core = &self.core;
        let user = self.read_user(account(who)?).await?;
        let mut violations = Violations::default();
        violations.length("/current", current.expose(), MAX_PASSWORD);
        violations.password("/new", new.expose(), &user.email);
        if current == new {
            violations.add("/new", "unchanged", "is the current password");
        }
        violations.into_result(())?;
        let attempt = core.throttle.check(&user.email, device.address)?;
        let id = user.id;
        let read = core
            .database
            .run(|session| Box::pin(users::read_password(session, id)));
        let stored: Option<String> = read.await?;
        let is_right = core.passwords.verify(current, stored.clone()).await?;
        let wrong = || {
            let mut violations = Violations::default();
            violations.add("/current", "wrong_password", "is not the current password");
            Error::from(violations)
        };
        let Some(stored) = stored.filter(|_| is_right) else {
            attempt.failed();
            return Err(wrong());
        };
        let hash = core.passwords.hash(new, &*core.config.entropy).await?;
        let changed = core.database.run_tx("change_password", |session| {
            let (core, who) = (Arc::clone(core), who.clone());
            let (stored, hash) = (stored.clone(), hash.clone());
            Box::pin(async move {
                let now = core.config.clock.now();
                let who = who.read_again(session, now).await?;
                if !users::replace_password(session, id, &stored, &hash, now).await? {
                    return Ok(false);
                }
                shut_out(session, id).await?;
                let entry = core.activity(&who, Some(id), Action::PasswordChanged, id);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(true)
            })
        });
        let changed = changed.await;
        core.forget_account(id);
        if changed? { Ok(()) } else { Err(wrong()) }
    }

    /// Lists accounts, newest first. For admins.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none
    /// of ours.
    pub async fn users(
        &self,
        who: &Principal,
        filter: &UserFilter,
        page: &Page,
    ) -> Result<PageOf<User>, Error> {
        who.require_admin(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let (role, limit) = (filter.role, page.limit_and_one());
        let text = filter.text.as_deref();
        let list = self.core.database.run(|session| {
            Box::pin(async move { users::list(session, role, text, before, limit).await })
        });
        Ok(page.of(list.await?, |user: &User| (user.created_at, user.id.0)))
    }

    /// One account. For admins, and for its owner.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn user(&self, who: &Principal, id: UserId) -> Result<User, Error> {
        who.require(Scope::Read)?;
        if who.role != Role::Admin && who.user_id != Some(id) {
            return Err(ErrorKind::NotFound("user").into());
        }
        self.read_user(id).await
    }

    /// Makes an account without a password and a link by which its owner chooses one. For admins who are
    /// signed in.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::SessionOnly`]; [`ErrorKind::Invalid`] for an email or name that cannot be;
    /// [`ErrorKind::Conflict`] `email_taken` where there is an account with the email, `plan_limit` where the
    /// plan of the admin has no room for one more.
    pub async fn invite(&self, who: &Principal, new: NewUser) -> Result<(User, Link), Error> {
        self.invite_once(who, new, None).await?.only_new()
    }

    /// Makes an account and its link, once. A repeat sends no second mail.
    ///
    /// # Errors
    /// As [`Self::invite`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn invite_once(
        &self,
        who: &Principal,
        new: NewUser,
        once: Option<&Once<'_, (User, Link)>>,
    ) -> Result<Made<(User, Link)>, Error> {
        who.require_admin(Scope::Manage)?;
        who.require_session()?;
        let mut violations = Violations::default();
        violations.email("/email", &new.email);
        violations.length("/name", new.name.as_deref().unwrap_or_default(), 255);
        violations.into_result(())?;
        let core = &self.core;
        let id = UserId(core.ids.next());
        let (link, row) = self.fresh_link(LinkKind::Invite, Some(id));
        let hoped = self.as_mailed(&link);
        let made = self
            .make_once(who, "invite", once, &|session| {
                let (new, row, hoped) = (new.clone(), row.clone(), hoped.clone());
                Box::pin(async move {
                    still_admin(session, who, core.config.clock.now()).await?;
                    plans::room_for_seat(session, who).await?;
                    let name = new.name.as_deref().filter(|name| !name.trim().is_empty());
                    let user = users::insert(session, id, &new.email, new.role, name).await?;
                    let user = user.ok_or_else(|| {
                        let detail = "there is an account with this email";
                        Error::conflict("email_taken", detail)
                    })?;
                    account_links::insert(session, &row).await?;
                    let mut entry = core.activity(who, Some(id), Action::UserInvited, id);
                    entry.detail = json!({ "email": user.email, "role": user.role });
                    activity::insert(session, &entry).await?;
                    Ok((user, hoped))
                })
            })
            .await?;
        let (user, hoped) = match made {
            Made::New(made) => made,
            before @ Made::Before(_) => return Ok(before),
        };
        let made = (user.clone(), self.deliver(link, &user.email).await);
        if made.1 != hoped {
            self.answer_otherwise(who, once, &made).await;
        }
        Ok(Made::New(made))
    }

    /// Changes the role of an account, or whether anybody comes in with it. Disabling ends its sessions,
    /// links and keys for good: here at once, in other processes within 30 s (for reading, and for visitors, one
    /// request more may pass). Its keys end
    /// as well when it becomes an admin: they were given to programs that were to see less. For admins;
    /// what gives access, for those who are signed in. With `if_version` only if [`User::version`] is still
    /// that.
    ///
    /// # Errors
    /// [`ErrorKind::AdminOnly`]; [`ErrorKind::SessionOnly`] for a key that makes an admin or enables an
    /// account; [`ErrorKind::NotFound`]; [`ErrorKind::VersionMismatch`]; [`ErrorKind::Conflict`] `last_admin`
    /// where nobody would be left who is an admin and can come in, `plan_limit` where the plan has no room
    /// for an account to be enabled.
    pub async fn update_user(
        &self,
        who: &Principal,
        id: UserId,
        change: UserChange,
        if_version: Option<i64>,
    ) -> Result<User, Error> {
        who.require_admin(Scope::Manage)?;
        if change.role == Some(Role::Admin) || change.disabled == Some(false) {
            who.require_session()?;
        }
        let core = &self.core;
        let updated = core.database.run_tx("update_user", |session| {
            let (core, who) = (Arc::clone(core), who.clone());
            Box::pin(async move {
                let now = core.config.clock.now();
                still_admin(session, &who, now).await?;
                let before = users::lock(session, id).await?;
                let before = before.ok_or(ErrorKind::NotFound("user"))?;
                unchanged_since(&before, if_version)?;
                let role = change.role.unwrap_or(before.role);
                let disabled_at = match change.disabled {
                    Some(true) => before.disabled_at.or(Some(now)),
                    Some(false) => None,
                    None => before.disabled_at,
                };
                let after = User {
                    role,
                    disabled_at,
                    ..before.clone()
                };
                if after == before {
                    return Ok(before);
                }
                keep_an_admin(session, &before, &after).await?;
                if before.disabled_at.is_some() && after.disabled_at.is_none() {
                    plans::room_for_seat(session, &who).await?;
                }
                let after = users::update(session, &after, now).await?;
                if after.disabled_at.is_some() {
                    shut_out(session, id).await?;
                }
                let action = match (before.disabled_at, after.disabled_at) {
                    (None, Some(_)) => Action::UserDisabled,
                    (Some(_), None) => Action::UserEnabled,
                    _ => Action::UserChanged,
                };
                let mut entry = core.activity(&who, Some(id), action, id);
                if before.role != after.role {
                    entry.detail = json!({ "role": after.role, "role_before": before.role });
                }
                let has_risen = before.role != Role::Admin && after.role == Role::Admin;
                if after.disabled_at.is_some() || has_risen {
                    let revoked = access::revoke_api_keys(session, id, now).await?;
                    entry.detail["keys_revoked"] = json!(revoked);
                }
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(after)
            })
        });
        // Whatever came of it: a commit whose answer was lost may have been one.
        let updated = updated.await;
        core.forget_account(id);
        updated
    }

    pub(super) async fn read_user(&self, id: UserId) -> Result<User, Error> {
        let database = &self.core.database;
        let read = database.run(|session| Box::pin(users::read(session, id)));
        let found: Option<User> = read.await?;
        found.ok_or_else(|| ErrorKind::NotFound("user").into())
    }
}

/// Refuses to change an account that is not as `if_version` says any more.
fn unchanged_since(user: &User, if_version: Option<i64>) -> Result<(), Error> {
    let current = user.version();
    match if_version {
        Some(seen) if seen != current => Err(ErrorKind::VersionMismatch { current }.into()),
        _ => Ok(()),
    }
}

/// Ends every session of an account and every link to it.
pub(super) async fn shut_out(session: &Session<'_>, id: UserId) -> Result<(), Error> {
    sessions::end_all(session, id).await?;
    account_links::forget(session, Some(id)).await?;
    Ok(())
}

/// Whether `who` is an admin who may manage by now, whatever is remembered. One admin at a time works on
/// accounts, so that two who work on each other's do not wait for each other.
pub(super) async fn still_admin(
    session: &Session<'_>,
    who: &Principal,
    now: OffsetDateTime,
) -> Result<(), Error> {
    users::lock_admins(session).await?;
    let who = who.read_again(session, now).await?;
    who.require_admin(Scope::Manage)
}

/// Refuses a change after which nobody would be an admin who can come in, or no admin have a password.
async fn keep_an_admin(session: &Session<'_>, before: &User, after: &User) -> Result<(), Error> {
    let is_admin = |user: &User| user.role == Role::Admin && user.disabled_at.is_none();
    if !is_admin(before) || is_admin(after) {
        return Ok(());
    }
    let others = users::other_admins(session, Some(before.id)).await?;
    if others.all > 0 && (others.with_password > 0 || !before.has_password) {
        return Ok(());
    }
    let detail = "it is the last admin who can sign in; make another one first";
    Err(Error::conflict("last_admin", detail))
}
