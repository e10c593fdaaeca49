//! What was asked and what was answered.

use std::collections::BTreeMap;

use uuid::Uuid;

/// One request that was sent, or tried to be sent, once.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) visitor: String,
    pub(crate) what: What,
    pub(crate) outcome: Outcome,
    /// Whether the same client had been told before that the visitor has a row.
    pub(crate) knows_row: bool,
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    Assign,
    /// A conversion, with its event.
    Convert(String),
}

/// What the client knows afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The visitor has this row, which may be new.
    Assigned { row: Row, is_new: bool },
    /// The visitor was shown something and nothing was recorded.
    NotRecorded,
    /// The conversion counts, or another event had counted before.
    Converted { duplicate: bool },
    /// The visitor has no row.
    NotAssigned,
    /// Nothing was done: refused with this code, or nobody listened.
    Refused(String),
    /// Nobody knows.
    Unknown(String),
    /// An answer that no fault excuses.
    Wrong(String),
}

/// A row as it was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: Uuid,
    /// By element.
    pub(crate) variants: BTreeMap<Uuid, Uuid>,
}

impl Outcome {
    /// Whether the client was promised that it is done.
    pub(crate) const fn is_acknowledged(&self) -> bool {
        matches!(self, Self::Assigned { .. } | Self::Converted { .. })
    }

    /// Whether the request was answered in a way that a visitor can be shown something.
    pub(crate) const fn is_answered(&self) -> bool {
        !matches!(self, Self::Refused(_) | Self::Unknown(_) | Self::Wrong(_))
    }
}

/// Everything that the clients of a fault asked and heard.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) attempts: Vec<Attempt>,
    /// Requests that got no answer however often they were tried.
    pub(crate) given_up: usize,
}

impl History {
    pub(crate) fn extend(&mut self, other: Self) {
        self.attempts.extend(other.attempts);
        self.given_up += other.given_up;
    }

    /// How many attempts ended so.
    pub(crate) fn count(&self, is_so: impl Fn(&Outcome) -> bool) -> usize {
        self.attempts
            .iter()
            .filter(|attempt| is_so(&attempt.outcome))
            .count()
    }
}
