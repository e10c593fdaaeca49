//! What can go wrong in a use case, in the words of the use case.

use std::time::Duration;

use samplit_domain::{IllegalTransition, Status, Violations};

use crate::{Scope, TokenError};

/// A failure of the engine. Opaque but for its [`kind`](Self::kind); the cause is its `source()`.
#[derive(Debug)]
pub struct Error {
    kind: ErrorKind,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// What a failure means for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The input breaks rules; nothing was done.
    Invalid(Violations),
    /// There is no such thing, or it belongs to somebody else.
    NotFound(&'static str),
    /// A conversion of a visitor who was never assigned.
    NotAssigned,
    /// The experiment does not take visitors in this status.
    NotRunning(Status),
    /// The lifecycle has no such step.
    IllegalTransition(IllegalTransition),
    /// The request contradicts what is there.
    Conflict {
        /// A stable word for it.
        code: &'static str,
        /// What contradicts what, and what to do instead.
        detail: String,
    },
    /// An idempotency key names another request already.
    IdempotencyKeyReused,
    /// Somebody changed it meanwhile.
    VersionMismatch {
        /// The version it has now.
        current: i64,
    },
    /// The conversion came after the attribution window of a completed experiment, or after its seal.
    WindowClosed,
    /// Nothing may be appended to the trail: it does not lead to what was signed and exported.
    OnHold {
        /// What was found.
        reason: String,
    },
    /// The directory of exported checkpoints is gone, full, or not to be read. Without it nobody knows
    /// whether the database was set back, so nothing is signed.
    DirectoryUnavailable,
    /// The token is unknown, expired or revoked.
    Unauthenticated,
    /// Email or password is wrong, or the account is disabled.
    WrongCredentials,
    /// Too many passwords were tried, by email or address.
    Throttled {
        /// When there may be one more.
        retry_in: Duration,
    },
    /// Too many tokens came from one address that open nothing.
    TooManyTokens {
        /// When there may be one more.
        retry_in: Duration,
    },
    /// The link was used, is too old, or never was.
    LinkOver,
    /// Only admins may do it.
    AdminOnly,
    /// Only people who are signed in may do it, and no key.
    SessionOnly,
    /// The token of an installation is unknown, over, or turned off.
    UnknownInstallation,
    /// It is not signed by whom it says it comes from, or too old.
    BadSignature,
    /// A shop refused what was asked of it, or did not answer; its words are the source.
    ShopFailed,
    /// A signed link or token is not accepted.
    Token(TokenError),
    /// The token does not allow this.
    Forbidden(Scope),
    /// More requests are waiting than the queue holds; nothing was recorded.
    Overloaded,
    /// PostgreSQL cannot be reached, or has no room to write.
    Unavailable {
        /// When it makes sense to try again.
        retry_in: Duration,
    },
    /// The connection was lost while it was written down: it is recorded or it is not, and cannot
    /// be found out now. Asking again finds out and does nothing twice.
    OutcomeUnknown,
    /// A fault of ours or of the database.
    Internal,
}

impl Error {
    /// What it means for the caller.
    #[must_use]
    pub const fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    pub(crate) fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        ErrorKind::Conflict {
            code,
            detail: detail.into(),
        }
        .into()
    }

    pub(crate) fn internal(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            kind: ErrorKind::Internal,
            source: Some(source.into()),
        }
    }

    pub(crate) fn directory(source: std::io::Error) -> Self {
        Self {
            kind: ErrorKind::DirectoryUnavailable,
            source: Some(source.into()),
        }
    }

    pub(crate) fn shop_failed(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            kind: ErrorKind::ShopFailed,
            source: Some(source.into()),
        }
    }

    pub(crate) fn unavailable() -> Self {
        ErrorKind::Unavailable {
            retry_in: Duration::from_secs(1),
        }
        .into()
    }

    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable { .. })
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self { kind, source: None }
    }
}

impl From<Violations> for Error {
    fn from(violations: Violations) -> Self {
        ErrorKind::Invalid(violations).into()
    }
}

impl From<TokenError> for Error {
    fn from(error: TokenError) -> Self {
        ErrorKind::Token(error).into()
    }
}

impl From<IllegalTransition> for Error {
    fn from(illegal: IllegalTransition) -> Self {
        ErrorKind::IllegalTransition(illegal).into()
    }
}

impl From<samplit_store::Error> for Error {
    fn from(source: samplit_store::Error) -> Self {
        let kind = if source.is_commit_unknown() {
            ErrorKind::OutcomeUnknown
        } else if source.is_unavailable() || source.is_out_of_resources() {
            ErrorKind::Unavailable {
                retry_in: source.retry_in().unwrap_or(Duration::from_secs(1)),
            }
        } else if source.is_retryable() || source.is_lock_timeout() {
            ErrorKind::Overloaded
        } else {
            ErrorKind::Internal
        };
        Self {
            kind,
            source: Some(Box::new(source)),
        }
    }
}

impl samplit_store::TxError for Error {
    fn store(&self) -> Option<&samplit_store::Error> {
        self.source.as_deref()?.downcast_ref()
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            ErrorKind::Invalid(violations) => violations.fmt(f),
            ErrorKind::NotFound(noun) => write!(f, "there is no such {noun}"),
            ErrorKind::NotAssigned => f.write_str("the visitor was never assigned"),
            ErrorKind::NotRunning(status) => {
                write!(f, "the experiment is {status} and takes no visitors")
            }
            ErrorKind::IllegalTransition(illegal) => illegal.fmt(f),
            ErrorKind::Conflict { detail, .. } => f.write_str(detail),
            ErrorKind::IdempotencyKeyReused => {
                f.write_str("the idempotency key was used for another request")
            }
            ErrorKind::VersionMismatch { current } => {
                write!(f, "it was changed meanwhile and is at version {current}")
            }
            ErrorKind::WindowClosed => {
                f.write_str("the conversion came after the attribution window")
            }
            ErrorKind::OnHold { reason } => write!(f, "the trail is on hold: {reason}"),
            ErrorKind::DirectoryUnavailable => {
                f.write_str("the directory of exported checkpoints cannot be used")
            }
            ErrorKind::Unauthenticated => f.write_str("the token is unknown, expired or revoked"),
            ErrorKind::WrongCredentials => f.write_str("the email or the password is wrong"),
            ErrorKind::Throttled { .. } => f.write_str("too many passwords were tried"),
            ErrorKind::TooManyTokens { .. } => f.write_str("too many unknown tokens were tried"),
            ErrorKind::LinkOver => f.write_str("the link was used, is too old, or never was"),
            ErrorKind::AdminOnly => f.write_str("only admins may do this"),
            ErrorKind::SessionOnly => f.write_str("only people who are signed in may do this"),
            ErrorKind::BadSignature => f.write_str("the signature is missing, wrong or too old"),
            ErrorKind::ShopFailed => f.write_str("the shop did not do what was asked of it"),
            ErrorKind::UnknownInstallation => {
                f.write_str("the token of the installation is unknown, over or turned off")
            }
            ErrorKind::Token(error) => error.fmt(f),
            ErrorKind::Forbidden(scope) => write!(f, "the token lacks the scope `{scope}`"),
            ErrorKind::Overloaded => f.write_str("too many requests are waiting"),
            ErrorKind::Unavailable { .. } => f.write_str("the database cannot be reached"),
            ErrorKind::OutcomeUnknown => {
                f.write_str("the connection to the database was lost; ask again to find out")
            }
            ErrorKind::Internal => f.write_str("the request failed for an internal reason"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn std::error::Error + 'static))
    }
}
