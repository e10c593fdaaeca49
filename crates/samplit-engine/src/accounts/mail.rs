//! Mail: what carries a link to whom it is for. Without it, whoever made the link hands it on.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use samplit_domain::{LinkKind, Origin};

/// A mail in plain text.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// The text holds a link that lets somebody in.
impl fmt::Debug for Mail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mail").finish_non_exhaustive()
    }
}

/// Sends mail.
pub trait MailSender: fmt::Debug + Send + Sync {
    /// Sends one mail; returns when the next server has taken it, or will not.
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), Box<dyn StdError + Send + Sync>>>;
}

/// Mail, and where the links in it lead.
#[derive(Clone, Debug)]
pub struct Mailing {
    /// What sends it.
    pub sender: Arc<dyn MailSender>,
    /// How people reach this server. Never taken from a request: whoever asks for a mail to somebody
    /// else must not choose where its link leads.
    pub server: Origin,
}

impl Mailing {
    /// Sends the link `path` to `to`.
    pub(super) async fn send_link(
        &self,
        kind: LinkKind,
        to: &str,
        path: &str,
    ) -> Result<(), Box<dyn StdError + Send + Sync>> {
        let (subject, what, lasts) = match kind {
            LinkKind::Setup => ("Set up Samplit", "set up the server", "1 hour"),
            LinkKind::Invite => (
                "You are invited to Samplit",
                "choose a password and come in",
                "7 days",
            ),
            LinkKind::Reset => (
                "A new password for Samplit",
                "choose a new password",
                "1 hour",
            ),
            LinkKind::SignIn => ("Sign in to Samplit", "sign in", "15 minutes"),
        };
        let server = &self.server;
        let text = format!(
            "Follow this link to {what}:\n\n{server}{path}\n\n\
             It works once, for {lasts}. If you did not expect it, do nothing: nothing changes.\n"
        );
        let mail = Mail {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text,
        };
        self.sender.send(mail).await
    }
}
