//! Mail by SMTP.

use std::error::Error as StdError;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::Error as SmtpError;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};
use samplit_engine::{Mail, MailSender};

/// How long the mail server may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How long one mail may take in all.
const IN_ALL: Duration = Duration::from_secs(30);

/// A mail server.
#[derive(Debug)]
pub(crate) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// # Errors
    /// For what is no address of a mail server, and for one elsewhere without TLS: links let people in.
    /// The address stands in no message: it may hold a password.
    pub(crate) fn new(url: &str, from: Mailbox) -> anyhow::Result<Self> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url);
        let transport = transport.map_err(|_| anyhow::anyhow!("is no address of a mail server"))?;
        let is_encrypted = url.starts_with("smtps://") || url.contains("tls=required");
        ensure!(
            is_encrypted || is_of_this_machine(url),
            "without TLS, mail goes to this machine only; use smtps:// or add ?tls=required"
        );
        Ok(Self {
            transport: transport.timeout(Some(TIMEOUT)).build(),
            from,
        })
    }

    fn message(&self, mail: Mail) -> anyhow::Result<Message> {
        let to = mail.to.parse().context("it is no address")?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(mail.subject)
            .header(ContentType::TEXT_PLAIN)
            .body(mail.text);
        message.context("it makes no mail")
    }
}

fn is_of_this_machine(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

impl MailSender for Smtp {
    fn send(&self, mail: Mail) -> BoxFuture<'_, Result<(), Box<dyn StdError + Send + Sync>>> {
        Box::pin(async move {
            let message = self.message(mail)?;
            let sent = tokio::time::timeout(IN_ALL, self.transport.send(message)).await;
            let sent = sent.map_err(|_elapsed| "the mail server took too long")?;
            sent.map(drop).map_err(|error| told(&error).into())
        })
    }
}

/// What went wrong, without the words of the server, which quote whom the mail is for.
fn told(error: &SmtpError) -> String {
    match error.status() {
        Some(code) => format!("the mail server answered {code}"),
        None if error.is_timeout() => "the mail server took too long".to_owned(),
        None if error.is_tls() => "the mail server has no TLS that can be used".to_owned(),
        None => "the mail server cannot be reached".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::Smtp;

    #[tokio::test]
    async fn mail_goes_out_encrypted_or_stays_on_this_machine() {
        let from = || "Samplit <samplit@example.org>".parse().unwrap();
        for good in [
            "smtps://me:hunter2@mail.example.org",
            "smtp://mail.example.org:587?tls=required",
            "smtp://localhost",
            "smtp://me:hunter2@127.0.0.1:2525",
            "smtp://[::1]:25",
        ] {
            Smtp::new(good, from()).unwrap();
        }
        for bad in [
            "smtp://mail.example.org",
            "smtp://localhost@mail.example.org",
            "smtp://mail.example.org:587?tls=opportunistic",
            "http://mail.example.org",
            "hunter2",
        ] {
            let error = Smtp::new(bad, from()).unwrap_err().to_string();
            assert!(
                !error.contains("hunter2") && !error.contains("example"),
                "{error}"
            );
        }
    }
}
