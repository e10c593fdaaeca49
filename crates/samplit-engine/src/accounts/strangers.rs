//! Tokens that this process does not know: which of them open nothing, and how many one address may try.
//!
//! Each costs a question to the database, whatever it is worth, so an address has a generous number of
//! tokens that come to nothing. One that opens something takes nothing away, and of those that are
//! remembered as good nobody asks: a stranger behind the same proxy keeps nobody out who was here before.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use samplit_domain::Clock;
use time::OffsetDateTime;

use super::activity::asked_from;
use super::throttle::whose;
use super::tries::{Allowance, Attempt, Tries};
use crate::{Error, ErrorKind};

/// Tokens of one address that open nothing, at once, and the time after which there may be one more.
const BY_ADDRESS: Allowance = (1_000, Duration::from_millis(100));

/// How long a token is remembered that opened nothing.
const REMEMBERED_FOR: time::Duration = time::Duration::seconds(10);

/// The most of them that are remembered.
const KEPT: u64 = 10_000;

#[derive(Debug)]
pub(crate) struct Strangers {
    /// By keyed hash, since when.
    opening_nothing: Cache<u64, OffsetDateTime>,
    clock: Arc<dyn Clock>,
    hash: RandomState,
    tries: Tries,
}

/// A token about which the database is being asked.
#[derive(Debug)]
#[must_use]
pub(crate) struct Knock<'s> {
    strangers: &'s Strangers,
    token: u64,
    attempt: Option<Attempt<'s>>,
}

impl Knock<'_> {
    /// It opens nothing.
    pub(crate) fn opens_nothing(self) {
        let now = self.strangers.clock.now();
        self.strangers.opening_nothing.insert(self.token, now);
        if let Some(attempt) = self.attempt {
            attempt.failed();
        }
    }
}

impl Strangers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            opening_nothing: Cache::new(KEPT),
            clock: Arc::clone(&clock),
            hash: RandomState::new(),
            tries: Tries::new(clock, BY_ADDRESS),
        }
    }

    /// Leave to ask the database about `token`, or its hash: at any time for one that `is_known` to have been
    /// good. `unknown` is what is answered to one that opened nothing a moment ago.
    ///
    /// # Errors
    /// `unknown`; [`ErrorKind::TooManyTokens`] for the address that the request comes from.
    pub(crate) fn knock(
        &self,
        token: &str,
        is_known: bool,
        unknown: ErrorKind,
    ) -> Result<Knock<'_>, Error> {
        let token = self.hash.hash_one(token);
        let since = self.opening_nothing.get(&token).filter(|_| !is_known);
        if since.is_some_and(|since| self.clock.now() - since < REMEMBERED_FOR) {
            return Err(unknown.into());
        }
        let attempt = asked_from()
            .filter(|_| !is_known)
            .map(|address| self.tries.begin(&whose(address)))
            .transpose()
            .map_err(|retry_in| ErrorKind::TooManyTokens { retry_in })?;
        Ok(Knock {
            strangers: self,
            token,
            attempt,
        })
    }

    /// A token that may open something from now on.
    pub(crate) fn forget(&self, token: &str) {
        let token = self.hash.hash_one(token);
        self.opening_nothing.invalidate(&token);
    }
}
