//! LISTEN: hearing from other processes that an experiment changed.

use tokio::sync::mpsc;
use tokio_postgres::AsyncMessage;

use crate::{Database, Error};

/// The payloads of one channel, as they arrive. Ends when the connection is lost.
#[derive(Debug)]
pub struct Notifications {
    messages: mpsc::UnboundedReceiver<AsyncMessage>,
    // Dropping the client ends the connection.
    _client: tokio_postgres::Client,
}

impl Notifications {
    /// The next payload; `None` once the connection is lost.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            if let AsyncMessage::Notification(notification) = self.messages.recv().await? {
                return Some(notification.payload().to_owned());
            }
        }
    }
}

impl Database {
    /// Opens a connection of its own that listens to `channel`.
    ///
    /// # Errors
    /// When PostgreSQL cannot be reached or refuses.
    pub async fn listen(&self, channel: &'static str) -> Result<Notifications, Error> {
        let mut server = self.server().clone();
        // An idle listener would not notice a host that vanished.
        server
            .config_mut()
            .keepalives_idle(std::time::Duration::from_secs(30));
        let (client, messages) = server.connect().await?;
        let listen = client.batch_execute(&format!("LISTEN {channel}")).await;
        listen.map_err(|source| Error::postgres("LISTEN", source))?;
        Ok(Notifications {
            messages,
            _client: client,
        })
    }
}
