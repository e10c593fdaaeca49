//! Mail: what carries links to people.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use samplit_engine::{Mailing, Origin};
use serde::Serialize;

use super::secret::{Secret, given};
use crate::mail::Smtp;

/// Mail; without it links are shown to whoever makes them.
#[derive(Clone, Debug, Args, Serialize)]
#[command(next_help_heading = "Mail")]
pub(crate) struct MailSettings {
    /// The mail server, like `smtps://user:password@mail.example.org` or
    /// `smtp://mail.example.org:587?tls=required`; without TLS only on this machine. Needs --mail-from and
    /// --public-url. The environment or a file is the better place.
    #[arg(
        long,
        env = "SAMPLIT_SMTP_URL",
        hide_env_values = true,
        conflicts_with = "smtp_url_file"
    )]
    smtp_url: Option<Secret>,

    /// A file with the same.
    #[arg(long, env = "SAMPLIT_SMTP_URL_FILE")]
    smtp_url_file: Option<PathBuf>,

    /// Whom mails come from, like `Samplit <samplit@example.org>`.
    #[arg(long, env = "SAMPLIT_MAIL_FROM")]
    mail_from: Option<String>,
}

impl MailSettings {
    /// What mails links that lead to `public_url`; none where no mail server is given.
    ///
    /// # Errors
    /// A file cannot be read, the address makes no sense or is without TLS, or something else is missing.
    pub(crate) fn mailing(&self, public_url: Option<&Origin>) -> anyhow::Result<Option<Mailing>> {
        let url = given(self.smtp_url.as_ref(), self.smtp_url_file.as_deref())?;
        let (url, from, server) = match (url, &self.mail_from, public_url) {
            (None, None, _) => return Ok(None),
            (None, Some(_), _) => bail!("--mail-from: without --smtp-url no mail is sent"),
            (Some(_), None, _) => bail!("--smtp-url: whom do mails come from? set --mail-from"),
            (Some(_), _, None) => {
                bail!("--smtp-url: where do links in mails lead? set --public-url")
            }
            (Some(url), Some(from), Some(server)) => (url, from, server.clone()),
        };
        let from = from.parse();
        let from = from.context("--mail-from: is no address")?;
        let sender = Smtp::new(url.expose().trim(), from).context("--smtp-url")?;
        Ok(Some(Mailing {
            sender: Arc::new(sender),
            server,
        }))
    }
}
