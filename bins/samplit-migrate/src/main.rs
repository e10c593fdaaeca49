//! Brings a PostgreSQL database to the schema of Samplit.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a difference was found.

mod cli;
mod commands;
mod connect;
mod dump;
mod output;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("SAMPLIT_LOG")
                .unwrap_or_else(|_| EnvFilter::new("warn,samplit_migrate=info,samplit_sql=info")),
        )
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    match cli.database() {
        Ok(server) => commands::run(&cli, &server).await,
        Err(usage) => usage.into_exit_code(),
    }
}
