//! Decoding rows that may hold what no type of ours can.

use std::error::Error as _;
use std::fmt::Display;
use std::str::FromStr;

use postgres_types::FromSql;
use tokio_postgres::Row;

use crate::Error;

/// The columns of one row of a table. An operator, or whoever made a database that was adopted, may
/// have written values that PostgreSQL takes and we cannot, such as a time of `infinity`.
#[derive(Clone, Copy)]
pub(crate) struct Columns<'a> {
    row: &'a Row,
    table: &'static str,
}

impl<'a> Columns<'a> {
    pub(crate) const fn new(row: &'a Row, table: &'static str) -> Self {
        Self { row, table }
    }

    /// The value at `index`, which is called `name` in errors.
    ///
    /// # Errors
    /// When it is not a `T`.
    pub(crate) fn get<T: FromSql<'a>>(self, index: usize, name: &'static str) -> Result<T, Error> {
        let value = self.row.try_get(index);
        // The error itself only counts the column, its source says what is wrong with the value.
        value.map_err(|error| match error.source() {
            Some(source) => self.wrong(name, source),
            None => self.wrong(name, error),
        })
    }

    /// A word of a closed set, or what stands in for null.
    ///
    /// # Errors
    /// When it is not in the set.
    pub(crate) fn word<T: FromStr<Err: Display>>(
        self,
        index: usize,
        name: &'static str,
        default: T,
    ) -> Result<T, Error> {
        let word: Option<&str> = self.get(index, name)?;
        word.map_or(Ok(default), str::parse)
            .map_err(|error| self.wrong(name, error))
    }

    /// The error that says what is wrong with a value that could be decoded.
    pub(crate) fn wrong(self, name: &'static str, detail: impl Display) -> Error {
        Error::inconsistent(self.table, name, detail)
    }
}
