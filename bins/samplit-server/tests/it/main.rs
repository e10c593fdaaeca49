//! The binary as a user meets it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod audit;
mod backtest;
mod config;
mod crash;
mod demo;
mod ope;
mod serve;
mod support;
