//! How to reach PostgreSQL and how patient to be.

use std::time::Duration;

use crate::Error;

/// Settings of a [`Database`](crate::Database). `Debug` hides the password.
#[derive(Clone)]
pub struct Settings {
    /// A connection string as libpq understands it: `postgres://user@host/db?sslmode=verify-full`.
    pub url: String,
    /// Connections kept open even when idle; not more than `max_connections`.
    pub min_connections: usize,
    /// Connections at most; at least one.
    pub max_connections: usize,
    /// An idle connection above the minimum is closed after this long.
    pub max_idle: Duration,
    /// Pauses between the tries to connect at the start.
    pub connect_retries: Vec<Duration>,
    /// How long one try to connect may take.
    pub connect_timeout: Duration,
    /// How long to wait for a free connection.
    pub acquire_timeout: Duration,
    /// `lock_timeout` of every connection.
    pub lock_timeout: Duration,
    /// `statement_timeout` of every connection; zero: none. A transaction that PostgreSQL leaves
    /// without an answer for twice as long is given up, and so is its COMMIT.
    pub statement_timeout: Duration,
    /// `idle_in_transaction_session_timeout` of every connection.
    pub idle_in_transaction_timeout: Duration,
    /// Failures to reach PostgreSQL in a row that open the breaker.
    pub failure_threshold: u32,
    /// How long the breaker stays open.
    pub recovery_timeout: Duration,
    /// Shown in `pg_stat_activity`.
    pub application_name: String,
}

impl Settings {
    /// The defaults for `url`.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            min_connections: 5,
            max_connections: 20,
            max_idle: Duration::from_secs(300),
            connect_retries: [1, 2, 4].map(Duration::from_secs).to_vec(),
            connect_timeout: Duration::from_secs(5),
            acquire_timeout: Duration::from_secs(5),
            lock_timeout: Duration::from_secs(2),
            statement_timeout: Duration::from_secs(30),
            idle_in_transaction_timeout: Duration::from_secs(10),
            failure_threshold: 5,
            recovery_timeout: Duration::from_secs(30),
            application_name: "samplit".to_owned(),
        }
    }

    /// Refuses sizes with which nobody would ever get a connection.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let (min, max) = (self.min_connections, self.max_connections);
        if max == 0 {
            return Err(Error::settings("max_connections has to be at least 1"));
        }
        if min > max {
            return Err(Error::settings(format!(
                "min_connections is {min}, more than max_connections, which is {max}"
            )));
        }
        Ok(())
    }
}

impl std::fmt::Debug for Settings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Settings")
            .field("url", &redact(&self.url))
            .field("min_connections", &self.min_connections)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

/// A connection string without its password, for people to read.
#[must_use]
pub fn redact(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        let parts = url.split(' ').map(|part| {
            if part.starts_with("password=") {
                "password=***"
            } else {
                part
            }
        });
        return parts.collect::<Vec<_>>().join(" ");
    };
    // A password may hold an `@`, a host may not.
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let name = user.split_once(':').map_or(user, |(name, _)| name);
            let secret = if user.contains(':') { ":***" } else { "" };
            format!("{scheme}://{name}{secret}@{host}{path}")
        }
        None => url.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Settings, redact};

    #[tokio::test]
    async fn sizes_that_make_no_sense_are_refused() {
        for (min_connections, max_connections, expected) in
            [(0, 1, true), (3, 3, true), (0, 0, false), (4, 3, false)]
        {
            let settings = Settings {
                min_connections,
                max_connections,
                ..Settings::new("postgres://u@localhost/d")
            };
            let built = crate::Database::lazy(settings);
            assert_eq!(
                built.is_ok(),
                expected,
                "{min_connections}..{max_connections}"
            );
        }
    }

    #[test]
    fn passwords_are_hidden() {
        assert_eq!(
            redact("postgres://u:p%40@h:5/d?x=y"),
            "postgres://u:***@h:5/d?x=y"
        );
        assert_eq!(redact("postgres://u:p@q@h/d"), "postgres://u:***@h/d");
        assert_eq!(redact("postgres://u@h/d"), "postgres://u@h/d");
        assert_eq!(
            redact("host=h password=secret user=u"),
            "host=h password=*** user=u"
        );
    }
}
