//! The engine over a real PostgreSQL.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod adopt;
mod faults;
mod foreign;
mod hot_statements;
mod learning;
mod lifecycle;
mod races;
mod results;
mod statements;

use samplit_engine::{Assign, Convert};

fn visitor(name: impl Into<String>) -> Assign {
    Assign {
        visitor: name.into(),
        ..Assign::default()
    }
}

fn conversion(name: impl Into<String>) -> Convert {
    Convert {
        visitor: name.into(),
        ..Convert::default()
    }
}
