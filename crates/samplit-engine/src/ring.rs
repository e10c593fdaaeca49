//! Whether the ring has the keys that the database needs, asked once before anything is answered. A copy that
//! is restored without them looks sound and can do nothing.

use samplit_audit::{Place, SealError};
use samplit_store::keys;

use crate::{Engine, Error};

impl Engine {
    /// Refuses to work where experiments run whose keys nobody here can open.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) `key_missing` then, and when the database fails.
    pub(crate) async fn check_ring(&self) -> Result<(), Error> {
        let read = self
            .core
            .database
            .run(|session| Box::pin(keys::of_running(session)));
        let sealed = read.await?;
        let is_foreign = |(id, sealed): &&(samplit_domain::ExperimentId, Vec<u8>)| {
            let place = Place {
                table: "experiment_keys",
                row: &id.to_string(),
                column: "draw_key_sealed",
            };
            // What is damaged is one experiment's trouble.
            self.core.config.keys.open(place, sealed) == Err(SealError::UnknownKey)
        };
        let foreign = sealed.iter().filter(is_foreign).count();
        if foreign == 0 {
            return Ok(());
        }
        let detail = format!(
            "the keys of {foreign} of {} running experiments are sealed with a key that is not in the ring; \
             SAMPLIT_KEYS or --keys-file has to hold every key that was ever first in it",
            sealed.len()
        );
        Err(Error::conflict("key_missing", detail))
    }
}
