//! Tokens that this process does not know: which of them open nothing, and how many one address may try.
//!
//! Each costs a question to the database, whatever it is worth, so an address has a generous number of
//! tokens that come to nothing. One that opens something takes nothing away, and of those that are
//! remembered as good nobody asks: a stranger behind the same proxy keeps nobody out who was here before.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use parking_lot::Mutex;
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
    /// Those that count as a try already: a page asks with one token many times at once.
    asking: Mutex<HashSet<u64>>,
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
    pub(crate) fn opens_nothing(mut self) {
        let now = self.strangers.clock.now();
        self.strangers.opening_nothing.insert(self.token, now);
        if let Some(attempt) = self.attempt.take() {
            attempt.failed();
            self.strangers.asking.lock().remove(&self.token);
        }
    }
}

impl Drop for Knock<'_> {
    fn drop(&mut self) {
        if self.attempt.is_some() {
            self.strangers.asking.lock().remove(&self.token);
        }
    }
}

impl Strangers {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            opening_nothing: Cache::new(KEPT),
            asking: Mutex::default(),
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
        let attempt = match asked_from().filter(|_| !is_known) {
            Some(address) => self.count(token, address)?,
            None => None,
        };
        Ok(Knock {
            strangers: self,
            token,
            attempt,
        })
    }

    /// One more try, unless the token counts as one already.
    fn count(&self, token: u64, address: IpAddr) -> Result<Option<Attempt<'_>>, Error> {
        let mut asking = self.asking.lock();
        if asking.contains(&token) {
            return Ok(None);
        }
        let attempt = self.tries.begin(&whose(address));
        let attempt = attempt.map_err(|retry_in| ErrorKind::TooManyTokens { retry_in })?;
        asking.insert(token);
        Ok(Some(attempt))
    }

    /// A token that may open something from now on.
    pub(crate) fn forget(&self, token: &str) {
        let token = self.hash.hash_one(token);
        self.opening_nothing.invalidate(&token);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use samplit_domain::{ManualClock, from_micros};

    use super::{BY_ADDRESS, Strangers};
    use crate::ErrorKind;
    use crate::accounts::in_request;

    #[tokio::test]
    async fn a_token_that_is_being_asked_about_counts_once() {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let strangers = Strangers::new(clock);
        let knock = |token: &str| strangers.knock(token, false, ErrorKind::Unauthenticated);
        let knocking = async {
            let mut asked: Vec<_> = (0..2_000).map(|_| knock("same").unwrap()).collect();
            // Each of the others counts, as long as nobody knows what it opens.
            let others: Vec<_> = (1..BY_ADDRESS.0)
                .map(|number| knock(&number.to_string()).unwrap())
                .collect();
            assert!(knock("one more").is_err());
            // It opens something: it takes nothing away, whoever else asks about it.
            drop(asked.remove(0));
            let known = knock("one more").unwrap();
            assert!(knock("two more").is_err());
            known.opens_nothing();
            drop((asked, others));
            assert!(strangers.asking.lock().is_empty());
        };
        in_request("r".to_owned(), "192.0.2.1".parse().unwrap(), knocking).await;
    }
}
