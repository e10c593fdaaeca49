//! Adopting a database that this crate did not make.
//!
//! Two kinds are known: one that somebody made with psql from the project's original schema files,
//! with data in it, and one on which somebody ran our own migration files with psql. The first is
//! recorded at [`SEED_VERSION`], from where [`up`](crate::up) alters it, data included; the second
//! at the newest version.

use serde::Serialize;
use tokio_postgres::Client;

use crate::catalog::table_of;
use crate::history::History;
use crate::up::record;
use crate::{Catalog, Difference, Error, Options, encoding, expected_version, lock};

/// The migration that makes exactly what the first of the original files made. All later ones
/// accept what the other original files may have made already.
const SEED_VERSION: i32 = 1;

/// The tables without which a database is not one of the original schema; the files that made the
/// others were optional.
const CORE: [&str; 5] = [
    "users",
    "experiments",
    "experiment_elements",
    "element_variants",
    "assignments",
];

/// Tables that the original text names without their columns. They may exist in any shape that does
/// not contradict ours; the migrations add what such a table lacks.
const OPEN: [&str; 8] = [
    "leads",
    "oauth_tokens",
    "subscriptions",
    "funnel_nodes",
    "funnel_edges",
    "user_onboarding",
    "roles",
    "user_roles",
];

/// What [`baseline`] recorded.
#[derive(Debug, Clone, Serialize)]
pub struct Baseline {
    /// The version that the database is at now.
    pub version: i32,
    /// The version that [`up`](crate::up) brings it to.
    pub expected: i32,
}

/// Recognises a database and records the migrations that it needs no more. Alters no table.
///
/// # Errors
/// [`Error::Encoding`], [`Error::AlreadyVersioned`], [`Error::NothingToAdopt`], or
/// [`Error::NotRecognised`] with each object that is not as the original files made it.
pub async fn baseline(client: &mut Client, options: &Options) -> Result<Baseline, Error> {
    lock::acquire(client, options.lock_wait).await?;
    let outcome = adopt(client, options).await;
    lock::release(client).await;
    outcome
}

async fn adopt(client: &mut Client, options: &Options) -> Result<Baseline, Error> {
    encoding::check(client).await?;
    if let Some(version) = History::read(client).await?.version() {
        return Err(Error::AlreadyVersioned(version));
    }
    let live = Catalog::read(client).await?;
    let version = recognise(&live)?;
    record(client, options, version).await?;
    Ok(Baseline {
        version,
        expected: expected_version(),
    })
}

fn recognise(live: &Catalog) -> Result<i32, Error> {
    if !CORE.iter().any(|table| live.has_table(table)) {
        return Err(Error::NothingToAdopt);
    }
    if Catalog::expected().differences(live).is_empty() {
        return Ok(expected_version());
    }
    let seed = Catalog::seed();
    let mut differences = seed.differences(live);
    differences.retain(|difference| !is_mended(difference));
    differences.extend(conflicts(&seed, live));
    if differences.is_empty() {
        Ok(SEED_VERSION)
    } else {
        Err(Error::NotRecognised(differences))
    }
}

/// Whether the migrations after [`SEED_VERSION`] add what is missing.
fn is_mended(difference: &Difference) -> bool {
    let object = difference.object.as_str();
    let is_missing = difference.found.is_none();
    let optional_table = object.starts_with("table ") && !CORE.contains(&table_of(object));
    is_missing && (optional_table || object.starts_with("index ") || object == "column users.role")
}

/// What is in the way of the migrations: columns of [`OPEN`] tables with another type than ours, and
/// tables that happen to have the name of one that the original schema does not know.
fn conflicts(seed: &Catalog, live: &Catalog) -> Vec<Difference> {
    Catalog::expected()
        .objects()
        .filter(|(object, _)| !seed.has_table(table_of(object)))
        .filter_map(|(object, expected)| {
            let found = live.get(object)?;
            let (wanted, in_the_way) = if OPEN.contains(&table_of(object)) {
                let is_column = object.starts_with("column ");
                (
                    Some(expected),
                    is_column && type_of(found) != type_of(expected),
                )
            } else {
                (None, object.starts_with("table "))
            };
            in_the_way.then(|| Difference {
                object: object.to_owned(),
                expected: wanted.map(str::to_owned),
                found: Some(found.to_owned()),
            })
        })
        .collect()
}

/// A column's definition without nullability and default.
fn type_of(definition: &str) -> &str {
    let end = [" NOT NULL", " DEFAULT "]
        .iter()
        .filter_map(|clause| definition.find(clause))
        .min();
    &definition[..end.unwrap_or(definition.len())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_what_precedes_the_clauses() {
        for (definition, expected) in [
            ("uuid", "uuid"),
            ("uuid DEFAULT gen_random_uuid()", "uuid"),
            ("character varying(255) NOT NULL", "character varying(255)"),
            (
                "timestamp with time zone NOT NULL DEFAULT now()",
                "timestamp with time zone",
            ),
        ] {
            assert_eq!(type_of(definition), expected);
        }
    }
}
