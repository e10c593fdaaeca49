//! Noting who was kept out, off the way of those who wait for an answer.

use std::sync::Arc;

use moka::sync::Cache;
use parking_lot::Mutex;
use samplit_domain::{ExcludedSessionId, ExperimentId, Visit};
use samplit_store::exclusions::{self, ExcludedSession};

use crate::core::Core;
use crate::exclusions::ExcludedBy;
use crate::visitor::Digest;

/// How many may wait to be written; beyond, they are written when they come again.
const MAX_WAITING: usize = 1_024;

/// How many are remembered as written already; the database knows all of them.
const MAX_NOTED: u64 = 50_000;

/// Visits that were kept out.
#[derive(Debug)]
pub(crate) struct Excluded {
    noted: Cache<Digest, ()>,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    visits: Vec<(ExperimentId, ExcludedSession)>,
    /// Whether somebody is writing them down.
    is_being_written: bool,
}

impl Default for Excluded {
    fn default() -> Self {
        Self {
            noted: Cache::new(MAX_NOTED),
            waiting: Mutex::default(),
        }
    }
}

impl Core {
    /// Notes that a rule kept a visit out of an experiment. Once per session, or per visitor where
    /// the session has no name; nobody waits for it.
    pub(crate) fn note_excluded(
        self: &Arc<Self>,
        experiment: ExperimentId,
        visit: &Visit<'_>,
        by: ExcludedBy,
    ) {
        let mut waiting = self.excluded.waiting.lock();
        let digest = Digest::new(experiment, visit.session.unwrap_or(visit.visitor));
        if self.excluded.noted.contains_key(&digest) || waiting.visits.len() >= MAX_WAITING {
            return;
        }
        self.excluded.noted.insert(digest, ());
        let excluded = ExcludedSession {
            id: ExcludedSessionId(self.ids.next()),
            session: visit.session.map(str::to_owned),
            visitor: Some(visit.visitor.to_owned()),
            // Which says something also when the rule is gone.
            reason: by.kind.as_str().to_owned(),
            rule_id: Some(by.id),
            excluded_at: self.config.clock.now(),
        };
        waiting.visits.push((experiment, excluded));
        if !waiting.is_being_written {
            waiting.is_being_written = true;
            tokio::spawn(Arc::clone(self).write_excluded());
        }
    }

    /// Writes down all that wait, and those that come meanwhile.
    async fn write_excluded(self: Arc<Self>) {
        loop {
            let visits = {
                let mut waiting = self.excluded.waiting.lock();
                if waiting.visits.is_empty() {
                    waiting.is_being_written = false;
                    return;
                }
                Arc::new(std::mem::take(&mut waiting.visits))
            };
            let write = self.database.run_tx("write_excluded", |session| {
                let visits = Arc::clone(&visits);
                Box::pin(async move { exclusions::add_excluded(session, &visits).await })
            });
            if let Err(error) = write.await {
                tracing::warn!(visits = visits.len(), error = ?error, "excluded visits were not noted");
                for (experiment, visit) in &*visits {
                    let name = visit.session.as_ref().or(visit.visitor.as_ref());
                    if let Some(name) = name {
                        let digest = Digest::new(*experiment, name);
                        self.excluded.noted.invalidate(&digest);
                    }
                }
            }
        }
    }
}
