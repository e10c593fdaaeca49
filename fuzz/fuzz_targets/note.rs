//! The reader of signed checkpoints.

#![no_main]

#[path = "../../crates/samplit-audit/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::note(data));
