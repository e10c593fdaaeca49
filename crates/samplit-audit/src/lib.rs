//! A hash-chained, replayable audit trail of adaptive decisions, and its offline verifier. Pure.
