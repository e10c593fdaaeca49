//! The reader of receipts.

#![no_main]

#[path = "../../crates/samplit-audit/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::receipt(data));
