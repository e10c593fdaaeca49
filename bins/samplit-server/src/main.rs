//! The Samplit server: serve, demo, backtest, ope, audit, admin, doctor.
//!
//! Exit codes: 0 done, 1 failed, 64 wrong usage; `audit verify` has its own, which its help lists.

mod admin;
mod audit;
mod backtest;
mod cli;
mod commands;
mod config;
mod database;
mod demo;
mod doctor;
mod fetch;
mod links;
mod mail;
mod ope;
mod output;
mod page_fetcher;
mod private_cluster;
mod serve;
mod settings;
mod shops;
mod signals;
mod webhook;

use std::process::ExitCode;

use clap::Parser as _;

/// What sysexits.h calls wrong usage. Not clap's 2, which `audit verify` needs for something else.
const WRONG_USAGE: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(answer) => {
            // Nothing is left to be done when the stream is closed.
            let _ = answer.print();
            return if answer.use_stderr() {
                ExitCode::from(WRONG_USAGE)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let log = match cli.log.install(cli.command.is_for_people()) {
        Ok(log) => log,
        Err(error) => {
            output::print_error(&error);
            return ExitCode::FAILURE;
        }
    };
    // On the heap: the futures of some commands are large.
    match Box::pin(commands::run(cli, log)).await {
        Ok(code) => code,
        Err(error) => {
            output::print_error(&error);
            ExitCode::FAILURE
        }
    }
}
