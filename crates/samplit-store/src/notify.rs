//! LISTEN: hearing from other processes that an experiment changed.

use futures_util::{StreamExt as _, stream};
use tokio::sync::mpsc;
use tokio_postgres::{AsyncMessage, NoTls, config::SslMode};

use crate::{Database, Error, tls};

/// The payloads of one channel, as they arrive. Ends when the connection is lost.
#[derive(Debug)]
pub struct Notifications {
    receiver: mpsc::UnboundedReceiver<String>,
    // Dropping the client ends the connection.
    _client: tokio_postgres::Client,
}

impl Notifications {
    /// The next payload; `None` once the connection is lost.
    pub async fn next(&mut self) -> Option<String> {
        self.receiver.recv().await
    }
}

impl Database {
    /// Opens a connection of its own that listens to `channel`.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached or refuses.
    pub async fn listen(&self, channel: &'static str) -> Result<Notifications, Error> {
        let during = "LISTEN";
        let mut config = self.config().clone();
        // An idle listener would not notice a host that vanished.
        config.keepalives_idle(std::time::Duration::from_secs(30));
        let (sender, receiver) = mpsc::unbounded_channel();
        let client = if config.get_ssl_mode() == SslMode::Disable {
            let connected = config.connect(NoTls).await;
            let (client, connection) =
                connected.map_err(|source| Error::postgres(during, source))?;
            tokio::spawn(forward(connection, sender));
            client
        } else {
            let connected = config.connect(tls::connector(self.tls())?).await;
            let (client, connection) =
                connected.map_err(|source| Error::postgres(during, source))?;
            tokio::spawn(forward(connection, sender));
            client
        };
        let listen = client.batch_execute(&format!("LISTEN {channel}")).await;
        listen.map_err(|source| Error::postgres(during, source))?;
        Ok(Notifications {
            receiver,
            _client: client,
        })
    }
}

async fn forward<S, T>(
    mut connection: tokio_postgres::Connection<S, T>,
    sender: mpsc::UnboundedSender<String>,
) where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut messages = stream::poll_fn(move |context| connection.poll_message(context));
    while let Some(Ok(message)) = messages.next().await {
        if let AsyncMessage::Notification(notification) = message
            && sender.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}
