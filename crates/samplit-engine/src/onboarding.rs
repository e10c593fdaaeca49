//! The first steps of an account: found by what is there, and kept, so that what was done stays done.

use std::sync::Arc;

use samplit_domain::{Action, Onboarding, Scope, StepsDone, UserId};
use samplit_store::{activity, onboarding, users};

use crate::installations::account;
use crate::{Engine, Error, ErrorKind, Principal};

impl Engine {
    /// How far the account of `who` has come. An admin has come as far as the server has: what others set
    /// up counts.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn onboarding(&self, who: &Principal) -> Result<Onboarding, Error> {
        who.require(Scope::Read)?;
        let (user, owner) = (account(who)?, who.sees_only());
        let read = self.core.database.run(|session| {
            Box::pin(async move {
                let seen = onboarding::see(session, user, owner).await?;
                let stored = onboarding::read(session, user).await?;
                Ok::<_, Error>((seen, stored))
            })
        });
        let (seen, stored): (StepsDone, Option<Onboarding>) = read.await?;
        let now = stored.clone().unwrap_or_default().with(&seen);
        if stored.as_ref() == Some(&now) {
            return Ok(now);
        }
        self.keep_onboarding(who, user, seen, None).await
    }

    /// Puts the checklist away, or takes it out again.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] `no_account` for whoever has none.
    pub async fn dismiss_onboarding(
        &self,
        who: &Principal,
        is_dismissed: bool,
    ) -> Result<Onboarding, Error> {
        who.require(Scope::Manage)?;
        let (user, owner) = (account(who)?, who.sees_only());
        let read = self
            .core
            .database
            .run(|session| Box::pin(onboarding::see(session, user, owner)));
        let seen: StepsDone = read.await?;
        self.keep_onboarding(who, user, seen, Some(is_dismissed))
            .await
    }

    /// Stores what was `seen`, and whether the checklist is put away, where that is to change.
    async fn keep_onboarding(
        &self,
        who: &Principal,
        user: UserId,
        seen: StepsDone,
        is_dismissed: Option<bool>,
    ) -> Result<Onboarding, Error> {
        let core = &self.core;
        let kept = core.database.run_tx("keep_onboarding", |session| {
            let (core, seen) = (Arc::clone(core), seen.clone());
            Box::pin(async move {
                // Locked, so that two who ask at once lose nothing of each other's.
                let found = users::lock(session, user).await?;
                found.ok_or(ErrorKind::NotFound("user"))?;
                let stored = onboarding::read(session, user).await?;
                let mut next = stored.clone().unwrap_or_default().with(&seen);
                let now = core.config.clock.now();
                let action = match (is_dismissed, next.dismissed_at) {
                    (Some(true), None) => Some((Some(now), Action::OnboardingDismissed)),
                    (Some(false), Some(_)) => Some((None, Action::OnboardingReopened)),
                    _ => None,
                };
                if let Some((dismissed_at, action)) = action {
                    next.dismissed_at = dismissed_at;
                    let entry = core.activity(who, Some(user), action, user);
                    activity::insert(session, &entry).await?;
                }
                if stored.as_ref() != Some(&next) {
                    onboarding::write(session, user, &next, now).await?;
                }
                Ok::<_, Error>(next)
            })
        });
        kept.await
    }
}
