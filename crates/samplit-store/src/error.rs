//! What can go wrong between us and PostgreSQL.

use std::fmt;

use tokio_postgres::error::SqlState;

use crate::cause::Cause;

/// A failure of the store. Opaque: ask it what it means, print its `source()` chain once, where it is
/// handled.
pub struct Error(Box<Kind>);

#[derive(Debug)]
enum Kind {
    Settings(String),
    Tls(rustls::Error),
    Certificates(std::io::Error),
    BreakerOpen {
        retry_in: std::time::Duration,
    },
    PoolTimeout,
    PoolClosed,
    Connect {
        source: tokio_postgres::Error,
    },
    Postgres {
        during: &'static str,
        source: Cause,
    },
    CommitUnknown {
        during: &'static str,
        source: Cause,
    },
    Silence {
        during: &'static str,
        in_commit: bool,
    },
    RowCount {
        during: &'static str,
        expected: u64,
        actual: u64,
        is_race: bool,
    },
    Inconsistent {
        table: &'static str,
        column: &'static str,
        detail: String,
    },
}

impl Error {
    pub(crate) fn settings(detail: impl Into<String>) -> Self {
        Self(Box::new(Kind::Settings(detail.into())))
    }

    pub(crate) fn tls(source: rustls::Error) -> Self {
        Self(Box::new(Kind::Tls(source)))
    }

    pub(crate) fn certificates(source: std::io::Error) -> Self {
        Self(Box::new(Kind::Certificates(source)))
    }

    pub(crate) fn breaker_open(retry_in: std::time::Duration) -> Self {
        Self(Box::new(Kind::BreakerOpen { retry_in }))
    }

    pub(crate) fn postgres(during: &'static str, source: tokio_postgres::Error) -> Self {
        Self(Box::new(Kind::Postgres {
            during,
            source: source.into(),
        }))
    }

    /// No connection: PostgreSQL was not reached, or it let nobody in. Whatever it says (no such
    /// database, wrong password, too many clients), no work can be done until that changes.
    pub(crate) fn connect(source: tokio_postgres::Error) -> Self {
        Self(Box::new(Kind::Connect { source }))
    }

    /// A COMMIT that failed without PostgreSQL having said so may have happened.
    pub(crate) fn commit(during: &'static str, source: tokio_postgres::Error) -> Self {
        let unknown = source.code().is_none_or(is_connection_state);
        let source = Cause::from(source);
        Self(Box::new(if unknown {
            Kind::CommitUnknown { during, source }
        } else {
            Kind::Postgres { during, source }
        }))
    }

    /// PostgreSQL did not answer within the deadline of a transaction.
    pub(crate) fn silence(during: &'static str) -> Self {
        let in_commit = false;
        Self(Box::new(Kind::Silence { during, in_commit }))
    }

    /// PostgreSQL did not answer to a COMMIT, which may have happened.
    pub(crate) fn commit_silence(during: &'static str) -> Self {
        let in_commit = true;
        Self(Box::new(Kind::Silence { during, in_commit }))
    }

    pub(crate) fn pool(source: deadpool_postgres::PoolError) -> Self {
        use deadpool_postgres::{HookError, PoolError};
        Self(Box::new(match source {
            PoolError::Timeout(_) => Kind::PoolTimeout,
            PoolError::Closed | PoolError::NoRuntimeSpecified => Kind::PoolClosed,
            PoolError::Backend(source) | PoolError::PostCreateHook(HookError::Backend(source)) => {
                Kind::Connect { source }
            }
            PoolError::PostCreateHook(HookError::Message(message)) => {
                Kind::Settings(message.into_owned())
            }
        }))
    }

    /// A value in the database that no rule of ours allows.
    #[must_use]
    pub fn inconsistent(
        table: &'static str,
        column: &'static str,
        detail: impl fmt::Display,
    ) -> Self {
        Self(Box::new(Kind::Inconsistent {
            table,
            column,
            detail: detail.to_string(),
        }))
    }

    /// Says which row an inconsistency is in; leaves other failures as they are.
    pub(crate) fn within(mut self, row: impl fmt::Display) -> Self {
        if let Kind::Inconsistent { detail, .. } = &mut *self.0 {
            *detail = format!("{row}: {detail}");
        }
        self
    }

    /// Turns a number of affected rows into meaning, where the transaction holds the locks that
    /// guard them: any other number is an inconsistency.
    ///
    /// # Errors
    /// When `actual` is not `expected`.
    pub(crate) fn expect_rows(
        during: &'static str,
        expected: u64,
        actual: u64,
    ) -> Result<(), Self> {
        Self::check_rows(during, expected, actual, false)
    }

    /// Like [`Self::expect_rows`], where a concurrent writer may have come first.
    ///
    /// # Errors
    /// When `actual` is not `expected`; retryable.
    pub(crate) fn expect_rows_or_race(
        during: &'static str,
        expected: u64,
        actual: u64,
    ) -> Result<(), Self> {
        Self::check_rows(during, expected, actual, true)
    }

    fn check_rows(
        during: &'static str,
        expected: u64,
        actual: u64,
        is_race: bool,
    ) -> Result<(), Self> {
        if expected == actual {
            Ok(())
        } else {
            Err(Self(Box::new(Kind::RowCount {
                during,
                expected,
                actual,
                is_race,
            })))
        }
    }

    fn code(&self) -> Option<&SqlState> {
        match &*self.0 {
            Kind::Postgres { source, .. } | Kind::CommitUnknown { source, .. } => source.code(),
            _ => None,
        }
    }

    /// Whether PostgreSQL could not be reached: a connect that failed for whatever reason, closed
    /// connection, pool timeout, shutdown, open breaker. The only failures that the breaker counts.
    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        match &*self.0 {
            Kind::BreakerOpen { .. } | Kind::PoolTimeout | Kind::PoolClosed => true,
            Kind::Connect { .. } | Kind::CommitUnknown { .. } | Kind::Silence { .. } => true,
            Kind::Postgres { source, .. } => match source.code() {
                Some(state) => is_connection_state(state),
                None => source.is_closed() || is_io(source),
            },
            _ => false,
        }
    }

    /// Whether the same transaction may succeed when it is run again at once: a serialization
    /// failure, a deadlock, or a row count that a concurrent writer upset. A lock that was not had in
    /// time is not among them: whoever waited that long already should not wait five times longer.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(&*self.0, Kind::RowCount { is_race: true, .. })
            || self.code().is_some_and(|state| {
                [
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    SqlState::T_R_DEADLOCK_DETECTED,
                ]
                .contains(state)
            })
    }

    /// Whether a COMMIT was sent and its outcome is not known.
    #[must_use]
    pub fn is_commit_unknown(&self) -> bool {
        matches!(
            &*self.0,
            Kind::CommitUnknown { .. }
                | Kind::Silence {
                    in_commit: true,
                    ..
                }
        )
    }

    /// Whether PostgreSQL has no room or no memory left, or cannot use its disk (class 53, 58030).
    /// Nothing was done. It is there all the same, and may still read, so the breaker does not count
    /// it.
    #[must_use]
    pub fn is_out_of_resources(&self) -> bool {
        self.code().is_some_and(is_resource_state)
    }

    /// Whether the rows of the statement caused it: a value out of range, a broken constraint, an
    /// exception that a trigger raised, a stored value that we cannot take. The same statement with
    /// other rows may succeed.
    #[must_use]
    pub fn is_about_data(&self) -> bool {
        self.inconsistency().is_some() || self.code().is_some_and(is_data_state)
    }

    /// Table, column and what is wrong there, where the database holds a value that no rule of ours
    /// allows. Of an entry of a trail the last one begins with `entry` and its sequence number.
    #[must_use]
    pub fn inconsistency(&self) -> Option<(&'static str, &'static str, &str)> {
        match &*self.0 {
            Kind::Inconsistent {
                table,
                column,
                detail,
            } => Some((table, column, detail)),
            _ => None,
        }
    }

    /// Whether a lock was not had within `lock_timeout`.
    #[must_use]
    pub fn is_lock_timeout(&self) -> bool {
        self.code() == Some(&SqlState::LOCK_NOT_AVAILABLE)
    }

    /// Whether a value that has to be unique is taken.
    #[must_use]
    pub fn is_unique_violation(&self) -> bool {
        self.code() == Some(&SqlState::UNIQUE_VIOLATION)
    }

    /// Whether the database lacks a table, a column or a function that we use.
    #[must_use]
    pub fn is_unknown_schema(&self) -> bool {
        self.code().is_some_and(|state| {
            [
                SqlState::UNDEFINED_TABLE,
                SqlState::UNDEFINED_COLUMN,
                SqlState::UNDEFINED_FUNCTION,
                SqlState::INVALID_SCHEMA_NAME,
            ]
            .contains(state)
        })
    }

    /// When it makes sense to try again, if the breaker knows.
    #[must_use]
    pub fn retry_in(&self) -> Option<std::time::Duration> {
        match &*self.0 {
            Kind::BreakerOpen { retry_in } => Some(*retry_in),
            _ => None,
        }
    }
}

fn is_io(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::io::Error>())
        // tokio-postgres hides its kind; its text for these is stable and has no source.
        || ["error connecting to server", "connection closed", "timeout waiting for server"]
            .iter()
            .any(|text| error.to_string().starts_with(text))
}

/// Classes 22 (data exception) and 23 (integrity constraint violation), and what triggers raise.
fn is_data_state(state: &SqlState) -> bool {
    state.code().starts_with("22")
        || state.code().starts_with("23")
        || *state == SqlState::RAISE_EXCEPTION
}

fn is_resource_state(state: &SqlState) -> bool {
    state.code().starts_with("53") || *state == SqlState::IO_ERROR
}

fn is_connection_state(state: &SqlState) -> bool {
    state.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
        ]
        .contains(state)
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Kind::Settings(detail) => write!(f, "the database settings are wrong: {detail}"),
            Kind::Tls(_) => f.write_str("TLS cannot be set up"),
            Kind::Certificates(_) => f.write_str("the root certificates cannot be read"),
            Kind::BreakerOpen { retry_in } => {
                write!(
                    f,
                    "PostgreSQL was away; next try in {} ms",
                    retry_in.as_millis()
                )
            }
            Kind::PoolTimeout => f.write_str("no connection became free in time"),
            Kind::PoolClosed => f.write_str("the connection pool is closed"),
            Kind::Connect { .. } => f.write_str("PostgreSQL gives no connection"),
            Kind::Postgres { during, .. } => write!(f, "PostgreSQL failed during {during}"),
            Kind::CommitUnknown { during, .. } => {
                write!(f, "the connection was lost during the COMMIT of {during}")
            }
            Kind::Silence { during, in_commit } => {
                let what = if *in_commit { "the COMMIT of " } else { "" };
                write!(f, "PostgreSQL did not answer in time during {what}{during}")
            }
            Kind::RowCount {
                during,
                expected,
                actual,
                ..
            } => {
                write!(f, "{during} touched {actual} rows instead of {expected}")
            }
            Kind::Inconsistent {
                table,
                column,
                detail,
            } => {
                write!(
                    f,
                    "the database holds an impossible {table}.{column}: {detail}"
                )
            }
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &*self.0 {
            Kind::Tls(source) => Some(source),
            Kind::Certificates(source) => Some(source),
            Kind::Connect { source } => Some(source),
            Kind::Postgres { source, .. } | Kind::CommitUnknown { source, .. } => Some(source),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_postgres::error::SqlState;

    use super::{Error, is_data_state, is_resource_state};

    #[test]
    fn data_is_to_blame_for_classes_22_and_23_and_for_what_triggers_raise() {
        for (code, expected) in [
            ("22001", true),
            ("22P02", true),
            ("23505", true),
            ("23514", true),
            ("P0001", true),
            ("P0002", false),
            ("25P02", false),
            ("40001", false),
            ("55P03", false),
            ("57014", false),
            ("2F000", false),
        ] {
            assert_eq!(
                is_data_state(&SqlState::from_code(code)),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn a_full_disk_is_a_lack_of_resources() {
        for (code, expected) in [
            ("53100", true),
            ("53200", true),
            ("58030", true),
            ("22001", false),
        ] {
            assert_eq!(
                is_resource_state(&SqlState::from_code(code)),
                expected,
                "{code}"
            );
        }
    }

    #[test]
    fn silence_is_absence_and_after_a_commit_doubt() {
        let (before, after) = (Error::silence("t"), Error::commit_silence("t"));
        assert!(before.is_unavailable() && after.is_unavailable());
        assert!(!before.is_commit_unknown() && after.is_commit_unknown());
        assert!(after.to_string().ends_with("the COMMIT of t"), "{after}");
    }
}
