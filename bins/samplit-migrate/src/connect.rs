//! The one connection that a command works on.

use samplit_store::Server;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client};

pub(crate) async fn connect(server: &Server) -> anyhow::Result<Client> {
    let (client, messages) = server.connect().await?;
    tokio::spawn(tell(messages));
    Ok(client)
}

/// Passes on what the server has to say on the way.
async fn tell(mut messages: UnboundedReceiver<AsyncMessage>) {
    while let Some(message) = messages.recv().await {
        if let AsyncMessage::Notice(notice) = message {
            let code = notice.code();
            // What `IF NOT EXISTS` says of what exists is no news.
            if *code == SqlState::DUPLICATE_TABLE || *code == SqlState::DUPLICATE_COLUMN {
                tracing::debug!("{}", notice.message());
            } else {
                tracing::info!(severity = notice.severity(), "{}", notice.message());
            }
        }
    }
}
