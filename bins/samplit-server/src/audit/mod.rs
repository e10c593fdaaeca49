//! `audit`: proves trails, hands them out so that others can, and watches those of others.

mod export;
mod receipt;
mod source;
mod verify;
mod watch;

use std::process::ExitCode;

use clap::Subcommand;

use crate::output;
pub(crate) use source::Source;

/// What sysexits.h calls an input or output error: nothing was verified.
const NOT_VERIFIED: u8 = 74;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// Verify a trail: chain, tree, checkpoints, and every decision replayed.
    ///
    /// Exit codes: 0 sound, 1 altered (integrity), 2 not signed as it should be, 3 a decision did not
    /// follow the announced rule (replay), 4 malformed, 64 wrong usage, 74 could not be read.
    Verify(verify::VerifyArgs),
    /// Verify what the trail holds about one visitor. Exit codes as of `verify`.
    VerifyReceipt(receipt::ReceiptArgs),
    /// Look at the checkpoints of a server again and again, and sound the alarm when history changes.
    ///
    /// Exit codes: 0 nothing to complain of, 1 the trail shrank or another history is shown, 2 not
    /// signed as it should be, 64 wrong usage, 74 could not be looked at.
    Watch(watch::WatchArgs),
    /// Write a trail as a bundle to standard output, for `verify` without the database.
    Export(export::ExportArgs),
}

pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(args) => Ok(or_not_verified(verify::run(&args).await)),
        AuditCommand::VerifyReceipt(args) => Ok(or_not_verified(receipt::run(&args))),
        AuditCommand::Watch(args) => Ok(or_not_verified(watch::run(&args).await)),
        AuditCommand::Export(args) => export::run(&args).await,
    }
}

/// An error is no verdict.
fn or_not_verified(verdict: anyhow::Result<ExitCode>) -> ExitCode {
    verdict.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::from(NOT_VERIFIED)
    })
}
