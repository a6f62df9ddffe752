//! Any bytes as the body of a Predict over REST: refused, or its tensors come back.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore::frontends::tfs::rest::check_any_body;

fuzz_target!(|bytes: &[u8]| check_any_body(bytes.to_vec().into()));
