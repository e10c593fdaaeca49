//! Sessions: who signed in with a browser, and until when.
//!
//! Each sign-in makes a new token, whatever the browser had before, so that nobody can be made to use a
//! session that somebody else knows. A session that was read within the last 30 s is believed; one that
//! was ended through this process ends at once.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use samplit_domain::{
    AccountSession, Action, MAX_PASSWORD, Role, Scope, SessionId, User, UserId, Violations,
};
use samplit_store::{Session, activity, sessions, users};
use serde_json::json;
use time::{Duration, OffsetDateTime};

use super::{Password, Subject};
use crate::access::{BELIEVED_FOR, hash_of, new_token};
use crate::core::Core;
use crate::installations::account;
use crate::remembered::Remembered;
use crate::{Engine, Error, ErrorKind, Principal};

/// How long a session lasts, from the sign-in on.
const LASTS: Duration = Duration::days(14);

/// The most characters of a browser's name that are kept.
const MAX_USER_AGENT: usize = 1_024;

/// What somebody signs in with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// From where.
    pub address: Option<IpAddr>,
    /// The browser, as it calls itself.
    pub user_agent: Option<String>,
}

/// Somebody who wants to sign in.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The account, by its email.
    pub email: String,
    /// Its password.
    pub password: Password,
    /// With what.
    pub device: Device,
}

/// A session that began. The token is not stored and cannot be shown again.
#[derive(Clone)]
pub struct SignedInToken {
    /// What the browser sends from then on.
    pub token: String,
    /// Who signed in.
    pub user: User,
    /// The session.
    pub session: SessionId,
    /// When it ends.
    pub expires_at: OffsetDateTime,
    /// For how many seconds from now on that is.
    pub lasts: i64,
}

impl std::fmt::Debug for SignedInToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedInToken")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// What it may do: everything that its account may.
    pub principal: Principal,
    /// Who it is.
    pub user: User,
    /// The session.
    pub session: SessionId,
    /// When it ends.
    pub expires_at: OffsetDateTime,
}

/// A session as it was last read.
pub(crate) type KnownSession = Arc<Remembered<SignedIn>>;

impl Engine {
    /// Lets somebody in by email and password.
    ///
    /// # Errors
    /// [`ErrorKind::WrongCredentials`] where either is wrong or the account is disabled, which nobody can
    /// tell apart; [`ErrorKind::Throttled`] after too many tries; [`ErrorKind::Overloaded`] while too many
    /// passwords are being checked; [`ErrorKind::Invalid`] for what neither can be.
    pub async fn sign_in(&self, new: NewSession) -> Result<SignedInToken, Error> {
        let mut violations = Violations::default();
        violations.text("/email", &new.email, 255);
        let password = new.password.expose();
        if password.is_empty() {
            violations.add("/password", "required", "must not be empty");
        }
        violations.length("/password", password, MAX_PASSWORD);
        violations.into_result(())?;

        let core = &self.core;
        let attempt = core.throttle.check(&new.email, new.device.address)?;
        let email = &new.email;
        let found = core
            .database
            .run(|session| Box::pin(users::find_login(session, email)));
        let found: Option<users::Login> = found.await?;
        let login = found.filter(|login| login.user.disabled_at.is_none());
        let stored = login.as_ref().map(|login| login.password_hash.clone());
        let is_right = core.passwords.verify(&new.password, stored).await?;
        let Some(login) = login.filter(|_| is_right) else {
            attempt.failed();
            return Err(ErrorKind::WrongCredentials.into());
        };
        let fresh = Fresh::new(core, login.user.id, &new.device);
        let user = core.database.run_tx("sign_in", |session| {
            let (core, fresh) = (Arc::clone(core), fresh.row.clone());
            let seen = login.password_hash.clone();
            Box::pin(async move { begin(&core, session, Some(&seen), &fresh).await })
        });
        // Changed or disabled since it was looked at.
        let user = user.await?.ok_or(ErrorKind::WrongCredentials)?;
        Ok(fresh.of(user))
    }

    /// Ends the session of a token. One that is over already stays so.
    ///
    /// # Errors
    /// [`ErrorKind::TooManyTokens`] for an address from which too many came that open nothing; when the
    /// database fails.
    pub async fn sign_out(&self, token: &str) -> Result<(), Error> {
        let (core, hash) = (&self.core, hash_of(token));
        let is_known = core.sessions.contains_key(&hash);
        let knock = match core
            .strangers
            .knock(&hash, is_known, ErrorKind::Unauthenticated)
        {
            Err(error) if error.kind() == &ErrorKind::Unauthenticated => return Ok(()),
            knock => knock?,
        };
        let ended = core.database.run_tx("sign_out", |session| {
            let (core, hash) = (Arc::clone(core), hash.clone());
            Box::pin(async move {
                let ended = sessions::end(session, &hash).await?;
                if let Some((id, user)) = ended {
                    let who = acting(user);
                    let ended = Subject::of("session", id);
                    let ended = core.activity(&who, Some(user), Action::SessionEnded, ended);
                    activity::insert(session, &ended).await?;
                }
                Ok::<_, Error>(ended.is_some())
            })
        });
        let ended = ended.await;
        core.forget_token(&core.sessions, &hash);
        if !ended? {
            knock.opens_nothing();
        }
        Ok(())
    }

    /// Lets in whoever has the token of a session.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] where the session is over or its user disabled,
    /// [`ErrorKind::TooManyTokens`] for an address from which too many came that open nothing,
    /// [`ErrorKind::Unavailable`] when it cannot be looked up.
    pub async fn session(&self, token: &str) -> Result<SignedIn, Error> {
        let (core, hash) = (&self.core, hash_of(token));
        let now = core.config.clock.now();
        let known = core.sessions.get(&hash);
        if let Some(known) = known.filter(|known| known.is_younger_than(BELIEVED_FOR, now)) {
            return if known.value.expires_at > now {
                Ok(known.value.clone())
            } else {
                Err(ErrorKind::Unauthenticated.into())
            };
        }
        let is_known = core.sessions.contains_key(&hash);
        let unknown = ErrorKind::Unauthenticated;
        let knock = core.strangers.knock(&hash, is_known, unknown)?;
        let endings = core.endings.load(Ordering::Acquire);
        let (database, of) = (&core.database, &hash);
        let found = database.run(|session| Box::pin(sessions::find(session, of, now)));
        let Some(row) = found.await? else {
            core.sessions.invalidate(&hash);
            knock.opens_nothing();
            return Err(ErrorKind::Unauthenticated.into());
        };
        drop(knock);
        let signed_in = SignedIn {
            principal: Principal {
                role: row.user.role,
                ..acting(row.user.id)
            },
            session: row.id,
            expires_at: row.expires_at,
            user: row.user,
        };
        let known = Remembered::new(signed_in.clone(), now);
        core.remember(&core.sessions, (&hash, known), endings);
        let touched = database.run(|session| Box::pin(sessions::touch(session, row.id, now)));
        if let Err(error) = touched.await {
            tracing::warn!(session = %row.id, error = ?error, "the last use of a session was not noted");
        }
        Ok(signed_in)
    }

    /// The sessions of the account of `who`, the one used last first.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn sessions(&self, who: &Principal) -> Result<Vec<AccountSession>, Error> {
        who.require(Scope::Read)?;
        let (user, now) = (account(who)?, self.core.config.clock.now());
        let database = &self.core.database;
        let list = database.run(|session| Box::pin(sessions::list(session, user, now)));
        list.await
            .map_err(|error: samplit_store::Error| error.into())
    }

    /// Ends a session of the account of `who`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the account has no such session.
    pub async fn end_session(&self, who: &Principal, id: SessionId) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let (core, user) = (&self.core, account(who)?);
        let ended = core.database.run_tx("end_session", |session| {
            let (core, who) = (Arc::clone(core), who.clone());
            Box::pin(async move {
                let who = who.read_again(session, core.config.clock.now()).await?;
                let found = sessions::end_of(session, id, user).await?;
                found.ok_or(ErrorKind::NotFound("session"))?;
                let ended = Subject::of("session", id);
                let ended = core.activity(&who, Some(user), Action::SessionEnded, ended);
                activity::insert(session, &ended).await?;
                Ok::<_, Error>(())
            })
        });
        // Whatever came of it: a commit whose answer was lost may have been one.
        let ended = ended.await;
        core.forget_account(user);
        ended
    }
}

/// What a user may do who is signed in, but for the role.
pub(crate) fn acting(user: UserId) -> Principal {
    Principal {
        user_id: Some(user),
        role: Role::Client,
        scopes: Scope::ALL.to_vec(),
        key: None,
    }
}

/// A session that is about to begin.
pub(super) struct Fresh {
    token: String,
    pub(super) row: sessions::NewSession,
}

impl Fresh {
    pub(super) fn new(core: &Core, user_id: UserId, device: &Device) -> Self {
        let token = new_token(core, "ss_");
        let now = core.config.clock.now();
        let agent = device.user_agent.as_deref();
        let row = sessions::NewSession {
            id: SessionId(core.ids.next()),
            user_id,
            token_hash: hash_of(&token),
            created_at: now,
            expires_at: now + LASTS,
            user_agent: agent.map(|agent| agent.chars().take(MAX_USER_AGENT).collect()),
            address: device.address,
        };
        Self { token, row }
    }

    /// What is told of it once it has begun.
    pub(super) fn of(self, user: User) -> SignedInToken {
        SignedInToken {
            token: self.token,
            user,
            session: self.row.id,
            expires_at: self.row.expires_at,
            lasts: LASTS.whole_seconds(),
        }
    }
}

/// Begins a session, if its account is in use and has the password that was looked at, where one was.
pub(super) async fn begin(
    core: &Core,
    session: &Session<'_>,
    seen: Option<&str>,
    fresh: &sessions::NewSession,
) -> Result<Option<User>, Error> {
    let user = users::signed_in(session, fresh.user_id, seen, fresh.created_at).await?;
    if let Some(user) = &user {
        sessions::insert(session, fresh).await?;
        let subject = Subject::of("session", fresh.id);
        let mut entry = core.activity(
            &acting(user.id),
            Some(user.id),
            Action::UserSignedIn,
            subject,
        );
        entry.detail = json!({ "with": if seen.is_some() { "password" } else { "link" } });
        activity::insert(session, &entry).await?;
    }
    Ok(user)
}

impl Core {
    /// What is remembered of anybody may not hold any more.
    pub(super) fn forget_everybody(&self) {
        self.endings.fetch_add(1, Ordering::AcqRel);
        self.sessions.invalidate_all();
        self.api_keys.invalidate_all();
    }

    /// What is remembered of an account does not hold any more: its sessions and its keys.
    pub(super) fn forget_account(&self, user: UserId) {
        self.endings.fetch_add(1, Ordering::AcqRel);
        for (hash, known) in &self.sessions {
            if known.value.user.id == user {
                self.sessions.invalidate(&*hash);
            }
        }
        for (hash, known) in &self.api_keys {
            if known.value.principal.user_id == Some(user) {
                self.api_keys.invalidate(&*hash);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use samplit_devpg::DevPg;
    use samplit_store::{Database, Settings};

    use super::{Device, NewSession};
    use crate::{Engine, EngineConfig, ErrorKind, KeyRing, NewApiKey, Role, Scope};

    /// Whoever measures how long the answer takes learns nothing: a hash is made for an email that
    /// nobody has, for an account without a password, and for a wrong password.
    #[tokio::test]
    async fn the_same_work_is_done_whoever_it_is() {
        let pg = DevPg::start().await.unwrap();
        pg.create_database("accounts").await.unwrap();
        let url = pg.url("accounts");
        let connected = tokio_postgres::connect(&url, tokio_postgres::NoTls).await;
        let (mut client, connection) = connected.unwrap();
        tokio::spawn(connection);
        let options = samplit_sql::Options::default();
        samplit_sql::up(&mut client, &options).await.unwrap();
        let database = Database::connect(Settings::new(&url)).await.unwrap();
        let config = EngineConfig::new(KeyRing::new(&[[1; 32]]).unwrap());
        let engine = Engine::open(database, config).await.unwrap();
        let key = NewApiKey {
            email: "keys@example.org".to_owned(),
            role: Role::Client,
            name: "t".to_owned(),
            scopes: vec![Scope::Read],
            expires_at: None,
        };
        engine.create_api_key(key).await.unwrap();
        let sign_in = |email: &str| {
            engine.sign_in(NewSession {
                email: email.to_owned(),
                password: "a long sentence".into(),
                device: Device::default(),
            })
        };
        let emails = ["nobody@example.org", "keys@example.org"];
        let crowd = engine.core.passwords.occupy();
        for email in emails {
            let refused = sign_in(email).await.unwrap_err();
            assert_eq!(refused.kind(), &ErrorKind::Overloaded, "{email}");
        }
        drop(crowd);
        for email in emails {
            let refused = sign_in(email).await.unwrap_err();
            assert_eq!(refused.kind(), &ErrorKind::WrongCredentials, "{email}");
        }
    }
}
