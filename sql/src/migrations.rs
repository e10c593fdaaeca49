//! The embedded migration files.

use refinery::{Migration, Runner};

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Every migration, in order.
pub(crate) fn all() -> Vec<Migration> {
    let mut migrations = runner().get_migrations().clone();
    migrations.sort();
    migrations
}

/// A fresh runner over all migrations.
pub(crate) fn runner() -> Runner {
    embedded::migrations::runner()
}

/// The version of the schema that this program works with.
#[must_use]
pub fn expected_version() -> i32 {
    all().last().map_or(0, Migration::version)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The checksum of a landed migration is in every database that has run it.
    #[test]
    fn landed_migrations_are_unchanged() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations.lock");
        let mut live = String::new();
        for migration in all() {
            writeln!(live, "{migration} {:016x}", migration.checksum()).unwrap();
        }
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &live).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            committed, live,
            "add a migration instead of changing one; UPDATE_SCHEMA=1 records a new one"
        );
    }

    #[test]
    fn versions_count_up_from_one() {
        let versions: Vec<i32> = all().iter().map(Migration::version).collect();
        assert_eq!(versions, (1..=expected_version()).collect::<Vec<_>>());
    }
}
