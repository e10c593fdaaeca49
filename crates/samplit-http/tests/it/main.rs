//! The HTTP service over a real engine and a real PostgreSQL.

mod access;
mod bad_input;
mod bad_questions;
mod conditional;
mod connections;
mod editor;
mod exclusions;
mod exports;
mod fuzz;
mod idempotency;
mod insight;
mod installations;
mod ofrep;
mod ofrep_providers;
mod outage;
mod page_events;
mod pages;
mod privacy;
mod proofs;
mod registration;
mod shopify;
mod support;
mod walk;
mod wordpress;
