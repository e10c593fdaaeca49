//! Exclusion rules: made, changed, and kept in memory for those who ask whether they are meant.

use std::sync::Arc;

use moka::sync::Cache;
use samplit_domain::{
    Action, ExclusionId, ExclusionKind, ExclusionMatch, ExclusionRule, ExperimentId, UserId,
    Violations, Visit,
};
pub use samplit_store::exclusions::ExcludedSession;
use samplit_store::{Session, activity, exclusions};
use serde_json::json;

use crate::core::Core;
use crate::idempotency::{Made, Once};
use crate::installations::account;
use crate::of_account::OfAccount;
use crate::page_of::{Page, PageOf};
use crate::remembered::Remembered;
use crate::{Engine, Error, ErrorKind, Principal, Scope};

/// The most rules of one account: every new visitor is compared with all of them.
const MAX_RULES: i64 = 1_000;

/// A rule to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewExclusion {
    /// The one experiment that it is for; `None`: all of the account.
    pub experiment_id: Option<ExperimentId>,
    /// What is compared.
    pub kind: ExclusionKind,
    /// With what.
    pub value: String,
    /// Whether it is in force.
    pub is_active: bool,
}

/// The rules of an account that are in force.
#[derive(Debug)]
pub(crate) struct Rules(Vec<Rule>);

/// The rule that kept a visit out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExcludedBy {
    pub(crate) id: ExclusionId,
    pub(crate) kind: ExclusionKind,
}

#[derive(Debug)]
struct Rule {
    by: ExcludedBy,
    experiment: Option<ExperimentId>,
    means: ExclusionMatch,
}

impl Rules {
    /// The first rule that keeps a visit out of an experiment.
    pub(crate) fn excluding(
        &self,
        experiment: ExperimentId,
        visit: &Visit<'_>,
    ) -> Option<ExcludedBy> {
        let mut rules = self.0.iter();
        let excludes = |rule: &&Rule| {
            rule.experiment.is_none_or(|only| only == experiment) && rule.means.matches(visit)
        };
        rules.find(excludes).map(|rule| rule.by)
    }

    /// Whether a rule keeps a visit out of everything that the account has.
    pub(crate) fn exclude_from_all(&self, visit: &Visit<'_>) -> bool {
        let mut rules = self.0.iter();
        rules.any(|rule| rule.experiment.is_none() && rule.means.matches(visit))
    }
}

impl OfAccount for Rules {
    fn memory(core: &Core) -> &Cache<UserId, Arc<Remembered<Self>>> {
        &core.rules
    }

    async fn read(core: &Core, owner: UserId) -> Result<Self, Error> {
        let read = core
            .database
            .run(|session| Box::pin(exclusions::active(session, owner, MAX_RULES)));
        let rules = read.await?;
        // A row that somebody wrote past us may hold a value that means nothing.
        let rules = rules.into_iter().filter_map(|rule| {
            let means = rule.to_match();
            if means.is_none() {
                tracing::warn!(exclusion = %rule.id, "a rule excludes nobody, its value is malformed");
            }
            let (id, kind) = (rule.id, rule.kind);
            Some(Rule {
                by: ExcludedBy { id, kind },
                experiment: rule.experiment_id,
                means: means?,
            })
        });
        Ok(Self(rules.collect()))
    }
}

impl Engine {
    /// Makes a rule, of the account of `who`, or of that of the experiment which it is for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that its kind cannot have, [`ErrorKind::NotFound`] for an
    /// experiment that `who` may not see, [`ErrorKind::Conflict`] for an account with 1,000 rules.
    pub async fn create_exclusion(
        &self,
        who: &Principal,
        new: NewExclusion,
    ) -> Result<ExclusionRule, Error> {
        let made = self.create_exclusion_once(who, new, None).await?;
        made.only_new()
    }

    /// Makes a rule, once.
    ///
    /// # Errors
    /// As [`Self::create_exclusion`], [`ErrorKind::IdempotencyKeyReused`] and [`ErrorKind::Conflict`]
    /// `idempotency_key_in_use`.
    pub async fn create_exclusion_once(
        &self,
        who: &Principal,
        new: NewExclusion,
        once: Option<&Once<'_, ExclusionRule>>,
    ) -> Result<Made<ExclusionRule>, Error> {
        who.require(Scope::Manage)?;
        let user_id = match new.experiment_id {
            Some(id) => {
                let live = self.visible_live(who, id).await?;
                live.experiment.user_id.map_or_else(|| account(who), Ok)?
            }
            None => account(who)?,
        };
        let rule = ExclusionRule {
            id: ExclusionId(self.core.ids.next()),
            user_id,
            experiment_id: new.experiment_id,
            kind: new.kind,
            value: new.value,
            is_active: new.is_active,
            created_at: self.core.config.clock.now(),
            version: 1,
        };
        rule.check()?;
        let made = self
            .make_once(who, "create_exclusion", once, &|session| {
                let rule = rule.clone();
                Box::pin(async move {
                    if !exclusions::insert(session, &rule, MAX_RULES).await? {
                        let detail = format!("an account may have {MAX_RULES} exclusion rules");
                        return Err(Error::conflict("too_many_exclusions", detail));
                    }
                    note(&self.core, session, who, &rule, Action::ExclusionCreated).await?;
                    Ok(rule)
                })
            })
            .await?;
        self.core.rules.invalidate(&user_id);
        Ok(made)
    }

    /// Reads a rule.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn exclusion(
        &self,
        who: &Principal,
        id: ExclusionId,
    ) -> Result<ExclusionRule, Error> {
        who.require(Scope::Read)?;
        let read = self
            .core
            .database
            .run(|session| Box::pin(exclusions::read(session, id)));
        let found = read.await?.filter(|rule| who.may_see(Some(rule.user_id)));
        found.ok_or_else(|| ErrorKind::NotFound("exclusion rule").into())
    }

    /// Lists the rules that `who` may see, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none of ours.
    pub async fn exclusions(
        &self,
        who: &Principal,
        page: &Page,
    ) -> Result<PageOf<ExclusionRule>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { exclusions::list(session, owner, before, limit).await })
        });
        Ok(page.of(list.await?, |rule| (rule.created_at, rule.id.0)))
    }

    /// Changes of a rule what is given: its value, and whether it is in force. `if_version` is the version
    /// that the caller has seen.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a value that its kind cannot have, [`ErrorKind::NotFound`] where
    /// there is no rule that `who` may see, [`ErrorKind::VersionMismatch`] when it was changed meanwhile.
    pub async fn update_exclusion(
        &self,
        who: &Principal,
        id: ExclusionId,
        value: Option<String>,
        is_active: Option<bool>,
        if_version: Option<i64>,
    ) -> Result<ExclusionRule, Error> {
        who.require(Scope::Manage)?;
        let mut rule = self.exclusion(who, id).await?;
        if let Some(value) = &value {
            rule.value.clone_from(value);
            rule.check()?;
        }
        let update = self.core.database.run_tx("update_exclusion", |session| {
            let (core, who, value) = (Arc::clone(&self.core), who.clone(), value.clone());
            Box::pin(async move {
                let updated =
                    exclusions::update(session, id, value.as_deref(), is_active, if_version)
                        .await?;
                if let Some(rule) = &updated {
                    note(&core, session, &who, rule, Action::ExclusionChanged).await?;
                }
                Ok::<_, Error>(updated)
            })
        });
        let updated = update.await?;
        self.core.rules.invalidate(&rule.user_id);
        match updated {
            Some(updated) => Ok(updated),
            None => {
                let current = self.exclusion(who, id).await?.version;
                Err(ErrorKind::VersionMismatch { current }.into())
            }
        }
    }

    /// Takes a rule away. Visits that it excluded keep their reason in the list.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is none that `who` may see.
    pub async fn delete_exclusion(&self, who: &Principal, id: ExclusionId) -> Result<(), Error> {
        who.require(Scope::Manage)?;
        let rule = self.exclusion(who, id).await?;
        let delete = self.core.database.run_tx("delete_exclusion", |session| {
            let (core, who, rule) = (Arc::clone(&self.core), who.clone(), rule.clone());
            Box::pin(async move {
                if exclusions::delete(session, id).await? {
                    note(&core, session, &who, &rule, Action::ExclusionDeleted).await?;
                }
                Ok::<_, Error>(())
            })
        });
        delete.await?;
        self.core.rules.invalidate(&rule.user_id);
        Ok(())
    }

    /// Lists the visits that were kept out of an experiment, newest first.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no experiment that `who` may see,
    /// [`ErrorKind::Invalid`] for a limit out of range or a cursor that is none of ours.
    pub async fn excluded_sessions(
        &self,
        who: &Principal,
        id: ExperimentId,
        page: &Page,
    ) -> Result<PageOf<ExcludedSession>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        self.visible_live(who, id).await?;
        let limit = page.limit_and_one();
        let list = self.core.database.run(|session| {
            Box::pin(async move { exclusions::list_excluded(session, id, before, limit).await })
        });
        Ok(page.of(list.await?, |visit| (visit.excluded_at, visit.id.0)))
    }
}

/// Notes what is done to a rule. Its value is left out: it may be a visitor, or an address.
async fn note(
    core: &Core,
    session: &Session<'_>,
    who: &Principal,
    rule: &ExclusionRule,
    action: Action,
) -> Result<(), Error> {
    let mut entry = core.activity(who, Some(rule.user_id), action, rule.id);
    entry.detail = json!({ "kind": rule.kind, "experiment_id": rule.experiment_id });
    Ok(activity::insert(session, &entry).await?)
}
