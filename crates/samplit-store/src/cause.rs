//! What PostgreSQL said, fit to be logged.
//!
//! The DETAIL, HINT and CONTEXT of a refusal quote rows: "Failing row contains (...)" holds the
//! visitor's identifier and context. They are left out wherever the error is shown.

use std::fmt;
use std::ops::Deref;

use tokio_postgres::error::DbError;

/// An error of the driver that shows no row.
pub(crate) struct Cause(tokio_postgres::Error);

impl From<tokio_postgres::Error> for Cause {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl Deref for Cause {
    type Target = tokio_postgres::Error;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_db_error() {
            Some(refusal) => write(f, refusal),
            None => self.0.fmt(f),
        }
    }
}

fn write(f: &mut fmt::Formatter<'_>, refusal: &DbError) -> fmt::Result {
    let (severity, code) = (refusal.severity(), refusal.code().code());
    write!(f, "{severity}: {} (SQLSTATE {code}", refusal.message())?;
    let place = [
        ("table", refusal.table()),
        ("column", refusal.column()),
        ("constraint", refusal.constraint()),
    ];
    for (name, value) in place {
        if let Some(value) = value {
            write!(f, ", {name} {value}")?;
        }
    }
    f.write_str(")")
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self.0.as_db_error() {
            Some(_) => None,
            None => self.0.source(),
        }
    }
}
