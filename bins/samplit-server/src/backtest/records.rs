//! The file of old test results.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use samplit_engine::{OldTest, OldTestColumns, read_old_tests};

/// The names of the columns.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Columns")]
pub(super) struct Columns {
    /// Column that says which test a row belongs to.
    #[arg(long, default_value = "test_id")]
    test_column: String,

    /// Column with the name of the arm. Names may repeat within a test; arms are told apart by
    /// their position.
    #[arg(long, default_value = "headline")]
    arm_column: String,

    /// Column with the number of people who saw the arm.
    #[arg(long, default_value = "impressions")]
    impressions_column: String,

    /// Column with how many of them converted.
    #[arg(long, default_value = "clicks")]
    clicks_column: String,
}

/// Reads the tests of a file in order of appearance, or says everything that is wrong with it.
pub(super) fn read(file: &Path, columns: &Columns) -> anyhow::Result<Vec<OldTest>> {
    let opened = File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let columns = OldTestColumns {
        test: columns.test_column.clone(),
        arm: columns.arm_column.clone(),
        impressions: columns.impressions_column.clone(),
        clicks: columns.clicks_column.clone(),
    };
    read_old_tests(opened, &columns).with_context(|| format!("{} cannot be used", file.display()))
}
