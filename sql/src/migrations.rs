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
