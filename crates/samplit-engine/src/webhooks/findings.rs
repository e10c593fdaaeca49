//! What nobody does and somebody wants to hear of: that a stopping rule is met, and that visitors are
//! not split as they should be. Both are said once in the life of an experiment.

use std::collections::HashMap;
use std::time::Duration;

use samplit_domain::ExperimentId;
use samplit_store::webhooks::{self, Watched};
use tokio::time::Instant;

use super::news::is_mismatched;
use super::{News, post};
use crate::auto_complete::may_stop;
use crate::results::Results;
use crate::{Engine, Error};

/// After how long an experiment is looked at again of which nothing has moved: a rule may wait for
/// nothing but its days.
const UNMOVED_FOR: Duration = Duration::from_secs(3_600);

/// How long the trail of each experiment was when it was last looked at, and when that was.
#[derive(Debug, Default)]
pub(crate) struct Seen(HashMap<ExperimentId, (i64, Instant)>);

impl Seen {
    /// Whether there may be something new.
    pub(crate) fn may_be_news(&self, watched: &Watched) -> bool {
        self.0
            .get(&watched.experiment_id)
            .is_none_or(|(size, at)| *size != watched.size || at.elapsed() >= UNMOVED_FOR)
    }

    pub(crate) fn note(&mut self, watched: &Watched) {
        let seen = (watched.size, Instant::now());
        self.0.insert(watched.experiment_id, seen);
    }

    /// Forgets what nobody waits for any more.
    pub(crate) fn keep_only(&mut self, watched: &[Watched]) {
        self.0
            .retain(|id, _| watched.iter().any(|watched| watched.experiment_id == *id));
    }
}

impl Engine {
    /// The experiments that run and of which somebody wants to hear what was never said.
    pub(crate) async fn with_listeners(&self) -> Result<Vec<Watched>, Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(webhooks::watched(session)));
        Ok(read.await?)
    }

    /// Tells what `found` shows and was not said before.
    pub(crate) async fn tell_findings(
        &self,
        found: &Results,
        watched: &Watched,
    ) -> Result<(), Error> {
        let winner = watched.winner && may_stop(&found.elements);
        let mismatch = watched.mismatch && is_mismatched(found);
        let news = [
            winner.then(|| News::of_winner(found)),
            mismatch.then(|| News::of_mismatch(found)),
        ];
        let news: Vec<News> = news.into_iter().flatten().collect();
        if news.is_empty() {
            return Ok(());
        }
        let (core, news) = (&*self.core, &news);
        let tell = core.database.run_tx("tell_findings", |session| {
            Box::pin(async move {
                for news in news {
                    post(core, session, news).await?;
                }
                Ok::<_, Error>(())
            })
        });
        tell.await?;
        core.postman.wake();
        Ok(())
    }
}
