//! `audit`: proves trails, hands them out so that others can, and watches those of others.

mod export;
mod operate;
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
    /// signed as it should be, 64 wrong usage, 74 could not be looked at. What the operator has not
    /// signed (a refusal, a text that is no checkpoint, a proof that does not hold) has to be so three
    /// times in a row.
    Watch(watch::WatchArgs),
    /// Write a trail as a bundle to standard output, for `verify` without the database.
    Export(export::ExportArgs),
    /// Sign a trail as it stands, and print the checkpoint.
    Checkpoint(operate::CheckpointArgs),
    /// End the trail of a completed experiment: nothing follows, and the draw key is in it.
    Seal(operate::SealArgs),
    /// Print the draw key of a completed experiment, with which every draw can be replayed.
    Reveal(operate::RevealArgs),
    /// Replace the payload of an entry by its hash, for good, and say so in the trail.
    Redact(operate::RedactArgs),
    /// Go on with a trail that is behind its exported checkpoints, and say so in the trail.
    AcknowledgeRestore(operate::AcknowledgeArgs),
}

pub(crate) async fn run(command: AuditCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuditCommand::Verify(args) => Ok(or_not_verified(verify::run(&args).await)),
        AuditCommand::VerifyReceipt(args) => Ok(or_not_verified(receipt::run(&args))),
        AuditCommand::Watch(args) => Ok(or_not_verified(watch::run(&args).await)),
        AuditCommand::Export(args) => export::run(&args).await,
        AuditCommand::Checkpoint(args) => operate::checkpoint(&args).await,
        AuditCommand::Seal(args) => operate::seal(&args).await,
        AuditCommand::Reveal(args) => operate::reveal(&args).await,
        AuditCommand::Redact(args) => operate::redact(&args).await,
        AuditCommand::AcknowledgeRestore(args) => operate::acknowledge_restore(&args).await,
    }
}

/// An error is no verdict.
fn or_not_verified(verdict: anyhow::Result<ExitCode>) -> ExitCode {
    verdict.unwrap_or_else(|error| {
        output::print_error(&error);
        ExitCode::from(NOT_VERIFIED)
    })
}
