//! Into the outbox, in the transaction of what happened.

use samplit_domain::{UserId, WebhookDeliveryId, WebhookEvent, WebhookId, WebhookMessageId};
use samplit_store::webhook_outbox::{self, NewMessage};
use samplit_store::{Session, webhooks};
use time::OffsetDateTime;

use super::News;
use crate::Error;
use crate::checkpoints::StoredCheckpoint;
use crate::core::Core;
use crate::trail::signed;

/// Who has the first attempt of what is put into the outbox.
#[derive(Clone, Copy)]
pub(super) enum First {
    /// Whoever comes first, once it is due.
    Anybody,
    /// Whoever puts it in, until then.
    Mine(OffsetDateTime),
}

/// Puts news into the outbox for everybody who wants to hear of them.
pub(crate) async fn post(core: &Core, session: &Session<'_>, news: &News) -> Result<(), Error> {
    let Some(owner) = news.owner else {
        return Ok(());
    };
    let to = webhooks::listeners(session, owner, news.event).await?;
    enqueue(core, session, news, (owner, &to), First::Anybody).await?;
    Ok(())
}

/// Tells of a checkpoint that is new. In the place of an earlier one, where that still waits for the
/// end of its minute; in the next minute, where that one was sent before this one was written down.
pub(crate) async fn post_checkpoint(
    core: &Core,
    session: &Session<'_>,
    owner: Option<UserId>,
    checkpoint: &StoredCheckpoint,
) -> Result<(), Error> {
    let Some(account) = owner else {
        return Ok(());
    };
    let to = webhooks::listeners(session, account, WebhookEvent::CheckpointSigned).await?;
    if to.is_empty() {
        return Ok(());
    }
    let incarnation = i32::try_from(checkpoint.incarnation).map_err(Error::internal)?;
    let place = (incarnation, signed(checkpoint.size));
    for late in 0.. {
        let news = News::of_checkpoint(owner, checkpoint, late);
        let is_new = enqueue(core, session, &news, (account, &to), First::Anybody).await?;
        let Some(once_key) = news.once_key.as_deref().filter(|_| is_new.is_none()) else {
            break;
        };
        if !webhook_outbox::hold_unless_sent(session, once_key).await? {
            continue;
        }
        webhook_outbox::renew_checkpoint(session, once_key, &news.body()?, place).await?;
        break;
    }
    Ok(())
}

/// Puts news into the outbox for `to`. The deliveries, one of each; `None` where there is nobody or it
/// was said before.
pub(super) async fn enqueue(
    core: &Core,
    session: &Session<'_>,
    news: &News,
    (user_id, to): (UserId, &[WebhookId]),
    first: First,
) -> Result<Option<Vec<WebhookDeliveryId>>, Error> {
    if to.is_empty() {
        return Ok(None);
    }
    let to: Vec<_> = to
        .iter()
        .map(|webhook| (WebhookDeliveryId(core.ids.next()), *webhook))
        .collect();
    let (attempts, due_at) = match first {
        First::Anybody => (0, news.due_at),
        First::Mine(until) => (1, until),
    };
    let message = NewMessage {
        id: WebhookMessageId(core.ids.next()),
        user_id,
        experiment_id: news.experiment_id,
        event: news.event,
        once_key: news.once_key.as_deref(),
        payload: &news.body()?,
        created_at: news.at,
        attempts,
        due_at,
    };
    let is_new = webhook_outbox::enqueue(session, &message, &to).await?;
    Ok(is_new.then(|| to.into_iter().map(|(delivery, _)| delivery).collect()))
}
