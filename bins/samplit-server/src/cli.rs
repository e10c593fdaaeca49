//! The command line.

use clap::{Parser, Subcommand};

use crate::admin::AdminCommand;
use crate::audit::AuditCommand;
use crate::backtest::BacktestArgs;
use crate::config::ConfigCommand;
use crate::demo::DemoArgs;
use crate::doctor::DoctorArgs;
use crate::ope::OpeArgs;
use crate::settings::{LogSettings, ServerSettings};

/// Adaptive experiments on your own PostgreSQL, every decision provable.
///
/// Exit codes: 0 done, 1 failed, 64 wrong usage.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,

    #[command(flatten)]
    pub(crate) log: LogSettings,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Answer HTTP requests until SIGTERM or Ctrl-C.
    Serve(ServerSettings),
    /// Show it at work: a private PostgreSQL, an experiment, simulated traffic, a page to watch.
    Demo(DemoArgs),
    /// Run old test results through the real write path: what would Samplit have earned?
    Backtest(BacktestArgs),
    /// Judge another split of the traffic on a log with known propensities: what would it have
    /// earned?
    Ope(OpeArgs),
    /// Prove trails.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Check that rows, counters, trails and drawings of funnels agree. Exit code 1 if something does not.
    Doctor(DoctorArgs),
    /// Make keys and links, and erase visitors.
    #[command(subcommand)]
    Admin(AdminCommand),
    /// Look at the settings.
    #[command(subcommand)]
    Config(ConfigCommand),
}

impl Command {
    /// Whether its output is for somebody who sits before it; then only warnings are logged.
    pub(crate) const fn is_for_people(&self) -> bool {
        !matches!(self, Self::Serve(_))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}
