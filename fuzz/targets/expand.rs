#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| flashbuild_fuzz::expand::endure(data));
