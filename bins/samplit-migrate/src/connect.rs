//! The one connection that a command works on.

use std::future::poll_fn;

use anyhow::Context;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, NoTls};

pub(crate) async fn connect(config: &Config) -> anyhow::Result<Client> {
    let mut config = config.clone();
    if config.get_application_name().is_none() {
        config.application_name("samplit-migrate");
    }
    let (client, connection) = config
        .connect(NoTls)
        .await
        .context("cannot connect to PostgreSQL")?;
    tokio::spawn(drive(connection));
    Ok(client)
}

/// Drives the connection, and passes on what the server has to say on the way.
async fn drive<S, T>(mut connection: Connection<S, T>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = poll_fn(|context| connection.poll_message(context)).await {
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
