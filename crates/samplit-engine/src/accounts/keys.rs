//! API keys of an account: made, listed, rotated, revoked.

use std::sync::Arc;

use samplit_domain::{Action, ApiKey, ApiKeyId, Scope, UserId, Violations};
use samplit_store::{Session, access, activity};
use serde_json::json;
use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime};

use crate::access::{hash_of, new_token, prefix_of};
use crate::idempotency::{Made, Once};
use crate::installations::account;
use crate::{CreatedApiKey, Engine, Error, ErrorKind, Principal};

/// The most keys of one account that are good.
const MAX_KEYS: i64 = 100;

/// How long the old key is good beside its successor, unless it is said.
const OVERLAP: u64 = 86_400;

/// The longest time for that, in seconds: 30 days.
const MAX_OVERLAP: u64 = 30 * 86_400;

/// A key to make for one's own account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// What people call it.
    pub name: String,
    /// What it may do: at most what whoever makes it may.
    pub scopes: Vec<Scope>,
    /// Until when it is good; `None`: for ever. At most as long as the key that makes it, if one does.
    pub expires_at: Option<OffsetDateTime>,
}

impl Engine {
    /// The keys of the account of `who` that are not revoked, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn api_keys(&self, who: &Principal) -> Result<Vec<ApiKey>, Error> {
        who.require(Scope::Read)?;
        let user = account(who)?;
        let list = self.core.database.run(|session| {
            Box::pin(async move { access::list_api_keys(session, user, 1_000).await })
        });
        list.await
            .map_err(|error: samplit_store::Error| error.into())
    }

    /// Makes a key for the account of `who`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a name, scopes or an expiry that cannot be, for scopes that `who` does not
    /// have, and for an expiry after that of the key that asks; [`ErrorKind::Conflict`] for an account with 100 keys.
    pub async fn create_key(&self, who: &Principal, new: NewKey) -> Result<CreatedApiKey, Error> {
        self.create_key_once(who, new, None).await?.only_new()
    }

    /// Makes a key, once.
    ///
    /// # Errors
    /// As [`Self::create_key`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_key_once(
        &self,
        who: &Principal,
        new: NewKey,
        once: Option<&Once<'_, CreatedApiKey>>,
    ) -> Result<Made<CreatedApiKey>, Error> {
        who.require(Scope::Manage)?;
        let (core, user) = (&self.core, account(who)?);
        let now = core.config.clock.now();
        let mut violations = Violations::default();
        violations.text("/name", &new.name, 255);
        if new.scopes.is_empty() {
            violations.add("/scopes", "required", "must name at least one scope");
        }
        for (at, scope) in new.scopes.iter().enumerate() {
            if who.require(*scope).is_err() {
                let detail = format!("whoever makes the key does not have `{scope}`");
                violations.add(format!("/scopes/{at}"), "beyond_own", detail);
            }
        }
        if new.expires_at.is_some_and(|at| at <= now) {
            violations.add("/expires_at", "out_of_range", "must be in the future");
        }
        let (token, row) = self.fresh_key(user, &new, now);
        let key = CreatedApiKey {
            id: row.id,
            token,
            prefix: row.prefix.clone(),
            user_id: user,
            scopes: new.scopes,
            expires_at: new.expires_at,
        };
        self.make_once(who, "create_key", once, &|session| {
            let (key, row, mut violations) = (key.clone(), row.clone(), violations.clone());
            Box::pin(async move {
                // Locks the account: one at a time, so that the count is right.
                who.read_again(session, now).await?;
                if let Some(end) = end_of(session, who, user).await?
                    && row.expires_at.is_none_or(|at| at > end)
                {
                    let end = end.format(&Rfc3339).map_err(Error::internal)?;
                    let detail = format!("must be {end} at most, when the key that asks ends");
                    violations.add("/expires_at", "beyond_own", detail);
                }
                // In here, so that a repeat is answered also where the key is over meanwhile.
                violations.into_result(())?;
                room_for_one(session, user, now).await?;
                access::insert_api_key(session, &row).await?;
                let mut entry = core.activity(who, Some(user), Action::KeyCreated, row.id);
                entry.detail = json!({ "name": row.name, "scopes": row.scopes });
                activity::insert(session, &entry).await?;
                Ok(key)
            })
        })
        .await
    }

    /// Gives a key of the account of `who` a successor with the same name, scopes and life time, but none
    /// that lasts longer than the key that asks, if one does. The old one is good for `overlap` seconds more, 86,400 unless it is said, so that programs can be given the
    /// new one meanwhile.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the account has no such key, or it is revoked or over;
    /// [`ErrorKind::Invalid`] for an overlap beyond 30 days; [`ErrorKind::Forbidden`] where the key may do
    /// what `who` may not; [`ErrorKind::Conflict`] `rotated_lately` where it has a successor already,
    /// `too_many_keys` for an account with 100 keys.
    pub async fn rotate_key(
        &self,
        who: &Principal,
        id: ApiKeyId,
        overlap: Option<u64>,
    ) -> Result<CreatedApiKey, Error> {
        who.require(Scope::Manage)?;
        let (core, user) = (&self.core, account(who)?);
        let overlap = overlap.unwrap_or(OVERLAP);
        let mut violations = Violations::default();
        if overlap > MAX_OVERLAP {
            let detail = format!("must be {MAX_OVERLAP} seconds at most");
            violations.add("/overlap_seconds", "out_of_range", detail);
        }
        violations.into_result(())?;
        let now = core.config.clock.now();
        let overlap = i64::try_from(overlap).map_err(Error::internal)?;
        let ends_at = now + Duration::seconds(overlap);
        let token = new_token(core, "sk_");
        let fresh = ApiKeyId(core.ids.next());
        let rotated = core.database.run_tx("rotate_key", |session| {
            let (core, who, token) = (Arc::clone(core), who.clone(), token.clone());
            Box::pin(async move {
                who.read_again(session, now).await?;
                let found = access::lock_api_key(session, id, user).await?;
                let (old, _) = found
                    .filter(|(old, _)| old.expires_at.is_none_or(|at| at > now))
                    .ok_or(ErrorKind::NotFound("API key"))?;
                for scope in &old.scopes {
                    who.require(*scope)?;
                }
                only_heir(session, user, &old).await?;
                room_for_one(session, user, now).await?;
                let lasts = old.expires_at.map(|at| now + (at - old.created_at));
                let end = end_of(session, &who, user).await?;
                let expires_at = [lasts, end].into_iter().flatten().min();
                let row = access::NewApiKey {
                    id: fresh,
                    user_id: user,
                    name: old.name.clone(),
                    prefix: prefix_of(&token),
                    hash: hash_of(&token),
                    scopes: old.scopes.iter().map(Scope::to_string).collect(),
                    created_at: now,
                    expires_at,
                };
                access::insert_api_key(session, &row).await?;
                let ends_at = old.expires_at.map_or(ends_at, |at| at.min(ends_at));
                access::expire_api_key(session, id, ends_at).await?;
                let mut entry = core.activity(&who, Some(user), Action::KeyRotated, id);
                entry.detail = json!({ "name": old.name, "successor": fresh });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>((old.scopes, expires_at))
            })
        });
        // Whatever came of it: a commit whose answer was lost may have been one.
        let rotated = rotated.await;
        core.forget_account(user);
        let (scopes, expires_at) = rotated?;
        Ok(CreatedApiKey {
            id: fresh,
            prefix: prefix_of(&token),
            token,
            user_id: user,
            scopes,
            expires_at,
        })
    }

    /// Ends a key of the account of `who`: here at once, in other processes within 30 s; for reading, and
    /// for visitors, one request more may pass.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where the account has no such key, or it is revoked already.
    pub async fn revoke_key(&self, who: &Principal, id: ApiKeyId) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let (core, user) = (&self.core, account(who)?);
        let now = core.config.clock.now();
        let revoked = core.database.run_tx("revoke_key", |session| {
            let (core, who) = (Arc::clone(core), who.clone());
            Box::pin(async move {
                let who = who.read_again(session, now).await?;
                let found = access::lock_api_key(session, id, user).await?;
                let (key, _) = found.ok_or(ErrorKind::NotFound("API key"))?;
                access::revoke_api_key(session, id, now).await?;
                let mut entry = core.activity(&who, Some(user), Action::KeyRevoked, id);
                entry.detail = json!({ "name": key.name });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(())
            })
        });
        let revoked = revoked.await;
        core.forget_account(user);
        revoked
    }

    /// A token, and the row of its key.
    fn fresh_key(
        &self,
        user_id: UserId,
        new: &NewKey,
        now: OffsetDateTime,
    ) -> (String, access::NewApiKey) {
        let token = new_token(&self.core, "sk_");
        let row = access::NewApiKey {
            id: ApiKeyId(self.core.ids.next()),
            user_id,
            name: new.name.clone(),
            prefix: prefix_of(&token),
            hash: hash_of(&token),
            scopes: new.scopes.iter().map(Scope::to_string).collect(),
            created_at: now,
            expires_at: new.expires_at,
        };
        (token, row)
    }
}

/// When the key ends by which `who` came in; `None`: it does not, or it was no key. Nothing that it makes
/// outlasts it.
async fn end_of(
    session: &Session<'_>,
    who: &Principal,
    user: UserId,
) -> Result<Option<OffsetDateTime>, Error> {
    let Some(id) = who.key else {
        return Ok(None);
    };
    let found = access::lock_api_key(session, id, user).await?;
    Ok(found.and_then(|(key, _)| key.expires_at))
}

/// Refuses one more key where there are as many as an account may have.
async fn room_for_one(
    session: &Session<'_>,
    user: UserId,
    now: OffsetDateTime,
) -> Result<(), Error> {
    if access::count_api_keys(session, user, now).await? < MAX_KEYS {
        return Ok(());
    }
    let detail = format!("an account may have {MAX_KEYS} keys; revoke one");
    Err(Error::conflict("too_many_keys", detail))
}

/// Refuses a successor to a key that has one: it lasts only as long as the two are good side by side, and so
/// would what takes its place.
async fn only_heir(session: &Session<'_>, user: UserId, key: &ApiKey) -> Result<(), Error> {
    let last = activity::list(session, Some(user), Some(key.id.0), None, 1).await?;
    let rotated = Action::KeyRotated.as_str();
    if last.iter().all(|done| done.action != rotated) {
        return Ok(());
    }
    let ends_at = key.expires_at.and_then(|at| at.format(&Rfc3339).ok());
    let detail = format!(
        "the key has a successor and is good until {}; rotate the successor, or make another key",
        ends_at.unwrap_or_default()
    );
    Err(Error::conflict("rotated_lately", detail))
}
