//! From a subcommand to the module that does it.

use std::process::ExitCode;
use std::sync::Arc;

use crate::cli::{Cli, Command};
use crate::settings::LogControl;
use crate::{admin, audit, backtest, config, demo, doctor, ope, serve};

pub(crate) async fn run(cli: Cli, log: Arc<LogControl>) -> anyhow::Result<ExitCode> {
    match cli.command {
        Command::Serve(settings) => serve::run(&settings, log).await,
        Command::Demo(args) => demo::run(&args).await,
        Command::Backtest(args) => backtest::run(&args).await,
        Command::Ope(args) => ope::run(&args),
        Command::Audit(command) => audit::run(command).await,
        Command::Doctor(args) => doctor::run(&args).await,
        Command::Admin(command) => admin::run(command).await,
        Command::Config(command) => config::run(command, &cli.log),
    }
}
