//! The database, if its schema is the one that this server knows.

use anyhow::{Context as _, bail};
use samplit_store::{Database, Settings};

/// Connects, and refuses an encoding or a schema that is not exactly the expected one.
pub(crate) async fn connect(settings: Settings) -> anyhow::Result<Database> {
    let database = Database::connect(settings)
        .await
        .context("cannot connect to PostgreSQL")?;
    let encoding = database
        .encoding()
        .await
        .context("cannot read the encoding of the database")?;
    samplit_sql::check_encoding(&encoding)?;
    let version = database
        .schema_version()
        .await
        .context("cannot read the version of the schema")?;
    check(version, samplit_sql::expected_version())?;
    Ok(database)
}

fn check(version: Option<i32>, expected: i32) -> anyhow::Result<()> {
    match version {
        Some(version) if version == expected => Ok(()),
        Some(version) if version > expected => bail!(
            "the schema is at version {version} and this server only knows {expected}; run a newer \
             samplit-server"
        ),
        Some(version) => bail!(
            "the schema is at version {version} and this server needs {expected}; run \
             `samplit-migrate up`"
        ),
        None => bail!(
            "the database has no schema of Samplit and this server needs version {expected}; run \
             `samplit-migrate up`"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn only_the_expected_version_is_served() {
        assert!(check(Some(3), 3).is_ok());
        for older in [None, Some(2)] {
            let error = check(older, 3).unwrap_err().to_string();
            assert!(error.contains("`samplit-migrate up`"), "{error}");
        }
        let error = check(Some(4), 3).unwrap_err().to_string();
        assert!(error.contains("newer samplit-server"), "{error}");
    }
}
