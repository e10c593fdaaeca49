//! Whether the ring has the keys that the database needs, asked once before anything is answered. A copy that
//! is restored without them looks sound and can do nothing.

use samplit_audit::{Place, SealError};
use samplit_store::keys;

use crate::{Engine, Error};

impl Engine {
    /// Refuses to work where experiments run and not one of their keys can be opened here: the ring is a wrong
    /// one. Those of which single ones cannot are named in the log, and the others are served.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `key_missing` then, and when the database fails.
    pub(crate) async fn check_ring(&self) -> Result<(), Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(keys::of_running(session)));
        let sealed = read.await?;
        let open = |(id, sealed): &(samplit_domain::ExperimentId, Vec<u8>)| {
            let place = Place {
                table: "experiment_keys",
                row: &id.to_string(),
                column: "draw_key_sealed",
            };
            self.core.config.keys.open(place, sealed).map(drop)
        };
        let opened: Vec<_> = sealed.iter().map(|key| (key.0, open(key))).collect();
        // What is damaged is one experiment's trouble.
        let is_foreign = |outcome: &Result<(), SealError>| *outcome == Err(SealError::UnknownKey);
        let foreign: Vec<String> = opened
            .iter()
            .filter(|(_, outcome)| is_foreign(outcome))
            .map(|(id, _)| id.to_string())
            .collect();
        if foreign.is_empty() {
            return Ok(());
        }
        let detail = format!(
            "the keys of {} of {} running experiments are sealed with a key that is not in the ring; \
             SAMPLIT_KEYS or --keys-file has to hold every key that was ever first in it",
            foreign.len(),
            sealed.len()
        );
        if opened.iter().any(|(_, outcome)| outcome.is_ok()) {
            tracing::error!(experiments = foreign.join(", "), "{detail}");
            return Ok(());
        }
        Err(Error::conflict("key_missing", detail))
    }
}
