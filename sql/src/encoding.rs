//! The character set that a database has to have.

use tokio_postgres::Client;

use crate::Error;

const REQUIRED: &str = "UTF8";

/// Refuses a database whose `server_encoding` cannot hold every text. Nothing changes the encoding of
/// a database, so it is better found before the first table than with the first visitor whose name
/// does not fit.
///
/// # Errors
/// [`Error::Encoding`], which names the command that makes a database that will do.
pub fn check_encoding(server_encoding: &str) -> Result<(), Error> {
    if server_encoding == REQUIRED {
        Ok(())
    } else {
        Err(Error::Encoding(server_encoding.to_owned()))
    }
}

/// Asks the database for its encoding and refuses the wrong one.
pub(crate) async fn check(client: &Client) -> Result<(), Error> {
    let row = client
        .query_one("SHOW server_encoding", &[])
        .await
        .map_err(Error::query("ask for the encoding of the database"))?;
    check_encoding(row.get(0))
}
