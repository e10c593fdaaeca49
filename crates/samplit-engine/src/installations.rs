//! Installations: the sites that carry the snippet, and the tokens that they come in by.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use samplit_domain::{
    Action, Installation, InstallationDraft, InstallationId, InstallationStatus, Platform, UserId,
    Violations,
};
use samplit_store::{activity, installations};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::access::{BELIEVED_FOR, new_token};
use crate::idempotency::{Made, Once};
use crate::page_of::{Page, PageOf};
use crate::remembered::Remembered;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// For how long the token before a rotation stays good: pages that were loaded, and copies of them in
/// caches, still have it.
const PREVIOUS_FOR: time::Duration = time::Duration::DAY;

/// How often it is noted that pages of an installation ask.
pub(crate) const SEEN_FOR: Duration = Duration::from_secs(60);

/// What to change; `None` leaves a field as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InstallationChange {
    /// The name.
    pub name: Option<String>,
    /// Host of the site; another one has to be verified anew.
    pub domain: Option<String>,
    /// What kind of site it is.
    pub platform: Option<Platform>,
    /// All origins besides those of the domain.
    pub origins: Option<Vec<String>>,
    /// Whether HTML of variants is put into pages as it is.
    pub allow_raw_html: Option<bool>,
    /// Whether Global Privacy Control means that nothing is recorded.
    pub respect_gpc: Option<bool>,
    /// How long elements under test stay hidden at most, in milliseconds.
    pub hide_timeout_ms: Option<u64>,
    /// Whether the token opens.
    pub status: Option<InstallationStatus>,
}

impl Engine {
    /// The installation that `token` opens. One that was read within the last 30 s is believed, as an
    /// API key is; one that was changed through this engine is read at once.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownInstallation`], or [`ErrorKind::Unavailable`] when it cannot be looked up.
    pub async fn open_installation(&self, token: &str) -> Result<Arc<Installation>, Error> {
        let now = self.core.config.clock.now();
        let Some(known) = self.core.installations.get(token) else {
            return self.look_up_installation(token).await;
        };
        if !known.value.opens(token, now) {
            return Err(ErrorKind::UnknownInstallation.into());
        }
        if known.is_due(now, BELIEVED_FOR) {
            let (engine, token) = (self.clone(), token.to_owned());
            tokio::spawn(async move {
                // As for API keys: without an answer the next request asks again.
                if engine.look_up_installation(&token).await.is_err()
                    && let Some(known) = engine.core.installations.get(&token)
                {
                    known.ask_again();
                }
            });
        }
        Ok(Arc::clone(&known.value))
    }

    /// Reads an installation and remembers it, or forgets it if its token opens nothing.
    async fn look_up_installation(&self, token: &str) -> Result<Arc<Installation>, Error> {
        let now = self.core.config.clock.now();
        let endings = self.core.endings.load(Ordering::Acquire);
        let is_known = self.core.installations.contains_key(token);
        let unknown = ErrorKind::UnknownInstallation;
        let knock = self.core.strangers.knock(token, is_known, unknown)?;
        let found = self
            .core
            .database
            .run(|session| Box::pin(installations::find(session, token)));
        let found = found.await?;
        let found = found.filter(|found| found.user_id.is_some() && found.opens(token, now));
        let Some(found) = found else {
            self.core.installations.invalidate(token);
            knock.opens_nothing();
            return Err(ErrorKind::UnknownInstallation.into());
        };
        let found = Arc::new(found);
        let known = Remembered::new(Arc::clone(&found), now);
        let memory = &self.core.installations;
        self.core.remember(memory, (token, known), endings);
        Ok(found)
    }

    /// Notes that a page has asked. One of the domain itself proves that the snippet is on the site; one of
    /// another origin proves nothing, as whoever names the origins need not own the domain. At most once a
    /// minute, and nobody waits for it.
    pub fn installation_seen(&self, installation: &Installation, is_of_domain: bool) {
        let id = installation.id;
        let key = (id, is_of_domain);
        if self.core.seen.contains_key(&key) {
            return;
        }
        self.core.seen.insert(key, ());
        let domain = is_of_domain.then(|| installation.domain.clone());
        let (core, now) = (Arc::clone(&self.core), self.core.config.clock.now());
        tokio::spawn(async move {
            let domain = domain.as_deref();
            let touched = core.database.run(|session| {
                Box::pin(async move { installations::touch(session, id, domain, now).await })
            });
            if let Err(error) = touched.await {
                tracing::warn!(installation = %id, error = ?error, "a visit was not noted");
            }
        });
    }

    /// Makes an installation of the account of `who`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every rule that the draft breaks, [`ErrorKind::Conflict`] where
    /// `who` is of no account.
    pub async fn create_installation(
        &self,
        who: &Principal,
        draft: &InstallationDraft,
    ) -> Result<Installation, Error> {
        let made = self.create_installation_once(who, draft, None).await?;
        made.only_new()
    }

    /// Makes an installation of the account of `who`, once.
    ///
    /// # Errors
    /// As [`Self::create_installation`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_installation_once(
        &self,
        who: &Principal,
        draft: &InstallationDraft,
        once: Option<&Once<'_, Installation>>,
    ) -> Result<Made<Installation>, Error> {
        who.require(Scope::Manage)?;
        let id = InstallationId(self.core.ids.next());
        let token = new_token(&self.core, "pk_");
        let mut installation = draft.check(id, token, self.core.config.clock.now())?;
        if installation.platform == Platform::Shopify {
            return Err(only_by_grant("/platform").into());
        }
        installation.user_id = Some(account(who)?);
        self.make_once(who, "create_installation", once, &|session| {
            let installation = installation.clone();
            Box::pin(async move {
                installations::insert(session, &installation).await?;
                let owner = installation.user_id;
                let entry = self
                    .core
                    .activity(who, owner, Action::InstallationCreated, id);
                activity::insert(session, &entry).await?;
                Ok(installation)
            })
        })
        .await
    }

    /// Reads an installation.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn installation(
        &self,
        who: &Principal,
        id: InstallationId,
    ) -> Result<Installation, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(installations::read(session, id)));
        visible(who, read.await?)
    }

    /// Reads an installation for somebody who is about to change it.
    ///
    /// # Errors
    /// [`ErrorKind::Forbidden`] for whoever may not; [`ErrorKind::NotFound`] where there is none that
    /// `who` may see.
    pub async fn installation_to_change(
        &self,
        who: &Principal,
        id: InstallationId,
    ) -> Result<Installation, Error> {
        who.require(Scope::Manage)?;
        self.installation(who, id).await
    }

    /// Lists the installations that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none of ours.
    pub async fn installations(
        &self,
        who: &Principal,
        page: &Page,
    ) -> Result<PageOf<Installation>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let before = before.map(|(at, id)| (at, InstallationId(id)));
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { installations::list(session, owner, before, limit).await })
        });
        let place = |found: &Installation| (found.created_at, found.id.0);
        Ok(page.of(list.await?, place))
    }

    /// Changes an installation. `if_version` is the version that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::VersionMismatch`] when it was changed meanwhile, [`ErrorKind::Invalid`] for a
    /// broken rule.
    pub async fn update_installation(
        &self,
        who: &Principal,
        id: InstallationId,
        change: &InstallationChange,
        if_version: Option<i64>,
    ) -> Result<Installation, Error> {
        let change = |current| Ok(apply(current, change)?);
        let action = Action::InstallationChanged;
        self.edit_installation(who, id, if_version, action, change)
            .await
    }

    /// Gives an installation a new token. The one that it had is good for another day, in which there is
    /// no other rotation unless it is to be `at_once`: that ends the token of pages that still run.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `rotated_lately` within that day, [`ErrorKind::VersionMismatch`] when it
    /// was changed meanwhile.
    pub async fn rotate_installation(
        &self,
        who: &Principal,
        id: InstallationId,
        if_version: Option<i64>,
        at_once: bool,
    ) -> Result<Installation, Error> {
        let now = self.core.config.clock.now();
        let token = new_token(&self.core, "pk_");
        let action = Action::InstallationRotated;
        self.edit_installation(who, id, if_version, action, |mut current| {
            let previous = current.previous_token.as_ref();
            if let Some((_, ends_at)) = previous.filter(|(_, ends_at)| now < *ends_at)
                && !at_once
            {
                return Err(rotated_lately(*ends_at));
            }
            let before = std::mem::replace(&mut current.token, token.clone());
            current.previous_token = Some((before, now + PREVIOUS_FOR));
            Ok(current)
        })
        .await
    }

    /// Notes that the snippet was found on a page of `domain`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see, [`ErrorKind::Conflict`]
    /// `domain_changed` where its domain is another one by now.
    pub async fn installation_verified(
        &self,
        who: &Principal,
        id: InstallationId,
        domain: &str,
    ) -> Result<Installation, Error> {
        let now = self.core.config.clock.now();
        let action = Action::InstallationVerified;
        self.edit_installation(who, id, None, action, |current| {
            if current.domain != domain {
                let detail = "the domain was changed while its page was looked at; verify again";
                return Err(Error::conflict("domain_changed", detail));
            }
            Ok(Installation {
                verified_at: current.verified_at.or(Some(now)),
                ..current
            })
        })
        .await
    }

    async fn edit_installation(
        &self,
        who: &Principal,
        id: InstallationId,
        if_version: Option<i64>,
        action: Action,
        change: impl Fn(Installation) -> Result<Installation, Error> + Send + Sync,
    ) -> Result<Installation, Error> {
        who.require(Scope::Manage)?;
        let core = &*self.core;
        let change = &change;
        let edit = core.database.run_tx("edit_installation", |session| {
            Box::pin(async move {
                // Nobody locks what is not theirs.
                visible(who, installations::read(session, id).await?)?;
                let current = visible(who, installations::lock(session, id).await?)?;
                if let Some(expected) = if_version
                    && expected != current.version
                {
                    let current = current.version;
                    return Err(ErrorKind::VersionMismatch { current }.into());
                }
                let mut next = change(current.clone())?;
                next.version = current.version + 1;
                next.updated_at = core.config.clock.now();
                installations::update(session, &next).await?;
                let is_turned_off = next.status == InstallationStatus::Disabled
                    && current.status != InstallationStatus::Disabled;
                let action = if is_turned_off {
                    Action::InstallationDisabled
                } else {
                    action
                };
                let entry = core.activity(who, next.user_id, action, id);
                activity::insert(session, &entry).await?;
                Ok::<_, Error>((current, next))
            })
        });
        let (before, next) = edit.await?;
        let previous = before.previous_token.as_ref().map(|(token, _)| token);
        for token in [&before.token, &next.token].into_iter().chain(previous) {
            core.forget_installation(token);
        }
        // Another domain has to be seen anew, and that at once.
        core.seen.invalidate(&(id, true));
        Ok(next)
    }
}

/// The token before has pages that still run.
fn rotated_lately(ends_at: OffsetDateTime) -> Error {
    let ends_at = ends_at.format(&Rfc3339).unwrap_or_default();
    let detail = format!(
        "the token before is good until {ends_at}, for pages that still run; rotate after that, or \
         with `\"now\": true`, which ends it at once"
    );
    Error::conflict("rotated_lately", detail)
}

/// The account that what `who` makes belongs to.
pub(crate) fn account(who: &Principal) -> Result<UserId, Error> {
    who.user_id.ok_or_else(|| {
        let detail = "this belongs to an account; ask with a key of one";
        Error::conflict("no_account", detail)
    })
}

/// The installation if there is one and `who` may see it. Somebody else's is as good as none.
fn visible(who: &Principal, found: Option<Installation>) -> Result<Installation, Error> {
    found
        .filter(|installation| who.may_see(installation.user_id))
        .ok_or_else(|| ErrorKind::NotFound("installation").into())
}

/// A shop is who it says it is because it has said so to us, and not because an account does.
fn only_by_grant(pointer: &str) -> Violations {
    let mut violations = Violations::default();
    let detail = "shops of Shopify connect by a link: POST /integrations/shopify/install";
    violations.add(pointer, "conflict", detail);
    violations
}

fn apply(current: Installation, change: &InstallationChange) -> Result<Installation, Violations> {
    let change = change.clone();
    let origins = || current.origins.iter().map(ToString::to_string).collect();
    let draft = InstallationDraft {
        name: change.name.unwrap_or(current.name),
        domain: change.domain.unwrap_or_else(|| current.domain.clone()),
        platform: change.platform.unwrap_or(current.platform),
        origins: change.origins.unwrap_or_else(origins),
        allow_raw_html: change.allow_raw_html.unwrap_or(current.allow_raw_html),
        respect_gpc: change.respect_gpc.unwrap_or(current.respect_gpc),
        hide_timeout_ms: change
            .hide_timeout_ms
            .unwrap_or(current.hide_timeout_ms.into()),
    };
    let checked = draft.check(current.id, current.token, current.created_at)?;
    let is_same_site = checked.domain == current.domain;
    let is_shop = [checked.platform, current.platform].contains(&Platform::Shopify);
    if is_shop && checked.platform != current.platform {
        return Err(only_by_grant("/platform"));
    }
    if is_shop && !is_same_site {
        return Err(only_by_grant("/domain"));
    }
    let status = change.status.unwrap_or(current.status);
    if status == InstallationStatus::Uninstalled && status != current.status {
        let mut violations = Violations::default();
        let detail = "only the platform says so; use `disabled`";
        violations.add("/status", "conflict", detail);
        return Err(violations);
    }
    // It may have been connected to another account since.
    if is_shop && current.status == InstallationStatus::Uninstalled && status != current.status {
        return Err(only_by_grant("/status"));
    }
    Ok(Installation {
        user_id: current.user_id,
        previous_token: current.previous_token,
        status,
        verified_at: current.verified_at.filter(|_| is_same_site),
        last_seen_at: current.last_seen_at,
        version: current.version,
        ..checked
    })
}
