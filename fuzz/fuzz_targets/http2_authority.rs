//! Any bytes as those of an HTTP/2 connection whose `:authority` is mended.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| longshore::frontends::authority::check_any_bytes(data));
