//! Whether a database is what its history claims.

use serde::Serialize;
use tokio_postgres::Client;

use crate::history::History;
use crate::{Catalog, Difference, Error, expected_version};

/// What [`verify`] found.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Version of the database; `None` without a history.
    pub current: Option<i32>,
    /// Version that this program works with.
    pub expected: i32,
    /// Everything that is not as it should be.
    pub differences: Vec<Difference>,
}

impl Verification {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.differences.is_empty()
    }
}

/// Compares the recorded migrations with ours, and the live schema with the one that they make:
/// tables, columns with type, default and nullability, constraints, indexes, triggers, functions,
/// and the rights of our database roles. Reads catalogs only; any role may do that.
///
/// While migrations are pending, they are the differences; the schema is compared once all have run.
///
/// # Errors
/// [`Error::Query`] when the server refuses.
pub async fn verify(client: &Client) -> Result<Verification, Error> {
    let history = History::read(client).await?;
    let mut differences = history.differences();
    let pending = history.pending();
    if pending.is_empty() {
        differences.extend(Catalog::expected().differences(&Catalog::read(client).await?));
    } else {
        let known = differences.len();
        for migration in pending {
            let object = format!("migration V{}", migration.version());
            if differences[..known]
                .iter()
                .all(|known| known.object != object)
            {
                differences.push(Difference {
                    object,
                    expected: Some(migration.name().to_owned()),
                    found: None,
                });
            }
        }
    }
    Ok(Verification {
        current: history.version(),
        expected: expected_version(),
        differences,
    })
}
