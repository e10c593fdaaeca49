//! The schema of Samplit as embedded migrations, and the rules by which a database follows them.
//!
//! The files under `migrations/` are the schema; plain `psql -f` can run them in order. This crate
//! embeds them and adds what files cannot do by themselves: [`up`] runs what is missing under an
//! advisory lock, so any number of processes may call it at once; [`status`] and [`plan`] tell what
//! it would do; [`verify`] compares the live schema, object by object, with the one that the
//! migrations make; [`baseline`] adopts a database that was not made by this crate.
//!
//! ```no_run
//! # async fn example(client: &mut tokio_postgres::Client) -> Result<(), samplit_sql::Error> {
//! let report = samplit_sql::up(client, &samplit_sql::Options::default()).await?;
//! assert_eq!(report.version, samplit_sql::expected_version());
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: a landed migration never changes (its checksum is in every database that has run
//! it); every migration is one transaction; everything happens in the first schema of the
//! connection's `search_path`. The lock belongs to the session, so connect to PostgreSQL directly
//! and not through a pooler that shares sessions.

mod baseline;
mod catalog;
mod encoding;
mod error;
mod history;
mod lock;
mod migrations;
mod up;
mod verify;

pub use baseline::{Baseline, baseline};
pub use catalog::{Catalog, Difference};
pub use encoding::check_encoding;
pub use error::Error;
pub use history::{State, Status, Step, current_version, status};
pub use migrations::expected_version;
pub use up::{Options, PlannedStep, Report, plan, up};
pub use verify::{Verification, verify};
