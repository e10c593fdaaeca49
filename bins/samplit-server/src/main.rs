//! The Samplit server: serve, demo, backtest, audit, admin, doctor.

fn main() {}
