//! A schema as data: every object by name with its definition, so that two can be compared.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use tokio_postgres::Client;

use crate::Error;

const QUERY: &str = include_str!("catalog.sql");

/// The objects of one schema: `kind name` to a definition in PostgreSQL's own words, for instance
/// `column users.email` to `character varying(255) NOT NULL`.
///
/// The kinds are table, column, constraint, index, trigger, function, view and grant, besides `role`,
/// which only notes that a database role exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalog(BTreeMap<String, String>);

impl Catalog {
    /// Reads the connection's current schema.
    ///
    /// # Errors
    /// [`Error::Query`] when the server refuses.
    pub async fn read(client: &Client) -> Result<Self, Error> {
        let rows = client
            .query(QUERY, &[])
            .await
            .map_err(Error::query("read the catalog"))?;
        Ok(Self(
            rows.iter().map(|row| (row.get(0), row.get(1))).collect(),
        ))
    }

    /// The schema that all migrations make.
    #[must_use]
    pub fn expected() -> Self {
        Self::parse(include_str!("../schema.txt"))
    }

    /// The schema that the original files made.
    pub(crate) fn seed() -> Self {
        Self::parse(include_str!("../schema_seed.txt"))
    }

    /// Reads what [`fmt::Display`] writes.
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter_map(|line| line.split_once('\t'));
        Self(
            lines
                .map(|(name, definition)| (name.to_owned(), definition.to_owned()))
                .collect(),
        )
    }

    pub(crate) fn has_table(&self, table: &str) -> bool {
        self.0.contains_key(&format!("table {table}"))
    }

    fn has_view(&self, view: &str) -> bool {
        self.0.contains_key(&format!("view {view}"))
    }

    /// Names and definitions of all objects.
    pub(crate) fn objects(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, definition)| (name.as_str(), definition.as_str()))
    }

    pub(crate) fn get(&self, object: &str) -> Option<&str> {
        self.0.get(object).map(String::as_str)
    }

    /// Where `live` is not what `self` says.
    ///
    /// Not reported: tables, plain indexes, and columns that accept being left out, if they are
    /// only in `live`, for an operator may add those; and grants to roles that do not exist.
    #[must_use]
    pub fn differences(&self, live: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (object, expected) in &self.0 {
            let found = live.get(object);
            if found == Some(expected) || self.is_excused(object, live) {
                continue;
            }
            differences.push(Difference {
                object: object.clone(),
                expected: Some(expected.clone()),
                found: found.map(str::to_owned),
            });
        }
        for (object, found) in &live.0 {
            if !self.0.contains_key(object)
                && (self.has_table(table_of(object)) || self.has_view(table_of(object)))
                && changes_behaviour(object, found)
            {
                differences.push(Difference {
                    object: object.clone(),
                    expected: None,
                    found: Some(found.clone()),
                });
            }
        }
        differences
    }

    /// Parts of a table that is missing as a whole, and grants to roles that do not exist.
    fn is_excused(&self, object: &str, live: &Self) -> bool {
        let table = table_of(object);
        let of_missing_table =
            self.has_table(table) && !live.has_table(table) && !object.starts_with("table ");
        let role = object
            .strip_prefix("grant ")
            .and_then(|rest| rest.split(' ').next());
        of_missing_table || role.is_some_and(|role| live.get(&format!("role {role}")).is_none())
    }
}

/// The table that an object belongs to; empty for functions and roles.
pub(crate) fn table_of(object: &str) -> &str {
    let name = match object.split_once(' ') {
        Some(("grant", rest)) => rest.split_once(" on ").map_or("", |(_, name)| name),
        Some(("function" | "role", _)) | None => "",
        Some((_, name)) => name,
    };
    name.split_once('.').map_or(name, |(table, _)| table)
}

/// Whether an object that we do not know can refuse or alter what we write.
fn changes_behaviour(object: &str, definition: &str) -> bool {
    match object.split_once(' ').map_or("", |(kind, _)| kind) {
        "constraint" | "trigger" | "grant" => true,
        "index" => definition.starts_with("CREATE UNIQUE"),
        "column" => {
            definition.contains(" NOT NULL")
                && !definition.contains(" DEFAULT ")
                && !definition.ends_with(" GENERATED")
        }
        _ => false,
    }
}

/// One line per object, name and definition parted by a tab, without roles (a cluster's own affair).
impl fmt::Display for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, definition) in &self.0 {
            if !name.starts_with("role ") {
                writeln!(f, "{name}\t{definition}")?;
            }
        }
        Ok(())
    }
}

/// One object that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Kind and name, such as `index experiments.idx_experiments_active`.
    pub object: String,
    /// The definition it should have; `None` when it should not exist.
    pub expected: Option<String>,
    /// The definition it has; `None` when it does not exist.
    pub found: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            object,
            expected,
            found,
        } = self;
        match (expected, found) {
            (Some(_), None) => write!(f, "{object} is missing"),
            (None, Some(found)) if found.is_empty() => write!(f, "{object} is unexpected"),
            (None, Some(found)) => write!(f, "{object} is unexpected: {found}"),
            (Some(expected), Some(found)) => {
                write!(f, "{object} is `{found}` instead of `{expected}`")
            }
            (None, None) => write!(f, "{object}"),
        }
    }
}
