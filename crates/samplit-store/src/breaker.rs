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

/// What a caller may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Go ahead.
    Allowed,
    /// Go ahead as the one probe; its outcome decides for everybody.
    Probe,
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

    /// Asks to go ahead. Whoever is admitted as the probe has to report back by one of the `on_`
    /// methods.
    pub fn admit(&mut self, now: Duration) -> Admission {
        match self.state {
            State::Closed { .. } => Admission::Allowed,
            State::Open { since } => {
                let passed = now.saturating_sub(since);
                if passed >= self.recovery_timeout {
                    self.state = State::HalfOpen;
                    Admission::Probe
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
    ///
    /// An answer to a caller admitted before the breaker opened says nothing about now, so it does
    /// not close an open breaker.
    pub const fn on_success(&mut self) {
        match self.state {
            State::Closed { .. } | State::HalfOpen => self.state = State::Closed { failures: 0 },
            State::Open { .. } => {}
        }
    }

    /// PostgreSQL could not be reached.
    pub fn on_failure(&mut self, now: Duration) {
        match self.state {
            State::Closed { failures } if failures + 1 < self.failure_threshold => {
                self.state = State::Closed {
                    failures: failures + 1,
                };
            }
            State::Closed { .. } | State::HalfOpen => self.state = State::Open { since: now },
            State::Open { .. } => {}
        }
    }

    /// The probe was given up before it knew: the next caller probes.
    pub fn on_abandoned(&mut self, now: Duration) {
        if matches!(self.state, State::HalfOpen) {
            self.state = State::Open {
                since: now.saturating_sub(self.recovery_timeout),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Admission, BreakerState, CircuitBreaker};

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn opened() -> CircuitBreaker {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..5 {
            breaker.on_failure(at(100));
        }
        breaker
    }

    #[test]
    fn five_failures_in_a_row_open_it() {
        let mut breaker = CircuitBreaker::default();
        for _ in 0..4 {
            breaker.on_failure(at(1));
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
        breaker.on_success();
        for _ in 0..4 {
            breaker.on_failure(at(2));
        }
        assert_eq!(
            breaker.state(),
            BreakerState::Closed,
            "a success starts the count again"
        );
        breaker.on_failure(at(3));
        assert_eq!(breaker.state(), BreakerState::Open);
    }

    #[test]
    fn an_open_breaker_refuses_for_thirty_seconds_then_lets_one_probe() {
        let mut breaker = opened();
        assert_eq!(
            breaker.admit(at(101)),
            Admission::Refused { retry_in: at(29) }
        );
        assert_eq!(breaker.admit(at(130)), Admission::Probe);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(matches!(breaker.admit(at(130)), Admission::Refused { .. }));
    }

    #[test]
    fn the_probe_decides() {
        let mut breaker = opened();
        breaker.admit(at(130));
        breaker.on_failure(at(131));
        assert_eq!(
            breaker.admit(at(160)),
            Admission::Refused { retry_in: at(1) }
        );
        assert_eq!(breaker.admit(at(161)), Admission::Probe);
        breaker.on_success();
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert_eq!(breaker.admit(at(161)), Admission::Allowed);
    }

    #[test]
    fn an_abandoned_probe_leaves_the_next_one_due() {
        let mut breaker = opened();
        breaker.admit(at(130));
        breaker.on_abandoned(at(131));
        assert_eq!(breaker.admit(at(131)), Admission::Probe);
    }

    #[test]
    fn a_late_answer_does_not_close_an_open_breaker() {
        let mut breaker = opened();
        breaker.on_success();
        assert_eq!(breaker.state(), BreakerState::Open);
    }
}
