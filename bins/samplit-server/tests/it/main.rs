//! The binary as a user meets it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod accounts;
mod audit;
mod backtest;
mod config;
mod demo;
mod drill;
mod log;
mod metrics;
mod ope;
mod page;
mod proof;
mod publish;
mod roles;
mod serve;
mod support;
#[path = "../../../../crates/samplit-audit/tests/support/tamper.rs"]
mod tamper;
mod watch;
mod webhooks;
