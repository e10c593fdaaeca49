//! The reader of bundles.

#![no_main]

#[path = "../../crates/samplit-audit/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::bundle(data));
