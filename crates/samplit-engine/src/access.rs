//! Who may do what: principals, and the API keys by which programs come in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use samplit_domain::{Action, ApiKeyId, Role, Scope, UserId, Violations};
use samplit_store::access::{self, ApiKeyRow};
use samplit_store::{Session, activity, users};
use serde_json::json;
use time::OffsetDateTime;

use crate::core::Core;
use crate::remembered::Remembered;
use crate::{Engine, Error, ErrorKind};

/// How long a key is believed without asking the database again.
pub(crate) const BELIEVED_FOR: time::Duration = time::Duration::seconds(30);

/// How long a key is remembered for the time when the database is away.
pub(crate) const REMEMBERED_FOR: Duration = Duration::from_secs(24 * 3600);

/// Somebody who was let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The account; `None` for the process itself.
    pub user_id: Option<UserId>,
    /// What it may see.
    pub role: Role,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// The API key that it came in by; `None`: by signing in, or it is the process itself.
    pub key: Option<ApiKeyId>,
}

impl Principal {
    /// The process itself: may do everything. For embedders and command lines.
    #[must_use]
    pub fn system() -> Self {
        Self {
            user_id: None,
            role: Role::Admin,
            scopes: Scope::ALL.to_vec(),
            key: None,
        }
    }

    /// For people only: a key takes access away and never gives it, or whoever holds one could make himself
    /// one way in after the other, and outlast it.
    pub(crate) fn require_session(&self) -> Result<(), Error> {
        match self.key {
            Some(_) => Err(ErrorKind::SessionOnly.into()),
            None => Ok(()),
        }
    }

    pub(crate) fn require(&self, scope: Scope) -> Result<(), Error> {
        let implied = scope == Scope::Read && self.scopes.contains(&Scope::Manage);
        if implied || self.scopes.contains(&scope) {
            Ok(())
        } else {
            Err(ErrorKind::Forbidden(scope).into())
        }
    }

    /// This principal as the database knows it, for work that hands out or takes away what somebody may do:
    /// it may have been let in by what was remembered. Nobody disables it, changes its role or revokes its
    /// key until the transaction ends.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] where the account is disabled or gone, or the key revoked or over.
    pub(crate) async fn read_again(
        &self,
        session: &Session<'_>,
        now: OffsetDateTime,
    ) -> Result<Self, Error> {
        let Some(id) = self.user_id else {
            return Ok(self.clone());
        };
        let user = users::lock(session, id).await?;
        let user = user.filter(|user| user.disabled_at.is_none());
        let user = user.ok_or(ErrorKind::Unauthenticated)?;
        if let Some(key) = self.key {
            let key = access::lock_api_key(session, key, id).await?;
            key.filter(|(key, _)| key.expires_at.is_none_or(|at| at > now))
                .ok_or(ErrorKind::Unauthenticated)?;
        }
        Ok(Self {
            role: user.role,
            ..self.clone()
        })
    }

    /// The account that lists are cut down to; `None`: they are not.
    pub(crate) fn sees_only(&self) -> Option<UserId> {
        self.user_id.filter(|_| self.role != Role::Admin)
    }

    pub(crate) fn may_see(&self, owner: Option<UserId>) -> bool {
        self.role == Role::Admin || (owner.is_some() && owner == self.user_id)
    }
}

/// A key to make.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// The account's email; an unknown one makes an account without a password.
    pub email: String,
    /// The role of the account: of one that is made, or the one it has.
    pub role: Role,
    /// What people call the key.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<OffsetDateTime>,
}

/// A key that was made. The token is not stored and cannot be shown again.
#[derive(Clone)]
pub struct CreatedApiKey {
    /// Its id.
    pub id: ApiKeyId,
    /// What the caller sends as `Authorization: Bearer`.
    pub token: String,
    /// Its first characters, to recognise it by.
    pub prefix: String,
    /// Whose.
    pub user_id: UserId,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Until when it is good; `None`: for ever.
    pub expires_at: Option<OffsetDateTime>,
}

impl std::fmt::Debug for CreatedApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CreatedApiKey")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

/// A key as it was last read.
#[derive(Debug)]
pub(crate) struct KnownKey {
    pub(crate) principal: Principal,
    expires_at: Option<OffsetDateTime>,
}

impl Engine {
    /// Lets in whoever holds `token`. A key that was read within the last 30 s is believed; an older
    /// one is read again meanwhile, so that a revoked key opens for 30 s and one more request; see
    /// [`Self::authenticate_now`] for what changes more than visitors. While the database is away, whoever
    /// was let in within the last day is let in again.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] for an unknown, expired or revoked token,
    /// [`ErrorKind::TooManyTokens`] for an address from which too many came that open nothing,
    /// [`ErrorKind::Unavailable`] when it cannot be looked up.
    pub async fn authenticate(&self, token: &str) -> Result<Principal, Error> {
        let hash = hash_of(token);
        let now = self.core.config.clock.now();
        let Some(known) = self.core.api_keys.get(&hash) else {
            return self.look_up(hash).await;
        };
        let key = &known.value;
        if key.expires_at.is_some_and(|expires_at| expires_at <= now) {
            return Err(ErrorKind::Unauthenticated.into());
        }
        if known.is_due(now, BELIEVED_FOR) {
            let engine = self.clone();
            tokio::spawn(async move {
                // A good answer replaces what was known, a bad one removes it; without an answer the
                // next request asks again.
                if engine.look_up(hash.clone()).await.is_err()
                    && let Some(known) = engine.core.api_keys.get(&hash)
                {
                    known.ask_again();
                }
            });
        }
        Ok(key.principal.clone())
    }

    /// As [`Self::authenticate`], for what changes more than visitors: a key that was read longer than 30 s
    /// ago is read again first.
    ///
    /// # Errors
    /// As [`Self::authenticate`]; [`ErrorKind::Unavailable`] while the database is away.
    pub async fn authenticate_now(&self, token: &str) -> Result<Principal, Error> {
        let hash = hash_of(token);
        let now = self.core.config.clock.now();
        let known = self.core.api_keys.get(&hash);
        if known.is_some_and(|known| known.is_younger_than(BELIEVED_FOR, now)) {
            self.authenticate(token).await
        } else {
            self.look_up(hash).await
        }
    }

    /// Reads a key and remembers it, or forgets it if it is no good.
    async fn look_up(&self, hash: String) -> Result<Principal, Error> {
        let now = self.core.config.clock.now();
        let endings = self.core.endings.load(Ordering::Acquire);
        let is_known = self.core.api_keys.contains_key(&hash);
        let unknown = ErrorKind::Unauthenticated;
        let knock = self.core.strangers.knock(&hash, is_known, unknown)?;
        let row = self
            .core
            .database
            .run(|session| Box::pin(access::find_api_key(session, &hash, now)));
        let Some(row) = row.await? else {
            self.core.api_keys.invalidate(&hash);
            knock.opens_nothing();
            return Err(ErrorKind::Unauthenticated.into());
        };
        // It is known, whatever is noted of it, and however long that takes.
        drop(knock);
        let principal = principal(&row)?;
        let known = KnownKey {
            principal: principal.clone(),
            expires_at: row.expires_at,
        };
        let (memory, known) = (&self.core.api_keys, Remembered::new(known, now));
        self.core.remember(memory, (&hash, known), endings);
        let touched = self
            .core
            .database
            .run(|session| Box::pin(access::touch_api_key(session, row.id, now)));
        if let Err(error) = touched.await {
            tracing::warn!(key = %row.id, error = ?error, "the last use of a key was not noted");
        }
        Ok(principal)
    }

    /// Makes an API key, and the account it belongs to where there is none with that email.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an email, name or scope list that cannot be,
    /// [`ErrorKind::Conflict`] for an account that has another role.
    pub async fn create_api_key(&self, new: NewApiKey) -> Result<CreatedApiKey, Error> {
        let mut violations = Violations::default();
        violations.text("/email", &new.email, 255);
        violations.text("/name", &new.name, 255);
        if !new.email.contains('@') {
            violations.add("/email", "malformed", "must hold an @");
        }
        if new.scopes.is_empty() {
            violations.add("/scopes", "required", "must name at least one scope");
        }
        violations.into_result(())?;

        let token = new_token(&self.core, "sk_");
        let prefix = prefix_of(&token);
        let id = ApiKeyId(self.core.ids.next());
        let fresh_user = UserId(self.core.ids.next());
        let now = self.core.config.clock.now();
        let core = &self.core;
        let user_id = core
            .database
            .run_tx("create_api_key", |session| {
                let (new, hash, prefix) = (new.clone(), hash_of(&token), prefix.clone());
                let core = Arc::clone(core);
                Box::pin(async move {
                    let role = new.role.as_str();
                    let (user_id, found) =
                        access::ensure_user(session, fresh_user, &new.email, role).await?;
                    if found != role {
                        return Err(Error::conflict(
                            "role_differs",
                            format!("the account {} exists with the role `{found}`", new.email),
                        ));
                    }
                    let scopes = new.scopes.iter().map(Scope::to_string).collect();
                    let key = access::NewApiKey {
                        id,
                        user_id,
                        name: new.name,
                        prefix,
                        hash,
                        scopes,
                        created_at: now,
                        expires_at: new.expires_at,
                    };
                    access::insert_api_key(session, &key).await?;
                    let system = Principal::system();
                    let mut entry = core.activity(&system, Some(user_id), Action::KeyCreated, id);
                    entry.detail = json!({ "name": key.name, "scopes": key.scopes });
                    activity::insert(session, &entry).await?;
                    Ok(user_id)
                })
            })
            .await?;
        Ok(CreatedApiKey {
            id,
            token,
            prefix,
            user_id,
            scopes: new.scopes,
            expires_at: new.expires_at,
        })
    }
}

/// A token that nobody can guess: `prefix` and 32 random bytes in URL-safe Base64.
pub(crate) fn new_token(core: &Core, prefix: &str) -> String {
    let mut secret = [0; 32];
    core.config.entropy.fill(&mut secret);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(secret))
}

fn principal(row: &ApiKeyRow) -> Result<Principal, Error> {
    let scopes = row
        .scopes
        .iter()
        .map(|word| word.parse::<Scope>())
        .collect::<Result<_, _>>();
    Ok(Principal {
        user_id: Some(row.user_id),
        role: row.role.parse::<Role>().map_err(Error::internal)?,
        scopes: scopes.map_err(Error::internal)?,
        key: Some(row.id),
    })
}

/// The first characters of a key, to recognise it by.
pub(crate) fn prefix_of(token: &str) -> String {
    token.chars().take(11).collect()
}

/// What is stored of a token.
pub(crate) fn hash_of(token: &str) -> String {
    samplit_audit::Hash::of(token.as_bytes()).to_string()
}
