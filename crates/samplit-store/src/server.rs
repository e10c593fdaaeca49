//! A PostgreSQL server as a connection string names it, and connections of one's own to it.

use std::path::Path;

use futures_util::{StreamExt as _, stream};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, Client, Config, NoTls, config::SslMode};

use crate::Error;
use crate::tls::{self, TlsSettings, Trust};

/// Where PostgreSQL is and how far its certificate is believed.
#[derive(Clone)]
pub struct Server {
    config: Config,
    tls: TlsSettings,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("hosts", &self.config.get_hosts())
            .field("database", &self.config.get_dbname())
            .finish_non_exhaustive()
    }
}

impl Server {
    /// Reads a connection string as libpq understands it, `sslmode=verify-full` and `sslrootcert`
    /// included.
    ///
    /// # Errors
    /// When it cannot be read; the message does not repeat it, for it may hold a password.
    pub fn parse(url: &str) -> Result<Self, Error> {
        let (url, tls) = tls::split_settings(url);
        let config = url
            .parse()
            .map_err(|_| Error::settings("the connection string cannot be read"))?;
        Ok(Self { config, tls })
    }

    /// The name shown in `pg_stat_activity`, unless the string gave one.
    #[must_use]
    pub fn named(mut self, application: &str) -> Self {
        if self.config.get_application_name().is_none() {
            self.config.application_name(application);
        }
        self
    }

    /// What the driver is told.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    pub(crate) fn config_mut(&mut self) -> &mut Config {
        &mut self.config
    }

    pub(crate) const fn tls(&self) -> &TlsSettings {
        &self.tls
    }

    pub(crate) fn is_plain(&self) -> bool {
        self.config.get_ssl_mode() == SslMode::Disable
    }

    /// `sslmode` as libpq spells it, for its own programs.
    #[must_use]
    pub fn ssl_mode(&self) -> &'static str {
        match (self.config.get_ssl_mode(), self.tls.trust) {
            (SslMode::Disable, _) => "disable",
            (_, Trust::Host) => "verify-full",
            (_, Trust::Authority) => "verify-ca",
            (SslMode::Require, Trust::Any) => "require",
            (_, Trust::Any) => "prefer",
        }
    }

    /// The file of root certificates, where one was named.
    #[must_use]
    pub fn ssl_root_certificate(&self) -> Option<&Path> {
        self.tls.root_certificate.as_deref()
    }

    /// Opens a connection of one's own, outside any pool. What PostgreSQL sends by itself (notices,
    /// notifications) comes out of the receiver, which ends with the connection.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached or refuses.
    pub async fn connect(&self) -> Result<(Client, mpsc::UnboundedReceiver<AsyncMessage>), Error> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let client = if self.is_plain() {
            let connected = self.config.connect(NoTls).await;
            let (client, connection) = connected.map_err(Error::connect)?;
            tokio::spawn(forward(connection, sender));
            client
        } else {
            let connected = self.config.connect(tls::connector(&self.tls)?).await;
            let (client, connection) = connected.map_err(Error::connect)?;
            tokio::spawn(forward(connection, sender));
            client
        };
        Ok((client, receiver))
    }
}

async fn forward<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    sender: mpsc::UnboundedSender<AsyncMessage>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    while let Some(Ok(message)) = messages.next().await {
        // Nobody may be listening; the connection is driven all the same.
        let _ = sender.send(message);
    }
}
