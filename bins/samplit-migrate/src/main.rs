//! Brings a PostgreSQL database to the schema of Samplit.

fn main() {}
