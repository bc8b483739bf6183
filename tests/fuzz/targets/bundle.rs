//! Fuzzes `bundle`; its body is in tests/harness/fuzz.rs.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| harness::fuzz::bundle(bytes));
