//! Samples that no tensor holds as they are: one JSON text for each.

use serde_json::Value;

use super::labels::python_repr;
use crate::limits;
use crate::servable::RunError;

/// The JSON value that row `i` is; `expected` says what it should be.
pub(super) fn read(text: &[u8], i: usize, expected: &str) -> Result<Value, RunError> {
    if text.len() > limits::JSON_ROW_BYTES_MAX {
        let max = limits::JSON_ROW_BYTES_MAX;
        return Err(RunError::InvalidInput(format!(
            "sample {i} has {} bytes; at most {max} are read",
            text.len()
        )));
    }
    serde_json::from_slice(text).map_err(|error| {
        RunError::InvalidInput(format!(
            "sample {i} is {}, which is no JSON: {error}; expected {expected}",
            python_repr(text)
        ))
    })
}

/// The error that row `i` is JSON of another kind.
pub(super) fn unexpected(text: &[u8], i: usize, expected: &str) -> RunError {
    RunError::InvalidInput(format!("sample {i} is {}; expected {expected}", python_repr(text)))
}
