//! Experiments as feature flags: found by their keys, one or all at once.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::join_all;
use moka::sync::Cache;
use samplit_domain::{Assign, ExperimentId, UserId, Visit};
use samplit_store::experiments;

use crate::assign::Asking;
use crate::core::Core;
use crate::of_account::OfAccount;
use crate::remembered::Remembered;
use crate::{Assigned, Engine, Error, ErrorKind, Principal, Scope};

/// The experiments of an account that were started and not put away, by their keys.
#[derive(Debug)]
pub(crate) struct Flags(BTreeMap<String, ExperimentId>);

impl OfAccount for Flags {
    fn memory(core: &Core) -> &Cache<UserId, Arc<Remembered<Self>>> {
        &core.flags
    }

    async fn read(core: &Core, owner: UserId) -> Result<Self, Error> {
        let read = core
            .database
            .run(|session| Box::pin(experiments::flags(session, owner)));
        Ok(Self(read.await?))
    }
}

impl Engine {
    /// What a visitor gets of the experiment that is called `flag`: by its key within the account of
    /// `who`, else by its id. As by [`Self::assign`], unless `is_read_only`: then a visitor who is
    /// known gets the same as ever, everybody else control, and nothing is stored.
    ///
    /// # Errors
    /// Those of [`Self::assign`]; [`ErrorKind::NotFound`] as well for a key that no experiment of the
    /// account has that was started.
    pub async fn evaluate(
        &self,
        who: &Principal,
        flag: &str,
        request: &Assign,
        is_read_only: bool,
    ) -> Result<Assigned, Error> {
        who.require(Scope::Assign)?;
        let by_key = match who.user_id {
            Some(owner) => self
                .core
                .recall::<Flags>(owner)
                .await?
                .value
                .0
                .get(flag)
                .copied(),
            None => None,
        };
        let id = by_key.or_else(|| flag.parse().ok());
        let id = id.ok_or(ErrorKind::NotFound("flag"))?;
        self.evaluate_one(who, id, request, is_read_only).await
    }

    /// [`Self::evaluate`] of every flag of the account that has a key and was started, in the order of
    /// their keys.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a visitor or a context that cannot be, [`ErrorKind::Unavailable`]
    /// where it is not known which flags there are. One that fails says so in its place.
    pub async fn evaluate_all(
        &self,
        who: &Principal,
        request: &Assign,
        is_read_only: bool,
    ) -> Result<Vec<(String, Result<Assigned, Error>)>, Error> {
        who.require(Scope::Assign)?;
        request.check()?;
        let Some(owner) = who.user_id else {
            return Ok(Vec::new());
        };
        let flags = self.core.recall::<Flags>(owner).await?;
        // At the same time, so that those that are new meet in a batch of the writer.
        let evaluated = flags.value.0.iter().map(async |(key, id)| {
            let assigned = self.evaluate_one(who, *id, request, is_read_only).await;
            (key.clone(), assigned)
        });
        let evaluated = join_all(evaluated).await.into_iter();
        // What was put away meanwhile is no flag any more.
        let is_flag = |(_, assigned): &(String, Result<Assigned, Error>)| match assigned {
            Ok(_) => true,
            Err(error) => !matches!(
                error.kind(),
                ErrorKind::NotRunning(_) | ErrorKind::NotFound(_)
            ),
        };
        Ok(evaluated.filter(is_flag).collect())
    }

    async fn evaluate_one(
        &self,
        who: &Principal,
        id: ExperimentId,
        request: &Assign,
        is_read_only: bool,
    ) -> Result<Assigned, Error> {
        let asking = Asking {
            is_read_only,
            ..Asking::new(request, Visit::told(request))
        };
        self.assign_as(who, id, &asking).await
    }
}
