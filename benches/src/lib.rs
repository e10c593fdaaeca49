//! Benchmarks of Samplit, each a ratio taken in one run.
