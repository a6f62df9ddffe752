//! Any bytes as a `TensorProto`: refused, or the tensor comes back from both forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use longshore::frontends::tfs::tensor_proto::check_any_bytes;

fuzz_target!(|bytes: &[u8]| check_any_bytes(bytes.to_vec().into()));
