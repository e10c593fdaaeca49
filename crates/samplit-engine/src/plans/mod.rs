//! Plans: what an account may have, how much of it is used, and what comes of that.
//!
//! Nothing is ever cut off. Visitors are served whatever they count to, and what runs goes on; only what
//! takes up one more of something that is used up is refused: starting an experiment, inviting somebody.
//! Whoever has no subscription has no limits.

mod manage;
mod signature;
mod stripe;
mod usage;

use samplit_domain::UserId;
use samplit_store::{Session, subscriptions, usage as counts};

pub use manage::PlanDraft;
pub use stripe::{StripeHook, StripeSecret};
pub use usage::PlanUse;
pub(crate) use usage::watch;

use crate::trail::unsigned;
use crate::{Error, Principal};

/// Refuses an experiment of `owner` that was set running in this transaction, if the plan has no room for it.
/// Of two that are started at once for one place, the second waits here for the first.
pub(crate) async fn room_for_experiment(
    session: &Session<'_>,
    owner: Option<UserId>,
) -> Result<(), Error> {
    let Some(owner) = owner else { return Ok(()) };
    let current = subscriptions::current(session, owner, true).await?;
    let Some(limit) = current.and_then(|current| current.limits.active_experiments) else {
        return Ok(());
    };
    let running = unsigned(counts::active_experiments(session, owner).await?)?;
    if running <= limit {
        return Ok(());
    }
    let detail = format!(
        "the plan of the account has room for {limit} running experiments; complete or pause one, or \
         choose another plan"
    );
    Err(Error::conflict("plan_limit", detail))
}

/// Refuses one more account that can come in, if the plan of the admin who lets it in has no room for it.
/// The caller holds the lock of admins, so that nobody else lets somebody in meanwhile.
pub(crate) async fn room_for_seat(session: &Session<'_>, who: &Principal) -> Result<(), Error> {
    let Some(admin) = who.user_id else {
        return Ok(());
    };
    let current = subscriptions::current(session, admin, false).await?;
    let Some(limit) = current.and_then(|current| current.limits.seats) else {
        return Ok(());
    };
    if unsigned(counts::seats(session).await?)? < limit {
        return Ok(());
    }
    let detail = format!(
        "the plan has room for {limit} accounts; disable one that nobody uses, or choose another plan"
    );
    Err(Error::conflict("plan_limit", detail))
}
