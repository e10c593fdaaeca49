//! What each subcommand does.

use std::process::ExitCode;

use samplit_store::Server;

use crate::cli::{Cli, Command};
use crate::connect::connect;
use crate::{dump, output};

/// A difference was found.
const DIFFERENCE: u8 = 3;

pub(crate) async fn run(cli: &Cli, server: &Server) -> ExitCode {
    match execute(cli, server).await {
        Ok(code) => code,
        Err(error) => {
            output::print_error(cli.output, &error);
            if output::differences(&error).is_empty() {
                ExitCode::FAILURE
            } else {
                ExitCode::from(DIFFERENCE)
            }
        }
    }
}

async fn execute(cli: &Cli, server: &Server) -> anyhow::Result<ExitCode> {
    let mut client = connect(server).await?;
    let format = cli.output;
    match &cli.command {
        Command::Up => {
            let report = samplit_sql::up(&mut client, &cli.options()).await?;
            output::print(format, &report, output::report)?;
        }
        Command::Status => {
            let status = samplit_sql::status(&client).await?;
            output::print(format, &status, output::status)?;
        }
        Command::Plan => {
            let plan = output::Plan {
                steps: samplit_sql::plan(&client).await?,
            };
            output::print(format, &plan, output::plan)?;
        }
        Command::Verify => {
            let verification = samplit_sql::verify(&client).await?;
            output::print(format, &verification, output::verification)?;
            if !verification.is_clean() {
                return Ok(ExitCode::from(DIFFERENCE));
            }
        }
        Command::Baseline => {
            let baseline = samplit_sql::baseline(&mut client, &cli.options()).await?;
            output::print(format, &baseline, output::baseline)?;
        }
        Command::Backup { file, force } => {
            let done = dump::backup(server, &client, file, *force).await?;
            output::print(format, &done, ToString::to_string)?;
        }
        Command::Restore { file, force } => {
            let done = dump::restore(server, &client, file, *force).await?;
            output::print(format, &done, ToString::to_string)?;
            if done.is_current() {
                let verification = samplit_sql::verify(&client).await?;
                if !verification.is_clean() {
                    let differences = output::verification(&verification);
                    tracing::error!("the restored schema is not what it should be:\n{differences}");
                    return Ok(ExitCode::from(DIFFERENCE));
                }
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
