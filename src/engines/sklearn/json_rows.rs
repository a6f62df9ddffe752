//! Samples and answers that no tensor holds as they are: one JSON text for each.

use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;

use super::answer;
use super::labels::{Labels, python_repr};
use super::method::Gives;
use crate::limits;
use crate::servable::RunError;
use crate::tensor::Tensor;

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

/// Answers of which every row has its own number of values: `[rows]`, each a JSON list or
/// object. A row is the same whatever is asked beside it, as no padded matrix would be.
#[derive(Debug)]
pub(super) struct JsonRows {
    class: &'static str,
    rows: Vec<Bytes>,
    bytes: usize,
    row: Vec<u8>,
}

impl JsonRows {
    /// Answers of this class, none yet.
    pub(super) fn new(class: &'static str) -> Self {
        Self { class, rows: Vec::new(), bytes: 0, row: Vec::new() }
    }

    /// Adds a row: a list of these values. NaN and infinity are `null`.
    pub(super) fn push_list<T: Serialize>(
        &mut self,
        values: impl IntoIterator<Item = T>,
    ) -> Result<(), RunError> {
        self.row.push(b'[');
        for value in values {
            self.separate();
            self.write(&value)?;
        }
        self.row.push(b']');
        self.end()
    }

    /// Adds a row: an object of these names and values.
    pub(super) fn push_object<'n>(
        &mut self,
        entries: impl IntoIterator<Item = (&'n str, f64)>,
    ) -> Result<(), RunError> {
        self.row.push(b'{');
        for (name, value) in entries {
            self.separate();
            self.write(&name)?;
            self.row.push(b':');
            self.write(&value)?;
        }
        self.row.push(b'}');
        self.end()
    }

    /// Adds a row: a list of the labels at these places, each below [`Labels::len`].
    pub(super) fn push_labels(
        &mut self,
        labels: &Labels,
        places: impl Iterator<Item = usize>,
    ) -> Result<(), RunError> {
        match labels {
            Labels::Ints(labels) => self.push_list(places.map(|i| labels[i])),
            Labels::Floats(labels) => self.push_list(places.map(|i| labels[i])),
            Labels::Bools(labels) => self.push_list(places.map(|i| labels[i])),
            Labels::Texts(labels) => self.push_list(places.map(|i| String::from_utf8_lossy(&labels[i]))),
        }
    }

    /// The answer, `[rows]`.
    pub(super) fn into_tensor(self) -> Result<Tensor, RunError> {
        answer(self.rows.len(), Gives::One, self.rows.into())
    }

    fn separate(&mut self) {
        if self.row.len() > 1 {
            self.row.push(b',');
        }
    }

    fn write(&mut self, value: &impl Serialize) -> Result<(), RunError> {
        serde_json::to_writer(&mut self.row, value).map_err(|error| RunError::Internal(error.to_string()))
    }

    /// A row is at most as large as the model; many may be more than an answer holds.
    fn end(&mut self) -> Result<(), RunError> {
        let row = Bytes::copy_from_slice(&self.row);
        self.row.clear();
        self.bytes += row.len();
        if self.bytes > limits::TENSOR_BYTES_MAX {
            return Err(RunError::InvalidInput(format!(
                "the answer of {} to the first {} samples has more than {} bytes; send fewer",
                self.class,
                self.rows.len() + 1,
                limits::TENSOR_BYTES_MAX
            )));
        }
        self.rows.push(row);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tensor::Elements;

    #[test]
    fn rows_are_json_of_their_own_lengths() {
        let mut rows = JsonRows::new("Any");
        rows.push_list([1.5, -0.0, f64::NAN]).unwrap();
        rows.push_list(Vec::<i64>::new()).unwrap();
        rows.push_object([("a\"b", 1.0), ("ü", 1e300)]).unwrap();
        rows.push_labels(&Labels::Texts(vec!["x".into(), "\n".into()]), [1, 0].into_iter()).unwrap();
        rows.push_labels(&Labels::Bools(vec![false, true]), [1].into_iter()).unwrap();
        let tensor = rows.into_tensor().unwrap();
        let Elements::Strings(texts) = tensor.elements() else { panic!("{tensor:?}") };
        assert_eq!(
            texts,
            &["[1.5,-0.0,null]", "[]", "{\"a\\\"b\":1.0,\"ü\":1e+300}", "[\"\\n\",\"x\"]", "[true]",]
        );
    }
}
