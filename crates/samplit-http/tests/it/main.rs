//! The HTTP service over a real engine and a real PostgreSQL.

mod bad_input;
mod connections;
mod insight;
mod outage;
mod support;
mod walk;
