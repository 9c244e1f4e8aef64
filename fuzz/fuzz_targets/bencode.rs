#![no_main]
#![allow(missing_docs, reason = "libFuzzer's entry point")]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fuzz::bencode(input));
