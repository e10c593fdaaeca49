//! A throwaway PostgreSQL for the demo and for tests.
//!
//! [`DevPg::start`] makes a private cluster in a temporary directory, listening on a Unix socket in
//! that directory and on a free port of 127.0.0.1, and answers once it accepts connections. Nothing
//! of it outlives its owner: a watchdog process stops the server and deletes the directory when the
//! [`DevPg`] is dropped, when the process ends, and even when the process is killed with SIGKILL.
//!
//! ```no_run
//! # async fn example() -> Result<(), samplit_devpg::Error> {
//! let pg = samplit_devpg::DevPg::start().await?;
//! pg.create_database("demo").await?;
//! assert!(pg.url("demo").starts_with("postgresql://postgres@127.0.0.1:"));
//! # Ok(())
//! # }
//! ```
//!
//! Invariants: the server never runs as root; the directory is readable by the server's account
//! only; authentication is `trust`, so the cluster must hold nothing but sample data.

mod account;
mod binaries;
mod cluster;
mod database;
mod error;
mod watchdog;

pub use cluster::{Builder, DevPg, Mode};
pub use database::TestDatabase;
pub use error::Error;
