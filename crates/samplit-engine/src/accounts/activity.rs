//! Activity: who changed what. Each change notes itself in its own transaction, so that one is never
//! without the other.

use std::net::IpAddr;

use samplit_domain::{
    Action, Activity, ActivityId, Actor, ActorKind, ApiKeyId, ExclusionId, ExperimentId, FunnelId,
    InstallationId, LeadId, UserId, Violations, WebhookId,
};
use samplit_store::activity::{self, Entry};
use serde_json::{Map, Value as Json};
use uuid::Uuid;

use crate::core::Core;
use crate::page_of::{Page, PageOf};
use crate::{Engine, Error, Principal, Scope};

/// A request that is being answered.
struct Request {
    id: String,
    from: IpAddr,
}

tokio::task_local! {
    static REQUEST: Request;
}

/// Does `work` in the name of a request that comes `from` an address: what it does is noted with the id of
/// that, and what lets nobody in counts for the address.
pub async fn in_request<F: Future>(id: String, from: IpAddr, work: F) -> F::Output {
    REQUEST.scope(Request { id, from }, work).await
}

/// Where the request comes from that is being answered; `None`: nobody asks from outside.
pub(super) fn asked_from() -> Option<IpAddr> {
    REQUEST.try_with(|request| request.from).ok()
}

/// What something was done to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    kind: &'static str,
    id: Option<Uuid>,
}

impl Subject {
    /// Something that has no id of ours.
    pub(crate) const fn nameless(kind: &'static str) -> Self {
        Self { kind, id: None }
    }

    /// Something of this kind.
    pub(crate) fn of(kind: &'static str, id: impl Into<Uuid>) -> Self {
        Self {
            kind,
            id: Some(id.into()),
        }
    }
}

impl From<ExperimentId> for Subject {
    fn from(id: ExperimentId) -> Self {
        Self::of("experiment", id)
    }
}

impl From<FunnelId> for Subject {
    fn from(id: FunnelId) -> Self {
        Self::of("funnel", id)
    }
}

impl From<InstallationId> for Subject {
    fn from(id: InstallationId) -> Self {
        Self::of("installation", id)
    }
}

impl From<ExclusionId> for Subject {
    fn from(id: ExclusionId) -> Self {
        Self::of("exclusion", id)
    }
}

impl From<LeadId> for Subject {
    fn from(id: LeadId) -> Self {
        Self::of("lead", id)
    }
}

impl From<UserId> for Subject {
    fn from(id: UserId) -> Self {
        Self::of("user", id)
    }
}

impl From<ApiKeyId> for Subject {
    fn from(id: ApiKeyId) -> Self {
        Self::of("key", id)
    }
}

impl From<WebhookId> for Subject {
    fn from(id: WebhookId) -> Self {
        Self::of("webhook", id)
    }
}

impl Principal {
    /// Who is to be named for what is done.
    pub(crate) fn actor(&self) -> Actor {
        let kind = match (self.user_id, self.key) {
            (None, _) => ActorKind::System,
            (Some(_), Some(_)) => ActorKind::Key,
            (Some(_), None) => ActorKind::User,
        };
        Actor {
            kind,
            user_id: self.user_id,
            key_id: self.key,
        }
    }
}

impl Core {
    /// What `who` does, as [`activity::insert`] notes it; `owner` is whose account it concerns.
    pub(crate) fn activity(
        &self,
        who: &Principal,
        owner: Option<UserId>,
        action: Action,
        subject: impl Into<Subject>,
    ) -> Entry {
        let subject = subject.into();
        Entry {
            id: ActivityId(self.ids.next()),
            occurred_at: self.config.clock.now(),
            user_id: owner,
            actor: who.actor(),
            action,
            subject_kind: subject.kind,
            subject_id: subject.id,
            detail: Json::Object(Map::new()),
            request_id: REQUEST.try_with(|request| request.id.clone()).ok(),
        }
    }
}

impl Engine {
    /// Lists what was done, newest first: an admin sees everything, a client what concerns its account, and
    /// of what others did there only that it was an administrator.
    /// With `subject` only what was done to that.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a limit out of range or a cursor that is none
    /// of ours.
    pub async fn activity(
        &self,
        who: &Principal,
        subject: Option<Uuid>,
        page: &Page,
    ) -> Result<PageOf<Activity>, Error> {
        who.require(Scope::Read)?;
        let before = page.before(Violations::default())?;
        let (owner, limit) = (who.sees_only(), page.limit_and_one());
        let list = self.core.database.run(|session| {
            Box::pin(async move { activity::list(session, owner, subject, before, limit).await })
        });
        let mut page = page.of(list.await?, |done: &Activity| (done.occurred_at, done.id.0));
        if let Some(own) = owner {
            page.data.iter_mut().for_each(|done| hide_others(done, own));
        }
        Ok(page)
    }
}

/// Takes out who did something, where it was somebody else: admins are no business of their clients.
fn hide_others(done: &mut Activity, own: UserId) {
    if done.actor.user_id.is_some_and(|id| id != own) {
        done.actor = Actor {
            kind: ActorKind::Administrator,
            user_id: None,
            key_id: None,
        };
        done.actor_email = None;
    }
}
