//! Any bytes as an XGBoost model, in JSON or UBJSON.
#![no_main]

mod drive;

libfuzzer_sys::fuzz_target!(|data: &[u8]| drive::xgboost(data));
