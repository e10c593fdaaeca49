//! Samplit on PostgreSQL: pool, circuit breaker, transactions, one file per table family.
