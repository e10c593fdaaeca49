//! What is remembered per account, so that visitors do not wait for a query.
//!
//! What was changed through this process is read anew by whoever asks next; what was changed by
//! another one is known [`EngineConfig::refresh_every`](crate::EngineConfig::refresh_every) and one
//! request later.

use std::future::Future;
use std::sync::Arc;

use moka::sync::Cache;
use samplit_domain::UserId;

use crate::Error;
use crate::core::Core;
use crate::remembered::Remembered;

/// Something of an account that is remembered.
pub(crate) trait OfAccount: Sized + Send + Sync + 'static {
    /// Where it is remembered.
    fn memory(core: &Core) -> &Cache<UserId, Arc<Remembered<Self>>>;

    /// Reads it.
    fn read(core: &Core, owner: UserId) -> impl Future<Output = Result<Self, Error>> + Send;
}

impl Core {
    /// What an account has. What is old is believed once more, and read anew meanwhile.
    pub(crate) async fn recall<T: OfAccount>(
        self: &Arc<Self>,
        owner: UserId,
    ) -> Result<Arc<Remembered<T>>, Error> {
        let Some(known) = T::memory(self).get(&owner) else {
            return self.learn(owner).await;
        };
        let believed_for = time::Duration::try_from(self.config.refresh_every);
        let now = self.config.clock.now();
        if known.is_due(now, believed_for.unwrap_or(time::Duration::MAX)) {
            let core = Arc::clone(self);
            tokio::spawn(async move {
                if core.learn::<T>(owner).await.is_err()
                    && let Some(known) = T::memory(&core).get(&owner)
                {
                    known.ask_again();
                }
            });
        }
        Ok(known)
    }

    async fn learn<T: OfAccount>(&self, owner: UserId) -> Result<Arc<Remembered<T>>, Error> {
        let now = self.config.clock.now();
        let read = Arc::new(Remembered::new(T::read(self, owner).await?, now));
        T::memory(self).insert(owner, Arc::clone(&read));
        Ok(read)
    }
}
