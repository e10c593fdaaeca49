//! The circuit breaker: when PostgreSQL is away, fail fast instead of piling up waiters.
//!
//! A pure state machine over `now`, a time on any monotonic scale. Five failures to reach PostgreSQL
//! in a row open it for 30 s; then one caller is let through as a probe, and its outcome closes the
//! breaker or opens it for another 30 s. Consecutive failures, not a failure rate: the only failures
//! counted are "cannot reach PostgreSQL", and those come in runs. An error that PostgreSQL itself
//! answered proves that it is there, and counts as a success.

use std::time::Duration;

/// Where the breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Normal operation.
    Closed,
    /// Too many failures: callers are refused at once.
    Open,
    /// One caller is testing whether PostgreSQL is back.
    HalfOpen,
}

impl BreakerState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

/// The time between two moves of the breaker. A report counts only in the epoch that its caller was
/// admitted in: what happened before the last move says nothing about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch(u64);

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go ahead, and report with this epoch how it went.
    Allowed(Epoch),
    /// Do not try before this much time has passed.
    Refused {
        /// Until the next probe is due.
        retry_in: Duration,
    },
}

/// The breaker. See the module's text for the rules.
#[derive(Clone, Debug)]
pub struct CircuitBreaker {
    failure_threshold: u32,
    recovery_timeout: Duration,
    state: State,
    epoch: Epoch,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed { failures: u32 },
    Open { since: Duration },
    HalfOpen,
}

impl Default for CircuitBreaker {
    fn default() -> Self {
        Self::new(5, Duration::from_secs(30))
    }
}

impl CircuitBreaker {
    /// Opens after `failure_threshold` failures in a row, tries again after `recovery_timeout`.
    #[must_use]
    pub const fn new(failure_threshold: u32, recovery_timeout: Duration) -> Self {
        Self {
            failure_threshold,
            recovery_timeout,
            state: State::Closed { failures: 0 },
            epoch: Epoch(0),
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed { .. } => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen => BreakerState::HalfOpen,
        }
    }

    /// Asks to go ahead. Whoever is admitted has to report back by one of the `on_` methods: it may
    /// be the probe, which everybody waits for.
    pub fn admit(&mut self, now: Duration) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Allowed(self.epoch),
            State::Open { since } => {
                let passed = now.saturating_sub(since);
                if passed >= self.recovery_timeout {
                    // Nobody else is admitted in this epoch, so only the probe can report in it.
                    self.move_to(State::HalfOpen);
                    Admission::Allowed(self.epoch)
                } else {
                    Admission::Refused {
                        retry_in: self.recovery_timeout - passed,
                    }
                }
            }
            State::HalfOpen => Admission::Refused {
                retry_in: self.recovery_timeout,
            },
        }
    }

    /// PostgreSQL answered.
    pub fn on_success(&mut self, epoch: Epoch) {
        if epoch != self.epoch {
            return;
        }
        match &mut self.state {
            State::Closed { failures } => *failures = 0,
            State::HalfOpen => self.move_to(State::Closed { failures: 0 }),
            State::Open { .. } => {}
        }
    }

    /// PostgreSQL could not be reached.
    pub fn on_failure(&mut self, epoch: Epoch, now: Duration) {
        if epoch != self.epoch {
            return;
        }
        match &mut self.state {
            State::Closed { failures } if *failures + 1 < self.failure_threshold => *failures += 1,
            State::Closed { .. } | State::HalfOpen => self.move_to(State::Open { since: now }),
            State::Open { .. } => {}
        }
    }

    /// The caller gave up before it knew. If it was the probe, the next caller probes.
    pub fn on_abandoned(&mut self, epoch: Epoch, now: Duration) {
        if epoch == self.epoch && matches!(self.state, State::HalfOpen) {
            let since = now.saturating_sub(self.recovery_timeout);
            self.move_to(State::Open { since });
        }
    }

    const fn move_to(&mut self, state: State) {
        self.state = state;
        self.epoch = Epoch(self.epoch.0 + 1);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Admission, BreakerState, CircuitBreaker, Epoch};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn admitted(breaker: &mut CircuitBreaker, now: Duration) -> Epoch {
        match breaker.admit(now) {
            Admission::Allowed(epoch) => epoch,
            refused @ Admission::Refused { .. } => panic!("{refused:?}"),
        }
    }

    /// A breaker that opened at 100 s, and the epoch of the callers before that.
    fn opened() -> (CircuitBreaker, Epoch) {
        let mut breaker = CircuitBreaker::default();
        let epoch = admitted(&mut breaker, at(90));
        for _ in 0..5 {
            breaker.on_failure(epoch, at(100));
        }
        assert_eq!(breaker.state(), BreakerState::Open);
        (breaker, epoch)
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut breaker = CircuitBreaker::default();
        let epoch = admitted(&mut breaker, at(0));
        for _ in 0..4 {
            breaker.on_failure(epoch, at(1));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.on_success(epoch);
        for _ in 0..4 {
            breaker.on_failure(epoch, at(2));
        }
        assert_eq!(
            breaker.state(),
            BreakerState::Closed,
            "a success starts the count again"
        );
        breaker.on_failure(epoch, at(3));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn an_open_breaker_refuses_for_thirty_seconds_then_lets_one_probe() {
        let (mut breaker, _) = opened();
        assert_eq!(
            breaker.admit(at(101)),
            Admission::Refused { retry_in: at(29) }
        );
        admitted(&mut breaker, at(130));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(matches!(breaker.admit(at(130)), Admission::Refused { .. }));
    }

    #[test]
    fn the_probe_decides() {
        let (mut breaker, _) = opened();
        let probe = admitted(&mut breaker, at(130));
        breaker.on_failure(probe, at(131));
        assert_eq!(
            breaker.admit(at(160)),
            Admission::Refused { retry_in: at(1) }
        );
        let probe = admitted(&mut breaker, at(161));
        breaker.on_success(probe);
        assert_eq!(breaker.state(), BreakerState::Closed);
        admitted(&mut breaker, at(161));
    }

    #[test]
    fn an_abandoned_probe_leaves_the_next_one_due() {
        let (mut breaker, _) = opened();
        let probe = admitted(&mut breaker, at(130));
        breaker.on_abandoned(probe, at(131));
        admitted(&mut breaker, at(131));
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }

    #[test]
    fn callers_from_before_the_opening_do_not_decide_for_the_probe() {
        let (mut breaker, late) = opened();
        breaker.on_success(late);
        assert_eq!(breaker.state(), BreakerState::Open);
        let probe = admitted(&mut breaker, at(130));
        breaker.on_success(late);
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "late success");
        breaker.on_failure(late, at(131));
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "late failure");
        breaker.on_abandoned(late, at(131));
        assert_eq!(breaker.state(), BreakerState::HalfOpen, "late cancellation");
        breaker.on_success(probe);
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn callers_from_before_the_opening_do_not_count_once_it_is_closed_again() {
        let (mut breaker, late) = opened();
        let probe = admitted(&mut breaker, at(130));
        breaker.on_success(probe);
        for _ in 0..5 {
            breaker.on_failure(late, at(131));
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "late failures");
        let epoch = admitted(&mut breaker, at(132));
        for _ in 0..4 {
            breaker.on_failure(epoch, at(132));
        }
        breaker.on_success(late);
        breaker.on_failure(epoch, at(132));
        assert_eq!(
            breaker.state(),
            BreakerState::Open,
            "a late success does not start the count again"
        );
    }
}
