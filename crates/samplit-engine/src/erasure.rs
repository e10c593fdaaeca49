//! Erasing a visitor.
//!
//! Identifier, session, context and event id go; the row stays, as do its variant and its
//! conversion, which are in the counts and in the trail. The trail stays as it is: it names the
//! visitor by a pseudonym that only somebody with the pseudonym key of the experiment can make from
//! an identifier, and that key is destroyed when the experiment is archived. Redacting the entries
//! would take more than it gives: nobody could recount the weights that followed from them.
//!
//! The pseudonym is remembered, so that a visitor who returns is not assigned a second time: a trail
//! in which a pseudonym is assigned twice does not replay. No race gets around that, as the version
//! of the experiment moves with the erasure under the lock of its head. A batch that was prepared
//! before is sent back by the writer, and thought over again with the pseudonym known.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use samplit_domain::{Action, Experiment, ExperimentId, UserId, Violations};
use samplit_store::{activity, erasures};
use serde_json::json;

use crate::accounts::Subject;
use crate::experiments::Edit;
use crate::visitor::Digest;
use crate::{Engine, Error, ErrorKind, Principal, Role, Scope};

/// What the erasure of a visitor came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Erasure {
    /// The experiments in which the visitor had a row.
    pub experiments: usize,
    /// The rows that were erased: of those experiments, of leads, of journeys through funnels and of
    /// sessions left out.
    pub rows: usize,
}

impl Engine {
    /// Erases a visitor from all experiments of the account, and from those of all accounts where
    /// `who` is of none. Erasing somebody who is not there is done at once.
    ///
    /// Each experiment is a transaction of its own. When the call fails in the middle, some are done
    /// and some are not; the same call again does the rest, and counts only the rest.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an identifier that no visitor can have,
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) for a client without an account: nothing
    /// is its own, and nobody should take that for an erasure,
    /// [`ErrorKind::Overloaded`](crate::ErrorKind::Overloaded) and
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) as ever.
    pub async fn erase_visitor(&self, who: &Principal, visitor: &str) -> Result<Erasure, Error> {
        who.require(Scope::Manage)?;
        let owner = reach(who, visitor)?;
        let found = self.experiments_of_visitor(who, visitor).await?;
        let database = &self.core.database;
        let mut erasure = Erasure::default();
        let mut failed = None;
        for id in found {
            match self.erase_from(who, id, visitor).await {
                Ok(rows) => {
                    erasure.experiments += usize::from(rows > 0);
                    erasure.rows += rows;
                }
                Err(error) if error.is_unavailable() => return Err(error),
                // One experiment that cannot be opened does not keep the others from being done.
                Err(error) => failed = Some(error),
            }
        }
        let (core, is_complete) = (&self.core, failed.is_none());
        let elsewhere = database.run_tx("erase_elsewhere", |session| {
            Box::pin(async move {
                let rows = erasures::erase_elsewhere(session, visitor, owner).await?;
                let subject = Subject::nameless("visitor");
                let mut entry = core.activity(who, owner, Action::VisitorErased, subject);
                entry.detail = json!({
                    "experiments": erasure.experiments,
                    "rows": u64::try_from(erasure.rows).map_err(Error::internal)? + rows,
                    "is_complete": is_complete,
                });
                activity::insert(session, &entry).await?;
                Ok::<_, Error>(rows)
            })
        });
        erasure.rows += usize::try_from(elsewhere.await?).map_err(Error::internal)?;
        failed.map_or(Ok(erasure), Err)
    }

    /// The experiments that [`Self::erase_visitor`] would erase a visitor from.
    ///
    /// # Errors
    /// As for the erasure.
    pub async fn experiments_of_visitor(
        &self,
        who: &Principal,
        visitor: &str,
    ) -> Result<Vec<ExperimentId>, Error> {
        who.require(Scope::Manage)?;
        let owner = reach(who, visitor)?;
        let found = self.core.database.run(|session| {
            Box::pin(async move { erasures::experiments_of(session, visitor, owner).await })
        });
        Ok(found.await?)
    }

    /// Erases the row in one experiment, whatever its status.
    async fn erase_from(
        &self,
        who: &Principal,
        id: ExperimentId,
        visitor: &str,
    ) -> Result<usize, Error> {
        let live = self.visible_live(who, id).await?;
        let key = live.trail.as_ref().and_then(|trail| trail.pid_key.as_ref());
        let pseudonym = key.map(|key| key.pseudonym(id.0, visitor).to_string());
        let edit = Edit {
            id,
            if_version: None,
            name: "erase_visitor",
            action: Action::VisitorErased,
            detail: json!({}),
        };
        let rows = Arc::new(AtomicU64::new(0));
        let visitor: Arc<str> = Arc::from(visitor);
        let unchanged = |current: &Experiment| Ok(current.clone());
        self.edit(who, edit, unchanged, |_, session, _, _| {
            let (rows, visitor, pseudonym) =
                (Arc::clone(&rows), Arc::clone(&visitor), pseudonym.clone());
            Box::pin(async move {
                let pseudonym = pseudonym.as_deref();
                let erased = erasures::erase(session, id, &visitor, pseudonym).await?;
                rows.store(erased, Ordering::Relaxed);
                Ok(())
            })
        })
        .await?;
        self.core.visitors.invalidate(&Digest::new(id, &visitor));
        usize::try_from(rows.load(Ordering::Relaxed)).map_err(Error::internal)
    }
}

/// Whose experiments `who` may erase a visitor from; `None`: everybody's.
fn reach(who: &Principal, visitor: &str) -> Result<Option<UserId>, Error> {
    let mut violations = Violations::default();
    violations.visitor("/visitor_id", visitor);
    violations.into_result(())?;
    match (who.role, who.user_id) {
        (Role::Admin, _) => Ok(None),
        (_, Some(owner)) => Ok(Some(owner)),
        (_, None) => Err(ErrorKind::NotFound("account").into()),
    }
}
