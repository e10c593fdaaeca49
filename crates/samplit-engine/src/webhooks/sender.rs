//! Who posts messages.

use std::fmt;

use futures_util::future::BoxFuture;

/// Posts messages to addresses that strangers name, and so has to be careful what it talks to.
///
/// A name is resolved once, and what is connected to is an address that it resolved to; one that is
/// nobody's on the internet is refused. No redirect is followed, all of it takes 10 seconds at most,
/// and of an answer no more than its beginning is read.
pub trait WebhookSender: fmt::Debug + Send + Sync {
    /// Posts JSON.
    ///
    /// # Errors
    /// There was no answer.
    fn send<'a>(
        &'a self,
        request: &'a WebhookRequest,
    ) -> BoxFuture<'a, Result<WebhookAnswer, WebhookFailure>>;

    /// Whether addresses may be of `http`: in a network of one's own.
    fn allows_plain(&self) -> bool {
        false
    }
}

/// What to post.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Where to. It may hold a secret of the receiver.
    pub url: String,
    /// The header `webhook-id`.
    pub id: String,
    /// The header `webhook-timestamp`, a Unix second.
    pub timestamp: i64,
    /// The header `webhook-signature`.
    pub signature: String,
    /// The body, which is JSON.
    pub body: String,
}

impl fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookRequest")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What the receiver says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The status.
    pub status: u16,
    /// The header `retry-after`, as it came.
    pub retry_after: Option<String>,
    /// The beginning of the body.
    pub body: String,
}

/// Why the receiver says nothing. Repeats nothing of the address but what it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookFailure {
    /// The name stands for an address that is nobody's on the internet.
    AddressRefused,
    /// Nobody answered in time, or not in HTTP.
    Unreachable(String),
}

impl fmt::Display for WebhookFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddressRefused => f.write_str("the receiver is at an address that is not public"),
            Self::Unreachable(why) => write!(f, "the receiver cannot be reached: {why}"),
        }
    }
}

impl std::error::Error for WebhookFailure {}
