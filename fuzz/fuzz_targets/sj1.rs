//! The two readers of sj1 and its writer.

#![no_main]

#[path = "../../crates/samplit-audit/tests/fuzz/bodies.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::sj1(data));
